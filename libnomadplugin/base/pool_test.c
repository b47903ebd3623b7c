/* SPDX-License-Identifier: MPL-2.0 */
#include "base/pool.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <unistd.h>

static int ran, inside, most;

static void count(void *ud)
{
	int now = __atomic_add_fetch(&inside, 1, __ATOMIC_SEQ_CST), old = __atomic_load_n(&most, __ATOMIC_SEQ_CST);

	while (now > old && !__atomic_compare_exchange_n(&most, &old, now, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
		;
	if (ud)
		usleep(200);
	__atomic_add_fetch(&ran, 1, __ATOMIC_SEQ_CST);
	__atomic_sub_fetch(&inside, 1, __ATOMIC_SEQ_CST);
}

static struct nomad__pool *new_pool(unsigned max)
{
	struct nomad__pool *pool;

	ran = inside = most = 0;
	assert_int_equal(nomad__pool_new(max, &pool), 0);
	return pool;
}

static void test_empty(void **state)
{
	(void)state;
	nomad__pool_free(new_pool(3));
	nomad__pool_free(NULL);
	nomad__pool_stop(NULL);
}

/* All that was taken is run, by no more threads than allowed. */
static void test_limit(void **state)
{
	struct nomad__pool *pool = new_pool(4);

	(void)state;
	for (int i = 0; i < 2000; i++)
		assert_int_equal(nomad__pool_run(pool, count, pool), 0);
	nomad__pool_stop(pool);
	assert_int_equal(ran, 2000);
	assert_in_range(most, 1, 4);
	assert_int_equal(nomad__pool_run(pool, count, NULL), -ESHUTDOWN);
	nomad__pool_stop(pool);
	nomad__pool_free(pool);
	assert_int_equal(ran, 2000);
}

static void wait_for_bytes(void *ud)
{
	char c;

	(void)!read(*(int *)ud, &c, 1);
	count(NULL);
}

/* Work that blocks does not hold other work up while there is a thread to be had. */
static void test_blocked(void **state)
{
	struct nomad__pool *pool = new_pool(8);
	int gate[2];

	(void)state;
	assert_int_equal(pipe(gate), 0);
	for (int i = 0; i < 7; i++)
		assert_int_equal(nomad__pool_run(pool, wait_for_bytes, &gate[0]), 0);
	for (int i = 0; i < 100; i++)
		assert_int_equal(nomad__pool_run(pool, count, NULL), 0);
	for (int i = 0; i < 3000 && __atomic_load_n(&ran, __ATOMIC_SEQ_CST) < 100; i++)
		usleep(10000);
	assert_int_equal(__atomic_load_n(&ran, __ATOMIC_SEQ_CST), 100);
	assert_int_equal(write(gate[1], "1234567", 7), 7);
	nomad__pool_free(pool);
	assert_int_equal(ran, 107);
	close(gate[0]);
	close(gate[1]);
}

static void again(void *ud)
{
	struct nomad__pool *pool = ud;
	int r;

	if (__atomic_add_fetch(&ran, 1, __ATOMIC_SEQ_CST) < 500) {
		r = nomad__pool_run(pool, again, pool);
		assert_true(r == 0 || r == -ESHUTDOWN);
	}
}

static void *feed(void *ud)
{
	for (int i = 0; i < 500; i++)
		assert_int_equal(nomad__pool_run(ud, count, i % 50 ? NULL : ud), 0);
	return NULL;
}

static void test_from_everywhere(void **state)
{
	struct nomad__pool *pool = new_pool(3);
	pthread_t threads[4];

	(void)state;
	assert_int_equal(nomad__pool_run(pool, again, pool), 0);
	for (int i = 0; i < 3000 && __atomic_load_n(&ran, __ATOMIC_SEQ_CST) < 500; i++)
		usleep(10000);
	assert_int_equal(__atomic_load_n(&ran, __ATOMIC_SEQ_CST), 500);
	for (int i = 0; i < 4; i++)
		pthread_create(&threads[i], NULL, feed, pool);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	nomad__pool_free(pool);
	assert_int_equal(ran, 2500);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_limit),
		cmocka_unit_test(test_blocked),
		cmocka_unit_test(test_from_everywhere),
	};

	return cmocka_run_group_tests_name("pool", tests, NULL, NULL);
}
