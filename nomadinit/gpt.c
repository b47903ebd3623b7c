/* SPDX-License-Identifier: MPL-2.0 */
/* GUID partition tables (UEFI 2.x, chapter 5), little-endian, 512-byte sectors.
 *
 * An image is written to a disk that is larger than it: the backup table then stands
 * in the middle, and the last usable sector is too low.  Growing means to move the
 * backup to the true end and to raise both limits.  A cut of power between the two
 * writes leaves one valid copy, and the next boot does the rest. */
#include "gpt.h"

#include <errno.h>
#include <linux/blkpg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "util.h"

#define ENTRIES_MAX 256
#define ALIGN 2048

static const uint8_t linux_type[16] = { 0xaf, 0x3d, 0xc6, 0x0f, 0x83, 0x84, 0x72, 0x47,
					0x8e, 0x79, 0x3d, 0x69, 0xd8, 0x47, 0x7d, 0xe4 };

/* 6E6F6D61-6469-4E69-8000-756E626F726E, which the image builder gives. */
static const uint8_t unborn_disk[16] = { 0x61, 0x6d, 0x6f, 0x6e, 0x69, 0x64, 0x69, 0x4e,
					 0x80, 0x00, 0x75, 0x6e, 0x62, 0x6f, 0x72, 0x6e };

