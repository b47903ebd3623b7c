/* SPDX-License-Identifier: MPL-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "nomad/error.h"
#include "usage.h"

static void test_values(void **state)
{
	struct pot_usage *usage = pot_usage_new();
	struct nomad_stats s;

	(void)state;
	assert_int_equal(pot_usage_sample(usage, "a",
					  "cputime=5,datasize=1,memoryuse=4096,vmemoryuse=9,swapuse=7,pcpu=42", 1000,
					  &s, NULL),
			 0);
	assert_int_equal(s.measured, NOMAD_STAT_CPU | NOMAD_STAT_RSS | NOMAD_STAT_USAGE | NOMAD_STAT_SWAP);
	assert_true(s.rss_bytes == 4096 && s.usage_bytes == 4096 && s.swap_bytes == 7);
	assert_true(s.cpu_percent == 42);
	/* "vmemoryuse" is not "memoryuse". */
	assert_int_equal(pot_usage_sample(usage, "b", "vmemoryuse=9,pcpu=1", 1000, &s, NULL), 0);
	assert_int_equal(s.measured, NOMAD_STAT_CPU);
	pot_usage_free(usage);
}

static void test_window(void **state)
{
	struct pot_usage *usage = pot_usage_new();
	struct nomad_stats s;

	(void)state;
	assert_int_equal(pot_usage_sample(usage, "a", "cputime=100,pcpu=3", 0, &s, NULL), 0);
	assert_true(s.cpu_percent == 3);
	assert_int_equal(pot_usage_sample(usage, "a", "cputime=101,pcpu=4", 1000, &s, NULL), 0);
	assert_true(s.cpu_percent == 4);
	assert_int_equal(pot_usage_sample(usage, "a", "cputime=115,pcpu=4", 10000, &s, NULL), 0);
	assert_true(s.cpu_percent == 150);
	/* Stays until the next window is full; another task has its own. */
	assert_int_equal(pot_usage_sample(usage, "b", "cputime=1,pcpu=9", 11000, &s, NULL), 0);
	assert_true(s.cpu_percent == 9);
	assert_int_equal(pot_usage_sample(usage, "a", "cputime=115,pcpu=4", 15000, &s, NULL), 0);
	assert_true(s.cpu_percent == 150);
	/* A counter that went back (another jail of the name) gives no nonsense. */
	assert_int_equal(pot_usage_sample(usage, "a", "cputime=2,pcpu=4", 20000, &s, NULL), 0);
	assert_true(s.cpu_percent == 150);
	pot_usage_forget(usage, "a");
	pot_usage_forget(usage, "a");
	assert_int_equal(pot_usage_sample(usage, "a", "cputime=2,pcpu=5", 30000, &s, NULL), 0);
	assert_true(s.cpu_percent == 5);
	pot_usage_free(usage);
}

static void test_garbage(void **state)
{
	static const char *const lists[] = { "", "x", ",,,", "cputime=", "memoryuse=x,=", "cputime" };
	struct pot_usage *usage = pot_usage_new();
	struct nomad_stats s;

	(void)state;
	for (size_t i = 0; i < NOMAD_ARRAY_LEN(lists); i++) {
		struct nomad_error *err = NULL;

		assert_int_equal(pot_usage_sample(usage, "a", lists[i], 0, &s, &err), -EINVAL);
		nomad_error_free(err);
	}
	pot_usage_free(usage);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_window),
		cmocka_unit_test(test_garbage),
	};

	return cmocka_run_group_tests_name("pot usage", tests, NULL, NULL);
}
