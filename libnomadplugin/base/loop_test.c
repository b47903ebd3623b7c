/* SPDX-License-Identifier: MPL-2.0 */
#include "base/loop.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

static struct nomad__loop *loop;
static int finished;

static int set_up(void **state)
{
	(void)state;
	finished = 0;
	return nomad__loop_new(&loop);
}

static int tear_down(void **state)
{
	(void)state;
	nomad__loop_free(loop);
	return 0;
}

static void finish(void *ud)
{
	(void)ud;
	__atomic_add_fetch(&finished, 1, __ATOMIC_SEQ_CST);
}

static void await_finished(int n)
{
	for (int i = 0; i < 3000 && __atomic_load_n(&finished, __ATOMIC_SEQ_CST) < n; i++)
		usleep(10000);
	assert_int_equal(__atomic_load_n(&finished, __ATOMIC_SEQ_CST), n);
}

static void run(void (*fn)(void *), void *ud)
{
	int before = __atomic_load_n(&finished, __ATOMIC_SEQ_CST);

	assert_int_equal(nomad__loop_post(loop, fn, ud), 0);
	assert_int_equal(nomad__loop_post(loop, finish, NULL), 0);
	await_finished(before + 1);
}

/* ---- Timers ---- */

enum { TIMERS = 300 };

static struct alarm {
	struct nomad__timer *timer;
	int64_t delay, earliest, latest; /* due between these, as far as we know */
	bool fired;
} alarms[TIMERS];
static int64_t last_earliest;
static int fired;

static void ring(void *ud)
{
	struct alarm *a = ud;

	assert_true(nomad__loop_is_current(loop));
	assert_false(a->fired);
	assert_true(a->delay >= 0);
	assert_true(a->latest >= last_earliest);
	assert_true(nomad_monotonic_ns() >= a->earliest);
	a->fired = true;
	last_earliest = a->earliest;
	nomad__timer_free(a->timer);
	if (++fired == TIMERS - TIMERS / 10)
		finish(NULL);
}

static void arm_all(void *ud)
{
	unsigned seed = 3;

	(void)ud;
	last_earliest = 0;
	fired = 0;
	for (int i = 0; i < TIMERS; i++) {
		alarms[i] = (struct alarm){ .delay = 20000000 + (rand_r(&seed) % 10) * INT64_C(30000000) };
		assert_int_equal(nomad__timer_new(loop, ring, &alarms[i], &alarms[i].timer), 0);
		nomad__timer_set(alarms[i].timer, INT64_MAX);
	}
	for (int i = 0; i < TIMERS; i++) {
		alarms[i].earliest = nomad_monotonic_ns() + alarms[i].delay;
		nomad__timer_set(alarms[i].timer, alarms[i].delay);
		alarms[i].latest = nomad_monotonic_ns() + alarms[i].delay;
	}
	/* Every tenth is taken back, or freed. */
	for (int i = 0; i < TIMERS; i += 10) {
		alarms[i].delay = -1;
		if (i % 20)
			nomad__timer_set(alarms[i].timer, -1);
		else
			nomad__timer_free(alarms[i].timer);
	}
}

static void free_disarmed(void *ud)
{
	(void)ud;
	for (int i = 10; i < TIMERS; i += 20)
		nomad__timer_free(alarms[i].timer);
	nomad__timer_free(NULL);
}

static void test_timers(void **state)
{
	(void)state;
	assert_int_equal(nomad__loop_post(loop, arm_all, NULL), 0);
	await_finished(1);
	run(free_disarmed, NULL);
	for (int i = 0; i < TIMERS; i++)
		assert_int_equal(alarms[i].fired, i % 10 != 0);
}

static struct nomad__timer *ticker;
static int ticks;

static void tick(void *ud)
{
	(void)ud;
	if (++ticks < 50) {
		nomad__timer_set(ticker, ticks % 3 ? 0 : 1000000);
		return;
	}
	nomad__timer_free(ticker);
	finish(NULL);
}

static void start_ticker(void *ud)
{
	(void)ud;
	ticks = 0;
	assert_int_equal(nomad__timer_new(loop, tick, NULL, &ticker), 0);
	nomad__timer_set(ticker, 1000000);
}

static void test_rearm(void **state)
{
	(void)state;
	assert_int_equal(nomad__loop_post(loop, start_ticker, NULL), 0);
	await_finished(1);
	assert_int_equal(ticks, 50);
}

static struct nomad__timer *pair[2];

static void first_frees_both(void *ud)
{
	(void)ud;
	finish(NULL);
	nomad__timer_free(pair[0]);
	nomad__timer_free(pair[1]);
}

static void start_pair(void *ud)
{
	(void)ud;
	for (int i = 0; i < 2; i++) {
		assert_int_equal(nomad__timer_new(loop, first_frees_both, NULL, &pair[i]), 0);
		nomad__timer_set(pair[i], 0);
	}
}

