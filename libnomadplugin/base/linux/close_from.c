/* SPDX-License-Identifier: MPL-2.0
 *
 * musl has no addclosefrom_np(): there each open descriptor is named.  The
 * library opens with O_CLOEXEC, so one that another thread opens meanwhile is
 * no loss. */
#include "base/close_from.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>

int nomad__spawn_close_from(posix_spawn_file_actions_t *actions, int from)
{
#ifdef __GLIBC__
	return posix_spawn_file_actions_addclosefrom_np(actions, from);
#else
	DIR *dir = opendir("/proc/self/fd");
	int r = dir ? 0 : errno;

	while (dir && r == 0) {
		const struct dirent *entry = readdir(dir);
		int fd;

		if (!entry)
			break;
		fd = atoi(entry->d_name); /* "." and ".." are 0 */
		if (fd >= from)
			r = posix_spawn_file_actions_addclose(actions, fd);
	}
	if (dir)
		closedir(dir);
	return r;
#endif
}
