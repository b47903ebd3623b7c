/* SPDX-License-Identifier: MPL-2.0 */
/* `nomadinit update FILE`: put a new system into the other slot and have it tried at the next boot. */
#ifndef NOMADINIT_UPDATE_H
#define NOMADINIT_UPDATE_H

#include <stddef.h>
#include <stdint.h>

struct tar_member {
	char name[101];
	uint64_t size, offset; /* of its data */
};

/* Decode a ustar header of 512 bytes; 1 at the archive's end, -EINVAL if it is broken. */
int update_parse_tar(const uint8_t *block, struct tar_member *ret);
int update_main(int argc, char **argv);

#endif
