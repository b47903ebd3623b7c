/* SPDX-License-Identifier: MPL-2.0
 *
 * A command in a task, with its streams.
 *
 * The supervisor runs it and tells its end; its input and output come here
 * through pipes or a terminal, and are moved by the loop thread.  All of a
 * stream happens on that thread: calls from others leave word and post.
 *
 * It is over when the command has ended and its output is drained.  Whoever
 * else holds the output open (a background child) is given a second of
 * silence, no more; with a terminal, none: a shell's jobs are not waited for. */
#include "core/exec_stream.h"
#include "base/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "core/plugin.h"
#include "core/table.h"
#include "core/task_progress.h"

#define LINGER_NS INT64_C(1000000000)
enum { CHUNK = 32768 };

static void stream_unref(struct nomad__exec_stream *s)
{
	if (__atomic_sub_fetch(&s->refs, 1, __ATOMIC_ACQ_REL))
		return;
	nomad__task_unref(s->task);
	pthread_mutex_destroy(&s->lock);
	pthread_cond_destroy(&s->settled);
	free(s->input);
	free(s->message);
	free(s);
}

static struct nomad__exec_stream *stream_ref(struct nomad__exec_stream *s)
{
	__atomic_add_fetch(&s->refs, 1, __ATOMIC_RELAXED);
	return s;
}

/* ---- On the loop thread ---- */

/* A terminal whose last user has closed it stays open on our side until the
 * command is seen dead: closing it would kill with SIGHUP who is about to
 * exit by itself. */
static void output_end(struct output *out, bool keep_open)
{
	nomad__watch_free(out->watch);
	out->watch = NULL;
	out->ended = true;
	if (keep_open)
		return;
	if (out->fd >= 0)
		close(out->fd);
	out->fd = -1;
}

/* No event comes after this; what still runs is killed. */
static void teardown(struct nomad__exec_stream *s)
{
	struct nomad__supervisor_exec *exec;
	struct nomad__exec_stream **p;
	struct nomad__spawn *spawn;
	bool linked = false;

	if (s->dead)
		return;
	nomad__exec_input_end(s);
	output_end(&s->out[0], false);
	output_end(&s->out[1], false);
	nomad__timer_free(s->linger);
	s->linger = NULL;
	/* Its end may come before open() has taken note of its beginning. */
	pthread_mutex_lock(&s->task->progress->lock);
	exec = NOMAD_TAKE_PTR(s->exec);
	spawn = NOMAD_TAKE_PTR(s->spawn);
	pthread_mutex_unlock(&s->task->progress->lock);
	nomad__supervisor_exec_free(exec);
	nomad__spawn_free(spawn);
	/* Last, remove it from the list: a thread that waits for this then frees the supervisor. */
	pthread_mutex_lock(&s->task->progress->lock);
	for (p = &s->task->progress->execs; *p; p = &(*p)->next)
		if (*p == s) {
			*p = s->next;
			linked = true;
			break;
		}
	pthread_cond_broadcast(&s->task->progress->changed);
	pthread_mutex_unlock(&s->task->progress->lock);
	pthread_mutex_lock(&s->lock);
	s->dead = true;
	pthread_cond_broadcast(&s->settled);
	pthread_mutex_unlock(&s->lock);
	if (linked)
		stream_unref(s);
}

static bool is_closed(struct nomad__exec_stream *s)
{
	bool closed;

	pthread_mutex_lock(&s->lock);
	closed = s->closed;
	pthread_mutex_unlock(&s->lock);
	return closed;
}

static void finish(struct nomad__exec_stream *s)
{
	struct nomad_error *err = NULL;

	if (s->finished || s->dead)
		return;
	s->finished = true;
	stream_ref(s); /* its owner may close it from within */
	for (int i = 0; i < (s->tty ? 1 : 2); i++)
		if (!s->out[i].ended && !is_closed(s))
			(void)s->events->output(s->ud, i + 1, NULL, 0);
	if (s->result < 0)
		nomad_error_set(&err, -s->result, "%s", s->message ? s->message : "the command could not be run");
	if (!is_closed(s))
		s->events->exited(s->ud, s->result, s->result < 0 ? NULL : &s->status, err);
	nomad_error_free(err);
	teardown(s);
	stream_unref(s);
}

static void linger_over(void *ud)
{
	struct nomad__exec_stream *s = ud;
	bool paused;

	pthread_mutex_lock(&s->lock);
	paused = s->paused;
	pthread_mutex_unlock(&s->lock);
	if (paused)
		nomad__timer_set(s->linger, LINGER_NS);
	else
		finish(s);
}

