/* SPDX-License-Identifier: MPL-2.0
 *
 * base/file.h: directories without the heap. */
#ifndef NOMAD_BASE_FILE_H
#define NOMAD_BASE_FILE_H

#include <dirent.h>
#include <sys/types.h>

struct nomad__entries {
	int fd; /* the caller's, an open directory; the others begin with 0 */
	ssize_t size, at;
	char buf[2048] __attribute__((aligned(8)));
};

/* The next entry but "." and "..", valid until the next call; NULL at the end or on an error. */
const struct dirent *nomad__entries_next(struct nomad__entries *entries);

/* Fills `buf`, aligned to 8, with struct dirent; bytes, 0 at the end, -1 and errno. */
ssize_t nomad__getdents(int fd, void *buf, size_t size);

#endif
