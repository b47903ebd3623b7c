/* SPDX-License-Identifier: MPL-2.0 */
#include "base/mount.h"

#include <fcntl.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef STATX_MNT_ID
#define STATX_MNT_ID 0x1000
#endif

/* The kernel's struct statx.  musl's lacks the mount's id before 1.2.6. */
struct attributes {
	uint32_t mask;
	uint32_t unused[35];
	uint64_t mount_id; /* at 0x90 */
	uint64_t rest[13];
};
_Static_assert(sizeof(struct attributes) == 0x100, "size of struct statx");

static int attributes_of(int fd, struct attributes *attributes)
{
	return (int)syscall(SYS_statx, fd, "", AT_EMPTY_PATH, STATX_MNT_ID, attributes);
}

bool nomad__same_mount(int fd_a, int fd_b)
{
	struct attributes a, b;

	if (attributes_of(fd_a, &a) < 0 || attributes_of(fd_b, &b) < 0)
		return false;
	return (a.mask & b.mask & STATX_MNT_ID) && a.mount_id == b.mount_id;
}
