/* SPDX-License-Identifier: MPL-2.0 */
#include "supervisor/program/super.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

static struct {
	int hold;		/* our end of the FIFO, for reading and writing; -1: none */
	int task;		/* the task's end, until it is forked */
} streams[STREAMS] = { { -1, -1 }, { -1, -1 } };

/* Open the directory of `path` and say what is left of it.  The last two
 * directories must not be symlinks: a task can write into them. */
static int open_parent(const char *path, const char **ret_name)
{
	char buf[4096];
	char *slash, *parent = NULL, *name;
	struct nomad__text t;
	int top, dir;

	nomad__text_init(&t, buf, sizeof(buf));
	nomad__text_add(&t, path);
	slash = strrchr(buf, '/');
	if (t.full || path[0] != '/' || !slash)
		return -EINVAL;
	*ret_name = path + (slash - buf) + 1;
	*slash = 0;
	name = strrchr(buf, '/');
	if (!name) {
		dir = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
		return dir < 0 ? -errno : dir;
	}
	*name++ = 0;
	parent = strrchr(buf, '/');
	if (parent)
		*parent++ = 0;
	top = open(buf[0] ? buf : "/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (top < 0)
		return -errno;
	if (parent) {
		dir = openat(top, parent, O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
		dir = dir < 0 ? -errno : dir;
		close(top);
		if (dir < 0)
			return dir;
		top = dir;
	}
	dir = openat(top, name, O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	dir = dir < 0 ? -errno : dir;
	close(top);
	return dir;
}

static int open_fifo(int i, const char *path)
{
	struct stat st, again;
	const char *name;
	int r, dir = open_parent(path, &name);

	if (dir < 0)
		return fail(-dir, "open the directory of log pipe", path);
	/* Looked at before it is opened: opening a device does things. */
	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
		r = fail(errno, "find log pipe", path);
		goto out;
	}
	if (!S_ISFIFO(st.st_mode)) {
		r = fail(S_ISLNK(st.st_mode) ? ELOOP : EINVAL,
			 S_ISLNK(st.st_mode) ? "refuse a symlink as log pipe" : "refuse what is no FIFO as log pipe", path);
		goto out;
	}
	/* For both: it never waits, and as long as we have it, a reader that
	 * dies neither kills the task by SIGPIPE nor takes bytes along. */
	streams[i].hold = openat(dir, name, O_RDWR | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);
	if (streams[i].hold < 0) {
		r = fail(errno, "open log pipe", path);
		goto out;
	}
	streams[i].task = openat(dir, name, O_WRONLY | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY);
	if (streams[i].task < 0) {
		r = fail(errno, "open log pipe", path);
		goto out;
	}
	r = 0;
	if (fstat(streams[i].hold, &st) < 0 || fstat(streams[i].task, &again) < 0 || !S_ISFIFO(st.st_mode) ||
	    !S_ISFIFO(again.st_mode) || st.st_ino != again.st_ino || st.st_dev != again.st_dev)
		r = fail(EINVAL, "refuse what was just exchanged for log pipe", path);
out:
	close(dir);
	return r;
}

int logs_open(void)
{
	static const char *const keys[STREAMS] = { "stdout", "stderr" };

	for (int i = 0; i < STREAMS; i++) {
		const char *path = spec_get(keys[i]);
		int r;

		if (!path || !path[0] || strcmp(path, "/dev/null") == 0)
			continue;
		r = open_fifo(i, path);
		if (r < 0)
			return r;
	}
	return 0;
}

int logs_task_fd(int stream)
{
	return streams[stream].task >= 0 ? streams[stream].task : 0;
}

void logs_child_forked(void)
{
	for (int i = 0; i < STREAMS; i++)
		if (streams[i].task >= 0) {
			close(streams[i].task);
			streams[i].task = -1;
		}
}

int logs_pollfd(int i, short *ret_events)
{
	(void) i;
	*ret_events = 0;
	return -1;
}

void logs_ready(int i, short events)
{
	(void) i;
	(void) events;
}

void logs_stall_check(void)
{
}

bool logs_pending(void)
{
	int n = 0;

	for (int i = 0; i < STREAMS; i++)
		if (streams[i].hold >= 0 && ioctl(streams[i].hold, FIONREAD, &n) == 0 && n > 0)
			return true;
	return false;
}

const char *logs_tail(void)
{
	return "";
}

void logs_started(void)
{
}
