/* SPDX-License-Identifier: MPL-2.0
 *
 * unread.c: the log pipes of a task whose supervisor is dead.
 *
 * Bytes in a FIFO last as long as anybody has it open: the supervisor does, and
 * the plugin, too, so that they can be counted when the supervisor dies.  The
 * plugin reads nothing of it. */
#include "supervisor/unread.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FLAGS = O_NONBLOCK | O_NOFOLLOW | O_NOCTTY | O_CLOEXEC };

static int open_fifo(const char *path)
{
	int fd = path ? open(path, O_RDONLY | FLAGS) : -1;
	struct stat st;

	if (fd >= 0 && (fstat(fd, &st) < 0 || !S_ISFIFO(st.st_mode))) {
		close(fd);
		return -1;
	}
	return fd;
}

static bool has_reader(const char *path)
{
	int fd = open(path, O_WRONLY | FLAGS);

	if (fd >= 0)
		close(fd);
	return fd >= 0 || errno != ENXIO;
}

static int64_t waiting(int fd)
{
	int n = 0;

	return ioctl(fd, FIONREAD, &n) == 0 ? n : 0;
}

void nomad__unread_hold(struct nomad__unread *unread, char *const paths[2])
{
	char byte;

	for (int i = 0; i < 2; i++) {
		int fd = open_fifo(paths[i]);

		unread->fds[i] = fd;
		/* Empty and without a writer: what was in it went with the last of those who had it open. */
		unread->too_late[i] = fd >= 0 && waiting(fd) == 0 && read(fd, &byte, 1) == 0;
	}
}

void nomad__unread_close(struct nomad__unread *unread)
{
	for (int i = 0; i < 2; i++) {
		if (unread->fds[i] >= 0)
			close(unread->fds[i]);
		unread->fds[i] = -1;
	}
}

void nomad__unread_tell(struct nomad__unread *unread, char *const paths[2],
			void (*notice)(void *ud, const char *message, int64_t lost_bytes), void *ud)
{
	static const char *const names[2] = { "stdout", "stderr" };

	for (int i = 0; i < 2; i++) {
		char text[160] = "";
		int64_t n;

		if (unread->fds[i] < 0)
			continue;
		n = waiting(unread->fds[i]);
		close(unread->fds[i]); /* then it has a reader if there is another one */
		unread->fds[i] = -1;
		if (has_reader(paths[i]))
			continue;
		if (n > 0)
			snprintf(text, sizeof(text),
				 "%lld bytes of %s are lost: the supervisor is dead, and nobody reads the log pipe",
				 (long long)n, names[i]);
		else if (unread->too_late[i])
			snprintf(text, sizeof(text),
				 "the last output on %s may be lost (how much is not known): task and supervisor are "
				 "dead, and nobody reads the log pipe",
				 names[i]);
		if (*text)
			notice(ud, text, n > 0 ? n : -1);
	}
}
