/* SPDX-License-Identifier: MPL-2.0 */
#include "base/tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "nomad/base.h"
#include "base/mount.h"

enum { MAX_DEPTH = 128 };

int nomad__make_dirs(const char *path, mode_t mode)
{
	NOMAD_AUTO_FREE char *copy = strdup(path);
	struct stat st;

	if (!copy)
		return -ENOMEM;
	for (char *p = strchr(copy + 1, '/'); p; p = strchr(p + 1, '/')) {
		*p = 0;
		if (mkdir(copy, 0755) < 0 && errno != EEXIST)
			return -errno;
		*p = '/';
	}
	if (mkdir(copy, mode) == 0)
		return 0;
	if (errno != EEXIST)
		return -errno;
	return lstat(copy, &st) < 0 ? -errno : S_ISDIR(st.st_mode) ? 0 : -ENOTDIR;
}

/* A tree may be deeper than the number of descriptors allows.  A directory that is too deep is moved to the top of the
 * tree, and removed in the next round. */
struct removal {
	int top;
	unsigned last; /* number of a name at the top */
	bool moved;
};

static int move_up(struct removal *removal, int parent, const char *name)
{
	char at_top[32];

	do {
		snprintf(at_top, sizeof(at_top), ".deep-%u", removal->last++);
		if (renameat(parent, name, removal->top, at_top) == 0) {
			removal->moved = true;
			return 0;
		}
	} while (errno == EEXIST || errno == ENOTEMPTY || errno == ENOTDIR);
	return -errno;
}

static int remove_at(struct removal *removal, int parent, const char *name, int depth);

static int remove_entries(struct removal *removal, int take_fd, int depth)
{
	DIR *dir = fdopendir(take_fd);
	struct dirent *entry;
	int r = 0, q;

	if (!dir) {
		r = -errno;
		close(take_fd);
		return r;
	}
	while ((entry = readdir(dir))) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		q = remove_at(removal, dirfd(dir), entry->d_name, depth + 1);
		r = q < 0 ? q : r;
	}
	closedir(dir);
	return r;
}

static int remove_at(struct removal *removal, int parent, const char *name, int depth)
{
	struct stat st;
	int fd, r;

	if (fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISDIR(st.st_mode))
		return unlinkat(parent, name, 0) < 0 && errno != ENOENT ? -errno : 0;
	if (depth > MAX_DEPTH)
		return move_up(removal, parent, name);
	fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (!nomad__same_mount(parent, fd)) {
		close(fd);
		return -EBUSY;
	}
	r = remove_entries(removal, fd, depth);
	if (unlinkat(parent, name, AT_REMOVEDIR) < 0 && errno != ENOENT && r == 0)
		r = -errno;
	return r;
}

int nomad__remove_tree(const char *path)
{
	NOMAD_AUTO_FREE char *copy = strdup(path);
	NOMAD_AUTO_FD int parent = -1, top = -1;
	char *slash = copy ? strrchr(copy, '/') : NULL;
	struct removal removal = { 0 };
	int r;

	if (!copy)
		return -ENOMEM;
	if (!slash || !slash[1])
		return -EINVAL;
	*slash = 0;
	parent = open(slash == copy ? "/" : copy, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (parent < 0)
		return errno == ENOENT ? 0 : -errno;
	removal.top = top = openat(parent, slash + 1, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	do {
		removal.moved = false;
		r = remove_at(&removal, parent, slash + 1, 0);
	} while (removal.moved);
	return r;
}
