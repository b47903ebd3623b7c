/* SPDX-License-Identifier: MPL-2.0
 *
 * Resource limits by name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>
#include <sys/resource.h>

#include "nomad/error.h"
#include "nomad/task.h"

static void test_good(void **state)
{
	static const struct {
		const char *name, *value;
		struct nomad_rlimit want;
	} cases[] = {
		{ "nofile", "1024", { RLIMIT_NOFILE, 1024, 1024 } },
		{ "nofile", "1024:4096", { RLIMIT_NOFILE, 1024, 4096 } },
		{ "core", "0:unlimited", { RLIMIT_CORE, 0, NOMAD_RLIMIT_NONE } },
		{ "memlock", "unlimited", { RLIMIT_MEMLOCK, NOMAD_RLIMIT_NONE, NOMAD_RLIMIT_NONE } },
		{ "nproc", "-1", { RLIMIT_NPROC, NOMAD_RLIMIT_NONE, NOMAD_RLIMIT_NONE } },
		{ "stack", "9223372036854775807", { RLIMIT_STACK, INT64_MAX, INT64_MAX } },
	};

	(void)state;
	for (size_t i = 0; i < NOMAD_ARRAY_LEN(cases); i++) {
		struct nomad_rlimit got;

		assert_int_equal(nomad_rlimit_parse(cases[i].name, cases[i].value, &got, NULL), 0);
		assert_int_equal(got.resource, cases[i].want.resource);
		assert_true(got.soft == cases[i].want.soft && got.hard == cases[i].want.hard);
	}
}

static void test_bad(void **state)
{
	static const char *const cases[][3] = {
		{ "nofiles", "1", "resource limit 'nofiles': unknown" },
		{ "", "1", "resource limit '': unknown" },
		{ "nofile", "", "invalid value ''" },
		{ "nofile", "many", "invalid value 'many'" },
		{ "nofile", "1:", "invalid value '1:'" },
		{ "nofile", ":1", "invalid value ':1'" },
		{ "nofile", "1:2:3", "invalid value '1:2:3'" },
		{ "nofile", "-2", "invalid value '-2'" },
		{ "nofile", " 1", "invalid value ' 1'" },
		{ "nofile", "1k", "invalid value '1k'" },
		{ "nofile", "9223372036854775808", "invalid value" },
		{ "nofile", "99999999999999999999999999", "invalid value" },
		{ "nofile", "2:1", "above the hard one" },
		{ "nofile", "unlimited:1", "above the hard one" },
	};

	(void)state;
	for (size_t i = 0; i < NOMAD_ARRAY_LEN(cases); i++) {
		NOMAD_AUTO_ERROR struct nomad_error *err = NULL;
		struct nomad_rlimit got;

		assert_true(nomad_rlimit_parse(cases[i][0], cases[i][1], &got, &err) < 0);
		if (!strstr(nomad_error_message(err), cases[i][2]))
			fail_msg("'%s' does not say \"%s\"", nomad_error_message(err), cases[i][2]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_good), cmocka_unit_test(test_bad) };

	return cmocka_run_group_tests_name("supervisor/rlimit", tests, NULL, NULL);
}
