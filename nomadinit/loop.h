/* SPDX-License-Identifier: MPL-2.0 */
/* The event loop: descriptors and timers, one thread. */
#ifndef NOMADINIT_LOOP_H
#define NOMADINIT_LOOP_H

#include <stdbool.h>
#include <stdint.h>

typedef void loop_fn(void *data, uint32_t events);

struct loop_timer {
	void (*fn)(void *data);
	void *data;
	uint64_t at_ms; /* as util_now_ms() */
	struct loop_timer *next;
	bool armed;
};

int loop_init(void);
/* Call fn when fd has one of the epoll events.  The loop does not own fd: unwatch it before closing it. */
int loop_watch(int fd, uint32_t events, loop_fn *fn, void *data);
void loop_unwatch(int fd);
/* (Re)arm a timer whose fn is set. */
void loop_timer_set(struct loop_timer *t, uint64_t in_ms);
void loop_timer_stop(struct loop_timer *t);
/* Wait for at most max_ms (-1: as long as it takes), then call what is due. */
int loop_once(int max_ms);

#endif
