/* SPDX-License-Identifier: MPL-2.0 */
/* The superblock is not covered by the root hash and need not be: with other sizes or another salt the
 * tree's top does not have the hash that the (signed) kernel arguments give. */
#include "verity.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/dm-ioctl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>

#include "util.h"

static uint64_t get_le(const uint8_t *p, int bytes)
{
	uint64_t v = 0;

	while (bytes--)
		v = v << 8 | p[bytes];
	return v;
}

static int is_block_size(uint32_t n)
{
	return n >= 512 && n <= 4096 && (n & (n - 1)) == 0;
}

int verity_parse(const uint8_t *sb, size_t len, struct verity *ret)
{
	size_t salt, i;

	if (len < 512 || memcmp(sb, "verity\0\0", 8) != 0 || get_le(sb + 8, 4) != 1 || get_le(sb + 12, 4) != 1)
		return -EINVAL;
	memset(ret, 0, sizeof(*ret));
	memcpy(ret->algorithm, sb + 32, sizeof(ret->algorithm) - 1);
	for (i = 0; ret->algorithm[i]; i++)
		if (!strchr("abcdefghijklmnopqrstuvwxyz0123456789-", ret->algorithm[i]))
			return -EINVAL;
	ret->data_block_size = (uint32_t)get_le(sb + 64, 4);
	ret->hash_block_size = (uint32_t)get_le(sb + 68, 4);
	ret->data_blocks = get_le(sb + 72, 8);
	salt = get_le(sb + 80, 2);
	if (i == 0 || !is_block_size(ret->data_block_size) || !is_block_size(ret->hash_block_size) || salt > 256 ||
	    ret->data_blocks == 0 || ret->data_blocks > 1ull << 40)
		return -EINVAL;
	for (i = 0; i < salt; i++)
		snprintf(ret->salt + 2 * i, 3, "%02x", sb[88 + i]);
	if (salt == 0)
		strcpy(ret->salt, "-");
	return 0;
}

int verity_table(const struct verity *v, unsigned int major, unsigned int minor, uint64_t hash_offset,
		 const char *root_hash, char *out, size_t size)
{
	int n;

	if (strspn(root_hash, "0123456789abcdef") != strlen(root_hash) || hash_offset % v->hash_block_size)
		return -EINVAL;
	n = snprintf(out, size, "1 %u:%u %u:%u %u %u %llu %llu %s %s %s 1 panic_on_corruption", major, minor, major,
		     minor, v->data_block_size, v->hash_block_size, (unsigned long long)v->data_blocks,
		     (unsigned long long)hash_offset / v->hash_block_size + 1, v->algorithm, root_hash, v->salt);
	return n < 0 || (size_t)n >= size ? -ENOSPC : 0;
}

static int dm_call(int fd, unsigned long what, struct dm_ioctl *dm, const char *name, size_t size, uint32_t flags)
{
	memset(dm, 0, sizeof(*dm));
	dm->version[0] = 4;
	dm->data_size = (uint32_t)size;
	dm->data_start = sizeof(*dm);
	dm->flags = flags;
	util_copy(dm->name, sizeof(dm->name), name);
	return ioctl(fd, what, dm) < 0 ? -errno : 0;
}

int verity_open(const char *name, const char *device, unsigned int major, unsigned int minor, uint64_t hash_offset,
		const char *root_hash, char *ret_path, size_t size)
{
	struct {
		struct dm_ioctl dm;
		struct dm_target_spec spec;
		char params[1024];
	} c;
	NOMAD_AUTO_FD int fd = open("/dev/mapper/control", O_RDWR | O_CLOEXEC);
	NOMAD_AUTO_FD int data = open(device, O_RDONLY | O_CLOEXEC);
	uint8_t sb[512];
	struct verity v;
	int r;

	if (fd < 0 || data < 0)
		return -errno;
	r = util_pread_all(data, sb, sizeof(sb), hash_offset);
	if (r == 0)
		r = verity_parse(sb, sizeof(sb), &v);
	if (r == 0)
		r = dm_call(fd, DM_DEV_CREATE, &c.dm, name, sizeof(c.dm), 0);
	if (r < 0)
		return r;
	memset(&c, 0, sizeof(c));
	r = verity_table(&v, major, minor, hash_offset, root_hash, c.params, sizeof(c.params));
	if (r == 0) {
		c.dm.version[0] = 4;
		c.dm.data_size = sizeof(c);
		c.dm.data_start = sizeof(c.dm);
		c.dm.target_count = 1;
		c.dm.flags = DM_READONLY_FLAG;
		util_copy(c.dm.name, sizeof(c.dm.name), name);
		c.spec.length = v.data_blocks * v.data_block_size / 512;
		util_copy(c.spec.target_type, sizeof(c.spec.target_type), "verity");
		r = ioctl(fd, DM_TABLE_LOAD, &c) < 0 ? -errno : 0;
	}
	/* Without DM_SUSPEND_FLAG this resumes, that is, puts the table to work. */
	if (r == 0)
		r = dm_call(fd, DM_DEV_SUSPEND, &c.dm, name, sizeof(c.dm), DM_READONLY_FLAG);
	if (r < 0) {
		dm_call(fd, DM_DEV_REMOVE, &c.dm, name, sizeof(c.dm), 0);
		return r;
	}
	snprintf(ret_path, size, "/dev/dm-%u", minor(c.dm.dev));
	return 0;
}
