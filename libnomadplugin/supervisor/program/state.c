/* SPDX-License-Identifier: MPL-2.0
 *
 * state.c: where the task is in its life, and what is to come: events and
 * deadlines.  Whoever notices something posts an event here; the loop takes
 * it out and acts.  So no file has to call one above it. */
#include "supervisor/program/super.h"

#include <string.h>

static enum super_state state;
static unsigned char queue[EV_MAX];
static int queued;
static int64_t deadlines[TIMER_MAX]; /* 0: not set */

enum super_state state_now(void)
{
	return state;
}

void state_post(enum super_event event)
{
	if (!memchr(queue, (int)event, (size_t)queued))
		queue[queued++] = (unsigned char)event;
}

bool state_step(enum super_action *ret)
{
	const struct super_cell *cell;

	if (!queued)
		return false;
	cell = &super_table[state][queue[0]];
	memmove(queue, queue + 1, (size_t)--queued);
	state = cell->next;
	*ret = cell->action;
	return true;
}

void timer_set(enum super_timer timer, int64_t delay_ns)
{
	deadlines[timer] = delay_ns < 0 ? 0 : nomad_monotonic_ns() + delay_ns;
}

void timer_sooner(enum super_timer timer, int64_t delay_ns)
{
	if (!deadlines[timer] || nomad_monotonic_ns() + delay_ns < deadlines[timer])
		timer_set(timer, delay_ns);
}

int64_t timer_next(void)
{
	int64_t next = 0;

	for (int i = 0; i < TIMER_MAX; i++)
		if (deadlines[i] && (!next || deadlines[i] < next))
			next = deadlines[i];
	return next;
}

bool timer_due(int64_t now, enum super_timer *ret)
{
	for (int i = 0; i < TIMER_MAX; i++)
		if (deadlines[i] && deadlines[i] <= now) {
			deadlines[i] = 0;
			*ret = (enum super_timer)i;
			return true;
		}
	return false;
}