/* Watched for nothing, a descriptor still tells that the other side hung up,
 * again and again: a pause takes the watch away. */
static void unwatch_output(struct nomad__exec_stream *s)
{
	for (int i = 0; i < 2; i++) {
		nomad__watch_free(s->out[i].watch);
		s->out[i].watch = NULL;
	}
}

static void output_ready(void *ud, unsigned events);

static int watch_output(struct nomad__exec_stream *s)
{
	int r = 0;

	for (int i = 0; r >= 0 && i < 2; i++)
		if (s->out[i].fd >= 0 && !s->out[i].ended && !s->out[i].watch)
			r = nomad__watch_new(s->loop, s->out[i].fd, NOMAD__READ, output_ready, &s->out[i],
					     &s->out[i].watch);
	return r;
}

static void fail(struct nomad__exec_stream *s, int r)
{
	s->exited = true;
	s->result = r;
	finish(s);
}

static void output_ready(void *ud, unsigned events)
{
	struct output *out = ud;
	struct nomad__exec_stream *s = stream_ref(out->stream);
	char buffer[CHUNK];
	ssize_t n;

	(void)events;
	do
		n = read(out->fd, buffer, sizeof(buffer));
	while (n < 0 && errno == EINTR);
	if (n > 0) {
		if (s->exited && s->linger && !s->tty)
			nomad__timer_set(s->linger, LINGER_NS);
		if (!is_closed(s) && !s->events->output(s->ud, out->number, buffer, (size_t)n)) {
			pthread_mutex_lock(&s->lock);
			s->paused = true;
			pthread_mutex_unlock(&s->lock);
			unwatch_output(s);
		}
	} else if (n == 0 || (errno != EAGAIN && errno != EWOULDBLOCK)) { /* EIO: the terminal's other side is closed */
		output_end(out, s->tty);
		if (!is_closed(s))
			(void)s->events->output(s->ud, out->number, NULL, 0);
	}
	/* The output of the lead process of a terminal is complete when no more can be read. */
	if (s->exited &&
	    ((s->out[0].ended && s->out[1].ended) || (s->tty && n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))))
		finish(s);
	stream_unref(s);
}

static void resize(struct nomad__exec_stream *s, const struct winsize *size)
{
	if (ioctl(s->out[0].fd, TIOCSWINSZ, size) == 0 || errno != ENOTTY)
		return;
	pthread_mutex_lock(&s->task->progress->lock);
	if (s->exec)
		nomad__supervisor_exec_resize(s->exec, size->ws_row, size->ws_col);
	pthread_mutex_unlock(&s->task->progress->lock);
}

/* Does what other threads left word of. */
static void pump(struct nomad__exec_stream *s)
{
	struct winsize size = { 0 };
	bool resume, closed, input, lost;

	pthread_mutex_lock(&s->lock);
	closed = s->closed;
	lost = s->input_lost;
	resume = s->resume;
	s->resume = false;
	if (resume)
		s->paused = false;
	input = s->input_size || s->input_close;
	size.ws_row = (unsigned short)s->rows;
	size.ws_col = (unsigned short)s->columns;
	if (!s->tty || s->out[0].fd >= 0)
		s->rows = s->columns = 0; /* else the terminal is still to come */
	pthread_mutex_unlock(&s->lock);
	if (closed) {
		teardown(s);
	} else if (lost) {
		fail(s, -ENOMEM);
	} else if (!s->dead) {
		if (s->tty && s->out[0].fd >= 0 && !s->out[0].ended && (size.ws_row || size.ws_col))
			resize(s, &size);
		if (input && s->in_fd >= 0)
			nomad__exec_input_ready(s, 0);
		int r = resume ? watch_output(s) : 0;

		if (r < 0)
			fail(s, r);
	}
}

static void pump_posted(void *ud)
{
	struct nomad__exec_stream *s = ud;

	pthread_mutex_lock(&s->lock);
	s->pump_posted = false;
	pthread_mutex_unlock(&s->lock);
	pump(s);
	stream_unref(s);
}

/* From the supervisor, on the loop thread. */
static void command_exited(void *ud, int r, int exit_code, int signal, const char *message)
{
	struct nomad__exec_stream *s = ud;

	if (s->dead || s->exited)
		return;
	s->exited = true;
	s->result = r;
	s->status = (struct nomad_exit){ .exit_code = signal ? 128 + signal : exit_code, .signal = signal };
	if (r < 0 && message)
		s->message = strdup(message);
	if (r < 0 || (s->out[0].ended && s->out[1].ended)) {
		finish(s);
		return;
	}
	if (!s->linger && nomad__timer_new(s->loop, linger_over, s, &s->linger) < 0) {
		finish(s);
		return;
	}
	nomad__timer_set(s->linger, s->tty ? LINGER_NS / 5 : LINGER_NS);
	if (s->tty && s->out[0].watch)
		output_ready(&s->out[0], NOMAD__READ); /* the remaining output, and its end */
}