static void test_free_in_timer(void **state)
{
	(void)state;
	assert_int_equal(nomad__loop_post(loop, start_pair, NULL), 0);
	await_finished(1);
	usleep(20000);
	assert_int_equal(finished, 1);
}

/* ---- Watches ---- */

enum { PIPES = 20 };

static struct reader {
	struct nomad__watch *watch;
	int fds[2], bytes;
} readers[PIPES];

/* Whoever comes first frees all, also those that are ready in the same round. */
static void free_all(void *ud, unsigned events)
{
	(void)ud;
	assert_true(events & NOMAD__READ);
	for (int i = 0; i < PIPES; i++) {
		nomad__watch_free(readers[i].watch);
		close(readers[i].fds[0]);
		close(readers[i].fds[1]);
	}
	finish(NULL);
}

static void watch_all(void *ud)
{
	(void)ud;
	for (int i = 0; i < PIPES; i++) {
		assert_int_equal(pipe2(readers[i].fds, O_CLOEXEC | O_NONBLOCK), 0);
		assert_int_equal(write(readers[i].fds[1], "x", 1), 1);
		assert_int_equal(nomad__watch_new(loop, readers[i].fds[0], NOMAD__READ, free_all, &readers[i],
						  &readers[i].watch),
				 0);
	}
}

static void test_free_in_watch(void **state)
{
	(void)state;
	assert_int_equal(nomad__loop_post(loop, watch_all, NULL), 0);
	await_finished(1);
	usleep(20000);
	assert_int_equal(finished, 1);
}

static void read_byte(void *ud, unsigned events)
{
	struct reader *r = ud;
	char c;

	if (events & NOMAD__READ && read(r->fds[0], &c, 1) == 1) {
		if (++r->bytes == 3) {
			nomad__watch_set(r->watch, 0);
			finish(NULL);
		}
		return;
	}
	nomad__watch_free(r->watch);
	close(r->fds[0]);
	finish(NULL);
}

static void watch_one(void *ud)
{
	struct reader *r = ud;

	assert_int_equal(nomad__watch_new(loop, r->fds[0], NOMAD__READ, read_byte, r, &r->watch), 0);
}

static void watch_again(void *ud)
{
	nomad__watch_set(((struct reader *)ud)->watch, NOMAD__READ);
}

static void test_pause(void **state)
{
	struct reader *r = &readers[0];

	(void)state;
	*r = (struct reader){ 0 };
	assert_int_equal(pipe2(r->fds, O_CLOEXEC | O_NONBLOCK), 0);
	assert_int_equal(nomad__loop_post(loop, watch_one, r), 0);
	assert_int_equal(write(r->fds[1], "abcde", 5), 5);
	await_finished(1);
	usleep(20000);
	assert_int_equal(r->bytes, 3);
	run(watch_again, r);
	close(r->fds[1]);
	await_finished(3);
	assert_int_equal(r->bytes, 5);
}

/* ---- Posts ---- */

enum { THREADS = 6, POSTS = 5000 };

static int next[THREADS];
static struct post {
	int thread, number;
} posts[THREADS][POSTS];

static void in_order(void *ud)
{
	const struct post *p = ud;

	assert_int_equal(next[p->thread]++, p->number);
	if (p->number == POSTS - 1)
		finish(NULL);
}

static void *post_many(void *arg)
{
	struct post *mine = arg;

	for (int i = 0; i < POSTS; i++)
		assert_int_equal(nomad__loop_post(loop, in_order, &mine[i]), 0);
	return NULL;
}

static void test_posts(void **state)
{
	pthread_t threads[THREADS];

	(void)state;
	assert_false(nomad__loop_is_current(loop));
	for (int t = 0; t < THREADS; t++) {
		next[t] = 0;
		for (int i = 0; i < POSTS; i++)
			posts[t][i] = (struct post){ t, i };
		pthread_create(&threads[t], NULL, post_many, posts[t]);
	}
	for (int t = 0; t < THREADS; t++)
		pthread_join(threads[t], NULL);
	await_finished(THREADS);
}

static void chain(void *ud)
{
	int *left = ud;

	if (--*left)
		assert_int_equal(nomad__loop_post(loop, chain, ud), 0);
}

/* What was posted before the end is run, also what that posts. */
static void test_posted_before_end(void **state)
{
	static int left;

	(void)state;
	left = 100;
	assert_int_equal(nomad__loop_post(loop, chain, &left), 0);
	nomad__loop_free(loop);
	assert_int_equal(left, 0);
	assert_int_equal(nomad__loop_new(&loop), 0);
	nomad__loop_free(NULL);
}

#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_timers), T(test_rearm), T(test_free_in_timer),	  T(test_free_in_watch),
		T(test_pause),	T(test_posts), T(test_posted_before_end),
	};

	return cmocka_run_group_tests_name("loop", tests, NULL, NULL);
}
