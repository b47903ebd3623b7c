/* SPDX-License-Identifier: MPL-2.0 */
#include "base/mount.h"

#include <string.h>
#include <sys/param.h>
#include <sys/mount.h>

bool nomad__same_mount(int fd_a, int fd_b)
{
	struct statfs a, b;

	if (fstatfs(fd_a, &a) < 0 || fstatfs(fd_b, &b) < 0)
		return false;
	return memcmp(&a.f_fsid, &b.f_fsid, sizeof(a.f_fsid)) == 0 && strcmp(a.f_mntonname, b.f_mntonname) == 0;
}
