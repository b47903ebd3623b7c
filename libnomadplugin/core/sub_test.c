/* SPDX-License-Identifier: MPL-2.0 */
#include "core/sub.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct nomad__sub_list list;

static int set_up(void **state)
{
	(void)state;
	nomad__sub_list_init(&list);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	nomad__sub_list_done(&list);
	return 0;
}

struct listener {
	struct nomad__sub *sub;
	int calls, inside, limit; /* atomic */
	bool cancel;
	int gate[2];
};

static void emit(struct nomad__sub *sub, void *arg)
{
	struct listener *l = sub->ud;

	(void)arg;
	assert_int_equal(__atomic_add_fetch(&l->inside, 1, __ATOMIC_SEQ_CST), 1); /* one thing at a time */
	__atomic_add_fetch(&l->calls, 1, __ATOMIC_SEQ_CST);
	if (l->gate[0]) {
		char c;

		assert_int_equal(read(l->gate[0], &c, 1), 1);
	}
	if (l->cancel) {
		l->cancel = false;
		nomad__sub_cancel(l->sub);
	}
	__atomic_sub_fetch(&l->inside, 1, __ATOMIC_SEQ_CST);
}

static void test_simple(void **state)
{
	struct listener a = { 0 }, b = { 0 };

	(void)state;
	a.sub = nomad__sub_new(&list, NULL, &a);
	b.sub = nomad__sub_new(&list, NULL, &b);
	nomad__sub_call_all(&list, emit, NULL);
	nomad__sub_cancel(a.sub);
	nomad__sub_call_all(&list, emit, NULL);
	assert_int_equal(a.calls, 1);
	assert_int_equal(b.calls, 2);
	nomad__sub_cancel(b.sub);
	nomad__sub_cancel(NULL);
	nomad__sub_call_all(&list, emit, NULL);
	assert_int_equal(b.calls, 2);
	assert_null(list.first);
}

static void test_cancel_within(void **state)
{
	struct listener a = { .cancel = true };

	(void)state;
	a.sub = nomad__sub_new(&list, NULL, &a);
	nomad__sub_call_all(&list, emit, NULL);
	nomad__sub_call_all(&list, emit, NULL);
	assert_int_equal(a.calls, 1);
}

static void nested(struct nomad__sub *sub, void *arg)
{
	struct listener *l = sub->ud;

	(void)arg;
	if (++l->calls < l->limit)
		nomad__sub_call_all(&list, nested, NULL);
	if (l->calls == l->limit && l->cancel) {
		l->cancel = false;
		nomad__sub_cancel(l->sub);
	}
}

/* What a callback does may cause another call of it. */
static void test_nested(void **state)
{
	struct listener a = { .limit = 5, .cancel = true };

	(void)state;
	a.sub = nomad__sub_new(&list, NULL, &a);
	nomad__sub_call_all(&list, nested, NULL);
	assert_int_equal(a.calls, 5);
	assert_null(list.first);
}

static void *call_all(void *arg)
{
	(void)arg;
	nomad__sub_call_all(&list, emit, NULL);
	return NULL;
}

static void *cancel(void *arg)
{
	struct listener *l = arg;

	nomad__sub_cancel(l->sub);
	/* It ends, even with callers inside. */
	assert_int_equal(__atomic_load_n(&l->inside, __ATOMIC_SEQ_CST), 0);
	return NULL;
}

static void test_cancel_while_running(void **state)
{
	struct listener a = { 0 };
	pthread_t caller, canceller;

	(void)state;
	assert_int_equal(pipe(a.gate), 0);
	a.sub = nomad__sub_new(&list, NULL, &a);
	pthread_create(&caller, NULL, call_all, NULL);
	while (!__atomic_load_n(&a.inside, __ATOMIC_SEQ_CST))
		usleep(100);
	pthread_create(&canceller, NULL, cancel, &a);
	usleep(20000);
	assert_int_equal(__atomic_load_n(&a.inside, __ATOMIC_SEQ_CST), 1);
	assert_int_equal(write(a.gate[1], "x", 1), 1);
	pthread_join(caller, NULL);
	pthread_join(canceller, NULL);
	nomad__sub_call_all(&list, emit, NULL);
	assert_int_equal(a.calls, 1);
	close(a.gate[0]);
	close(a.gate[1]);
}

static int extras;

static void free_extra(void *extra)
{
	free(extra);
	__atomic_add_fetch(&extras, 1, __ATOMIC_SEQ_CST);
}

static bool any(const struct nomad__sub *sub, const void *arg)
{
	(void)sub;
	(void)arg;
	return true;
}

static void test_take(void **state)
{
	struct listener a = { 0 };
	struct nomad__sub *taken;

	(void)state;
	extras = 0;
	a.sub = nomad__sub_new_of(&list, NULL, &a, malloc(1), free_extra);
	taken = nomad__sub_take(&list, any, NULL);
	assert_ptr_equal(taken, a.sub);
	assert_null(nomad__sub_take(&list, any, NULL));
	nomad__sub_call(taken, emit, NULL);
	nomad__sub_unref(taken);
	assert_int_equal(extras, 0);
	nomad__sub_cancel(a.sub);
	assert_int_equal(extras, 1);
	assert_int_equal(a.calls, 1);
}

enum { ROUNDS = 2500, THREADS = 4 };

static void *come_and_go(void *arg)
{
	(void)arg;
	for (int i = 0; i < ROUNDS; i++) {
		struct listener *l = calloc(1, sizeof(*l));

		l->sub = nomad__sub_new_of(&list, NULL, l, malloc(8), free_extra);
		if (i % 16 == 0)
			nomad__sub_call_all(&list, emit, NULL);
		nomad__sub_cancel(l->sub);
		assert_int_equal(l->inside, 0);
		free(l); /* nobody comes any more */
	}
	return NULL;
}

static int stop;

static void *caller(void *arg)
{
	(void)arg;
	while (!__atomic_load_n(&stop, __ATOMIC_SEQ_CST)) {
		struct nomad__sub *taken = nomad__sub_take(&list, any, NULL);

		if (taken) {
			nomad__sub_call(taken, emit, NULL);
			nomad__sub_unref(taken);
		}
		nomad__sub_call_all(&list, emit, NULL);
	}
	return NULL;
}

/* 10,000 subscribe and unsubscribe while two threads call the subscribers. */
static void test_storm(void **state)
{
	pthread_t threads[THREADS], callers[2];

	(void)state;
	extras = 0;
	stop = 0;
	for (int i = 0; i < 2; i++)
		pthread_create(&callers[i], NULL, caller, NULL);
	for (int i = 0; i < THREADS; i++)
		pthread_create(&threads[i], NULL, come_and_go, NULL);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	__atomic_store_n(&stop, 1, __ATOMIC_SEQ_CST);
	for (int i = 0; i < 2; i++)
		pthread_join(callers[i], NULL);
	assert_int_equal(extras, ROUNDS * THREADS);
	assert_null(list.first);
}

#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_simple), T(test_cancel_within), T(test_nested), T(test_cancel_while_running),
		T(test_take),	T(test_storm),
	};

	return cmocka_run_group_tests_name("sub", tests, NULL, NULL);
}
