/* SPDX-License-Identifier: MPL-2.0
 *
 * Writes the file for a collector of text files.  It is written to a temporary
 * file and renamed, so that a reader never sees an incomplete one.
 *
 * The temporary file has a fixed name, so that a killed plugin leaves only one.
 * It is locked, so that two plugins do not write to the same one: after a restart
 * of the agent the old plugin may still be exiting. */
#include "metrics/metrics.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "nomad/error.h"

/* Ours alone: a plain file without another name, and still at its place once it is locked. */
static int lock_new(int fd, const char *path, struct stat *st)
{
	struct stat there;

	if (flock(fd, LOCK_EX | LOCK_NB) < 0 || fstat(fd, st) < 0)
		return -errno;
	if (!S_ISREG(st->st_mode) || st->st_nlink != 1 || st->st_uid != geteuid())
		return -EEXIST;
	if (lstat(path, &there) < 0 || there.st_ino != st->st_ino || there.st_dev != st->st_dev)
		return -EWOULDBLOCK;
	return 0;
}

int nomad__metrics_write(const char *path, const char *text, size_t size, struct stat *ret, struct nomad_error **err)
{
	NOMAD_AUTO_FREE char *new_path = nomad_strdupf("%s.new", path);
	NOMAD_AUTO_FD int fd = -1;
	struct stat st;
	int r;

	if (!new_path)
		return nomad_error_errno(err, ENOMEM, "write metrics to '%s'", path);
	if (lstat(path, &st) == 0 && !S_ISREG(st.st_mode))
		return nomad_error_set(
			err, EEXIST,
			"write metrics to '%s': exists and is not a regular file; remove it, or name another one",
			path);
	fd = open(new_path, O_WRONLY | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0644);
	r = fd < 0 ? -errno : lock_new(fd, new_path, &st);
	if (r == -EWOULDBLOCK)
		return nomad_error_set(err, EBUSY,
				       "write metrics to '%s': another instance of the driver is writing it", path);
	if (r < 0)
		return nomad_error_errno(err, -r, "write metrics: create '%s'", new_path);
	r = ftruncate(fd, 0) < 0 || fchmod(fd, 0644) < 0 ? -errno : nomad_write_all(fd, text, size);
	if (r >= 0 && rename(new_path, path) < 0)
		r = -errno;
	if (r < 0) {
		(void)unlink(new_path);
		return nomad_error_errno(err, -r, "write metrics to '%s'", path);
	}
	*ret = st;
	return 0;
}

void nomad__metrics_remove(const char *path, const struct stat *what)
{
	struct stat st;

	if (lstat(path, &st) == 0 && st.st_ino == what->st_ino && st.st_dev == what->st_dev)
		(void)unlink(path);
}
