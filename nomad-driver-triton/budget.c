/* SPDX-License-Identifier: MPL-2.0 */
/* How many requests all tasks together may make; see budget.h. */
#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include <openssl/rand.h>

#include "budget.h"

enum {
	SHUT_MOST_MS = 300000,
	SLOW_EACH_MS = 1000, /* refusals of the same burst count once */
	RECOVER_MS = 60000,  /* from nothing to the whole rate */
	SLOWEST_PER_MINUTE = 12,
};

static _Thread_local enum triton_purpose purpose;

void triton_budget_for(enum triton_purpose it)
{
	purpose = it;
}

int64_t triton_backoff_ms(unsigned n, int64_t base_ms, int64_t most_ms)
{
	int64_t whole = base_ms;
	uint32_t dice = 0;

	for (unsigned i = 1; i < n && whole < most_ms; i++)
		whole *= 2;
	if (whole > most_ms)
		whole = most_ms;
	(void)RAND_bytes((unsigned char *)&dice, sizeof(dice));
	return whole / 2 + (int64_t)((double)(whole - whole / 2) * dice / UINT32_MAX);
}

int triton_budget_init(struct triton_budget *budget, int64_t per_second)
{
	pthread_condattr_t attr;
	int r;

	*budget = (struct triton_budget){ .filled_ms = triton_now_ms(), .tokens = (double)per_second * 2 };
	budget->whole_per_ms = budget->per_ms = (double)per_second / 1000;
	for (int i = 0; i < TRITON_PURPOSES; i++)
		budget->queues[i].last = &budget->queues[i].first;
	atomic_init(&budget->closing, false);
	r = pthread_mutex_init(&budget->lock, NULL);
	if (r)
		return -r;
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	r = pthread_cond_init(&budget->changed, &attr);
	pthread_condattr_destroy(&attr);
	if (r)
		pthread_mutex_destroy(&budget->lock);
	return -r;
}

void triton_budget_done(struct triton_budget *budget)
{
	pthread_cond_destroy(&budget->changed);
	pthread_mutex_destroy(&budget->lock);
}

static void wait_until(struct triton_budget *budget, int64_t ms)
{
	struct timespec ts = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };

	pthread_cond_timedwait(&budget->changed, &budget->lock, &ts);
}

static void fill(struct triton_budget *budget, int64_t now)
{
	double passed = (double)(now - budget->filled_ms), most;

	budget->filled_ms = now;
	if (now - budget->slowed_ms >= SLOW_EACH_MS)
		budget->per_ms += budget->whole_per_ms * passed / RECOVER_MS;
	if (budget->per_ms > budget->whole_per_ms)
		budget->per_ms = budget->whole_per_ms;
	/* Bursts are of two seconds. */
	most = budget->per_ms * 2000 > 1 ? budget->per_ms * 2000 : 1;
	budget->tokens += passed * budget->per_ms;
	if (budget->tokens > most)
		budget->tokens = most;
}

static void leave(struct triton_budget *budget, struct triton_queue *queue, struct triton_turn *turn)
{
	struct triton_turn **at = &queue->first;

	while (*at != turn)
		at = &(*at)->next;
	*at = turn->next;
	if (!*at)
		queue->last = at;
	pthread_cond_broadcast(&budget->changed);
}

/* The queue whose turn it is: the next one behind the last served that is not empty. */
static unsigned due(const struct triton_budget *budget)
{
	unsigned i = budget->served;

	do
		i = (i + 1) % TRITON_PURPOSES;
	while (!budget->queues[i].first && i != budget->served);
	return i;
}

int triton_budget_take(struct triton_budget *budget, int64_t deadline_ms)
{
	struct triton_queue *queue = &budget->queues[purpose];
	struct triton_turn turn = { .next = NULL };
	int r = 0;

	pthread_mutex_lock(&budget->lock);
	*queue->last = &turn;
	queue->last = &turn.next;
	for (;;) {
		int64_t now = triton_now_ms(), ready = deadline_ms;

		if (atomic_load(&budget->closing)) {
			r = -ESHUTDOWN;
			break;
		}
		fill(budget, now);
		if (queue->first == &turn && due(budget) == purpose) {
			if (now >= budget->shut_until_ms && budget->tokens >= 1) {
				budget->tokens -= 1;
				budget->served = purpose;
				break;
			}
			ready = now + 1 + (budget->tokens < 1 ? (int64_t)((1 - budget->tokens) / budget->per_ms) : 0);
			if (ready < budget->shut_until_ms)
				ready = budget->shut_until_ms;
		}
		if (now >= deadline_ms) {
			r = -ETIMEDOUT;
			break;
		}
		wait_until(budget, ready < deadline_ms ? ready : deadline_ms);
	}
	leave(budget, queue, &turn);
	pthread_mutex_unlock(&budget->lock);
	return r;
}

void triton_budget_throttled(struct triton_budget *budget, int64_t ms)
{
	int64_t now = triton_now_ms(), until = now + (ms > SHUT_MOST_MS ? SHUT_MOST_MS : ms);
	const double slowest = (double)SLOWEST_PER_MINUTE / 60000;

	pthread_mutex_lock(&budget->lock);
	fill(budget, now);
	if (!budget->slowed_ms || now - budget->slowed_ms >= SLOW_EACH_MS) {
		budget->slowed_ms = now;
		budget->per_ms = budget->per_ms > 2 * slowest ? budget->per_ms / 2 : slowest;
	}
	/* Of what was saved up nothing is left, either. */
	if (budget->tokens > 0)
		budget->tokens = 0;
	if (budget->shut_until_ms < until)
		budget->shut_until_ms = until;
	pthread_mutex_unlock(&budget->lock);
}

int triton_budget_sleep(struct triton_budget *budget, int64_t ms)
{
	int64_t until = triton_now_ms() + ms;
	bool closing;

	pthread_mutex_lock(&budget->lock);
	while (!(closing = atomic_load(&budget->closing)) && triton_now_ms() < until)
		wait_until(budget, until);
	pthread_mutex_unlock(&budget->lock);
	return closing ? -ESHUTDOWN : 0;
}

void triton_budget_close(struct triton_budget *budget)
{
	pthread_mutex_lock(&budget->lock);
	atomic_store(&budget->closing, true);
	pthread_cond_broadcast(&budget->changed);
	pthread_mutex_unlock(&budget->lock);
}
