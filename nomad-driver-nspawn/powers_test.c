/* SPDX-License-Identifier: MPL-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "config.h"
#include "powers.h"
#include "schema/schema.h"

/* A new option says which power it gives, or why it gives none. */
static void test_declared(void **state)
{
	NOMAD_AUTO_FREE char *option = nomad__policy_undeclared(&nspawn_task_schema);

	(void)state;
	if (option)
		fail_msg("option %s: set .power or .harmless", option);
}

static const struct {
	const char *option, *rule;
} powers[] = {
	{ "image", "allow_image" },
	{ "image_download.url", "allow_download" },
	{ "writable_image", "allow_writable_image" },
	{ "root", "allow_writable_image" },
	{ "bind", "allow_bind" },
	{ "bind_read_only", "allow_bind_read_only" },
	{ "overlay", "allow_overlay" },
	{ "overlay_read_only", "allow_overlay" },
	{ "devices", "allow_devices" },
	{ "device_policy", "allow_all_devices" },
	{ "user_namespacing", "allow_host_users" },
	{ "private_users", "allow_private_users" },
	{ "capability", "allow_capability" },
	{ "system_call_filter", "allow_system_calls" },
	{ "rlimits", "allow_rlimits" },
	{ "pids_limit", "max_pids_limit" },
	{ "storage_mb", "max_storage_mb" },
	{ "volumes", "allow_bind" },
	{ "mount.source", "allow_bind" },
	{ "ulimit", "allow_rlimits" },
	{ "ipc_mode", "allow_host_ipc" },
	{ "network_veth", "allow_host_network" },
	{ "network_bridge", "allow_network_bridge" },
	{ "network_zone", "allow_network_zone" },
};

static size_t count_powers(const struct nomad_schema *schema)
{
	size_t i, n = 0;

	for (i = 0; i < schema->count; i++)
		n += schema->options[i].block ? count_powers(schema->options[i].block) : !!schema->options[i].power;
	return n;
}

static void test_rules(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < NOMAD_ARRAY_LEN(powers); i++) {
		const struct nomad_option *row = nomad__policy_option(&nspawn_task_schema, powers[i].option);

		if (!row || !row->power)
			fail_msg("option %s gives no power", powers[i].option);
		assert_string_equal(row->power->rule, powers[i].rule);
	}
	assert_int_equal(count_powers(&nspawn_task_schema), NOMAD_ARRAY_LEN(powers));
}

/* What is judged of one value. */
static void test_parts(void **state)
{
	static const struct {
		const struct nomad_power *power;
		const char *value, *parts;
	} rows[] = {
		{ &nspawn_power_bind, "/srv", "/srv|" },
		{ &nspawn_power_bind, "-/srv", "/srv|" },
		{ &nspawn_power_bind, "+/in/image", "+/in/image|" },
		{ &nspawn_power_bind, "", "" },
		{ &nspawn_power_devices, "/dev/x:/dev/y:rw", "/dev/x|" },
		{ &nspawn_power_devices, "/dev/x", "/dev/x|" },
		{ &nspawn_power_overlay, "/low:/up:/in", "/low|/up|" },
		{ &nspawn_power_overlay, "/a:/b:/c:/in", "/a|/b|/c|" },
		{ &nspawn_power_overlay, "/low:/both", "/low|/both|" },
		{ &nspawn_power_overlay, "/lo\\:w::/in", "/lo:w|" },
		{ &nspawn_power_ulimit, "nofile", "NOFILE|" },
		{ &nspawn_power_capability, "CAP_KILL,CAP_SYS_ADMIN", "CAP_KILL|CAP_SYS_ADMIN|" },
		{ &nspawn_power_system_call_filter, "@mount @keyring", "@mount|@keyring|" },
		{ &nspawn_power_system_call_filter, "~@mount @keyring", "~@mount @keyring|" },
	};
	size_t i, j;

	(void)state;
	for (i = 0; i < NOMAD_ARRAY_LEN(rows); i++) {
		NOMAD_AUTO_STRV char **parts = rows[i].power->parts(rows[i].value);
		char text[256] = "";

		assert_non_null(parts);
		for (j = 0; parts[j]; j++)
			strcat(strcat(text, parts[j]), "|");
		assert_string_equal(text, rows[i].parts);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_declared),
		cmocka_unit_test(test_rules),
		cmocka_unit_test(test_parts),
	};

	return cmocka_run_group_tests_name("nspawn powers", tests, NULL, NULL);
}
