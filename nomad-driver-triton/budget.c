/* SPDX-License-Identifier: MPL-2.0 */
/* How many requests all tasks together may make; see budget.h. */
#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include <openssl/rand.h>

#include "budget.h"

enum { SHUT_MOST_MS = 300000 };

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

	budget->per_ms = (double)per_second / 1000;
	budget->most = (double)per_second * 2;
	budget->tokens = budget->most;
	budget->filled_ms = triton_now_ms();
	budget->shut_until_ms = 0;
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

int triton_budget_take(struct triton_budget *budget, int64_t deadline_ms)
{
	int r = 0;

	pthread_mutex_lock(&budget->lock);
	for (;;) {
		int64_t now = triton_now_ms(), ready;

		if (atomic_load(&budget->closing)) {
			r = -ESHUTDOWN;
			break;
		}
		budget->tokens += (double)(now - budget->filled_ms) * budget->per_ms;
		if (budget->tokens > budget->most)
			budget->tokens = budget->most;
		budget->filled_ms = now;
		if (now >= budget->shut_until_ms && budget->tokens >= 1) {
			budget->tokens -= 1;
			break;
		}
		if (now >= deadline_ms) {
			r = -ETIMEDOUT;
			break;
		}
		ready = now + 1 + (budget->tokens < 1 ? (int64_t)((1 - budget->tokens) / budget->per_ms) : 0);
		if (ready < budget->shut_until_ms)
			ready = budget->shut_until_ms;
		wait_until(budget, ready < deadline_ms ? ready : deadline_ms);
	}
	pthread_mutex_unlock(&budget->lock);
	return r;
}

void triton_budget_shut(struct triton_budget *budget, int64_t ms)
{
	int64_t until = triton_now_ms() + (ms > SHUT_MOST_MS ? SHUT_MOST_MS : ms);

	pthread_mutex_lock(&budget->lock);
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
