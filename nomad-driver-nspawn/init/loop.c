/* SPDX-License-Identifier: MPL-2.0
 *
 * Raw images.  systemd-nspawn --image= wants udev; a loop device with
 * autoclear, made here and mounted in a private mount namespace, wants
 * nobody and leaves nothing. */
#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "init.h"
#include "loop.h"

#ifndef LOOP_CONFIGURE
#define LOOP_CONFIGURE 0x4C0A
struct loop_config {
	uint32_t fd, block_size;
	struct loop_info64 info;
	uint64_t reserved[8];
};
#endif

enum { SECTOR = 512, GPT_ENTRIES_MAX = 256 };

/* Type GUIDs as they stand on disk: the root partition of this
 * architecture (Discoverable Partitions), and any Linux file system. */
static const unsigned char guid_root[16] =
#if defined(__x86_64__)
	{ 0xe3, 0xbc, 0x68, 0x4f, 0xcd, 0xe8, 0xb1, 0x4d, 0x96, 0xe7, 0xfb, 0xca, 0xf9, 0x84, 0xb7, 0x09 };
#elif defined(__aarch64__)
	{ 0x45, 0xb0, 0x21, 0xb9, 0xf0, 0x1d, 0xc3, 0x41, 0xaf, 0x44, 0x4c, 0x6f, 0x28, 0x0d, 0x3f, 0xae };
#else
	{ 0 };
#endif
static const unsigned char guid_linux[16] = { 0xaf, 0x3d, 0xc6, 0x0f, 0x83, 0x84, 0x72, 0x47,
					      0x8e, 0x79, 0x3d, 0x69, 0xd8, 0x47, 0x7d, 0xe4 };

static uint64_t le(const unsigned char *p, int bytes)
{
	uint64_t v = 0;

	while (bytes-- > 0)
		v = v << 8 | p[bytes];
	return v;
}

static int gpt_find(int fd, uint64_t *ret_offset, uint64_t *ret_size)
{
	unsigned char header[SECTOR], entry[128];
	uint64_t table, first = 0, size = 0;
	unsigned i, n, each;

	if (pread(fd, header, SECTOR, SECTOR) != SECTOR || memcmp(header, "EFI PART", 8) != 0)
		return 0;
	table = le(header + 72, 8);
	n = (unsigned)le(header + 80, 4);
	each = (unsigned)le(header + 84, 4);
	if (n > GPT_ENTRIES_MAX || each < sizeof(entry) || each > 4096 || table > (1ULL << 40)) {
		errno = EINVAL;
		return -1;
	}
	for (i = 0; i < n; i++) {
		int root;

		if (pread(fd, entry, sizeof(entry), (off_t)(table * SECTOR + (uint64_t)i * each)) != sizeof(entry))
			break;
		root = memcmp(entry, guid_root, 16) == 0;
		if (!root && (first || memcmp(entry, guid_linux, 16) != 0))
			continue;
		first = le(entry + 32, 8);
		size = le(entry + 40, 8) + 1 - first;
		if (root)
			break;
	}
	if (!first || first > (1ULL << 50) || size > (1ULL << 50)) {
		errno = ENOENT; /* a partition table without a root */
		return -1;
	}
	*ret_offset = first * SECTOR;
	*ret_size = size * SECTOR;
	return 1;
}

int partition_find(int fd, uint64_t *ret_offset, uint64_t *ret_size)
{
	unsigned char mbr[SECTOR];
	int i, r = gpt_find(fd, ret_offset, ret_size);

	if (r)
		return r < 0 ? -1 : 0;
	*ret_offset = *ret_size = 0;
	if (pread(fd, mbr, SECTOR, 0) != SECTOR || mbr[510] != 0x55 || mbr[511] != 0xaa)
		return 0;
	for (i = 0; i < 4; i++) {
		const unsigned char *p = mbr + 446 + 16 * i;

		if ((p[0] & 0x7f) || p[4] != 0x83 || !le(p + 8, 4) || !le(p + 12, 4))
			continue;
		*ret_offset = le(p + 8, 4) * SECTOR;
		*ret_size = le(p + 12, 4) * SECTOR;
		return 0;
	}
	return 0;
}

