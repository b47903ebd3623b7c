/* SPDX-License-Identifier: MPL-2.0 */
/* A root slot's last 4 KiB say what is in it.  Written last by an update, so a half-written slot has none. */
#ifndef NOMADINIT_SLOT_H
#define NOMADINIT_SLOT_H

#include <stddef.h>
#include <stdint.h>

#include "blockdev.h"

#define SLOT_TRAILER 4096

struct slot {
	char root_hash[129]; /* "" if the image was built without */
	uint64_t hash_offset;
	char version[64];
};

int slot_parse(const char *text, size_t len, struct slot *ret);
int slot_read(const struct blockdev *b, struct slot *ret);
/* Find the slot of that disk whose root hash is this ("" matches a slot without one). */
int slot_find(const char *disk, const char *root_hash, struct blockdev *ret_dev, struct slot *ret);

#endif
