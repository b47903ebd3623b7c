/* SPDX-License-Identifier: MPL-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "cmdline.h"
#include "util.h"

static void ours_are_found(void **state)
{
	(void)state;
	cmdline_set("quiet nomadinit.hostname=one root=/dev/x nomadinit.hostname=two nomadinit.rescue\n");
	assert_string_equal(cmdline_get("hostname"), "two");
	assert_string_equal(cmdline_get("rescue"), "");
	assert_true(cmdline_is_on("rescue"));
	assert_null(cmdline_get("root"));
	assert_null(cmdline_get("quiet"));
	assert_false(cmdline_is_on("hostname"));
	assert_false(cmdline_is_on("absent"));
}

static void quotes_keep_blanks_and_equals_signs(void **state)
{
	(void)state;
	cmdline_set("nomadinit.set.a=\"x y=z\" \"nomadinit.set.b=c d\" nomadinit.set.e=\"f");
	assert_string_equal(cmdline_get("set.a"), "x y=z");
	assert_string_equal(cmdline_get("set.b"), "c d");
	assert_string_equal(cmdline_get("set.e"), "f");
}

static void dashes_and_underscores_are_alike(void **state)
{
	(void)state;
	cmdline_set("nomadinit.a-b=1");
	assert_string_equal(cmdline_get("a_b"), "1");
	assert_true(cmdline_is_on("a-b"));
}

static void all_with_a_prefix_are_gone_through(void **state)
{
	const char *key;
	size_t at = 0;

	(void)state;
	cmdline_set("nomadinit.set.x=1 nomadinit.y=2 nomadinit.set.z.w=3 nomadinit.set.");
	assert_string_equal(cmdline_next("set.", &at, &key), "1");
	assert_string_equal(key, "x");
	assert_string_equal(cmdline_next("set.", &at, &key), "3");
	assert_string_equal(key, "z.w");
	assert_null(cmdline_next("set.", &at, &key));
}

static void too_much_is_cut_and_survived(void **state)
{
	static char huge[20000];
	size_t i;

	(void)state;
	for (i = 0; i + 16 < sizeof(huge); i += 14)
		memcpy(huge + i, "nomadinit.a=1 ", 15);
	cmdline_set(huge);
	assert_string_equal(cmdline_get("a"), "1");
	cmdline_set("");
	assert_null(cmdline_get("a"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ours_are_found),
		cmocka_unit_test(quotes_keep_blanks_and_equals_signs),
		cmocka_unit_test(dashes_and_underscores_are_alike),
		cmocka_unit_test(all_with_a_prefix_are_gone_through),
		cmocka_unit_test(too_much_is_cut_and_survived),
	};

	return cmocka_run_group_tests_name("cmdline", tests, NULL, NULL);
}