static void post(struct nomad__exec_stream *s)
{
	bool needed;

	pthread_mutex_lock(&s->lock);
	needed = !s->pump_posted && !s->dead;
	s->pump_posted = s->pump_posted || needed;
	pthread_mutex_unlock(&s->lock);
	if (needed)
		nomad__loop_post_in(s->loop, &s->pump_post, pump_posted, stream_ref(s));
}

/* ---- Opening ---- */

/* Loop thread: begin to move bytes.  Twice for a terminal that came before the first. */
static void begin(void *ud)
{
	struct nomad__exec_stream *s = ud;
	int r = 0;

	if (!s->dead) {
		r = watch_output(s);
		if (r >= 0 && s->in_fd >= 0 && !s->in_watch)
			r = nomad__watch_new(s->loop, s->in_fd, 0, nomad__exec_input_ready, s, &s->in_watch);
		if (r < 0) {
			fail(s, r);
		} else {
			pump(s);
			if (s->exited && s->out[0].ended && s->out[1].ended)
				finish(s);
		}
	}
	stream_unref(s);
}

/* From the supervisor, on the loop thread: the terminal that the command got in the task. */
static void terminal_opened(void *ud, int output, int input)
{
	struct nomad__exec_stream *s = ud;

	if (s->dead || s->out[0].fd >= 0) {
		close(output);
		close(input);
		return;
	}
	s->out[0].fd = output;
	s->in_fd = input;
	begin(stream_ref(s));
}

static const struct nomad__command_events command_events = { terminal_opened, command_exited };

int nomad__exec_open(struct nomad_plugin *plugin, const char *id, const char *const *argv, bool tty,
		     const struct nomad__exec_events *events, void *ud, struct nomad__exec_stream **ret,
		     struct nomad_error **err)
{
	return nomad__exec_open_as(plugin, id, argv, tty ? NOMAD__EXEC_TTY : NOMAD__EXEC_PIPES, events, ud, ret, err);
}

/* Runs the command, if the task runs, and puts the stream on the task's list. */
static int attach(struct nomad__exec_stream *s, const struct nomad_exec *exec, const int fds[3],
		  struct nomad_error **err)
{
	struct nomad__task_progress *progress = s->task->progress;
	int r;

	pthread_mutex_lock(&progress->lock);
	if (progress->phase != NOMAD__RUNNING)
		r = nomad_error_set(err, ESRCH, "exec in task '%s': not running", s->task->info.id);
	else if (progress->supervisor)
		r = nomad__supervisor_exec(progress->supervisor, exec, fds, &command_events, s, &s->exec, err);
	else if (s->task->plugin->driver->exec)
		r = nomad__spawn(s->loop, exec, fds, command_exited, s, &s->spawn, err);
	else
		r = nomad_error_set(err, EOPNOTSUPP, "driver does not support exec");
	if (r >= 0) {
		s->next = progress->execs;
		progress->execs = s;
	}
	pthread_mutex_unlock(&progress->lock);
	return r;
}

static bool has_supervisor(struct nomad_task *task)
{
	bool has;

	pthread_mutex_lock(&task->progress->lock);
	has = task->progress->supervisor != NULL;
	pthread_mutex_unlock(&task->progress->lock);
	return has;
}

int nomad__exec_open_as(struct nomad_plugin *plugin, const char *id, const char *const *argv,
			enum nomad__exec_kind kind, const struct nomad__exec_events *events, void *ud,
			struct nomad__exec_stream **ret, struct nomad_error **err)
{
	bool tty = kind == NOMAD__EXEC_TTY;
	struct nomad__exec_ends ends = { .mine = { -1, -1, -1 }, .theirs = { -1, -1, -1 } };
	struct nomad_exec exec = { 0 };
	struct nomad__exec_stream *s = NULL;
	struct nomad_task *task;
	int r;

