/* SPDX-License-Identifier: MPL-2.0
 *
 * directory.c: the task's directory, which is locked as long as we are
 * responsible for it, and the exit record.
 *
 * The record is on the disk before the end is reported.  To make a file and sync
 * it takes a commit of the file system's journal, which writes what others
 * left to be written as well: an image that was just built, say.  So its
 * place, blocks and name, is made while the task runs, and the end costs one
 * write in place.  The name `exit` follows without a wait.  A power cut may
 * leave the record under its first name only, whole or not, which its seal
 * tells; readers of a running host see the record whole or not at all. */
#include "supervisor/program/super.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <unistd.h>

#include "supervisor/crash.h"

static int dirfd = -1;
static int exit_fd = -1; /* the place that was made; -1: none */

int directory_open(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

	if (fd < 0)
		return fail(errno, "open directory", path);
	dirfd = fd;
	/* Held as long as we live; so there is one supervisor of a directory. */
	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		return fail(errno == EWOULDBLOCK ? EEXIST : errno, "lock directory", path);
	return 0;
}

int directory(void)
{
	return dirfd;
}

void directory_unlock(void)
{
	(void)flock(dirfd, LOCK_UN);
}

bool directory_lock(void)
{
	return flock(dirfd, LOCK_EX | LOCK_NB) == 0;
}

void directory_close(void)
{
	if (dirfd >= 0)
		close(dirfd); /* and with it the lock */
	dirfd = -1;
}

static int open_record(void)
{
	int fd = openat(dirfd, ".exit.new", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);

	return fd < 0 ? -errno : fd;
}

/* All of it at once, zeros behind the record. */
static int put_record(int fd, const char *buf)
{
	ssize_t n;

	do
		n = pwrite(fd, buf, EXIT_SIZE, 0);
	while (n < 0 && errno == EINTR);
	return n == EXIT_SIZE ? 0 : n < 0 ? -errno : -ENOSPC;
}

void exit_record_prepare(void)
{
	static const char zeros[EXIT_SIZE];
	int fd = open_record();

	if (fd < 0)
		return;
	if (put_record(fd, zeros) < 0 || fsync(fd) < 0 || fsync(dirfd) < 0) {
		close(fd);
		(void)unlinkat(dirfd, ".exit.new", 0);
		return;
	}
	exit_fd = fd;
}

int exit_record_save(const char buf[EXIT_SIZE])
{
	bool prepared = exit_fd >= 0;
	int fd = prepared ? exit_fd : open_record(), r;

	if (fd < 0)
		return fd;
	exit_fd = -1;
	r = put_record(fd, buf);
	if (r >= 0 && (prepared ? fdatasync(fd) : fsync(fd)) < 0)
		r = -errno;
	close(fd);
	if (r < 0)
		return r;
	nomad__crash_at("super-written");
	if (renameat(dirfd, ".exit.new", dirfd, "exit") < 0)
		return -errno;
	return !prepared && fsync(dirfd) < 0 ? -errno : 0;
}

bool exit_record_exists(void)
{
	return faccessat(dirfd, "exit", F_OK, 0) == 0;
}

void exit_record_update(const char buf[EXIT_SIZE])
{
	int fd = openat(dirfd, "exit", O_WRONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);

	if (fd < 0)
		return;
	(void)put_record(fd, buf);
	close(fd);
}
