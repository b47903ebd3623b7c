/* SPDX-License-Identifier: MPL-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "config.h"
#include "powers.h"
#include "schema/schema.h"

static void test_declared(void **state)
{
	NOMAD_AUTO_FREE char *option = nomad__policy_undeclared(&triton_task_schema);

	(void)state;
	if (option)
		fail_msg("option %s: set .power or .harmless", option);
}

static void check_parts(char **(*parts)(const char *value), const char *value, const char *want)
{
	NOMAD_AUTO_STRV char **found = parts(value);
	char text[512] = "";

	assert_non_null(found);
	for (size_t i = 0; found[i]; i++)
		strcat(strcat(text, found[i]), "|");
	assert_string_equal(text, want);
}

/* Which instances a rule is about, and what the default lets a job say. */
static void test_firewall(void **state)
{
	static const struct {
		const char *rule, *instances;
		bool allowed;
	} rows[] = {
		{ "FROM any TO tag www ALLOW tcp PORT 80", "tag \"www\"|", true },
		{ "FROM tag role = web TO tag role = db ALLOW tcp PORT 5432",
		  "tag \"role\" = \"web\"|tag \"role\" = \"db\"|", true },
		{ "FROM any TO all vms ALLOW tcp PORT all", "all vms|", false },
		{ "from any to (tag a or all vms) allow tcp port 1", "all vms|tag \"a\"|", false },
		{ "FROM tag \"x TO all vms\" TO ip 192.0.2.1 BLOCK udp PORT 53", "tag \"x TO all vms\"|", true },
		{ "FROM tag \"a (tag b)\" = \"OR vm \\\"\" TO any BLOCK udp PORT 53",
		  "tag \"a (tag b)\" = \"OR vm \\\"\"|", true },
		{ "FROM any TO vm 04128191-d2cb-43fc-a970-e4deefe970d8 ALLOW tcp PORT 80",
		  "vm 04128191-d2cb-43fc-a970-e4deefe970d8|", false },
		{ "no rule", "", true },
	};

	(void)state;
	for (size_t i = 0; i < NOMAD_ARRAY_LEN(rows); i++) {
		NOMAD_AUTO_STRV char **found = triton_fwrule_instances(rows[i].rule);
		bool allowed = true;

		check_parts(triton_fwrule_instances, rows[i].rule, rows[i].instances);
		for (size_t k = 0; found[k]; k++)
			allowed &= nomad__power_matches(triton_power_fwrules.kind, triton_power_fwrules.otherwise,
							found[k]);
		if (allowed != rows[i].allowed)
			fail_msg("%s", rows[i].rule);
	}
}

static void test_parts(void **state)
{
	(void)state;
	check_parts(triton_power_cns.parts, "web:80:priority=1", "web|");
	check_parts(triton_power_image.parts, "", "");
	check_parts(triton_power_user_script.parts, "#!/bin/sh\nPASSWORD=x", "...|");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_declared),
		cmocka_unit_test(test_firewall),
		cmocka_unit_test(test_parts),
	};

	return cmocka_run_group_tests_name("triton powers", tests, NULL, NULL);
}
