/* SPDX-License-Identifier: MPL-2.0
 *
 * client.c: find a supervisor, talk to it, learn of the end.
 *
 * The truth about the end is the file `exit`; a message (which brings a copy)
 * or the end of the connection says when to look.  Neither then means that the
 * supervisor was killed: the task is `lost`, what is left of it is killed
 * here (on a thread of its own, it may take a while), then told, once.
 *
 * Threads: the connection is read on the loop thread; messages are sent from
 * any thread under the lock.  A handle lives until free() and the last
 * posted call are done with it. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/limits.h"
#include "os/socket.h"
#include "supervisor/crash.h"
#include "supervisor/handle.h"
#include "base/fields.h"
#include "supervisor/spec.h"

static const int64_t second = 1000000000;

void nomad__supervisor_ref(struct nomad__supervisor *s)
{
	pthread_mutex_lock(&s->lock);
	s->refs++;
	pthread_mutex_unlock(&s->lock);
}

void nomad__supervisor_unref(struct nomad__supervisor *s)
{
	bool last;

	pthread_mutex_lock(&s->lock);
	last = --s->refs == 0;
	pthread_mutex_unlock(&s->lock);
	if (!last)
		return;
	if (s->fd >= 0)
		close(s->fd);
	if (s->dirfd >= 0)
		close(s->dirfd);
	pthread_mutex_destroy(&s->lock);
	free(s->dir);
	free(s);
}

static int handle_new(struct nomad__loop *loop, const char *dir, const struct nomad__supervisor_events *events,
		      void *ud, struct nomad__supervisor **ret)
{
	struct nomad__supervisor *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	*s = (struct nomad__supervisor){ .loop = loop, .events = events, .ud = ud, .fd = -1, .refs = 1 };
	pthread_mutex_init(&s->lock, NULL);
	s->dir = strdup(dir);
	s->dirfd = nomad__task_dir_open(dir);
	if (!s->dir || s->dirfd < 0) {
		int r = s->dir ? s->dirfd : -ENOMEM;

		nomad__supervisor_unref(s);
		return r;
	}
	*ret = s;
	return 0;
}

/* ---- The end ---- */

/* Loop thread; the reference is the caller's to give. */
static void tell_exit(void *ud)
{
	struct nomad__supervisor *s = ud;

	pthread_mutex_lock(&s->lock);
	s->over = true;
	s->leader = s->main_pid = 0;
	pthread_mutex_unlock(&s->lock);
	if (!s->freed && !s->told) {
		s->told = true;
		s->events->exited(s->ud, &s->result);
	}
	nomad__supervisor_unref(s);
}

static pthread_cond_t lost_ended = PTHREAD_COND_INITIALIZER;

static void *end_lost(void *ud)
{
	struct nomad__supervisor *s = ud;

	nomad__supervisor_ref(s);

	if (nomad__leftovers_kill(s->dirfd, nomad_monotonic_ns() + 15 * second) < 0)
		snprintf(s->result.message, sizeof(s->result.message),
			 "the supervisor of the task died, and what it left could not be killed");
	nomad__loop_post_in(s->loop, &s->end_post, tell_exit, s);
	pthread_mutex_lock(&s->lock);
	s->ending = false;
	pthread_cond_broadcast(&lost_ended);
	pthread_mutex_unlock(&s->lock);
	nomad__supervisor_unref(s);
	return NULL;
}

static void disconnect(struct nomad__supervisor *s)
{
	nomad__watch_free(s->watch);
	s->watch = NULL;
	pthread_mutex_lock(&s->lock);
	close(s->fd);
	s->fd = -1;
	pthread_mutex_unlock(&s->lock);
}

/* It said so, and may have more to say, about the logs. */
static void ended(struct nomad__supervisor *s)
{
	nomad__exec_all_over(s);
	(void)nomad__exit_read(s->dirfd, &s->result);
	nomad__supervisor_ref(s);
	tell_exit(s);
}

