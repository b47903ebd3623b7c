/* SPDX-License-Identifier: MPL-2.0
 *
 * Trees that images were made in: as deep as a stranger likes, so no path is
 * ever put together and the number of open directories is bounded.  A
 * directory that is too deep is moved to the top and removed from there. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host.h"

enum { DEPTH_MAX = 64 };

struct removal {
	int top;
	unsigned moved;
	int error;
};

static DIR *open_dir(int dir, const char *name)
{
	int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);

	if (fd >= 0 && !d)
		close(fd);
	return d;
}

static bool is_dots(const char *name)
{
	return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

static void remove_entries(struct removal *removal, DIR *d, int depth);

static void remove_entry(struct removal *removal, int dir, const char *name, int depth)
{
	char moved[40];
	DIR *d;

	if (!unlinkat(dir, name, 0) || errno == ENOENT)
		return;
	if (errno != EISDIR && errno != EPERM) {
		removal->error = errno;
		return;
	}
	if (depth >= DEPTH_MAX) {
		snprintf(moved, sizeof(moved), ".nomad-driver-build-%u", removal->moved++);
		if (renameat(dir, name, removal->top, moved) < 0)
			removal->error = errno;
		return;
	}
	d = open_dir(dir, name);
	if (d) {
		remove_entries(removal, d, depth + 1);
		closedir(d);
	}
	if (unlinkat(dir, name, AT_REMOVEDIR) < 0 && errno != ENOENT)
		removal->error = errno;
}

static void remove_entries(struct removal *removal, DIR *d, int depth)
{
	struct dirent *entry;

	while ((entry = readdir(d)))
		if (!is_dots(entry->d_name))
			remove_entry(removal, dirfd(d), entry->d_name, depth);
}

int build_tree_remove(const char *path)
{
	struct removal removal = { 0 };
	DIR *d = open_dir(AT_FDCWD, path);
	unsigned before;

	if (!d)
		return errno == ENOENT ? 0 : -errno;
	removal.top = dirfd(d);
	do {
		before = removal.moved;
		removal.error = 0;
		rewinddir(d);
		remove_entries(&removal, d, 0);
	} while (removal.moved != before);
	closedir(d);
	if (!rmdir(path) || errno == ENOENT)
		return 0;
	return removal.error ? -removal.error : -errno;
}

static uint64_t size_of(DIR *d, int depth)
{
	struct dirent *entry;
	uint64_t size = 0;
	struct stat st;
	DIR *sub;

	while ((entry = readdir(d))) {
		if (is_dots(entry->d_name) || fstatat(dirfd(d), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		/* A file with n names counts n times a n-th. */
		size += (uint64_t)st.st_blocks * 512 / (S_ISDIR(st.st_mode) || !st.st_nlink ? 1 : st.st_nlink);
		sub = S_ISDIR(st.st_mode) && depth < DEPTH_MAX * 4 ? open_dir(dirfd(d), entry->d_name) : NULL;
		if (sub) {
			size += size_of(sub, depth + 1);
			closedir(sub);
		}
	}
	return size;
}

uint64_t build_tree_size(const char *path)
{
	DIR *d = open_dir(AT_FDCWD, path);
	uint64_t size = d ? size_of(d, 0) : 0;

	if (d)
		closedir(d);
	return size;
}

uint64_t build_tree_size_at(int dir)
{
	DIR *d = open_dir(dir, ".");
	uint64_t size = d ? size_of(d, 0) : 0;

	if (d)
		closedir(d);
	return size;
}
