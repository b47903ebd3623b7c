/* SPDX-License-Identifier: MPL-2.0 */
/* The event loop: descriptors and timers, one thread.
 *
 * Not base/loop.h: that one runs in a thread of its own, and its timers and watches are allocated, so that setting one
 * up can fail.  PID 1 has no threads, and its timers must not fail. */
#ifndef NOMADINIT_LOOP_H
#define NOMADINIT_LOOP_H

#include <stdbool.h>
#include <stdint.h>

typedef void loop_fn(void *data);

struct loop_timer {
	loop_fn *fn;
	void *data;
	uint64_t at_ms; /* as util_now_ms() */
	struct loop_timer *next;
	bool armed;
};

int loop_init(void);
/* Call fn whenever fd is readable or at its end.  The loop does not own fd: unwatch it before closing it. */
int loop_watch(int fd, loop_fn *fn, void *data);
void loop_unwatch(int fd);
/* (Re)arm a timer whose fn is set. */
void loop_timer_set(struct loop_timer *t, uint64_t in_ms);
void loop_timer_stop(struct loop_timer *t);
/* Wait for at most max_ms (-1: as long as it takes), then call what is due. */
int loop_once(int max_ms);

#endif
