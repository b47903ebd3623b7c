/* SPDX-License-Identifier: MPL-2.0 */
#include "base/file.h"

#include <dirent.h>

ssize_t nomad__getdents(int fd, void *buf, size_t size)
{
	return getdirentries(fd, buf, size, NULL);
}