static void connection_over(struct nomad__supervisor *s)
{
	pthread_t thread;
	pthread_attr_t attr;

	disconnect(s);
	if (s->told) {
		if (s->events->closed)
			s->events->closed(s->ud, s);
		return;
	}
	nomad__exec_all_over(s);
	nomad__supervisor_ref(s);
	if (nomad__exit_read(s->dirfd, &s->result) >= 0 || s->has_result) {
		tell_exit(s);
		return;
	}
	s->result = (struct nomad__supervisor_exit){
		.lost = true,
		.exit_code = -1,
		.started_ns = s->started_ns,
		.ended_ns = nomad_wall_ns(),
	};
	snprintf(s->result.message, sizeof(s->result.message),
		 "the supervisor of the task (pid %d) died without a record of the end; the task was killed", s->pid);
	pthread_mutex_lock(&s->lock);
	s->ending = true;
	pthread_mutex_unlock(&s->lock);
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	if (pthread_create(&thread, &attr, end_lost, s) != 0)
		(void)end_lost(s);
	pthread_attr_destroy(&attr);
}

static void take_state(struct nomad__supervisor *s, const char *message, size_t size)
{
	s->pid = (int)nomad__fields_get_num(message, size, "pid", s->pid);
	s->started_ns = nomad__fields_get_num(message, size, "started_ns", s->started_ns);
	pthread_mutex_lock(&s->lock);
	s->leader = (int)nomad__fields_get_num(message, size, "leader_pid", 0);
	s->main_pid = (int)nomad__fields_get_num(message, size, "main_pid", 0);
	pthread_mutex_unlock(&s->lock);
}

/* Loop thread. */
static void connection_ready(void *ud, unsigned events)
{
	struct nomad__supervisor *s = ud;
	char message[NOMAD__MESSAGE_SIZE];
	int fds[NOMAD__MAX_FDS];

	(void)events;
	nomad__supervisor_ref(s);
	while (!s->freed && s->watch) {
		ssize_t n = nomad__unix_receive(s->fd, message, sizeof(message), fds, false);
		const char *op;

		if (n == -EAGAIN || n == -EMSGSIZE)
			break;
		op = n > 0 ? nomad__fields_get(message, (size_t)n, "op") : "exited";
		for (int i = 0; i < NOMAD__MAX_FDS; i++)
			if (fds[i] >= 0)
				close(fds[i]);
		if (!op)
			continue;
		if (strcmp(op, "exited") == 0) {
			/* A full disk has no record; what is heard has to do then. */
			s->has_result = !s->told && n > 0 && nomad__exit_parse(message, (size_t)n, &s->result) >= 0;
			if (s->has_result)
				ended(s);
			else
				connection_over(s);
		} else if (strcmp(op, "state") == 0) {
			take_state(s, message, (size_t)n);
		} else if (strcmp(op, "notice") == 0) {
			const char *text = nomad__fields_get(message, (size_t)n, "text");

			if (text && s->events->notice)
				s->events->notice(s->ud, text);
		} else {
			nomad__exec_message(s, op, message, (size_t)n);
		}
	}
	nomad__supervisor_unref(s);
}

static void begin_watch(void *ud)
{
	struct nomad__supervisor *s = ud;

	if (!s->freed && nomad__watch_new(s->loop, s->fd, NOMAD__READ, connection_ready, s, &s->watch) < 0) {
		/* As good as a supervisor that cannot be reached. */
		s->watch = NULL;
		connection_over(s);
	}
	nomad__supervisor_unref(s);
}

static int post(struct nomad__supervisor *s, void (*fn)(void *ud))
{
	int r;

	nomad__supervisor_ref(s);
	r = nomad__loop_post(s->loop, fn, s);
	if (r < 0)
		nomad__supervisor_unref(s);
	return r;
}

/* ---- Start ---- */

static void sanitize(char *text)
{
	size_t n = strlen(text);

	while (n > 0 && (text[n - 1] == '\n' || text[n - 1] == '\r'))
		text[--n] = 0;
	for (char *p = text; *p; p++)
		if ((unsigned char)*p < ' ' || *p == 127)
			*p = *p == '\n' ? '|' : ' ';
}

