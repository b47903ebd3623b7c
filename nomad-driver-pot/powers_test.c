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
	NOMAD_AUTO_FREE char *option = nomad__policy_undeclared(&pot_task_schema);

	(void)state;
	if (option)
		fail_msg("option %s: set .power or .harmless", option);
}

/* What needs no rule. */
static void test_safe(void **state)
{
	static const struct {
		const struct nomad_power *power;
		const char *value;
		bool safe;
	} rows[] = {
		{ &pot_power_network_mode, "public-bridge", true },
		{ &pot_power_network_mode, "host", false },
		{ &pot_power_network_mode, "inherit", false },
		{ &pot_power_attributes, "devfs_ruleset:4", true },
		{ &pot_power_attributes, "devfs_ruleset:0", false },
		{ &pot_power_attributes, "mlock:YES", false },
		{ &pot_power_attributes, "mlock:no", true },
		{ &pot_power_attributes, "start-at-boot:yes", false },
		{ &pot_power_attributes, "sysvshm:inherit", false },
		{ &pot_power_attributes, "sysvshm:new", true },
		{ &pot_power_attributes, "enforce_statfs:0", false },
		{ &pot_power_attributes, "children:1", false },
		{ &pot_power_attributes, "exec_stop:/bin/true", true },
		{ &pot_power_ip, "auto", true },
		{ &pot_power_ip, "em0|192.0.2.1", false },
	};

	(void)state;
	for (size_t i = 0; i < NOMAD_ARRAY_LEN(rows); i++)
		if (nomad__power_matches(rows[i].power->kind, rows[i].power->safe, rows[i].value) != rows[i].safe)
			fail_msg("%s: %s", rows[i].power->rule, rows[i].value);
	assert_true(nomad__power_matches(NOMAD_POWER_IMAGE, pot_power_image.otherwise, "https://a.example/x"));
	assert_false(nomad__power_matches(NOMAD_POWER_IMAGE, pot_power_image.otherwise, "file:///tmp"));
}

static void test_parts(void **state)
{
	NOMAD_AUTO_STRV char **file = pot_power_dns.parts("custom:/etc/x");
	NOMAD_AUTO_STRV char **none = pot_power_dns.parts("inherit");
	NOMAD_AUTO_STRV char **source = pot_power_mount.parts("/srv/a:/b");

	(void)state;
	assert_string_equal(source[0], "/srv/a");
	assert_null(source[1]);
	assert_string_equal(file[0], "/etc/x");
	assert_null(file[1]);
	assert_null(none[0]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_declared),
		cmocka_unit_test(test_safe),
		cmocka_unit_test(test_parts),
	};

	return cmocka_run_group_tests_name("pot powers", tests, NULL, NULL);
}
