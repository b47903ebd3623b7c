/* SPDX-License-Identifier: MPL-2.0
 *
 * os/cgroup.h: FreeBSD has no cgroups.  Descendants are found through the reaper, limits are the jail's (rctl). */
#pragma GCC diagnostic ignored "-Wunused-parameter" /* stubs */

#include "os/cgroup.h"
#include "os/hierarchy.h"

#include <errno.h>
#include <unistd.h>

int nomad__cgroup_parse(const char *s, struct nomad__cgroup *ret)
{
	return -EOPNOTSUPP;
}

int nomad__cgroup_create(const struct nomad__cgroup *cgroup)
{
	return -EOPNOTSUPP;
}

int nomad__cgroup_write(const char *path, const char *value)
{
	return -EOPNOTSUPP;
}

int nomad__cgroup_fork(const char *path)
{
	pid_t pid;

	if (path)
		return -EOPNOTSUPP;
	pid = fork();
	return pid < 0 ? -errno : pid;
}

int nomad__cgroup_join(const struct nomad__cgroup *cgroup)
{
	return -EOPNOTSUPP;
}

int nomad__cgroup_of(const struct nomad__cgroup *cgroup, int pid, char *ret, size_t size)
{
	return -ENOENT;
}

int nomad__cgroup_kill(const struct nomad__cgroup *cgroup)
{
	return -EOPNOTSUPP;
}

bool nomad__cgroup_is_empty(const struct nomad__cgroup *cgroup)
{
	return true;
}

int nomad__cgroup_remove(const struct nomad__cgroup *cgroup)
{
	return 0;
}

uint64_t nomad__cgroup_oom_kills(const struct nomad__cgroup *cgroup)
{
	return 0;
}

int nomad__device_number(const char *path, char *ret, size_t size)
{
	return -EOPNOTSUPP;
}

int nomad__device_rule_add(struct nomad__device_rules *rules, const char *text)
{
	return -EOPNOTSUPP;
}

int nomad__cgroup_allow_devices(const struct nomad__cgroup *cgroup, const struct nomad__device_rules *rules)
{
	return -EOPNOTSUPP;
}

int nomad__hierarchies(const struct nomad__hierarchy **ret)
{
	*ret = NULL;
	return -EOPNOTSUPP;
}