/* One message, within `timeout_ns`. */
static ssize_t receive_reply(int fd, char *buf, size_t size, int64_t timeout_ns)
{
	int64_t deadline = nomad_monotonic_ns() + timeout_ns;
	int fds[NOMAD__MAX_FDS];

	for (;;) {
		int64_t left = deadline - nomad_monotonic_ns();
		struct pollfd p = { .fd = fd, .events = POLLIN };
		ssize_t n;

		if (left <= 0)
			return -ETIMEDOUT;
		if (poll(&p, 1, (int)(left / 1000000) + 1) <= 0)
			continue;
		n = nomad__unix_receive(fd, buf, size, fds, false);
		if (n != -EAGAIN)
			return n;
	}
}

static int start_failed(const char *buf, size_t size, struct nomad_error **err)
{
	int errnum = (int)nomad__fields_get_num(buf, size, "errno", EIO);
	const char *act = nomad__fields_get(buf, size, "act"), *tail = nomad__fields_get(buf, size, "tail");
	char last[2100] = "";
	bool own_words = errnum == ECHILD || errnum == EINTR || errnum == EEXIST;

	if (tail && *tail) {
		snprintf(last, sizeof(last), "%s", tail);
		sanitize(last);
	}
	if (errnum <= 0 || errnum > 4095)
		errnum = EIO;
	if (errnum == EEXIST)
		return nomad_error_set(err, EEXIST, "%s: another supervisor holds it", act ? act : "start");
	return nomad_error_set(err, own_words ? EIO : errnum, "%s%s%s%s%s%s", act ? act : "start the process",
			       own_words ? "" : ": ", own_words ? "" : strerror(errnum), *last ? "; it said '" : "",
			       last, *last ? "'" : "");
}

static int record_cgroups(int dirfd, const struct nomad__spec *spec)
{
	char buf[8192];
	struct nomad__fields record;
	const char *s;
	size_t pos = 0;

	nomad__fields_init(&record, buf, sizeof(buf));
	while ((s = nomad__fields_next(spec->data, spec->size, "cg", &pos)))
		nomad__fields_add(&record, "cg", s);
	return nomad__fields_write(dirfd, "cgroups", &record, false);
}

/* Give the program its specification and wait for the answer. */
static int start_and_wait(struct nomad__supervisor *s, const struct nomad__supervise *what,
			  const struct nomad__spec *spec, struct nomad_error **err)
{
	int64_t patience = (what->command->ready_timeout_ms ? what->command->ready_timeout_ms : 60000) * 1000000ll;
	char buf[NOMAD__MESSAGE_SIZE];
	struct nomad__fields m;
	const char *op;
	ssize_t n;
	int file = nomad__spec_file(spec), pid, status, r;

	if (file < 0)
		return nomad_error_errno(err, -file, "write the specification for the supervisor");
	pid = nomad__supervisor_launch(s->dirfd, what->title ? what->title : "nomad-supervisor", &s->fd, err);
	if (pid < 0) {
		close(file);
		return pid;
	}
	nomad__crash_at("start-launched");
	nomad__fields_init(&m, buf, sizeof(buf));
	nomad__fields_add(&m, "op", "start");
	r = nomad__unix_send(s->fd, m.buf, m.used, &file, 1, true);
	close(file);
	nomad__crash_at("start-sent");
	/* One that got no specification goes when there is no connection any more. */
	if (r < 0) {
		close(s->fd);
		s->fd = -1;
	}
	/* It forks at once and goes; if it does not, the connection tells. */
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (r < 0)
		return nomad_error_errno(err, -r, "send the specification to the supervisor");
	n = receive_reply(s->fd, buf, sizeof(buf), patience + 60 * second);
	nomad__crash_at("start-answered");
	if (n <= 0)
		return nomad_error_set(err, n == -ETIMEDOUT ? ETIMEDOUT : EIO, "the supervisor %s",
				       n == -ETIMEDOUT ? "does not answer" : "died while it started the task");
	op = nomad__fields_get(buf, (size_t)n, "op");
	if (!op || strcmp(op, "started") != 0)
		return start_failed(buf, (size_t)n, err);
	take_state(s, buf, (size_t)n);
	return 0;
}

