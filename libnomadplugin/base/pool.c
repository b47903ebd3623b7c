/* SPDX-License-Identifier: MPL-2.0 */
#include "base/pool.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>

enum { IDLE_SECONDS = 3, STACK_BYTES = 1 << 20 };

struct job {
	void (*fn)(void *ud);
	void *ud;
	struct job *next;
};

struct nomad__pool {
	pthread_mutex_t lock;
	pthread_cond_t work, gone;
	struct job *first, **last;
	unsigned threads, idle, queued, max_threads;
	bool stop;
};

static void *worker(void *arg)
{
	struct nomad__pool *pool = arg;

	pthread_mutex_lock(&pool->lock);
	for (;;) {
		struct timespec until;
		struct job *job;
		int r = 0;

		clock_gettime(CLOCK_MONOTONIC, &until);
		until.tv_sec += IDLE_SECONDS;
		pool->idle++;
		while (!pool->first && !pool->stop && r != ETIMEDOUT)
			r = pthread_cond_timedwait(&pool->work, &pool->lock, &until);
		pool->idle--;
		job = pool->first;
		if (!job)
			break;
		pool->first = job->next;
		if (!pool->first)
			pool->last = &pool->first;
		pool->queued--;
		pthread_mutex_unlock(&pool->lock);
		job->fn(job->ud);
		free(job);
		pthread_mutex_lock(&pool->lock);
	}
	pool->threads--;
	pthread_cond_broadcast(&pool->gone);
	pthread_mutex_unlock(&pool->lock);
	return NULL;
}

/* With the lock held. */
static int add_thread(struct nomad__pool *pool)
{
	pthread_attr_t attr;
	pthread_t thread;
	sigset_t all, old;
	int r;

	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, STACK_BYTES);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	r = pthread_create(&thread, &attr, worker, pool);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attr);
	if (r == 0)
		pool->threads++;
	return -r;
}

int nomad__pool_run(struct nomad__pool *pool, void (*fn)(void *ud), void *ud)
{
	struct job *job = malloc(sizeof(*job));
	int r = 0;

	if (!job)
		return -ENOMEM;
	*job = (struct job){ .fn = fn, .ud = ud };
	pthread_mutex_lock(&pool->lock);
	if (pool->stop)
		r = -ESHUTDOWN;
	else if (pool->idle <= pool->queued && pool->threads < pool->max_threads)
		r = add_thread(pool);
	if (r == -EAGAIN && pool->threads)
		r = 0; /* those that are there will come to it */
	if (r == 0) {
		*pool->last = job;
		pool->last = &job->next;
		pool->queued++;
		pthread_cond_signal(&pool->work);
	}
	pthread_mutex_unlock(&pool->lock);
	if (r < 0)
		free(job);
	return r;
}

int nomad__pool_new(unsigned max_threads, struct nomad__pool **ret)
{
	struct nomad__pool *pool = calloc(1, sizeof(*pool));
	pthread_condattr_t attr;

	if (!pool)
		return -ENOMEM;
	pool->last = &pool->first;
	pool->max_threads = max_threads;
	pthread_mutex_init(&pool->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&pool->work, &attr);
	pthread_cond_init(&pool->gone, &attr);
	pthread_condattr_destroy(&attr);
	*ret = pool;
	return 0;
}

void nomad__pool_stop(struct nomad__pool *pool)
{
	if (!pool)
		return;
	pthread_mutex_lock(&pool->lock);
	pool->stop = true;
	pthread_cond_broadcast(&pool->work);
	while (pool->threads)
		pthread_cond_wait(&pool->gone, &pool->lock);
	pthread_mutex_unlock(&pool->lock);
}

void nomad__pool_free(struct nomad__pool *pool)
{
	if (!pool)
		return;
	nomad__pool_stop(pool);
	pthread_cond_destroy(&pool->work);
	pthread_cond_destroy(&pool->gone);
	pthread_mutex_destroy(&pool->lock);
	free(pool);
}
