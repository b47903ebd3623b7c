/* SPDX-License-Identifier: MPL-2.0 */
#include "loop.h"

#include <errno.h>
#include <string.h>

#include "base/poller.h"
#include "util.h"

/* A slot that is unwatched stays taken until the round ends: an event that was fetched for it must not reach another.
 */
static struct slot {
	int fd;
	bool is_stale;
	loop_fn *fn;
	void *data;
} slots[96];
static struct loop_timer *timers;
static struct nomad__poller *poller;

int loop_init(void)
{
	nomad__poller_free(poller);
	poller = NULL;
	memset(slots, 0, sizeof(slots));
	timers = NULL;
	return nomad__poller_new(&poller);
}

int loop_watch(int fd, loop_fn *fn, void *data)
{
	struct slot *s = slots;
	int r;

	while (s < slots + NOMAD_ARRAY_LEN(slots) && (s->fn || s->is_stale))
		s++;
	if (s == slots + NOMAD_ARRAY_LEN(slots))
		return -ENOSPC;
	r = nomad__poller_add(poller, fd, NOMAD__POLL_READ, s);
	if (r == 0)
		*s = (struct slot){ .fd = fd, .fn = fn, .data = data };
	return r;
}

void loop_unwatch(int fd)
{
	size_t i;

	for (i = 0; i < NOMAD_ARRAY_LEN(slots); i++) {
		if (slots[i].fn && slots[i].fd == fd) {
			slots[i] = (struct slot){ .is_stale = true };
			nomad__poller_del(poller, fd);
		}
	}
}

void loop_timer_stop(struct loop_timer *t)
{
	struct loop_timer **p;

	if (!t->armed)
		return;
	for (p = &timers; *p && *p != t; p = &(*p)->next)
		;
	if (*p)
		*p = t->next;
	t->armed = false;
}

void loop_timer_set(struct loop_timer *t, uint64_t in_ms)
{
	struct loop_timer **p;

	loop_timer_stop(t);
	t->at_ms = util_now_ms() + in_ms;
	for (p = &timers; *p && (*p)->at_ms <= t->at_ms; p = &(*p)->next)
		;
	t->next = *p;
	*p = t;
	t->armed = true;
}

int loop_once(int max_ms)
{
	struct nomad__poller_event ev[16];
	struct loop_timer *t;
	uint64_t now = util_now_ms();
	int64_t wait = max_ms < 0 ? INT64_MAX : max_ms;
	size_t turn;
	int n, i;

	if (timers && timers->at_ms < now + (uint64_t)wait)
		wait = timers->at_ms > now ? (int64_t)(timers->at_ms - now) : 0;
	n = nomad__poller_wait(poller, wait == INT64_MAX ? -1 : wait * 1000000, ev, NOMAD_ARRAY_LEN(ev));
	if (n < 0)
		return n;
	for (i = 0; i < n; i++) {
		struct slot *s = ev[i].ud;

		if (s->fn)
			s->fn(s->data);
	}
	now = util_now_ms();
	/* Only what was due when the round began: a timer that rearms itself with 0 must not hold up the rest. */
	for (turn = 0; turn < NOMAD_ARRAY_LEN(slots) && timers && timers->at_ms <= now; turn++) {
		t = timers;
		loop_timer_stop(t);
		t->fn(t->data);
	}
	for (turn = 0; turn < NOMAD_ARRAY_LEN(slots); turn++)
		slots[turn].is_stale = false;
	return 0;
}
