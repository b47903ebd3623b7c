/* SPDX-License-Identifier: MPL-2.0
 *
 * Files of /proc that name what a task chooses: its program, its cgroups.  Whatever is read is the input. */
#include "fuzz.h"
#include "nomad-driver-nspawn/host.h"
#include "os/cgroup.h"
#include "os/process.h"

ssize_t __wrap_nomad__text_read(int dirfd, const char *path, char *buf, size_t size);

static const char *text;

ssize_t __wrap_nomad__text_read(int dirfd, const char *path, char *buf, size_t size)
{
	size_t n = strnlen(text, size - 1);

	(void)dirfd;
	(void)path;
	memcpy(buf, text, n);
	buf[n] = 0;
	return (ssize_t)n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = { data, size };
	struct nomad__cgroup cgroup;
	struct nomad__process process = { 0 };
	struct nomad__process_usage usage;
	char path[300], unit[64], *place = fuzz_text(&in, '\n', NULL), *all = fuzz_text(&in, -1, NULL);

	text = all;
	(void)nomad__process_find(1, &process);
	(void)nomad__process_lives(&process);
	(void)nomad__process_parent(1);
	(void)nomad__process_usage(1, &usage);
	if (nspawn_unit_of(all, unit, sizeof(unit)))
		fuzz_must(strlen(unit) > 6 && !strchr(unit, '/') && !strchr(unit, '\n'));
	/* How a record names a cgroup; what is killed is never outside of it. */
	if (nomad__cgroup_parse(place, &cgroup) >= 0) {
		fuzz_must(cgroup.root < strlen(cgroup.path) && !strstr(cgroup.path + cgroup.root, "/../"));
		if (nomad__cgroup_of(&cgroup, 1, path, sizeof(path)) >= 0)
			fuzz_must(strncmp(path, cgroup.path, strlen(cgroup.path)) == 0);
	}
	free(place);
	free(all);
	return 0;
}
