/* SPDX-License-Identifier: MPL-2.0 */
#include "base/signals.h"
#include "nomad/base.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

static void test_names(void **state)
{
	/* All that Nomad's own drivers know, in their order. */
	static const char *const names[] = { "ABRT",  "ALRM", "BUS",  "CONT", "FPE",  "HUP",	"ILL",	"INT",
					     "IO",    "IOT",  "KILL", "PIPE", "PROF", "QUIT",	"SEGV", "STOP",
					     "SYS",   "TERM", "TRAP", "TSTP", "TTIN", "TTOU",	"USR1", "USR2",
					     "WINCH", "XCPU", "XFSZ", "CHLD", "URG",  "VTALRM", "PWR" };
	int number, again;
	char text[32];

	(void)state;
	for (size_t i = 0; i < NOMAD_ARRAY_LEN(names); i++) {
		assert_int_equal(nomad__signal_parse(names[i], &number), 0);
		assert_in_range(number, 1, 64);
		snprintf(text, sizeof(text), "SIG%s", names[i]);
		assert_int_equal(nomad__signal_parse(text, &again), 0);
		assert_int_equal(again, number);
		for (char *p = text; *p; p++)
			*p = (char)(*p >= 'A' && *p <= 'Z' ? *p - 'A' + 'a' : *p);
		assert_int_equal(nomad__signal_parse(text, &again), 0);
		assert_int_equal(again, number);
	}
	assert_int_equal(nomad__signal_parse("SIGNULL", &number), 0);
	assert_int_equal(number, 0);
	assert_int_equal(nomad__signal_parse("0", &number), 0);
	assert_int_equal(number, 0);
	assert_int_equal(nomad__signal_parse("9", &number), 0);
	assert_int_equal(number, SIGKILL);
	assert_int_equal(nomad__signal_parse("SIGRTMIN", &number), 0);
	assert_int_equal(number, SIGRTMIN);
	assert_int_equal(nomad__signal_parse("rtmin+3", &number), 0);
	assert_int_equal(number, SIGRTMIN + 3);
	assert_int_equal(nomad__signal_parse("SIGRTMAX-1", &number), 0);
	assert_int_equal(number, SIGRTMAX - 1);
}

static void test_unknown(void **state)
{
	static const char *const names[] = { "",
					     "SIG",
					     "SIGSIGHUP",
					     "HUPX",
					     " HUP",
					     "HUP ",
					     "SIGHUP\n",
					     "-1",
					     "+1",
					     "1x",
					     "65",
					     "999",
					     "99999999999999999999",
					     "RTMIN+",
					     "RTMIN-1",
					     "RTMIN+x",
					     "RTMIN+31",
					     "RTMIN+99999999999999999999",
					     "RTMAX+1",
					     "RTMAX-31",
					     "RTMINX",
					     "NOPE",
					     "SIGFOO",
					     "\xff" };
	int number = 77;

	(void)state;
	for (size_t i = 0; i < NOMAD_ARRAY_LEN(names); i++) {
		if (nomad__signal_parse(names[i], &number) != -EINVAL)
			fail_msg("'%s' is taken for %d", names[i], number);
		assert_int_equal(number, 77);
	}
}

static void test_back(void **state)
{
	int number;

	(void)state;
	for (int i = 1; i <= SIGRTMAX; i++) {
		const char *name = nomad__signal_name(i);

		if (i >= 32 && i < SIGRTMIN) { /* of the C library */
			assert_memory_equal(name, "SIG3", 4);
			continue;
		}
		assert_int_equal(nomad__signal_parse(name, &number), 0);
		assert_int_equal(number, i);
	}
	assert_string_equal(nomad__signal_name(SIGIO), "SIGIO");
	assert_string_equal(nomad__signal_name(SIGABRT), "SIGABRT");
	assert_string_equal(nomad__signal_name(SIGCHLD), "SIGCHLD");
	assert_string_equal(nomad__signal_name(1000), "SIG1000");
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_names), cmocka_unit_test(test_unknown),
					    cmocka_unit_test(test_back) };

	return cmocka_run_group_tests_name("signals", tests, NULL, NULL);
}
