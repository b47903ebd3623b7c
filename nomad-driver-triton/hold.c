/* SPDX-License-Identifier: MPL-2.0
 *
 * A process that keeps Nomad's log pipes open while the plugin is away.
 *
 * Nomad's log reader ends for good at the first end of file, which comes when
 * the last writer closes its pipe: a plugin that is killed would take the logs
 * of all its containers with it.  So one small process for all tasks, which
 * outlives the plugin, holds a writing end of each pipe and never writes.
 *
 *	FOLDER/<task>	two lines: the paths; there while the task is
 *	FOLDER/.lock	locked by the holder that runs
 *
 * It looks at the folder five times a second, and ends when no task has been
 * there for a while.  There is nothing to tell it, and nothing it could lose.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "fifo.h"
#include "hold.h"

enum { EMPTY_ROUNDS = 25, ROUND_MS = 200, FILE_MAX = 2 * PATH_MAX + 2 };

static int start_holder(const char *folder)
{
	static char *const environment[] = { NULL };
	char *argv[] = { (char *)(uintptr_t) "nomad-driver-triton", (char *)(uintptr_t)TRITON_HOLD_WORD,
			 (char *)(uintptr_t)folder, NULL };
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attr;
	sigset_t all, none;
	pid_t pid;
	int r;

	sigfillset(&all);
	sigemptyset(&none);
	if (posix_spawn_file_actions_init(&files))
		return -ENOMEM;
	if (posix_spawnattr_init(&attr)) {
		posix_spawn_file_actions_destroy(&files);
		return -ENOMEM;
	}
	posix_spawnattr_setsigdefault(&attr, &all);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
	/* This very program, whatever was put at its path since.  Not our stderr: Nomad would wait for whoever holds
	 * it. */
	r = posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDWR, 0);
	if (!r)
		r = posix_spawn_file_actions_adddup2(&files, 0, 1);
	if (!r)
		r = posix_spawn_file_actions_adddup2(&files, 0, 2);
	if (!r)
		r = posix_spawn(&pid, "/proc/self/exe", &files, &attr, argv, environment);
	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&files);
	/* It leaves at once a child of its own behind, which is nobody's. */
	while (!r && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	return -r;
}

int triton_hold_add(const char *folder, const char *name, const char *stdout_path, const char *stderr_path,
		    struct nomad_error **err)
{
	NOMAD_AUTO_FREE char *path = nomad_strdupf("%s/%s", folder, name),
			     *temporary = nomad_strdupf("%s/.%s", folder, name);
	NOMAD_AUTO_FREE char *text =
		nomad_strdupf("%s\n%s\n", stdout_path ? stdout_path : "", stderr_path ? stderr_path : "");
	NOMAD_AUTO_FD int fd = -1;
	int r;

	if (!path || !temporary || !text)
		return nomad_error_errno(err, ENOMEM, "hold the log pipes");
	if (mkdir(folder, 0700) < 0 && errno != EEXIST)
		return nomad_error_errno(err, errno, "make the folder '%s'", folder);
	fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	r = fd < 0 ? -errno : nomad_write_all(fd, text, strlen(text));
	if (r >= 0 && rename(temporary, path) < 0)
		r = -errno;
	if (r < 0)
		return nomad_error_errno(err, -r, "write '%s'", path);
	r = start_holder(folder);
	return r < 0 ? nomad_error_errno(err, -r, "start what holds the log pipes") : 0;
}

void triton_hold_remove(const char *folder, const char *name)
{
	NOMAD_AUTO_FREE char *path = nomad_strdupf("%s/%s", folder, name);

	if (path)
		unlink(path);
}

/* ---- The holder ---- */

struct held {
	struct held *next;
	char *name;
	char *path[2];
	int fd[2];
	bool seen;
};

static void held_free(struct held *it)
{
	for (int i = 0; i < 2; i++) {
		if (it->fd[i] >= 0)
			close(it->fd[i]);
		free(it->path[i]);
	}
	free(it->name);
	free(it);
}

static struct held *held_new(const char *folder, const char *name)
{
	NOMAD_AUTO_FREE char *path = nomad_strdupf("%s/%s", folder, name), *text = calloc(1, FILE_MAX + 1);
	NOMAD_AUTO_FD int fd = path ? open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW) : -1;
	struct held *it = calloc(1, sizeof(*it));
	char *end;

	if (!it)
		return NULL;
	it->fd[0] = it->fd[1] = -1;
	it->name = strdup(name);
	if (fd >= 0 && text && read(fd, text, FILE_MAX) > 0 && (end = strchr(text, '\n'))) {
		*end++ = '\0';
		end[strcspn(end, "\n")] = '\0';
		it->path[0] = strdup(text);
		it->path[1] = strdup(end);
	}
	if (!it->name || !it->path[0] || !it->path[1]) {
		held_free(it);
		return NULL;
	}
	return it;
}

static bool look(const char *folder, struct held **list)
{
	DIR *dir = opendir(folder);
	struct dirent *entry;
	struct held *it;
	bool any = false;

	for (it = *list; it; it = it->next)
		it->seen = false;
	while (dir && (entry = readdir(dir))) {
		if (*entry->d_name == '.')
			continue;
		any = true;
		for (it = *list; it && strcmp(it->name, entry->d_name); it = it->next)
			;
		if (!it && (it = held_new(folder, entry->d_name))) {
			it->next = *list;
			*list = it;
		}
		if (!it)
			continue;
		it->seen = true;
		for (int i = 0; i < 2; i++) {
			if (it->fd[i] < 0)
				it->fd[i] = triton_fifo_open(it->path[i]);
		}
	}
	if (dir)
		closedir(dir);
	for (struct held **at = list; (it = *at);) {
		if (!it->seen) {
			*at = it->next;
			held_free(it);
		} else {
			at = &it->next;
		}
	}
	return any;
}

int triton_hold_main(int argc, char **argv)
{
	const struct timespec pause = { .tv_nsec = ROUND_MS * 1000000L };
	NOMAD_AUTO_FREE char *lock = argc == 3 ? nomad_strdupf("%s/.lock", argv[2]) : NULL;
	struct held *list = NULL;
	unsigned empty = 0;
	pid_t pid;
	int fd;

	if (!lock)
		return 2;
	pid = fork();
	if (pid)
		_exit(pid < 0);
	setsid();
	fd = open(lock, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0)
		return 0; /* another one is at it */
	(void)!chdir("/");
	while (empty < EMPTY_ROUNDS) {
		empty = look(argv[2], &list) ? 0 : empty + 1;
		nanosleep(&pause, NULL);
	}
	while (list) {
		struct held *it = list;

		list = it->next;
		held_free(it);
	}
	return 0;
}