	r = nomad__task_find_or(plugin, id, &task, err);
	if (r < 0)
		return r;
	r = nomad__exec_describe(task, argv, tty, &exec, err);
	if (r < 0)
		goto out;
	/* A supervisor has the terminal opened in the task. */
	if (tty)
		r = has_supervisor(task) ? 0 : nomad__exec_ends_tty(&ends);
	else
		r = nomad__exec_ends_pipes(&ends, kind == NOMAD__EXEC_MERGED);
	s = r < 0 ? NULL : calloc(1, sizeof(*s));
	if (!s) {
		r = nomad_error_errno(err, r < 0 ? -r : ENOMEM, "exec in task '%s': create its %s", id,
				      tty ? "terminal" : "pipes");
		goto out;
	}
	*s = (struct nomad__exec_stream){
		.refs = 2, /* the caller's and the task's list's */
		.task = nomad__task_ref(task),
		.loop = plugin->loop,
		.events = events,
		.ud = ud,
		.tty = tty,
		.in_fd = ends.mine[0],
		.out = { { s, 1, ends.mine[1], false, NULL }, { s, 2, ends.mine[2], kind != NOMAD__EXEC_PIPES, NULL } },
	};
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->settled, NULL);
	r = attach(s, &exec, ends.theirs, err);
	if (r < 0) {
		s->refs = 1;
		stream_unref(s);
		goto out;
	}
	ends.mine[0] = ends.mine[1] = ends.mine[2] = -1; /* the stream's now */
	*ret = s;
	if (nomad__loop_post(plugin->loop, begin, stream_ref(s)) < 0) {
		stream_unref(s);
		*ret = NULL;
		nomad__exec_close(s);
		r = nomad_error_errno(err, ENOMEM, "exec in task '%s'", id);
	}
out:
	nomad__exec_ends_close(&ends);
	nomad__exec_undescribe(&exec);
	nomad__task_unref(task);
	return r;
}

/* ---- For the owner of a stream ---- */

size_t nomad__exec_stdin(struct nomad__exec_stream *s, const void *data, size_t size)
{
	size_t queued;
	char *grown;

	pthread_mutex_lock(&s->lock);
	if (size && !s->input_close && !s->dead) {
		grown = realloc(s->input, s->input_size + size);
		if (grown) {
			s->input = grown;
			memcpy(grown + s->input_size, data, size);
			s->input_size += size;
		}
		s->input_lost = s->input_lost || !grown;
	}
	queued = s->input_size;
	pthread_mutex_unlock(&s->lock);
	if (size)
		post(s);
	return queued;
}

void nomad__exec_stdin_close(struct nomad__exec_stream *s)
{
	pthread_mutex_lock(&s->lock);
	s->input_close = true;
	pthread_mutex_unlock(&s->lock);
	post(s);
}

void nomad__exec_resize(struct nomad__exec_stream *s, int rows, int columns)
{
	if (rows < 0 || rows > 65535 || columns < 0 || columns > 65535)
		return;
	pthread_mutex_lock(&s->lock);
	s->rows = rows;
	s->columns = columns;
	pthread_mutex_unlock(&s->lock);
	post(s);
}

void nomad__exec_resume(struct nomad__exec_stream *s)
{
	pthread_mutex_lock(&s->lock);
	s->resume = true;
	pthread_mutex_unlock(&s->lock);
	post(s);
}

void nomad__exec_close(struct nomad__exec_stream *s)
{
	if (!s)
		return;
	pthread_mutex_lock(&s->lock);
	s->closed = true;
	pthread_mutex_unlock(&s->lock);
	if (nomad__loop_is_current(s->loop)) {
		teardown(s);
	} else {
		post(s);
		pthread_mutex_lock(&s->lock);
		while (!s->dead)
			pthread_cond_wait(&s->settled, &s->lock);
		pthread_mutex_unlock(&s->lock);
	}
	stream_unref(s);
}

/* ---- The task goes ---- */

static void end_one(void *ud)
{
	struct nomad__exec_stream *s = ud;

	if (!s->exited) {
		s->exited = true;
		s->result = -ECANCELED;
		s->message = strdup("the task has ended");
	}
	finish(s);
	teardown(s);
	stream_unref(s);
}

void nomad__exec_end_all(struct nomad_task *task)
{
	struct nomad__task_progress *progress = task->progress;
	struct nomad__exec_stream *s;

	pthread_mutex_lock(&progress->lock);
	for (s = progress->execs; s; s = s->next)
		if (!s->end_posted) {
			s->end_posted = true;
			nomad__loop_post_in(s->loop, &s->end_post, end_one, stream_ref(s));
		}
	while (progress->execs || progress->opening)
		pthread_cond_wait(&progress->changed, &progress->lock);
	pthread_mutex_unlock(&progress->lock);
}
