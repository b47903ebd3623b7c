/* SPDX-License-Identifier: MPL-2.0
 *
 * The loop thread.  Watches and timers belong to it; other threads reach it
 * by nomad__loop_post().  What a callback frees is kept until the callbacks
 * of that round have run, so that an event that was already fetched for it
 * finds memory, though nobody to tell. */
#include "base/loop.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

#include "base/poller.h"

struct nomad__watch {
	struct nomad__loop *loop;
	int fd;
	unsigned events;
	void (*ready)(void *ud, unsigned events);
	void *ud;
	bool dead;
	struct nomad__watch *next_dead;
};

struct nomad__timer {
	struct nomad__loop *loop;
	void (*fire)(void *ud);
	void *ud;
	int64_t due; /* monotonic ns */
	size_t slot; /* in the heap; SIZE_MAX: disarmed */
};

struct nomad__loop {
	pthread_t thread;
	struct nomad__poller *poller;
	pthread_mutex_t lock; /* the next three */
	struct nomad__posted *first, **last;
	bool stop;
	struct nomad__timer **heap;
	size_t n_heap, heap_size;
	struct nomad__watch *dead;
};

/* ---- Timers: a binary heap, the earliest first ---- */

static void heap_put(struct nomad__loop *loop, size_t slot, struct nomad__timer *timer)
{
	loop->heap[slot] = timer;
	timer->slot = slot;
}

static void heap_settle(struct nomad__loop *loop, size_t slot)
{
	struct nomad__timer *timer = loop->heap[slot];

	while (slot && loop->heap[(slot - 1) / 2]->due > timer->due) {
		heap_put(loop, slot, loop->heap[(slot - 1) / 2]);
		slot = (slot - 1) / 2;
	}
	for (;;) {
		size_t child = 2 * slot + 1;

		if (child >= loop->n_heap)
			break;
		if (child + 1 < loop->n_heap && loop->heap[child + 1]->due < loop->heap[child]->due)
			child++;
		if (loop->heap[child]->due >= timer->due)
			break;
		heap_put(loop, slot, loop->heap[child]);
		slot = child;
	}
	heap_put(loop, slot, timer);
}

static void timer_disarm(struct nomad__timer *timer)
{
	struct nomad__loop *loop = timer->loop;
	size_t slot = timer->slot;

	if (slot == SIZE_MAX)
		return;
	timer->slot = SIZE_MAX;
	if (slot == --loop->n_heap)
		return;
	heap_put(loop, slot, loop->heap[loop->n_heap]);
	heap_settle(loop, slot);
}

/* The heap has room for every timer there is, so that arming never fails. */
int nomad__timer_new(struct nomad__loop *loop, void (*fire)(void *ud), void *ud, struct nomad__timer **ret)
{
	struct nomad__timer *timer = malloc(sizeof(*timer));
	struct nomad__timer **heap = timer ? reallocarray(loop->heap, loop->heap_size + 1, sizeof(*heap)) : NULL;

	if (!heap) {
		free(timer);
		return -ENOMEM;
	}
	loop->heap = heap;
	loop->heap_size++;
	*timer = (struct nomad__timer){ .loop = loop, .fire = fire, .ud = ud, .slot = SIZE_MAX };
	*ret = timer;
	return 0;
}

void nomad__timer_set(struct nomad__timer *timer, int64_t delay_ns)
{
	struct nomad__loop *loop = timer->loop;
	int64_t now = nomad_monotonic_ns();

	timer_disarm(timer);
	if (delay_ns < 0)
		return;
	timer->due = delay_ns > INT64_MAX - now ? INT64_MAX : now + delay_ns;
	heap_put(loop, loop->n_heap++, timer);
	heap_settle(loop, timer->slot);
}

void nomad__timer_free(struct nomad__timer *timer)
{
	if (!timer)
		return;
	timer_disarm(timer);
	timer->loop->heap_size--;
	free(timer);
}

/* ---- Watches ---- */

int nomad__watch_new(struct nomad__loop *loop, int fd, unsigned events, void (*ready)(void *ud, unsigned events),
		     void *ud, struct nomad__watch **ret)
{
	struct nomad__watch *watch = malloc(sizeof(*watch));
	int r;

	if (!watch)
		return -ENOMEM;
	*watch = (struct nomad__watch){ .loop = loop, .fd = fd, .events = events, .ready = ready, .ud = ud };
	r = nomad__poller_add(loop->poller, fd, events, watch);
	if (r < 0) {
		free(watch);
		return r;
	}
	*ret = watch;
	return 0;
}

