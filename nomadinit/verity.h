/* SPDX-License-Identifier: MPL-2.0 */
/* dm-verity without tools: three ioctls. */
#ifndef NOMADINIT_VERITY_H
#define NOMADINIT_VERITY_H

#include <stddef.h>
#include <stdint.h>

struct verity {
	uint64_t data_blocks;
	uint32_t data_block_size, hash_block_size;
	char algorithm[32];
	char salt[513]; /* hex, "-" if none */
};

/* Decode the superblock that veritysetup wrote. */
int verity_parse(const uint8_t *sb, size_t len, struct verity *ret);
/* The device-mapper table's parameters.  0, or -ENOSPC. */
int verity_table(const struct verity *v, unsigned int major, unsigned int minor, uint64_t hash_offset,
		 const char *root_hash, char *out, size_t size);
/* Create the device; its path, /dev/dm-N, goes to ret_path. */
int verity_open(const char *name, const char *device, unsigned int major, unsigned int minor, uint64_t hash_offset,
		const char *root_hash, char *ret_path, size_t size);

#endif
