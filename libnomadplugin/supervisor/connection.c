/* SPDX-License-Identifier: MPL-2.0
 *
 * connection.c: read the connection to a supervisor, learn of the end.
 *
 * The file `exit` decides about the end of a task.  A message (with a copy), or
 * the end of the connection, says when to read it.  If there is neither a file nor
 * a message, the supervisor was killed and the task is `lost`: a new thread, because
 * it may take a while, kills the remaining processes and then reports the end once.
 * The same happens if a supervisor does not answer and its task must end.
 *
 * Threads: the connection is read on the loop thread; messages are sent from
 * any thread under the lock.  A handle lives until free() and the last
 * posted call are done with it. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/fields.h"
#include "os/socket.h"
#include "supervisor/handle.h"
#include "supervisor/records.h"

/* How long a reader of the last output is waited for when the agent waits for the end. */
#define SETTLE_NS INT64_C(3000000000)

/* Loop thread; the reference is the caller's to give. */
static void tell_exit(void *ud)
{
	struct nomad__supervisor *s = ud;

	pthread_mutex_lock(&s->lock);
	s->over = true;
	s->leader = s->main_pid = 0;
	nomad__unread_close(&s->unread);
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->lock);
	if (!s->freed && !s->told) {
		s->told = true;
		s->events->exited(s->ud, &s->result);
	}
	nomad__supervisor_unref(s);
}

/* Loop thread: the supervisor is gone, and so is the output that it kept.  Those who read the record later tell it
 * again: this plugin may die before the agent has heard it. */
static void tell_lost_output(struct nomad__supervisor *s)
{
	static const char *const names[] = { "stdout", "stderr" };
	struct nomad__supervisor_exit recorded = s->result;

	(void)nomad__exit_read(s->dirfd, &recorded);
	for (size_t i = 0; i < NOMAD_ARRAY_LEN(names) && !s->logs_told; i++) {
		char text[120];

		if (recorded.lost_bytes[i] <= 0 || !s->events->notice)
			continue;
		snprintf(text, sizeof(text), "%lld bytes of %s are lost: not read in time, or not written",
			 (long long)recorded.lost_bytes[i], names[i]);
		s->events->notice(s->ud, text, recorded.lost_bytes[i]);
	}
	s->logs_told = true;
}

/* Loop thread; with the reference that it gets. */
static void tell_end_lost(void *ud)
{
	struct nomad__supervisor *s = ud;

	/* A record says what is lost. */
	if (s->has_result && !s->freed)
		tell_lost_output(s);
	else if (!s->freed && s->events->notice)
		nomad__unread_tell(&s->unread, s->log_paths, s->events->notice, s->ud);
	tell_exit(s);
}

static void *end_lost(void *ud)
{
	struct nomad__supervisor *s = ud;
	struct nomad__supervisor_exit recorded;

	nomad__supervisor_ref(s);
	if (nomad__leftovers_kill(s->dirfd, nomad_monotonic_ns() + 15 * 1000000000ll) < 0) {
		s->result.lost = true;
		snprintf(s->result.message, sizeof(s->result.message),
			 "the task has lost its supervisor, and its remaining processes could not be killed");
	} else if (nomad__exit_read(s->dirfd, &recorded) >= 0) {
		s->result = recorded;
		s->has_result = true;
	} else {
		s->result.ended_ns = nomad_wall_ns();
	}
	nomad__loop_post_in(s->loop, &s->end_post, tell_end_lost, s);
	pthread_mutex_lock(&s->lock);
	s->ending = false;
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->lock);
	nomad__supervisor_unref(s);
	return NULL;
}

/* Loop thread: kills the remaining processes and reports s->result, or the exit record if it finds one.  Takes the
 * caller's reference. */
static void end_without_supervisor(struct nomad__supervisor *s)
{
	pthread_t thread;
	pthread_attr_t attr;

	pthread_mutex_lock(&s->lock);
	s->ending = true;
	pthread_mutex_unlock(&s->lock);
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	if (pthread_create(&thread, &attr, end_lost, s) != 0)
		(void)end_lost(s);
	pthread_attr_destroy(&attr);
}

static void unwatch(struct nomad__supervisor *s)
{
	nomad__watch_free(s->watch);
	s->watch = NULL;
	nomad__timer_free(s->ticks_timer);
	s->ticks_timer = NULL;
	s->ticking = false;
}