void nomad__watch_set(struct nomad__watch *watch, unsigned events)
{
	if (watch->events == events)
		return;
	watch->events = events;
	(void)nomad__poller_mod(watch->loop->poller, watch->fd, events, watch);
}

void nomad__watch_free(struct nomad__watch *watch)
{
	if (!watch)
		return;
	nomad__poller_del(watch->loop->poller, watch->fd);
	watch->dead = true;
	watch->next_dead = watch->loop->dead;
	watch->loop->dead = watch;
}

static void bury(struct nomad__loop *loop)
{
	while (loop->dead) {
		struct nomad__watch *next = loop->dead->next_dead;

		free(loop->dead);
		loop->dead = next;
	}
}

/* ---- The thread ---- */

static void enqueue(struct nomad__loop *loop, struct nomad__posted *p)
{
	pthread_mutex_lock(&loop->lock);
	*loop->last = p;
	loop->last = &p->next;
	pthread_mutex_unlock(&loop->lock);
	nomad__poller_wake(loop->poller);
}

int nomad__loop_post(struct nomad__loop *loop, void (*fn)(void *ud), void *ud)
{
	struct nomad__posted *p = malloc(sizeof(*p));

	if (!p)
		return -ENOMEM;
	*p = (struct nomad__posted){ .fn = fn, .ud = ud, .owned = true };
	enqueue(loop, p);
	return 0;
}

void nomad__loop_post_in(struct nomad__loop *loop, struct nomad__posted *memory, void (*fn)(void *ud), void *ud)
{
	*memory = (struct nomad__posted){ .fn = fn, .ud = ud };
	enqueue(loop, memory);
}

/* True: the loop is to end, and nothing is left that was posted before. */
static bool run_posted(struct nomad__loop *loop)
{
	struct nomad__posted *list;
	bool stop, ran;

	do {
		pthread_mutex_lock(&loop->lock);
		list = loop->first;
		loop->first = NULL;
		loop->last = &loop->first;
		stop = loop->stop;
		pthread_mutex_unlock(&loop->lock);
		ran = list;
		while (list) {
			struct nomad__posted p = *list;

			if (p.owned)
				free(list);
			list = p.next;
			p.fn(p.ud);
		}
	} while (stop && ran); /* what ran may have posted more; nobody wakes us for it any more */
	return stop;
}

static void run_timers(struct nomad__loop *loop)
{
	int64_t now = nomad_monotonic_ns();

	while (loop->n_heap && loop->heap[0]->due <= now) {
		struct nomad__timer *timer = loop->heap[0];

		timer_disarm(timer);
		timer->fire(timer->ud);
	}
}

static void *loop_main(void *arg)
{
	struct nomad__loop *loop = arg;
	struct nomad__poller_event events[64];

	while (!run_posted(loop)) {
		int64_t wait = -1;
		int n;

		if (loop->n_heap) {
			wait = loop->heap[0]->due - nomad_monotonic_ns();
			wait = wait < 0 ? 0 : wait;
		}
		n = nomad__poller_wait(loop->poller, wait, events, (int)(sizeof(events) / sizeof(events[0])));
		for (int i = 0; i < n; i++) {
			struct nomad__watch *watch = events[i].ud;

			if (!watch->dead)
				watch->ready(watch->ud, events[i].events);
		}
		bury(loop);
		run_timers(loop);
		bury(loop);
	}
	return NULL;
}

int nomad__loop_new(struct nomad__loop **ret)
{
	struct nomad__loop *loop = calloc(1, sizeof(*loop));
	sigset_t all, old;
	int r;

	if (!loop)
		return -ENOMEM;
	loop->last = &loop->first;
	pthread_mutex_init(&loop->lock, NULL);
	r = nomad__poller_new(&loop->poller);
	if (r < 0)
		goto fail;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	r = -pthread_create(&loop->thread, NULL, loop_main, loop);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (r < 0)
		goto fail;
	*ret = loop;
	return 0;
fail:
	nomad__poller_free(loop->poller);
	pthread_mutex_destroy(&loop->lock);
	free(loop);
	return r;
}

void nomad__loop_free(struct nomad__loop *loop)
{
	if (!loop)
		return;
	pthread_mutex_lock(&loop->lock);
	loop->stop = true;
	pthread_mutex_unlock(&loop->lock);
	nomad__poller_wake(loop->poller);
	pthread_join(loop->thread, NULL);
	bury(loop);
	nomad__poller_free(loop->poller);
	pthread_mutex_destroy(&loop->lock);
	free(loop->heap);
	free(loop);
}

bool nomad__loop_is_current(const struct nomad__loop *loop)
{
	return pthread_equal(loop->thread, pthread_self());
}
