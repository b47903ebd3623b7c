/* SPDX-License-Identifier: MPL-2.0
 *
 * Which program runs: the rules of docker, case by case. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "command.h"

#define WORDS(...) ((char **)(const char *[]){ __VA_ARGS__, NULL })

static void test_rules(void **state)
{
	char *none[] = { NULL };
	const struct {
		struct nspawn_config job;
		struct nspawn_oci image;
		const char *want;
	} rows[] = {
		{ { 0 }, { .has_image = true, .entrypoint = WORDS("E", "e"), .cmd = WORDS("C") }, "E e C" },
		{ { .args = WORDS("A") }, { .has_image = true, .entrypoint = WORDS("E"), .cmd = WORDS("C") }, "E A" },
		{ { .command = WORDS("B"), .args = WORDS("A") },
		  { .has_image = true, .entrypoint = WORDS("E"), .cmd = WORDS("C") },
		  "E B A" },
		{ { .entrypoint = WORDS("X") },
		  { .has_image = true, .entrypoint = WORDS("E"), .cmd = WORDS("C") },
		  "X" },
		{ { .entrypoint = WORDS("X"), .args = WORDS("A") },
		  { .has_image = true, .entrypoint = WORDS("E"), .cmd = WORDS("C") },
		  "X A" },
		{ { .entrypoint = none, .command = WORDS("B") },
		  { .has_image = true, .entrypoint = WORDS("E"), .cmd = WORDS("C") },
		  "B" },
		{ { 0 }, { .has_image = true, .cmd = WORDS("C") }, "C" },
		{ { 0 }, { .has_image = true }, "" },
		/* A bundle. */
		{ { 0 }, { .args = WORDS("P", "p") }, "P p" },
		{ { .command = WORDS("B") }, { .args = WORDS("P", "p") }, "B" },
		{ { .args = WORDS("A") }, { .args = WORDS("P", "p") }, "A" },
		/* A directory. */
		{ { .command = WORDS("B", "b"), .args = WORDS("A") }, { 0 }, "B b A" },
		{ { .boot = true, .command = WORDS("B") }, { .entrypoint = WORDS("E"), .args = WORDS("P") }, "B" },
		{ { .boot = true }, { .has_image = true, .entrypoint = WORDS("E"), .cmd = WORDS("C") }, "" },
	};
	size_t i, n;

	(void)state;
	for (i = 0; i < NOMAD_ARRAY_LEN(rows); i++) {
		char **words = NULL, got[64] = "";

		assert_int_equal(nspawn_command(&rows[i].job, &rows[i].image, &words), 0);
		for (n = 0; words[n]; n++)
			snprintf(got + strlen(got), sizeof(got) - strlen(got), "%s%s", n ? " " : "", words[n]);
		assert_string_equal(got, rows[i].want);
		nomad_strv_free(words);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_rules) };

	return cmocka_run_group_tests_name("nspawn command", tests, NULL, NULL);
}
