/* SPDX-License-Identifier: MPL-2.0
 *
 * hold.c: finds the pot command that a start was waiting for when the plugin died.
 *
 * `pot prepare` may fetch an image for minutes.  If the plugin is killed
 * meanwhile, the command continues, and creates a pot that the next plugin has
 * just found missing.  So each command of a start has a locked file open, as have all its
 * children: as long as one of them lives, the file is locked.  It holds the
 * number of their process group, and a number is not given out again while
 * the group has members: who finds the lock taken may kill the group, without
 * looking for processes by name.
 *
 *	free -- new --> ours -- plugin dies --> theirs -- last process ends --> free */
#include "hold.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "nomad/error.h"
#include "nomad/tool.h"

enum { TRIES = 300, TRY_MS = 50, HARD_AFTER = 40 };

static char *path_in(const char *state_dir)
{
	return nomad_strdupf("%s/pot-call", state_dir);
}

int pot_hold_new(const char *state_dir, struct nomad_error **err)
{
	NOMAD_AUTO_FREE char *path = path_in(state_dir);
	int fd = path ? open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600) : -1;

	if (fd < 0)
		return nomad_error_errno(err, path ? errno : ENOMEM, "create the lock file for pot's commands");
	if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		int errnum = errno;

		close(fd);
		return nomad_error_errno(err, errnum, "lock '%s'", path);
	}
	return fd;
}

/* Of the command that this thread runs. */
static __thread int held_fd;
static __thread pid_t held_pid;

static void write_pid(void *ud, pid_t pid)
{
	char text[32];
	int n = snprintf(text, sizeof(text), "%-15ld\n", (long)pid);

	held_pid = pid;
	/* Where it cannot be written, the next one waits instead of killing. */
	(void)ud;
	(void)!pwrite(held_fd, text, (size_t)n, 0);
}

void pot_hold_apply(struct nomad_tool *tool, int fd)
{
	held_fd = fd;
	held_pid = 0;
	tool->keep_fd = fd > 0 ? fd : 0;
	tool->started = fd > 0 ? write_pid : NULL;
}

void pot_hold_kill(void)
{
	if (held_pid > 1)
		kill(-held_pid, SIGTERM);
}

void pot_hold_free(const char *state_dir, int fd)
{
	NOMAD_AUTO_FREE char *path = path_in(state_dir);

	if (path)
		unlink(path);
	close(fd);
}

int pot_hold_end(const char *state_dir, struct nomad_error **err)
{
	NOMAD_AUTO_FREE char *path = path_in(state_dir);
	NOMAD_AUTO_FD int fd = path ? open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW) : -1;
	char text[32] = "";
	long group;

	if (!path)
		return nomad_error_errno(err, ENOMEM, "find the lock file for pot's commands");
	if (fd < 0)
		return 0;
	for (int i = 0; i < TRIES; i++) {
		if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
			unlink(path);
			return 0;
		}
		if (pread(fd, text, sizeof(text) - 1, 0) > 0) {
			group = strtol(text, NULL, 10);
			if (group > 1)
				kill((pid_t)-group, i < HARD_AFTER ? SIGTERM : SIGKILL);
		}
		usleep(TRY_MS * 1000);
	}
	return nomad_error_set(err, ETIMEDOUT,
			       "wait for a pot command of an earlier start: still running (process group %s)",
			       *text ? strtok(text, " \n") : "not known");
}
