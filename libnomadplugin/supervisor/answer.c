/* SPDX-License-Identifier: MPL-2.0
 *
 * answer.c: whether a supervisor answers.
 *
 * A supervisor handles messages in turn, so the answer to a greeting says that
 * the order before it was read.  One that leaves a greeting unanswered for
 * PATIENCE seconds is silent: stopped by a signal, in a loop, or waiting for a
 * disk.  Calls that wait for it fail then, and a task that is to end is ended
 * by the plugin (connection.c).
 *
 * Seconds are counted by ticks of a timer and not read from a clock: a host
 * that stood still as a whole has not been silent. */
#include "supervisor/handle.h"

#include <errno.h>

#include "base/fields.h"
#include "os/socket.h"

enum { PATIENCE = 5 };

static const int64_t tick_ns = 1000000000;

/* Loop thread. */
static void start_ticking(void *ud)
{
	struct nomad__supervisor *s = ud;
	bool waits;

	pthread_mutex_lock(&s->lock);
	s->tick_posted = false;
	waits = s->asked != s->answered && !s->over;
	pthread_mutex_unlock(&s->lock);
	if (waits && !s->ticking)
		nomad__answer_next_tick(s);
	nomad__supervisor_unref(s);
}

void nomad__answer_next_tick(struct nomad__supervisor *s)
{
	if (!s->ticks_timer)
		return;
	s->ticking = true;
	nomad__timer_set(s->ticks_timer, tick_ns);
}

uint64_t nomad__answer_ask(struct nomad__supervisor *s, int64_t end_in_ns)
{
	char buf[64];
	struct nomad__fields m;
	uint64_t number;

	nomad__fields_init(&m, buf, sizeof(buf));
	nomad__fields_add(&m, "op", "hello");
	pthread_mutex_lock(&s->lock);
	/* If the buffer is full, an earlier message is still unanswered. */
	if (s->fd >= 0 && !s->over && nomad__unix_send(s->fd, m.buf, m.used, NULL, 0, false) >= 0 &&
	    s->asked++ == s->answered) {
		s->ticks = 0;
		s->end_at_ns = INT64_MAX;
	}
	if (end_in_ns >= 0 && nomad_monotonic_ns() + end_in_ns < s->end_at_ns)
		s->end_at_ns = nomad_monotonic_ns() + end_in_ns;
	number = s->asked;
	if (s->asked != s->answered && !s->tick_posted) {
		s->tick_posted = true;
		s->refs++;
		nomad__loop_post_in(s->loop, &s->tick_post, start_ticking, s);
	}
	pthread_mutex_unlock(&s->lock);
	return number;
}

int nomad__answer_await(struct nomad__supervisor *s, uint64_t number)
{
	int r;

	pthread_mutex_lock(&s->lock);
	while (s->answered < number && s->given_up < number && s->fd >= 0 && !s->over)
		pthread_cond_wait(&s->changed, &s->lock);
	r = s->answered < number && s->given_up >= number ? -ETIMEDOUT : 0;
	pthread_mutex_unlock(&s->lock);
	return r;
}

void nomad__answer_came(struct nomad__supervisor *s)
{
	pthread_mutex_lock(&s->lock);
	if (s->answered < s->asked)
		s->answered++;
	s->ticks = 0;
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->lock);
}

enum nomad__answers nomad__answer_tick(struct nomad__supervisor *s)
{
	enum nomad__answers is;

	s->ticking = false;
	pthread_mutex_lock(&s->lock);
	if (s->asked == s->answered || s->over || s->fd < 0) {
		is = NOMAD__ANSWERED;
	} else if (s->ticks < PATIENCE - 1) {
		s->ticks++;
		is = NOMAD__ASKED;
	} else {
		s->given_up = s->asked;
		is = nomad_monotonic_ns() < s->end_at_ns ? NOMAD__SILENT : NOMAD__SILENT_TO_THE_END;
		pthread_cond_broadcast(&s->changed);
	}
	pthread_mutex_unlock(&s->lock);
	return is;
}