static void disconnect(struct nomad__supervisor *s)
{
	unwatch(s);
	pthread_mutex_lock(&s->lock);
	close(s->fd);
	s->fd = -1;
	pthread_cond_broadcast(&s->changed);
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

static struct nomad__supervisor_exit lost(const struct nomad__supervisor *s, const char *why)
{
	struct nomad__supervisor_exit end = { .lost = true, .exit_code = -1, .started_ns = s->started_ns };

	end.ended_ns = nomad_wall_ns();
	snprintf(end.message, sizeof(end.message), "the supervisor of the task (pid %d) %s; the task was killed",
		 s->pid, why);
	return end;
}

static void connection_over(struct nomad__supervisor *s)
{
	disconnect(s);
	if (s->told) {
		tell_lost_output(s);
		if (s->events->closed)
			s->events->closed(s->ud, s);
		return;
	}
	nomad__exec_all_over(s);
	nomad__supervisor_ref(s);
	if (nomad__exit_read(s->dirfd, &s->result) >= 0 || s->has_result) {
		tell_lost_output(s);
		tell_exit(s);
		return;
	}
	s->result = lost(s, "died without a record of the end");
	end_without_supervisor(s);
}

/* The task is to end, and its supervisor does not do it. */
static void give_up(struct nomad__supervisor *s)
{
	struct nomad__identity who = { 0 };
	char text[160];

	snprintf(text, sizeof(text),
		 "the supervisor of the task (pid %d) does not answer: the plugin kills the task and the supervisor",
		 s->pid);
	if (s->events->notice)
		s->events->notice(s->ud, text, 0);
	disconnect(s);
	nomad__exec_all_over(s);
	nomad__supervisor_ref(s);
	s->result = lost(s, "did not answer and left no record of the end");
	/* A process that we kill has a known end; one that died before has not. */
	if (nomad__identity_read(s->dirfd, &who) >= 0 && who.this_boot && nomad__process_lives(&who.of[NOMAD__MAIN]))
		s->result = (struct nomad__supervisor_exit){
			.exit_code = 128 + SIGKILL,
			.signal = SIGKILL,
			.killed = true,
			.started_ns = s->started_ns,
		};
	end_without_supervisor(s);
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

		/* The peer closed without reading all our data: one error comes before the data that it sent. */
		if (n == -ECONNRESET)
			n = nomad__unix_receive(s->fd, message, sizeof(message), fds, false);
		if (n == -EAGAIN || n == -EMSGSIZE)
			break;
		op = n > 0 ? nomad__fields_get(message, (size_t)n, "op") : "exited";
		if (op && strncmp(op, "exec-", 5) == 0)
			nomad__exec_message(s, op, message, (size_t)n, fds);
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
			nomad__supervisor_take_state(s, message, (size_t)n);
			nomad__answer_came(s);
		} else if (strcmp(op, "oom") == 0) {
			int64_t kills = nomad__fields_get_num(message, (size_t)n, "kills", 0);

			if (kills > 0 && s->events->oom)
				s->events->oom(s->ud, (uint64_t)kills);
		} else if (strcmp(op, "notice") == 0) {
			const char *text = nomad__fields_get(message, (size_t)n, "text");
			int64_t lost_bytes = nomad__fields_get_num(message, (size_t)n, "lost", 0);

			if (text && s->events->notice)
				s->events->notice(s->ud, text, lost_bytes);
			s->logs_told = s->logs_told || lost_bytes > 0;
		} else if (strcmp(op, "drained") == 0) {
			s->logs_told = true;
		}
	}
	nomad__supervisor_unref(s);
}

static void release(const struct nomad__supervisor *s)
{
	char buf[60];
	struct nomad__fields m;

	nomad__fields_init(&m, buf, sizeof(buf));
	nomad__fields_add(&m, "op", "release");
	(void)nomad__unix_send(s->fd, m.buf, m.used, NULL, 0, false);
}

bool nomad__supervisor_settle(struct nomad__supervisor *s)
{
	bool waits = nomad__supervisor_lingers(s) && s->ticks_timer && !s->logs_told &&
		     (s->result.lost_bytes[0] || s->result.lost_bytes[1]);

	if (waits && !s->settling) {
		s->settling = true;
		nomad__timer_set(s->ticks_timer, SETTLE_NS);
	}
	return waits;
}

/* Loop thread, each second while an answer is waited for. */
static void tick(void *ud)
{
	struct nomad__supervisor *s = ud;
	enum nomad__answers is;

	if (s->settling) {
		release(s);
		return;
	}
	nomad__supervisor_ref(s);
	connection_ready(s, 0); /* what has come by now counts */
	is = s->watch ? nomad__answer_tick(s) : NOMAD__ANSWERED;
	if (is >= NOMAD__SILENT)
		nomad__exec_unanswered(s);
	if (s->watch && is == NOMAD__SILENT_TO_THE_END)
		give_up(s);
	else if (is != NOMAD__ANSWERED)
		nomad__answer_next_tick(s);
	nomad__supervisor_unref(s);
}

static void begin_watch(void *ud)
{
	struct nomad__supervisor *s = ud;

	if (!s->freed && (nomad__timer_new(s->loop, tick, s, &s->ticks_timer) < 0 ||
			  nomad__watch_new(s->loop, s->fd, NOMAD__READ, connection_ready, s, &s->watch) < 0)) {
		/* As good as a supervisor that cannot be reached. */
		s->watch = NULL;
		connection_over(s);
	}
	nomad__supervisor_unref(s);
}

/* Runs `fn` on the loop thread, with a reference. */
static int post(struct nomad__supervisor *s, void (*fn)(void *ud))
{
	int r;

	nomad__supervisor_ref(s);
	r = nomad__loop_post(s->loop, fn, s);
	if (r < 0)
		nomad__supervisor_unref(s);
	return r;
}

int nomad__connection_watch(struct nomad__supervisor *s)
{
	return post(s, begin_watch);
}

static void begin_ended(void *ud)
{
	struct nomad__supervisor *s = ud;

	nomad__supervisor_ref(s);
	if (s->fd < 0 || s->freed) {
		if (!s->freed)
			tell_lost_output(s);
		nomad__supervisor_unref(s);
	} else {
		begin_watch(s);
	}
	tell_exit(s);
}

int nomad__connection_has_ended(struct nomad__supervisor *s)
{
	return post(s, begin_ended);
}

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
	unwatch(s);
	pthread_mutex_lock(&s->lock);
	if (s->fd >= 0)
		close(s->fd);
	s->fd = -1;
	s->over = true;
	pthread_cond_broadcast(&s->changed);
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
			pthread_cond_wait(&s->changed, &s->lock);
		pthread_mutex_unlock(&s->lock);
	}
	nomad__supervisor_unref(s);
}
