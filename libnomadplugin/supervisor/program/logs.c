/* SPDX-License-Identifier: MPL-2.0
 *
 * logs.c: where stdout and stderr of the task go.
 *
 *   FIFO       Nomad's collector reads it.  The task gets a plain blocking end
 *              of its own and no byte passes through here; we hold the FIFO
 *              also open, for reading too, so that a reader that dies or
 *              restarts neither kills the task nor takes bytes along.  They
 *              wait in the pipe; when it is full, so does the task.
 *   pumped     through a pipe and us: into rotated files (rotate.c), or into
 *              the FIFO while the last words on stderr may be wanted for the
 *              error of a start
 *   nothing    /dev/null
 *
 * Without a reader: a notice after 10 s; the task blocks,
 * nothing is lost while it lives.  At its end we keep the FIFO open until
 * it is empty (end.c says how long); bytes that are in it then are lost.  A file
 * that cannot be written drops bytes instead, because a full disk must not stop
 * the task.  Lost bytes are in a notice and in the exit record. */
#include "supervisor/program/super.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PUMP_SIZE = 4096, PUMP_ROUNDS = 32, TAIL_SIZE = 2048 /* last words on stderr */ };

static const int64_t stall_ns = 10ll * 1000000000;

struct stream {
	int hold;   /* our end of the FIFO, for reading and writing; -1: none */
	int task;   /* the task's end, until it is forked */
	int source; /* where a pumped stream is read from; -1: not pumped, or at its end */
	struct rotation files;
	size_t pending_at, pending; /* of `buf`: read, not yet written into the FIFO */
	bool watched;		    /* something is in the FIFO, the timer looks after it */
	bool stalled;
	int was_waiting; /* bytes in the FIFO at the last look */
	char buf[PUMP_SIZE];
};

static struct stream streams[STREAMS] = {
	{ .hold = -1, .task = -1, .source = -1, .files = { .dir = -1, .fd = -1 } },
	{ .hold = -1, .task = -1, .source = -1, .files = { .dir = -1, .fd = -1 } },
};
static char tail[2 * TAIL_SIZE + 1];
static size_t tail_used;
static bool started; /* the tail is not wanted any more */

/* Open the directory of `path` and return the rest of the path.  The last two
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
			 S_ISLNK(st.st_mode) ? "refuse a symlink as log pipe"
					     : "refuse a file other than a FIFO as log pipe",
			 path);
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
		r = fail(EINVAL, "refuse a replaced log pipe", path);
out:
	close(dir);
	return r;
}

/* The task writes into a pipe and we read it. */
static int open_pump(struct stream *s)
{
	int ends[2];

	if (s->task >= 0)
		close(s->task);
	s->task = -1;
	if (pipe2(ends, O_CLOEXEC) < 0)
		return fail(errno, "create a pipe", NULL);
	s->source = ends[0];
	s->task = ends[1];
	return fcntl(ends[0], F_SETFL, O_NONBLOCK) < 0 ? fail(errno, "create a pipe", NULL) : 0;
}

static int open_files(struct stream *s, const char *suffix)
{
	const char *log_dir = spec_get("log_dir"), *name = spec_get("log_name"), *rest;
	char path[4096];
	struct nomad__text t;
	int r, dir;

	/* As if it were a file in it: then the directory itself cannot be a symlink either. */
	nomad__text_init(&t, path, sizeof(path));
	nomad__text_add(&t, log_dir);
	nomad__text_add(&t, "/.");
	dir = t.full ? -ENAMETOOLONG : open_parent(path, &rest);
	r = dir;
	if (dir >= 0)
		r = rotation_open(&s->files, dir, name ? name : "", suffix, (unsigned)spec_num("log_files", 0),
				  (uint64_t)spec_num("log_bytes", 0));
	return r < 0 ? fail(-r, "open a log file in", log_dir) : 0;
}

