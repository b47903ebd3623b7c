/* SPDX-License-Identifier: MPL-2.0
 *
 * systemd's locks of user ranges, held by a process that ends with the
 * container: then systemd-nspawn and systemd-machined, which choose ranges
 * by themselves, leave this one alone.  systemd-nspawn takes none for a
 * range that it is told. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "init.h"

enum { EACH = 65536, LOCKS_MAX = 16 };

/* As systemd does it: whoever had the lock may have removed the file meanwhile. */
static int lock_one(unsigned long first, int how)
{
	char path[64];
	struct stat st;
	int fd;

	snprintf(path, sizeof(path), "/run/systemd/nspawn-uid/%lu", first);
	for (;;) {
		fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY, 0600);
		if (fd < 0)
			return -1;
		if (flock(fd, how | LOCK_NB) < 0) {
			errno = errno == EWOULDBLOCK ? EBUSY : errno;
			return -1;
		}
		if (fstat(fd, &st) < 0)
			return -1;
		if (st.st_nlink)
			return fd;
		close(fd);
	}
}

int users_lock(const char *first, const char *count, const char *how)
{
	unsigned long from = strtoul(first, NULL, 10), to = from + strtoul(count, NULL, 10), at;
	int fds[LOCKS_MAX], n = 0, i;
	pid_t pid;

	if ((mkdir("/run/systemd", 0755) < 0 && errno != EEXIST) ||
	    (mkdir("/run/systemd/nspawn-uid", 0755) < 0 && errno != EEXIST))
		return -1;
	for (at = from & ~(EACH - 1UL); at < to && n < LOCKS_MAX; at += EACH) {
		fds[n] = lock_one(at, strcmp(how, "shared") == 0 ? LOCK_SH : LOCK_EX);
		if (fds[n++] < 0)
			return -1;
	}
	pid = helper_fork("nspawn-users");
	while (!pid)
		pause();
	for (i = 0; i < n; i++)
		close(fds[i]);
	return pid < 0 ? -1 : 0;
}
