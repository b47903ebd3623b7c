/* SPDX-License-Identifier: MPL-2.0 */
#include "slot.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "util.h"

static const char magic[] = "nomadinit-slot 1\n";

/* The trailer is lines of KEY=VALUE behind the magic, ended by NUL. */
int slot_parse(const char *text, size_t len, struct slot *ret)
{
	char copy[SLOT_TRAILER + 1], *line, *save = NULL;
	struct slot s = { 0 };

	if (len > SLOT_TRAILER || len < sizeof(magic) || memcmp(text, magic, sizeof(magic) - 1) != 0)
		return -EINVAL;
	memcpy(copy, text, len);
	copy[len] = '\0';
	for (line = strtok_r(copy + sizeof(magic) - 1, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		if (strncmp(line, "roothash=", 9) == 0) {
			if (!util_copy(s.root_hash, sizeof(s.root_hash), line + 9) ||
			    strspn(s.root_hash, "0123456789abcdef") != strlen(s.root_hash))
				return -EINVAL;
		} else if (strncmp(line, "hashoffset=", 11) == 0) {
			s.hash_offset = strtoull(line + 11, NULL, 10);
			if (s.hash_offset == 0 || s.hash_offset % 4096)
				return -EINVAL;
		} else if (strncmp(line, "version=", 8) == 0) {
			util_copy(s.version, sizeof(s.version), line + 8);
		}
	}
	*ret = s;
	return 0;
}

int slot_read(const struct blockdev *b, struct slot *ret)
{
	NOMAD_AUTO_FD int fd = open(b->path, O_RDONLY | O_CLOEXEC);
	char text[SLOT_TRAILER];
	int r;

	if (fd < 0)
		return -errno;
	if (b->sectors < SLOT_TRAILER / 512)
		return -EINVAL;
	r = util_pread_all(fd, text, sizeof(text), b->sectors * 512 - SLOT_TRAILER);
	return r < 0 ? r : slot_parse(text, sizeof(text), ret);
}

int slot_find(const char *disk, const char *root_hash, struct blockdev *ret_dev, struct slot *ret)
{
	static struct blockdev list[64];
	size_t n = blockdev_list(list, NOMAD_ARRAY_LEN(list)), i;

	for (i = 0; i < n; i++) {
		if (strcmp(list[i].disk, disk) != 0 || strncmp(list[i].partname, "nomadroot-", 10) != 0 ||
		    slot_read(&list[i], ret) < 0)
			continue;
		if (strcmp(ret->root_hash, root_hash) == 0) {
			*ret_dev = list[i];
			return 0;
		}
	}
	return -ENODEV;
}
