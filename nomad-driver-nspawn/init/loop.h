/* SPDX-License-Identifier: MPL-2.0
 *
 * init/loop.h: raw images without udev: loop devices that free themselves,
 * and the root partition of a partitioned image. */
#ifndef NSPAWN_LOOP_H
#define NSPAWN_LOOP_H

#include <stddef.h>
#include <stdint.h>

/* A loop device on the file system in `file` (a block device is its own
 * device, unless it has partitions).  Locked: one writer or many readers.
 * It goes with its last mount.  0, or -1 with errno. */
int loop_attach(const char *file, int writable, char *ret_device, size_t size);
/* Whether a file system that an image may have begins there. */
int has_file_system(int fd, uint64_t offset);
/* Mount it without device nodes and, if it is read-only, without set-user-id programs. */
int device_mount(const char *device, const char *target, int writable);
/* Where the root file system is: *ret_size 0 means up to the end. */
int partition_find(int fd, uint64_t *ret_offset, uint64_t *ret_size);

#endif