int nomad__supervisor_start(struct nomad__loop *loop, const struct nomad__supervise *what,
			    const struct nomad__supervisor_events *events, void *ud, struct nomad__supervisor **ret,
			    struct nomad_error **err)
{
	struct nomad__spec spec = { 0 };
	struct nomad__supervisor *s = NULL;
	int r = handle_new(loop, what->dir, events, ud, &s);

	if (r < 0)
		return nomad_error_errno(err, -r, "open directory '%s'", what->dir);
	r = nomad__spec_start(&spec, what, err);
	if (r >= 0)
		r = nomad__limits_plan(what, &spec, err);
	if (r >= 0 && spec.failed)
		r = nomad_error_errno(err, ENOMEM, "write the specification for the supervisor");
	if (r >= 0) {
		r = record_cgroups(s->dirfd, &spec);
		if (r < 0)
			nomad_error_errno(err, -r, "write into directory '%s'", what->dir);
	}
	if (r < 0)
		goto out;
	nomad__crash_at("start-recorded");
	r = start_and_wait(s, what, &spec, err);
	if (r >= 0) {
		r = post(s, begin_watch);
		if (r < 0)
			nomad_error_errno(err, -r, "watch the supervisor");
	}
	if (r < 0) {
		/* Our end first: a supervisor that goes on is told to stop by that. */
		if (s->fd >= 0)
			close(s->fd);
		s->fd = -1;
		(void)nomad__supervisor_clean(what->dir, NULL);
	}
out:
	nomad__spec_done(&spec);
	if (r < 0)
		nomad__supervisor_unref(s);
	else
		*ret = s;
	return r;
}

/* ---- Attach ---- */

/* Connect and greet; -EAGAIN: try again, it is about to be born or to end. */
static int greet(struct nomad__supervisor *s, int64_t deadline)
{
	char buf[NOMAD__MESSAGE_SIZE];
	struct nomad__fields m;
	const char *op;
	ssize_t n;
	int r, fd = nomad__unix_connect(s->dirfd, "ctl");

	if (fd < 0)
		return fd == -ENOENT || fd == -ECONNREFUSED || fd == -EINTR ? -EAGAIN : fd;
	nomad__crash_at("attach-connected");
	nomad__fields_init(&m, buf, sizeof(buf));
	nomad__fields_add(&m, "op", "hello");
	r = nomad__unix_send(fd, m.buf, m.used, NULL, 0, false);
	while (r >= 0) {
		n = receive_reply(fd, buf, sizeof(buf), deadline - nomad_monotonic_ns());
		if (n == -ETIMEDOUT) {
			r = -ETIMEDOUT;
			break;
		}
		op = n > 0 ? nomad__fields_get(buf, (size_t)n, "op") : NULL;
		if (n <= 0 || (op && strcmp(op, "exited") == 0)) {
			r = -EAGAIN;
			break;
		}
		if (op && strcmp(op, "state") == 0) {
			if (nomad__fields_get_num(buf, (size_t)n, "v", 1) != 1) {
				r = -EPROTONOSUPPORT;
				break;
			}
			take_state(s, buf, (size_t)n);
			s->fd = fd;
			return 0;
		}
	}
	close(fd);
	return r == -EPIPE || r == -ECONNRESET ? -EAGAIN : r;
}

