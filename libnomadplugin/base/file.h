/* SPDX-License-Identifier: MPL-2.0
 *
 * base/file.h: directories without the heap. */
#ifndef NOMAD_BASE_FILE_H
#define NOMAD_BASE_FILE_H

#include <stddef.h>
#include <sys/types.h>

/* Fill `buf`, aligned to 8, with struct dirent; bytes, 0 at the end, -1 and errno. */
ssize_t nomad__getdents(int fd, void *buf, size_t size);

#endif
