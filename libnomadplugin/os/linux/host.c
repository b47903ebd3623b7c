/* SPDX-License-Identifier: MPL-2.0
 *
 * See os/host.h. */
#include "os/host.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#ifndef SYS_mount_setattr
#define SYS_mount_setattr 442
#endif

/* The type of the mount with that device in /proc/self/mountinfo. */
static void find_storage(const char *dir, char *type, size_t room)
{
	char line[4096], wanted[32];
	struct stat st;
	FILE *f = stat(dir, &st) == 0 ? fopen("/proc/self/mountinfo", "re") : NULL;

	if (!f)
		return;
	snprintf(wanted, sizeof(wanted), " %u:%u ", major(st.st_dev), minor(st.st_dev));
	while (!*type && fgets(line, sizeof(line), f)) {
		const char *behind = strstr(line, " - ");

		/* Id, parent, device. */
		if (behind && strstr(line, wanted) && strstr(line, wanted) < strchr(line, '/'))
			snprintf(type, room, "%.*s", (int)strcspn(behind + 3, " "), behind + 3);
	}
	fclose(f);
}

static bool has_user_namespaces(void)
{
	unsigned long most = 0;
	FILE *f = fopen("/proc/sys/user/max_user_namespaces", "re");

	if (!f)
		return false;
	if (fscanf(f, "%lu", &most) != 1)
		most = 0;
	fclose(f);
	return most > 0;
}

void nomad__host_look(const char *dir, struct nomad__host *ret)
{
	*ret = (struct nomad__host){
		.cgroup = access("/sys/fs/cgroup/cgroup.controllers", F_OK) == 0 ? "v2"
			  : access("/sys/fs/cgroup", F_OK) == 0			 ? "v1"
										 : NULL,
		.systemd = access("/run/systemd/system", F_OK) == 0,
		/* Linux 5.12 has both; a wrong descriptor shows that the call is there. */
		.idmapped_mounts = syscall(SYS_mount_setattr, -1, "", 0, NULL, 0) < 0 && errno != ENOSYS,
		.user_namespaces = has_user_namespaces(),
		.seccomp = access("/proc/sys/kernel/seccomp", F_OK) == 0,
	};
	find_storage(dir, ret->storage, sizeof(ret->storage));
}