int nomad__supervisor_attach(struct nomad__loop *loop, const char *dir, const struct nomad__supervisor_events *events,
			     void *ud, struct nomad__supervisor **ret, struct nomad_error **err)
{
	int64_t deadline = nomad_monotonic_ns() + 2 * second;
	struct nomad__supervisor *s = NULL;
	struct nomad__identity who = { 0 };
	int r = handle_new(loop, dir, events, ud, &s), known;

	if (r == -ENOENT)
		return nomad_error_set(err, ENOENT, "nothing is recorded in '%s'", dir);
	if (r < 0)
		return nomad_error_errno(err, -r, "open directory '%s'", dir);
	for (;;) {
		if (nomad__exit_read(s->dirfd, &s->result) >= 0) {
			s->started_ns = s->result.started_ns;
			r = post(s, tell_exit);
			break;
		}
		known = nomad__identity_read(s->dirfd, &who);
		if (known == -ENOENT) {
			r = nomad_error_set(err, ENOENT, "no supervisor is recorded in '%s'", dir);
			goto fail;
		}
		if (known >= 0 && !who.this_boot) {
			r = nomad_error_set(err, ENOENT, "the task was lost when the host was booted anew");
			goto fail;
		}
		r = greet(s, deadline);
		if (r >= 0) {
			s->pid = who.pid;
			r = post(s, begin_watch);
			break;
		}
		if (r == -EAGAIN && known >= 0 && !nomad__process_is(who.pid, who.start) &&
		    nomad__exit_read(s->dirfd, &s->result) < 0) {
			r = nomad_error_set(err, ENOENT, "the supervisor of the task (pid %d) is dead", who.pid);
			goto fail;
		}
		if (r == -EPROTONOSUPPORT) {
			nomad_error_set(err, EPROTONOSUPPORT,
					"the supervisor of '%s' (pid %d) speaks another version of the control "
					"protocol than 1: use the driver that started the task, or destroy it",
					dir, who.pid);
			goto fail;
		}
		if (r != -EAGAIN || nomad_monotonic_ns() > deadline) {
			r = nomad_error_set(err, r == -EAGAIN ? ETIMEDOUT : -r, "reach the supervisor of '%s': %s", dir,
					    strerror(r == -EAGAIN ? ETIMEDOUT : -r));
			goto fail;
		}
		(void)poll(NULL, 0, 5);
	}
	if (r < 0) {
		nomad_error_errno(err, -r, "watch the supervisor");
		goto fail;
	}
	*ret = s;
	return 0;
fail:
	nomad__supervisor_unref(s);
	return r;
}

/* ---- Let go ---- */

struct letting_go {
	struct nomad__supervisor *s;
	pthread_mutex_t lock;
	pthread_cond_t cond;
	bool done;
	struct nomad__posted post;
};

static void let_go(struct nomad__supervisor *s)
{
	s->freed = true;
	nomad__watch_free(s->watch);
	s->watch = NULL;
	pthread_mutex_lock(&s->lock);
	if (s->fd >= 0)
		close(s->fd);
	s->fd = -1;
	s->over = true;
	pthread_mutex_unlock(&s->lock);
}

static void let_go_posted(void *ud)
{
	struct letting_go *g = ud;

	let_go(g->s);
	pthread_mutex_lock(&g->lock);
	g->done = true;
	pthread_cond_signal(&g->cond);
	pthread_mutex_unlock(&g->lock);
}

void nomad__supervisor_free(struct nomad__supervisor *s)
{
	struct letting_go g = { .s = s, .lock = PTHREAD_MUTEX_INITIALIZER, .cond = PTHREAD_COND_INITIALIZER };

	if (!s)
		return;
	if (nomad__loop_is_current(s->loop)) {
		let_go(s);
	} else {
		nomad__loop_post_in(s->loop, &g.post, let_go_posted, &g);
		pthread_mutex_lock(&g.lock);
		while (!g.done)
			pthread_cond_wait(&g.cond, &g.lock);
		pthread_mutex_unlock(&g.lock);
		/* The thread that ends a lost task needs the loop. */
		pthread_mutex_lock(&s->lock);
		while (s->ending)
			pthread_cond_wait(&lost_ended, &s->lock);
		pthread_mutex_unlock(&s->lock);
	}
	nomad__supervisor_unref(s);
}

bool nomad__supervisor_lingers(struct nomad__supervisor *s)
{
	bool lingers;

	pthread_mutex_lock(&s->lock);
	lingers = s->over && s->fd >= 0;
	pthread_mutex_unlock(&s->lock);
	return lingers;
}

int64_t nomad__supervisor_started_ns(const struct nomad__supervisor *s)
{
	return s->started_ns;
}

int nomad__supervisor_pid(const struct nomad__supervisor *s)
{
	return s->pid;
}

int nomad__supervisor_leader(const struct nomad__supervisor *s)
{
	pthread_mutex_t *lock = (pthread_mutex_t *)&s->lock;
	int leader;

	pthread_mutex_lock(lock);
	leader = s->leader;
	pthread_mutex_unlock(lock);
	return leader;
}
