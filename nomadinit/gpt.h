/* SPDX-License-Identifier: MPL-2.0 */
/* The partition table: grow the last partition to the end of the disk, or add one there. */
#ifndef NOMADINIT_GPT_H
#define NOMADINIT_GPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GPT_SECTOR 512

struct gpt {
	uint8_t header[GPT_SECTOR];
	uint8_t *entries;
	uint32_t n_entries, entry_size;
	uint64_t disk_sectors;
};

/* Read and check the table of a disk; the backup if the primary is broken. */
int gpt_read(int fd, uint64_t disk_sectors, struct gpt *ret);
void gpt_done(struct gpt *g);
/* Number (from 1) of the partition with this name, 0 if there is none. */
int gpt_find(const struct gpt *g, const char *name);
/* The same by the partition's own GUID, as it stands in the table. */
int gpt_find_guid(const struct gpt *g, const uint8_t guid[16]);
/* Give the disk and each partition a GUID of their own, if they have those that all images of a build share.  True if
 * so: the table is to be written. */
bool gpt_individualize(struct gpt *g);
/* A partition's mark that it has held a state (attribute 56, which is the partition type's own). */
bool gpt_is_marked(const struct gpt *g, int number);
void gpt_mark(struct gpt *g, int number);
/* Extend partition `number` to the end of the disk if nothing is behind it.  1: it grew; 0: it fills the disk
 * already; -EBUSY: another partition is behind it. */
int gpt_grow(struct gpt *g, int number, uint64_t *ret_start, uint64_t *ret_sectors);
/* Add a Linux partition in the space behind all others.  Returns its number, -ENOSPC if that is less than min_sectors.
 */
int gpt_add(struct gpt *g, const char *name, uint64_t min_sectors, uint64_t *ret_start, uint64_t *ret_sectors);
/* Write it: backup first, then the primary, so that one of them is always whole. */
int gpt_write(int fd, struct gpt *g);
/* Tell the kernel: BLKPG_RESIZE_PARTITION or, if is_new, BLKPG_ADD_PARTITION. */
int gpt_tell_kernel(int disk_fd, int number, uint64_t start, uint64_t sectors, bool is_new);

uint32_t gpt_crc32(const void *data, size_t len);

#endif
