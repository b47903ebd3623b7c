/* SPDX-License-Identifier: MPL-2.0
 *
 * sha256.h: SHA-256 (FIPS 180-4).  See sha256.c. */
#ifndef BUILD_SHA256_H
#define BUILD_SHA256_H

#include <stddef.h>
#include <stdint.h>

struct build_sha256 {
	uint32_t state[8];
	uint64_t size; /* bytes so far */
	unsigned char block[64];
};
void build_sha256_begin(struct build_sha256 *hash);
void build_sha256_add(struct build_sha256 *hash, const void *data, size_t size);
/* Ends it, and writes 64 digits and a zero. */
void build_sha256_hex(struct build_sha256 *hash, char *to);

#endif
