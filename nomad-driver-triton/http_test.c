/* SPDX-License-Identifier: MPL-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <pthread.h>
#include <unistd.h>

#include "budget.h"
#include "http.h"
#include "text.h"

static void test_retry_after(void **state)
{
	(void)state;
	assert_int_equal(triton_parse_retry_after("10", 0), 10000);
	assert_int_equal(triton_parse_retry_after(" 0 \r\n", 0), 0);
	assert_int_equal(triton_parse_retry_after("Thu, 01 Jan 1970 00:01:00 GMT", 30), 30000);
	assert_int_equal(triton_parse_retry_after("Thu, 01 Jan 1970 00:01:00 GMT", 90), 0);
	assert_int_equal(triton_parse_retry_after("soon", 0), -1);
	assert_int_equal(triton_parse_retry_after("99999999999999999999", 0), -1);
	assert_int_equal(triton_parse_retry_after("", 0), -1);
}

static void test_escape(void **state)
{
	char *text = triton_url_escape("a b/%~\xc3\xa9=&");
	(void)state;

	assert_string_equal(text, "a%20b%2F%25~%C3%A9%3D%26");
	free(text);
}

static void test_one_line(void **state)
{
	char *text = triton_one_line("  a\r\n\tb\x01"
				     "c \n",
				     11),
	     *pairs = triton_one_line("a\xc2\x9b"
				      "2J\xc2\xa0\xc3\x9b",
				      9),
	     *large = malloc(1001);
	(void)state;

	assert_string_equal(text, "a b c");
	free(text);
	assert_string_equal(pairs, "a 2J\xc2\xa0\xc3\x9b");
	free(pairs);
	memset(large, 'x', 1000);
	large[1000] = '\0';
	text = triton_one_line(large, 1000);
	assert_int_equal(strlen(text), 300);
	free(text);
	free(large);
}

static void test_backoff(void **state)
{
	(void)state;
	for (unsigned n = 1; n < 40; n++) {
		int64_t whole = n < 6 ? INT64_C(500) << (n - 1) : 15000, got = triton_backoff_ms(n, 500, 15000);

		if (whole > 15000)
			whole = 15000;
		assert_true(got >= whole / 2 && got <= whole);
	}
}

static void test_budget(void **state)
{
	struct triton_budget budget;
	int64_t begin = triton_now_ms();
	(void)state;

	assert_int_equal(triton_budget_init(&budget, 50), 0);
	/* A burst of 100, then 20 at 50 a second. */
	for (int i = 0; i < 120; i++)
		assert_int_equal(triton_budget_take(&budget, begin + 60000), 0);
	assert_true(triton_now_ms() - begin >= 380);
	/* Shut: nobody gets one before the deadline. */
	triton_budget_throttled(&budget, 60000);
	assert_int_equal(triton_budget_take(&budget, triton_now_ms() + 50), -ETIMEDOUT);
	triton_budget_close(&budget);
	assert_int_equal(triton_budget_take(&budget, triton_now_ms() + 60000), -ESHUTDOWN);
	assert_int_equal(triton_budget_sleep(&budget, 60000), -ESHUTDOWN);
	triton_budget_done(&budget);
}

/* Refusals of one burst halve the rate once; it grows back within a minute. */
static void test_throttled(void **state)
{
	struct triton_budget budget;
	(void)state;

	assert_int_equal(triton_budget_init(&budget, 10), 0);
	for (int i = 0; i < 5; i++)
		triton_budget_throttled(&budget, -1);
	assert_true(budget.per_ms > 0.0049 && budget.per_ms < 0.0051);
	assert_true(budget.tokens < 1);
	budget.slowed_ms -= 2000;
	triton_budget_throttled(&budget, -1);
	assert_true(budget.per_ms > 0.0024 && budget.per_ms < 0.0026);
	for (int i = 0; i < 20; i++) {
		budget.slowed_ms -= 2000;
		triton_budget_throttled(&budget, -1);
	}
	assert_true(budget.per_ms > 0.00019);
	budget.slowed_ms -= 60000;
	budget.filled_ms -= 30000;
	assert_int_equal(triton_budget_take(&budget, triton_now_ms()), 0);
	assert_true(budget.per_ms > 0.0050 && budget.per_ms < 0.0056);
	budget.filled_ms -= 60000;
	assert_int_equal(triton_budget_take(&budget, triton_now_ms()), 0);
	assert_true(budget.per_ms > 0.0099 && budget.per_ms <= 0.01);
	triton_budget_done(&budget);
}

static void *take_one(void *ud)
{
	return triton_budget_take(ud, triton_now_ms() + 600000) == 0 ? ud : NULL;
}

static size_t waiting(struct triton_budget *budget)
{
	size_t n = 0;

	pthread_mutex_lock(&budget->lock);
	for (int i = 0; i < TRITON_PURPOSES; i++)
		for (struct triton_turn *turn = budget->queues[i].first; turn; turn = turn->next)
			n++;
	pthread_mutex_unlock(&budget->lock);
	return n;
}

static void grant_one(struct triton_budget *budget)
{
	pthread_mutex_lock(&budget->lock);
	budget->tokens = 1;
	pthread_cond_broadcast(&budget->changed);
	pthread_mutex_unlock(&budget->lock);
}

