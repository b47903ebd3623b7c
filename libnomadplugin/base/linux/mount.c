/* SPDX-License-Identifier: MPL-2.0 */
#include "base/mount.h"

#include <fcntl.h>
#include <sys/stat.h>

bool nomad__same_mount(int fd_a, int fd_b)
{
	struct statx a, b;

	if (statx(fd_a, "", AT_EMPTY_PATH, STATX_MNT_ID, &a) < 0 ||
	    statx(fd_b, "", AT_EMPTY_PATH, STATX_MNT_ID, &b) < 0)
		return false;
	return (a.stx_mask & b.stx_mask & STATX_MNT_ID) && a.stx_mnt_id == b.stx_mnt_id;
}