static uint32_t get32(const uint8_t *p)
{
	return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static uint64_t get64(const uint8_t *p)
{
	return get32(p) | (uint64_t)get32(p + 4) << 32;
}

static void put32(uint8_t *p, uint32_t v)
{
	int i;

	for (i = 0; i < 4; i++)
		p[i] = (uint8_t)(v >> 8 * i);
}

static void put64(uint8_t *p, uint64_t v)
{
	put32(p, (uint32_t)v);
	put32(p + 4, (uint32_t)(v >> 32));
}

uint32_t gpt_crc32(const void *data, size_t len)
{
	const uint8_t *p = data;
	uint32_t crc = 0xffffffff;
	int bit;

	while (len--) {
		crc ^= *p++;
		for (bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (0xedb88320 & -(crc & 1));
	}
	return ~crc;
}

static int read_at(int fd, uint64_t lba, uint64_t disk_sectors, struct gpt *g)
{
	uint8_t copy[GPT_SECTOR];
	uint32_t size;
	int r;

	if (lba >= disk_sectors)
		return -EINVAL;
	r = util_pread_all(fd, g->header, GPT_SECTOR, lba * GPT_SECTOR);
	if (r < 0)
		return r;
	size = get32(g->header + 12);
	if (memcmp(g->header, "EFI PART", 8) != 0 || size < 92 || size > GPT_SECTOR || get64(g->header + 24) != lba)
		return -EINVAL;
	memcpy(copy, g->header, GPT_SECTOR);
	put32(copy + 16, 0);
	if (gpt_crc32(copy, size) != get32(g->header + 16))
		return -EINVAL;
	g->n_entries = get32(g->header + 80);
	g->entry_size = get32(g->header + 84);
	if (g->n_entries == 0 || g->n_entries > ENTRIES_MAX || g->entry_size != 128 ||
	    get64(g->header + 72) >= disk_sectors)
		return -EINVAL;
	g->entries = malloc((size_t)g->n_entries * g->entry_size);
	if (!g->entries)
		return -ENOMEM;
	r = util_pread_all(fd, g->entries, (size_t)g->n_entries * g->entry_size, get64(g->header + 72) * GPT_SECTOR);
	if (r == 0 && gpt_crc32(g->entries, (size_t)g->n_entries * g->entry_size) != get32(g->header + 88))
		r = -EINVAL;
	if (r < 0)
		gpt_done(g);
	return r;
}

int gpt_read(int fd, uint64_t disk_sectors, struct gpt *ret)
{
	uint64_t backup;
	int r;

	memset(ret, 0, sizeof(*ret));
	ret->disk_sectors = disk_sectors;
	r = read_at(fd, 1, disk_sectors, ret);
	if (r == 0)
		return 0;
	/* Where the primary says the backup is, else at the end. */
	backup = get64(ret->header + 32);
	if (read_at(fd, disk_sectors - 1, disk_sectors, ret) < 0 && read_at(fd, backup, disk_sectors, ret) < 0)
		return r;
	/* From now on it is the primary. */
	put64(ret->header + 24, 1);
	put64(ret->header + 72, 2);
	return 0;
}

void gpt_done(struct gpt *g)
{
	free(g->entries);
	g->entries = NULL;
}

static uint8_t *entry(const struct gpt *g, uint32_t i)
{
	return g->entries + (size_t)i * g->entry_size;
}

static bool is_used(const uint8_t *e)
{
	static const uint8_t none[16];

	return memcmp(e, none, 16) != 0;
}

int gpt_find(const struct gpt *g, const char *name)
{
	size_t len = strlen(name), k;
	uint32_t i;

	for (i = 0; i < g->n_entries; i++) {
		const uint8_t *n = entry(g, i) + 56;

		if (!is_used(entry(g, i)))
			continue;
		for (k = 0; k < 36 && k < len && n[2 * k] == (uint8_t)name[k] && n[2 * k + 1] == 0; k++)
			;
		if (k == len && (k == 36 || (n[2 * k] == 0 && n[2 * k + 1] == 0)))
			return (int)i + 1;
	}
	return 0;
}

int gpt_find_guid(const struct gpt *g, const uint8_t guid[16])
{
	uint32_t i;

	for (i = 0; i < g->n_entries; i++)
		if (is_used(entry(g, i)) && memcmp(entry(g, i) + 16, guid, 16) == 0)
			return (int)i + 1;
	return 0;
}

bool gpt_is_marked(const struct gpt *g, int number)
{
	return entry(g, (uint32_t)number - 1)[55] & 1;
}

void gpt_mark(struct gpt *g, int number)
{
	entry(g, (uint32_t)number - 1)[55] |= 1;
}

static void random_guid(uint8_t *guid)
{
	util_random(guid, 16);
	guid[7] = (uint8_t)((guid[7] & 0x0f) | 0x40);
	guid[8] = (uint8_t)((guid[8] & 0x3f) | 0x80);
}

bool gpt_individualize(struct gpt *g)
{
	uint32_t i;

	if (memcmp(g->header + 56, unborn_disk, 16) != 0)
		return false;
	random_guid(g->header + 56);
	for (i = 0; i < g->n_entries; i++)
		if (is_used(entry(g, i)))
			random_guid(entry(g, i) + 16);
	return true;
}

/* The last sector of the last partition but `except`. */
static uint64_t last_used(const struct gpt *g, uint32_t except)
{
	uint64_t last = 0;
	uint32_t i;

	for (i = 0; i < g->n_entries; i++)
		if (i != except && is_used(entry(g, i)) && get64(entry(g, i) + 40) > last)
			last = get64(entry(g, i) + 40);
	return last;
}

static uint64_t table_sectors(const struct gpt *g)
{
	return ((uint64_t)g->n_entries * g->entry_size + GPT_SECTOR - 1) / GPT_SECTOR;
}

static uint64_t true_last(const struct gpt *g)
{
	return g->disk_sectors - 1 - table_sectors(g) - 1;
}

/* Partitions end where a MiB does, as they begin. */
static uint64_t aligned_end(const struct gpt *g)
{
	return (true_last(g) + 1) / ALIGN * ALIGN - 1;
}

int gpt_grow(struct gpt *g, int number, uint64_t *ret_start, uint64_t *ret_sectors)
{
	uint8_t *e = entry(g, (uint32_t)number - 1);
	uint64_t end = aligned_end(g), start = get64(e + 32), old = get64(e + 40);

	*ret_start = start;
	*ret_sectors = old - start + 1;
	if (last_used(g, (uint32_t)number - 1) > start)
		return -EBUSY;
	if (end <= old)
		return 0;
	put64(e + 40, end);
	*ret_sectors = end - start + 1;
	return 1;
}

int gpt_add(struct gpt *g, const char *name, uint64_t min_sectors, uint64_t *ret_start, uint64_t *ret_sectors)
{
	uint64_t start = (last_used(g, UINT32_MAX) / ALIGN + 1) * ALIGN, end = aligned_end(g);
	uint32_t i;
	uint8_t *e;
	size_t k;

	if (end < start || end - start + 1 < min_sectors)
		return -ENOSPC;
	for (i = 0; i < g->n_entries && is_used(entry(g, i)); i++)
		;
	if (i == g->n_entries)
		return -ENOSPC;
	e = entry(g, i);
	memset(e, 0, g->entry_size);
	memcpy(e, linux_type, 16);
	random_guid(e + 16);
	put64(e + 32, start);
	put64(e + 40, end);
	for (k = 0; name[k] && k < 35; k++)
		e[56 + 2 * k] = (uint8_t)name[k];
	*ret_start = start;
	*ret_sectors = end - start + 1;
	return (int)i + 1;
}

static int write_one(int fd, struct gpt *g, uint64_t lba, uint64_t other, uint64_t table)
{
	size_t bytes = (size_t)g->n_entries * g->entry_size;
	int r;

	put64(g->header + 24, lba);
	put64(g->header + 32, other);
	put64(g->header + 48, true_last(g));
	put64(g->header + 72, table);
	put32(g->header + 88, gpt_crc32(g->entries, bytes));
	put32(g->header + 16, 0);
	put32(g->header + 16, gpt_crc32(g->header, get32(g->header + 12)));
	r = util_pwrite_all(fd, g->entries, bytes, table * GPT_SECTOR);
	if (r == 0)
		r = util_pwrite_all(fd, g->header, GPT_SECTOR, lba * GPT_SECTOR);
	if (r == 0 && fsync(fd) < 0)
		r = -errno;
	return r;
}

/* The protective MBR covers the disk, as far as it can count. */
static int write_mbr(int fd, const struct gpt *g)
{
	uint8_t mbr[GPT_SECTOR];
	int r, i;

	r = util_pread_all(fd, mbr, sizeof(mbr), 0);
	if (r < 0)
		return r;
	for (i = 0; i < 4; i++) {
		uint8_t *p = mbr + 446 + 16 * i;

		if (p[4] == 0xee)
			put32(p + 12, g->disk_sectors - 1 > UINT32_MAX ? UINT32_MAX : (uint32_t)(g->disk_sectors - 1));
	}
	return util_pwrite_all(fd, mbr, sizeof(mbr), 0);
}

int gpt_write(int fd, struct gpt *g)
{
	uint64_t end = g->disk_sectors - 1;
	int r;

	r = write_one(fd, g, end, 1, end - table_sectors(g));
	if (r == 0)
		r = write_one(fd, g, 1, end, 2);
	if (r == 0)
		r = write_mbr(fd, g);
	return r;
}

int gpt_tell_kernel(int disk_fd, int number, uint64_t start, uint64_t sectors, bool is_new)
{
	struct blkpg_partition p = { .start = (long long)start * GPT_SECTOR,
				     .length = (long long)sectors * GPT_SECTOR,
				     .pno = number };
	struct blkpg_ioctl_arg arg = { .op = is_new ? BLKPG_ADD_PARTITION : BLKPG_RESIZE_PARTITION,
				       .datalen = sizeof(p),
				       .data = &p };

	return ioctl(disk_fd, BLKPG, &arg) < 0 ? -errno : 0;
}