static void test_turns(void **state)
{
	struct triton_budget budget;
	pthread_t threads[4];
	(void)state;

	assert_int_equal(triton_budget_init(&budget, 1), 0);
	budget.whole_per_ms = budget.per_ms = 1e-9;
	budget.tokens = 0;
	for (size_t i = 0; i < 4; i++) {
		assert_int_equal(pthread_create(&threads[i], NULL, take_one, &budget), 0);
		while (waiting(&budget) != i + 1)
			usleep(1000);
	}
	/* One that gives up behind them holds up nobody. */
	assert_int_equal(triton_budget_take(&budget, triton_now_ms() + 100), -ETIMEDOUT);
	for (size_t i = 0; i < 4; i++) {
		void *got = NULL;

		grant_one(&budget);
		/* Were it another's turn, this would wait. */
		pthread_join(threads[i], &got);
		assert_ptr_equal(got, &budget);
		assert_int_equal(waiting(&budget), 3 - i);
	}
	triton_budget_done(&budget);
}

struct asker {
	struct triton_budget *budget;
	enum triton_purpose purpose;
	atomic_int served;
};

static void *take_for(void *ud)
{
	struct asker *asker = ud;

	triton_budget_for(asker->purpose);
	if (triton_budget_take(asker->budget, triton_now_ms() + 600000) == 0)
		atomic_store(&asker->served, 1);
	return NULL;
}

/* Starts that came first do not hold up a stop or a look. */
static void test_purposes(void **state)
{
	struct asker askers[] = {
		{ .purpose = TRITON_TO_START }, { .purpose = TRITON_TO_START }, { .purpose = TRITON_TO_START },
		{ .purpose = TRITON_TO_START }, { .purpose = TRITON_TO_END },	{ .purpose = TRITON_TO_WATCH },
		{ .purpose = TRITON_TO_END },
	};
	static const size_t order[] = { 0, 4, 5, 1, 6, 2, 3 };
	pthread_t threads[NOMAD_ARRAY_LEN(askers)];
	struct triton_budget budget;
	(void)state;

	assert_int_equal(triton_budget_init(&budget, 1), 0);
	budget.whole_per_ms = budget.per_ms = 1e-9;
	budget.tokens = 0;
	for (size_t i = 0; i < NOMAD_ARRAY_LEN(askers); i++) {
		askers[i].budget = &budget;
		assert_int_equal(pthread_create(&threads[i], NULL, take_for, &askers[i]), 0);
		while (waiting(&budget) != i + 1)
			usleep(1000);
	}
	for (size_t i = 0; i < NOMAD_ARRAY_LEN(order); i++) {
		grant_one(&budget);
		pthread_join(threads[order[i]], NULL);
		assert_int_equal(atomic_load(&askers[order[i]].served), 1);
		assert_int_equal(waiting(&budget), NOMAD_ARRAY_LEN(order) - i - 1);
	}
	triton_budget_done(&budget);
}

/* A server that does not serve is not a full disk. */
static void test_statuses(void **state)
{
	static const long statuses[] = { 420, 429, 500, 502, 503, 504 };
	(void)state;

	for (size_t i = 0; i < NOMAD_ARRAY_LEN(statuses); i++) {
		struct nomad_error *err = NULL;

		nomad_error_set(&err, triton_status_errno(statuses[i]), "status %ld", statuses[i]);
		assert_string_equal(nomad_error_id(err), "nd-network");
		nomad_error_free(err);
	}
	assert_int_equal(triton_status_errno(302), EPROTO);
	assert_int_equal(triton_status_errno(422), EINVAL);
}

static void test_urls(void **state)
{
	struct triton_budget budget;
	struct triton_http *http = NULL;
	(void)state;

	assert_int_equal(triton_budget_init(&budget, 10), 0);
	assert_int_equal(
		triton_http_new(
			&(struct triton_http_options){ .what = "X", .base_url = "tcp://h:2376", .budget = &budget },
			&http, NULL),
		0);
	assert_string_equal(triton_http_base(http), "https://h:2376");
	triton_http_free(http);
	assert_int_equal(
		triton_http_new(
			&(struct triton_http_options){ .what = "X", .base_url = "https://h/path?x", .budget = &budget },
			&http, NULL),
		0);
	assert_string_equal(triton_http_base(http), "https://h");
	triton_http_free(http);
	assert_true(triton_http_new(&(struct triton_http_options){ .what = "X", .base_url = "h", .budget = &budget },
				    &http, NULL) < 0);
	assert_true(
		triton_http_new(
			&(struct triton_http_options){ .what = "X", .base_url = "https://user@h", .budget = &budget },
			&http, NULL) < 0);
	triton_budget_done(&budget);
}

static void test_password_in_url(void **state)
{
	struct triton_http_options options = { .what = "x", .base_url = "https://me:hush@h" };
	struct triton_http *http = NULL;
	struct nomad_error *err = NULL;
	(void)state;

	assert_true(triton_http_new(&options, &http, &err) < 0);
	assert_null(strstr(nomad_error_message(err), "hush"));
	nomad_error_free(err);
	assert_null(triton_http_base_of(options.base_url));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_retry_after),	cmocka_unit_test(test_escape),
		cmocka_unit_test(test_one_line),	cmocka_unit_test(test_backoff),
		cmocka_unit_test(test_budget),		cmocka_unit_test(test_throttled),
		cmocka_unit_test(test_turns),		cmocka_unit_test(test_purposes),
		cmocka_unit_test(test_statuses),	cmocka_unit_test(test_urls),
		cmocka_unit_test(test_password_in_url),
	};

	return cmocka_run_group_tests_name("triton http", tests, NULL, NULL);
}