int loop_attach(const char *file, int writable, char *ret_device, size_t size)
{
	struct loop_config config = { 0 };
	uint64_t offset, length;
	struct stat st;
	int fd, control, device, number, i;

	fd = open_without_links(file, writable ? O_RDWR : O_RDONLY);
	if (fd < 0 || fstat(fd, &st) < 0)
		return -1;
	/* Elsewhere a task may have put it in the place of the file that was judged. */
	if (S_ISBLK(st.st_mode) && strncmp(file, "/dev/", 5) != 0) {
		errno = EPERM;
		return -1;
	}
	/* The loop device keeps this open file, and with it the lock. */
	if (flock(fd, (writable ? LOCK_EX : LOCK_SH) | LOCK_NB) < 0) {
		errno = EBUSY;
		return -1;
	}
	if (partition_find(fd, &offset, &length) < 0)
		return -1;
	if (!has_file_system(fd, offset)) {
		errno = EMEDIUMTYPE;
		return -1;
	}
	if (S_ISBLK(st.st_mode) && !offset) {
		snprintf(ret_device, size, "%s", file);
		return 0;
	}
	control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
	if (control < 0)
		return -1;
	config.fd = (uint32_t)fd;
	config.info.lo_offset = offset;
	config.info.lo_sizelimit = length;
	config.info.lo_flags = LO_FLAGS_AUTOCLEAR | (writable ? 0 : LO_FLAGS_READ_ONLY);
	for (i = 0; i < 64; i++) {
		number = ioctl(control, LOOP_CTL_GET_FREE);
		if (number < 0)
			return -1;
		snprintf(ret_device, size, "/dev/loop%d", number);
		device = open(ret_device, (writable ? O_RDWR : O_RDONLY) | O_CLOEXEC);
		if (device < 0)
			return -1;
		/* `device` stays open: until the mount it is what holds the loop. */
		if (!ioctl(device, LOOP_CONFIGURE, &config))
			return 0;
		close(device);
		if (errno != EBUSY)
			return -1;
	}
	return -1;
}

/* Which file systems an image may have: no other driver of the kernel gets to read what comes from elsewhere. */
static const struct {
	const char *type;
	uint64_t at;
	const char *magic;
	size_t n;
} types[] = {
	{ "ext4", 1024 + 56, "\x53\xef", 2 },	  { "ext3", 1024 + 56, "\x53\xef", 2 },
	{ "ext2", 1024 + 56, "\x53\xef", 2 },	  { "xfs", 0, "XFSB", 4 },
	{ "btrfs", 65536 + 64, "_BHRfS_M", 8 },	  { "squashfs", 0, "hsqs", 4 },
	{ "erofs", 1024, "\xe2\xe1\xf5\xe0", 4 },
};

static int has_magic(int fd, uint64_t offset, size_t type)
{
	char found[8];

	return pread(fd, found, types[type].n, (off_t)(offset + types[type].at)) == (ssize_t)types[type].n &&
	       memcmp(found, types[type].magic, types[type].n) == 0;
}

int has_file_system(int fd, uint64_t offset)
{
	size_t i;

	for (i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (has_magic(fd, offset, i))
			return 1;
	return 0;
}

int device_mount(const char *device, const char *target, int writable)
{
	/* Below an overlay set-uid programs work all the same. */
	const unsigned long flags = MS_NODEV | (writable ? 0 : MS_NOSUID | MS_RDONLY);
	int saved = EMEDIUMTYPE, fd = open(device, O_RDONLY | O_CLOEXEC);
	size_t i;

	if (fd < 0)
		return -1;
	for (i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		if (!has_magic(fd, 0, i))
			continue;
		if (!mount(device, target, types[i].type, flags, NULL) ||
		    (!writable && !mount(device, target, types[i].type, flags, "noload"))) {
			close(fd);
			return 0;
		}
		if (errno != EINVAL && errno != ENODEV)
			saved = errno;
	}
	close(fd);
	errno = saved;
	return -1;
}
