/* SPDX-License-Identifier: MPL-2.0 */
#include "supervisor/identity.h"

#include <string.h>
#include <unistd.h>

#include "base/fields.h"

static const char *const keys[NOMAD__WHO_MAX][2] = {
	{ "pid", "start" },
	{ "main_pid", "main_start" },
	{ "leader_pid", "leader_start" },
};

static void add(struct nomad__fields *record, enum nomad__who who, const struct nomad__process *process)
{
	nomad__fields_num(record, keys[who][0], process->pid);
	nomad__fields_num(record, keys[who][1], (int64_t)process->start);
}

int nomad__identity_write(int dirfd)
{
	char buf[2048], boot[NOMAD__BOOT_ID_SIZE];
	struct nomad__fields record;
	struct nomad__process self;
	int r;

	r = nomad__boot_id(boot);
	if (r >= 0)
		r = nomad__process_find(getpid(), &self);
	if (r < 0)
		return r;
	nomad__fields_init(&record, buf, sizeof(buf));
	nomad__fields_add(&record, "version", NOMAD_VERSION);
	nomad__fields_add(&record, "boot", boot);
	add(&record, NOMAD__SUPERVISOR, &self);
	/* Not synced: another boot makes it worthless, and a killed process
	 * does not take the page cache along. */
	return nomad__fields_write(dirfd, "supervisor", &record, false);
}

int nomad__identity_add(int dirfd, enum nomad__who who, const struct nomad__process *process)
{
	char buf[128];
	struct nomad__fields record;

	nomad__fields_init_bare(&record, buf, sizeof(buf));
	add(&record, who, process);
	return nomad__fields_append(dirfd, "supervisor", &record);
}

int nomad__identity_read(int dirfd, struct nomad__identity *ret)
{
	char buf[4096], boot[NOMAD__BOOT_ID_SIZE];
	ssize_t n = nomad__fields_read(dirfd, "supervisor", buf, sizeof(buf));
	const char *theirs;
	int r;

	if (n < 0)
		return (int)n;
	r = nomad__boot_id(boot);
	if (r < 0)
		return r;
	for (int i = 0; i < NOMAD__WHO_MAX; i++) {
		ret->of[i].pid = (int)nomad__fields_get_num(buf, (size_t)n, keys[i][0], 0);
		ret->of[i].start = (uint64_t)nomad__fields_get_num(buf, (size_t)n, keys[i][1], 0);
	}
	theirs = nomad__fields_get(buf, (size_t)n, "boot");
	ret->this_boot = theirs && strcmp(theirs, boot) == 0;
	return 0;
}
