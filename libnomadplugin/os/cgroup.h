/* SPDX-License-Identifier: MPL-2.0
 *
 * os/cgroup.h: control groups, as far as the supervisor program and the
 * cleaning need them.  supervisor/limits.h decides on their values.
 *
 * A task has one directory in each hierarchy that matters: Nomad's own where
 * there is one, else ours.  They are recorded as strings: "OK:CTL:ROOT:/REL":
 * O 'o' (ours, to be removed) or 'n' (Nomad's, to be left); K '2' (cgroup v2),
 * 'f' (the v1 freezer) or '1' (another of v1); CTL as /proc/PID/cgroup
 * names it ("" for v2); ROOT where it is mounted; REL from there.
 *
 * No allocation: the supervisor program uses this too.  Systems without
 * cgroups have no such strings, and stubs that fail with -EOPNOTSUPP. */
#ifndef NOMAD_OS_CGROUP_H
#define NOMAD_OS_CGROUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { NOMAD__MAX_CGROUPS = 12 };

struct nomad__cgroup {
	bool ours;
	char kind; /* '2', 'f', '1' */
	char ctl[48];
	char path[336]; /* the whole */
	size_t root;	/* length of ROOT in it */
};

int nomad__cgroup_parse(const char *s, struct nomad__cgroup *ret);
/* Make the directory and its parent (below ROOT). */
int nomad__cgroup_create(const struct nomad__cgroup *cgroup);
/* Write `value` into a file. */
int nomad__cgroup_write(const char *path, const char *value);
/* fork(); the child begins in this cgroup (v2).  NULL: as fork(). */
int nomad__cgroup_fork(const char *path);
/* Move the calling, single-threaded process. */
int nomad__cgroup_join(const struct nomad__cgroup *cgroup);
/* Where the process `pid` is in this hierarchy, if it is below the cgroup: the path into `ret`; else -ENOENT. */
int nomad__cgroup_of(const struct nomad__cgroup *cgroup, int pid, char *ret, size_t size);
/* SIGKILL to all in it and below.  0 if the kernel does so at one stroke,
 * 1 if it was one by one and may have to be repeated; or -errno. */
int nomad__cgroup_kill(const struct nomad__cgroup *cgroup);
/* No process in it or below, or not there. */
bool nomad__cgroup_is_empty(const struct nomad__cgroup *cgroup);
/* Remove all below it, and itself if it is ours.  0, -EBUSY. */
int nomad__cgroup_remove(const struct nomad__cgroup *cgroup);
/* Rules for devices: "c 1:3 rwm", '*' for any number, 'b' for blocks. */
enum { NOMAD__MAX_DEVICE_RULES = 64 };
struct nomad__device_rules {
	struct nomad__device_rule {
		char type;
		int32_t major, minor; /* -1: any */
		unsigned access;      /* of NOMAD__MAY_* */
	} list[NOMAD__MAX_DEVICE_RULES];
	int count;
};
enum { NOMAD__MAY_MKNOD = 1, NOMAD__MAY_READ = 2, NOMAD__MAY_WRITE = 4 };
/* The beginning of a rule, "c 1:3", for a device file.  0; -ENODEV if it is not one; or -errno. */
int nomad__device_number(const char *path, char *ret, size_t size);
int nomad__device_rule_add(struct nomad__device_rules *rules, const char *text);
/* From now on only these for all in it and below (v2).  Until it is removed. */
int nomad__cgroup_allow_devices(const struct nomad__cgroup *cgroup, const struct nomad__device_rules *rules);
/* Processes in it that the kernel killed for lack of memory. */
uint64_t nomad__cgroup_oom_kills(const struct nomad__cgroup *cgroup);

#endif
