/* SPDX-License-Identifier: MPL-2.0 */
#include "base/file.h"

#include <dirent.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The library's struct is the kernel's where offsets have 64 bits. */
_Static_assert(sizeof(((struct dirent *)0)->d_off) == sizeof(int64_t), "_FILE_OFFSET_BITS=64 is needed");

ssize_t nomad__getdents(int fd, void *buf, size_t size)
{
	return (ssize_t)syscall(SYS_getdents64, fd, buf, size);
}
