/* SPDX-License-Identifier: MPL-2.0 */
#include "supervisor/identity.h"

#include <string.h>
#include <unistd.h>

#include "base/fields.h"

static const char *key_of(char key[32], const char *prefix, const char *name)
{
	struct nomad__text t;

	nomad__text_init(&t, key, 32);
	nomad__text_add(&t, prefix);
	nomad__text_add(&t, name);
	return key;
}

static void add(struct nomad__fields *record, const char *prefix, const struct nomad__process *process)
{
	char key[32];

	nomad__fields_num(record, key_of(key, prefix, "pid"), process->pid);
	nomad__fields_num(record, key_of(key, prefix, "start"), (int64_t)process->start);
}

static struct nomad__process get(const char *buf, size_t size, const char *prefix)
{
	struct nomad__process p;
	char key[32];

	p.pid = (int)nomad__fields_get_num(buf, size, key_of(key, prefix, "pid"), 0);
	p.start = (uint64_t)nomad__fields_get_num(buf, size, key_of(key, prefix, "start"), 0);
	return p;
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
	add(&record, "", &self);
	/* Not synced: another boot makes it worthless, and a killed process
	 * does not take the page cache along. */
	return nomad__fields_write(dirfd, "supervisor", &record, false);
}

int nomad__identity_add(int dirfd, const char *prefix, const struct nomad__process *process)
{
	char buf[128];
	struct nomad__fields record;

	nomad__fields_init_bare(&record, buf, sizeof(buf));
	add(&record, prefix, process);
	return nomad__fields_append(dirfd, "supervisor", &record);
}

int nomad__identity_read(int dirfd, struct nomad__identity *ret)
{
	char buf[4096], boot[NOMAD__BOOT_ID_SIZE];
	ssize_t n = nomad__fields_read(dirfd, "supervisor", buf, sizeof(buf));
	const char *theirs;

	if (n < 0)
		return (int)n;
	ret->supervisor = get(buf, (size_t)n, "");
	ret->main = get(buf, (size_t)n, "main_");
	ret->leader = get(buf, (size_t)n, "leader_");
	theirs = nomad__fields_get(buf, (size_t)n, "boot");
	ret->this_boot = theirs && nomad__boot_id(boot) >= 0 && strcmp(theirs, boot) == 0;
	return 0;
}