int logs_open(void)
{
	static const char *const keys[STREAMS] = { "stdout", "stderr" };
	static const char *const suffixes[STREAMS] = { ".stdout.", ".stderr." };

	for (int i = 0; i < STREAMS; i++) {
		struct stream *s = &streams[i];
		const char *path = spec_get(keys[i]);
		bool files = spec_get("log_dir") != NULL;
		bool none = path ? strcmp(path, "/dev/null") == 0 : !files;
		int r = 0;

		if (!none)
			r = files ? open_files(s, suffixes[i]) : open_fifo(i, path);
		if (r >= 0 && ((files && !none) || (i == STREAM_ERR && spec_num("notify", 0))))
			r = open_pump(s);
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

static void keep_tail(const char *data, size_t size)
{
	if (size > TAIL_SIZE) {
		data += size - TAIL_SIZE;
		size = TAIL_SIZE;
	}
	if (tail_used + size > 2 * TAIL_SIZE) {
		memmove(tail, tail + tail_used - TAIL_SIZE, TAIL_SIZE);
		tail_used = TAIL_SIZE;
	}
	memcpy(tail + tail_used, data, size);
	tail_used += size;
}

const char *logs_tail(void)
{
	tail[tail_used] = 0;
	return tail_used > TAIL_SIZE ? tail + tail_used - TAIL_SIZE : tail;
}

void logs_started(void)
{
	started = true;
	tail_used = 0;
}

/* False: the FIFO is full. */
static bool flush(struct stream *s)
{
	while (s->pending > 0) {
		ssize_t n = write(s->hold, s->buf + s->pending_at, s->pending);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return false;
		if (n <= 0)
			n = (ssize_t)s->pending; /* it cannot be; never spin */
		s->pending_at += (size_t)n;
		s->pending -= (size_t)n;
	}
	return true;
}

static void pump(struct stream *s)
{
	for (int round = 0; round < PUMP_ROUNDS && s->source >= 0 && flush(s); round++) {
		ssize_t n = read(s->source, s->buf, sizeof(s->buf));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return;
		if (n <= 0) {
			close(s->source);
			s->source = -1;
			return;
		}
		if (!started)
			keep_tail(s->buf, (size_t)n);
		if (s->files.fd >= 0) {
			rotation_write(&s->files, s->buf, (size_t)n);
		} else if (s->hold >= 0) {
			s->pending_at = 0;
			s->pending = (size_t)n;
		}
	}
}

/* What is in the pipes already, as far as it can be passed on at once. */
void logs_drain(void)
{
	for (int i = 0; i < STREAMS; i++)
		for (int round = 0; round < 64 && streams[i].source >= 0; round++) {
			pump(&streams[i]);
			if (streams[i].pending > 0)
				break;
		}
}

int logs_pollfd(int i, short *ret_events)
{
	struct stream *s = &streams[i / 2];

	if (i % 2 == 0) {
		*ret_events = POLLIN;
		return s->pending == 0 ? s->source : -1;
	}
	*ret_events = (short)((s->pending > 0 ? POLLOUT : 0) | (s->watched ? 0 : POLLIN));
	return *ret_events ? s->hold : -1;
}

static int waiting(const struct stream *s)
{
	int n = 0;

	return s->hold >= 0 && ioctl(s->hold, FIONREAD, &n) == 0 ? n : 0;
}

void logs_ready(int i, short events)
{
	struct stream *s = &streams[i / 2];

	if (i % 2 == 0 || (events & POLLOUT))
		pump(s);
	if (i % 2 == 1 && (events & POLLIN) && !s->watched) {
		/* Look again later instead of at each write of the task. */
		s->watched = true;
		s->was_waiting = waiting(s);
		timer_sooner(TIMER_STALL, stall_ns);
	}
}

static void tell_stall(int i, int n)
{
	char text[200];
	struct nomad__text t;

	nomad__text_init(&t, text, sizeof(text));
	if (n > 0) {
		nomad__text_add(&t, "nobody has read the log pipe of ");
		nomad__text_add(&t, i == STREAM_OUT ? "stdout" : "stderr");
		nomad__text_add(&t, " for 10 s, ");
		nomad__text_num(&t, n);
		nomad__text_add(&t, " bytes wait; the task will block when the pipe is full");
	} else {
		nomad__text_add(&t, "the log pipe of ");
		nomad__text_add(&t, i == STREAM_OUT ? "stdout" : "stderr");
		nomad__text_add(&t, " is read again, nothing was lost");
	}
	clients_notice(text, 0);
}

void logs_stall_check(void)
{
	bool again = false;

	for (int i = 0; i < STREAMS; i++) {
		struct stream *s = &streams[i];
		int n = waiting(s);

		if (!s->watched)
			continue;
		if (n == 0) {
			if (s->stalled)
				tell_stall(i, 0);
			s->watched = s->stalled = false;
			continue;
		}
		if (n == s->was_waiting && !s->stalled) {
			s->stalled = true;
			tell_stall(i, n);
		}
		s->was_waiting = n;
		again = true;
	}
	if (again)
		timer_set(TIMER_STALL, stall_ns);
}

/* What a stream still holds, also in the pipe that it is pumped from. */
static int64_t unread(const struct stream *s)
{
	int n = 0;

	if (s->source < 0 || ioctl(s->source, FIONREAD, &n) < 0)
		n = 0;
	return (int64_t)n + (int64_t)s->pending + waiting(s);
}

int64_t logs_lost(int i)
{
	return unread(&streams[i]) + (int64_t)streams[i].files.dropped;
}

static void tell_lost(int i, int64_t n, const char *why)
{
	char text[200];
	struct nomad__text t;

	if (n <= 0)
		return;
	nomad__text_init(&t, text, sizeof(text));
	nomad__text_num(&t, n);
	nomad__text_add(&t, " bytes of ");
	nomad__text_add(&t, i == STREAM_OUT ? "stdout" : "stderr");
	nomad__text_add(&t, " are lost: ");
	nomad__text_add(&t, why);
	clients_notice(text, n);
}

void logs_give_up(void)
{
	for (int i = 0; i < STREAMS; i++) {
		tell_lost(i, unread(&streams[i]), "nobody has read the log pipe within 3 s of the task's end");
		tell_lost(i, (int64_t)streams[i].files.dropped, "the log file could not be written");
	}
}

bool logs_pending(void)
{
	for (int i = 0; i < STREAMS; i++)
		if (streams[i].source >= 0 || streams[i].pending > 0 || waiting(&streams[i]) > 0)
			return true;
	return false;
}
