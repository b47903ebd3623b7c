/* SPDX-License-Identifier: MPL-2.0 */
/* An event is delivered by slot and generation, so that an entry that an earlier callback of the same round
 * removed (or replaced) is not called. */
#include "loop.h"

#include <errno.h>
#include <stddef.h>
#include <sys/epoll.h>

#include "util.h"

#define SLOTS 96

static struct {
	int fd;
	uint32_t generation;
	loop_fn *fn;
	void *data;
} slots[SLOTS];
static uint32_t next_generation;
static struct loop_timer *timers;
static int epoll = -1;

int loop_init(void)
{
	size_t i;

	if (epoll >= 0)
		close(epoll);
	for (i = 0; i < SLOTS; i++)
		slots[i].fn = NULL;
	timers = NULL;
	epoll = epoll_create1(EPOLL_CLOEXEC);
	return epoll < 0 ? -errno : 0;
}

int loop_watch(int fd, uint32_t events, loop_fn *fn, void *data)
{
	struct epoll_event ev = { .events = events };
	uint32_t i;

	for (i = 0; i < SLOTS && slots[i].fn; i++)
		;
	if (i == SLOTS)
		return -ENOSPC;
	slots[i].generation = ++next_generation;
	ev.data.u64 = (uint64_t)slots[i].generation << 32 | i;
	if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &ev) < 0)
		return -errno;
	slots[i].fd = fd;
	slots[i].fn = fn;
	slots[i].data = data;
	return 0;
}

void loop_unwatch(int fd)
{
	size_t i;

	for (i = 0; i < SLOTS; i++) {
		if (slots[i].fn && slots[i].fd == fd) {
			slots[i].fn = NULL;
			epoll_ctl(epoll, EPOLL_CTL_DEL, fd, NULL);
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
	struct epoll_event ev[16];
	struct loop_timer *t;
	uint64_t now = util_now_ms();
	int n, i;

	if (timers) {
		uint64_t wait = timers->at_ms > now ? timers->at_ms - now : 0;

		if (max_ms < 0 || wait < (uint64_t)max_ms)
			max_ms = wait > 3600000 ? 3600000 : (int)wait;
	}
	n = epoll_wait(epoll, ev, ARRAY_LEN(ev), max_ms);
	if (n < 0 && errno != EINTR)
		return -errno;
	for (i = 0; i < n; i++) {
		uint32_t slot = (uint32_t)ev[i].data.u64, generation = (uint32_t)(ev[i].data.u64 >> 32);

		if (slots[slot].fn && slots[slot].generation == generation)
			slots[slot].fn(slots[slot].data, ev[i].events);
	}
	now = util_now_ms();
	/* Only what was due when the round began: a timer that rearms itself with 0 must not hold up the rest. */
	for (i = 0; i < SLOTS && timers && timers->at_ms <= now; i++) {
		t = timers;
		loop_timer_stop(t);
		t->fn(t->data);
	}
	return 0;
}
