/* SPDX-License-Identifier: MPL-2.0
 *
 * budget.h: how many requests all tasks together may make.
 *
 * A bucket of tokens that fills with time.  When the server says "not now"
 * (420, 429, 503), it fills at half the rate, and back to the whole rate over a
 * minute; where the server names a time (Retry-After), the bucket is shut until
 * then, for all.
 *
 * Those who wait stand in three queues, which are served in turn: a thousand
 * starts do not hold up a stop, or the look at what runs.  Within a queue whoever comes first is served first. */
#ifndef TRITON_BUDGET_H
#define TRITON_BUDGET_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "nomad/base.h"

/* What a thread asks for at present; a new thread watches. */
enum triton_purpose {
	TRITON_TO_WATCH,
	TRITON_TO_START,
	TRITON_TO_END,
	TRITON_PURPOSES,
};

struct triton_turn {
	struct triton_turn *next;
};

struct triton_budget {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	double whole_per_ms, per_ms, tokens;
	struct triton_queue {
		struct triton_turn *first, **last;
	} queues[TRITON_PURPOSES]; /* those who wait */
	unsigned served;	   /* queue that was served last */
	int64_t filled_ms;	   /* monotonic */
	int64_t slowed_ms;	   /* when the rate was halved last */
	int64_t shut_until_ms;
	atomic_bool closing;
};

int triton_budget_init(struct triton_budget *budget, int64_t per_second);
void triton_budget_done(struct triton_budget *budget);
/* Sets what the calling thread asks for from now on. */
void triton_budget_for(enum triton_purpose purpose);
/* Wait for a token: 0, -ETIMEDOUT once `deadline_ms` has passed, -ESHUTDOWN
 * when the plugin ends. */
int triton_budget_take(struct triton_budget *budget, int64_t deadline_ms);
/* The server throttles.  No request before `ms` milliseconds have passed (five
 * minutes at most); -1: it names no time. */
void triton_budget_throttled(struct triton_budget *budget, int64_t ms);
/* Wait `ms` milliseconds.  -ESHUTDOWN, at once, when the plugin ends. */
int triton_budget_sleep(struct triton_budget *budget, int64_t ms);
/* All waits end now, and all to come at once. */
void triton_budget_close(struct triton_budget *budget);

/* Milliseconds of nomad_monotonic_ns(). */
static inline int64_t triton_now_ms(void)
{
	return nomad_monotonic_ns() / 1000000;
}
/* A time to wait before attempt `n` (1 is the first repetition): doubling from
 * `base_ms` up to `most_ms`, of which at least half and at random the rest. */
int64_t triton_backoff_ms(unsigned n, int64_t base_ms, int64_t most_ms);

#endif
