/* SPDX-License-Identifier: MPL-2.0
 *
 * base/loop.h: one thread that waits for descriptors and timers.  epoll on
 * Linux, kqueue on FreeBSD (base/poller.h). */
#ifndef NOMAD_BASE_LOOP_H
#define NOMAD_BASE_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include "nomad/base.h"

struct nomad__loop;
struct nomad__watch;
struct nomad__timer;

int nomad__loop_new(struct nomad__loop **ret);	 /* starts the thread; 0 or -errno */
void nomad__loop_free(struct nomad__loop *loop); /* stops and joins it */
bool nomad__loop_is_current(const struct nomad__loop *loop);
/* Run fn(ud) on the loop thread, soon, in order. */
int nomad__loop_post(struct nomad__loop *loop, void (*fn)(void *ud), void *ud);

/* The same in memory of the caller's, which is his again when fn begins: for
 * what must not fail, since somebody waits for it. */
struct nomad__posted {
	void (*fn)(void *ud);
	void *ud;
	bool owned;
	struct nomad__posted *next;
};
void nomad__loop_post_in(struct nomad__loop *loop, struct nomad__posted *memory, void (*fn)(void *ud), void *ud);

enum { NOMAD__READ = 1, NOMAD__WRITE = 2, NOMAD__HANGUP = 4 };

/* Watch `fd` (borrowed) for `events`; level-triggered.  Loop thread only, as
 * all calls below.  After _free() the callback does not run any more. */
int nomad__watch_new(struct nomad__loop *loop, int fd, unsigned events, void (*ready)(void *ud, unsigned events),
		     void *ud, struct nomad__watch **ret);
void nomad__watch_set(struct nomad__watch *watch, unsigned events);
void nomad__watch_free(struct nomad__watch *watch);

/* Call once in `delay_ns` (monotonic); re-arm from the callback if wanted. */
int nomad__timer_new(struct nomad__loop *loop, void (*fire)(void *ud), void *ud, struct nomad__timer **ret);
void nomad__timer_set(struct nomad__timer *timer, int64_t delay_ns); /* negative: disarm */
void nomad__timer_free(struct nomad__timer *timer);

#endif
