/* SPDX-License-Identifier: MPL-2.0
 *
 * Which options give power over the node, and what a context can name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "config.h"
#include "powers.h"

static const char *const powerful[][2] = {
	{ "containerfile", "allow_from" }, { "dockerfile", "allow_from" },     { "build_contexts", "allow_from" },
	{ "cache_from", "allow_from" },	   { "cache_to", "allow_push" },       { "network", "allow_network" },
	{ "ulimits", "allow_ulimits" },	   { "pids_limit", "max_pids_limit" }, { "storage_mb", "max_storage_mb" },
};

static void test_rules(void **state)
{
	(void)state;
	for (size_t i = 0; i < build_task_schema.count; i++) {
		const struct nomad_option *option = &build_task_schema.options[i];
		const char *rule = NULL;

		for (size_t n = 0; n < NOMAD_ARRAY_LEN(powerful); n++)
			if (strcmp(powerful[n][0], option->name) == 0)
				rule = powerful[n][1];
		if (rule) {
			assert_non_null(option->power);
			assert_string_equal(option->power->rule, rule);
		} else if (!option->block) {
			assert_non_null(option->harmless);
		}
	}
}

static void test_contexts(void **state)
{
	char **names = build_power_contexts.parts("docker-image://r.example.org/x:1");

	(void)state;
	assert_string_equal(names[0], "r.example.org/x:1");
	assert_null(names[1]);
	nomad_strv_free(names);
	names = build_power_contexts.parts("alloc/docker-image://x");
	assert_null(names[0]);
	nomad_strv_free(names);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_rules), cmocka_unit_test(test_contexts) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
