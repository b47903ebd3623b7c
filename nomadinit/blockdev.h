/* SPDX-License-Identifier: MPL-2.0 */
/* Disks and partitions, found by GPT name or file system label without udev. */
#ifndef NOMADINIT_BLOCKDEV_H
#define NOMADINIT_BLOCKDEV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum blockdev_fs { FS_UNKNOWN, FS_BLANK, FS_EXT4, FS_VFAT, FS_ISO9660, FS_SQUASHFS, FS_MAX };

struct blockdev {
	char name[32];		 /* vda3 */
	char path[40];		 /* /dev/vda3 */
	char disk[32];		 /* vda; "" if it is a whole disk */
	char partname[73];	 /* GPT name */
	int partition;		 /* number, 0 for a whole disk */
	uint64_t start, sectors; /* of 512 bytes */
	unsigned int major, minor;
};

struct blockdev_label {
	enum blockdev_fs fs;
	char label[65];
	bool needs_check; /* ext4: not cleanly unmounted, or with errors */
};

/* The boot partition's GPT name, by which a disk of ours is known. */
#define ESP_NAME "nomadesp"

/* The disk that we started from ("vda"): kept for the rest of this boot, and for other processes. */
void blockdev_set_boot_disk(const char *name);
/* "" if it is not known. */
const char *blockdev_boot_disk(void);

extern const char *const blockdev_fs_names[FS_MAX];

/* What file system begins at offset 0 of fd. */
int blockdev_probe(int fd, struct blockdev_label *ret);
/* Is there a copy of an ext4 superblock where the first group's backup stands? */
bool blockdev_has_backup(int fd);
/* List what /sys/class/block has.  Returns how many, at most max. */
size_t blockdev_list(struct blockdev *list, size_t max);
/* Find by GPT name, or by label (ASCII case does not matter to FAT): on the disk we started from, else on disks that
 * are no node's.  Waits up to wait_ms for it to appear.  -ENODEV, or -ENOTUNIQ if there are two. */
int blockdev_find(const char *label, unsigned int wait_ms, struct blockdev *ret);

#endif
