/* SPDX-License-Identifier: MPL-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "config.h"

static struct nspawn_config good(void)
{
	static char *command[] = { (char *)"true", NULL };

	return (struct nspawn_config){ .image = (char *)"/img", .command = command };
}

static void refused(const struct nspawn_config *config, const char *text)
{
	struct nomad_error *err = NULL;

	assert_int_equal(nspawn_task_schema.check(config, &err), -EINVAL);
	if (!strstr(nomad_error_message(err), text))
		fail_msg("'%s' does not say '%s'", nomad_error_message(err), text);
	assert_ptr_equal(strstr(nomad_error_message(err), "failed to validate task config: "),
			 nomad_error_message(err));
	nomad_error_free(err);
}

static void accepted(const struct nspawn_config *config)
{
	struct nomad_error *err = NULL;

	if (nspawn_task_schema.check(config, &err) < 0)
		fail_msg("%s", nomad_error_message(err));
}

/* The texts are those of the Go driver. */
static void test_choices(void **state)
{
	static const struct {
		size_t offset;
		const char *value, *text;
	} rows[] = {
		{ offsetof(struct nspawn_config, volatile_mode), "maybe", "invalid parameter for volatile" },
		{ offsetof(struct nspawn_config, console), "autopipe", "invalid parameter for console" },
		{ offsetof(struct nspawn_config, resolv_conf), "yes", "invalid parameter for resolv_conf" },
		{ offsetof(struct nspawn_config, private_users), "some", "invalid parameter for private_users" },
		{ offsetof(struct nspawn_config, private_users), "1:", "invalid parameter for private_users" },
		{ offsetof(struct nspawn_config, private_users_ownership), "off",
		  "invalid parameter for private_users_ownership" },
		{ offsetof(struct nspawn_config, working_directory), "srv",
		  "working_directory is not an absolute path" },
		{ offsetof(struct nspawn_config, pivot_root), "/a:b", "pivot_root is not an absolute path" },
		{ offsetof(struct nspawn_config, volatile_mode), "state", NULL },
		{ offsetof(struct nspawn_config, console), "pipe", NULL },
		{ offsetof(struct nspawn_config, resolv_conf), "replace-stub", NULL },
		{ offsetof(struct nspawn_config, private_users), "65536", NULL },
		{ offsetof(struct nspawn_config, private_users), "65536:1000", NULL },
		{ offsetof(struct nspawn_config, private_users), "pick", NULL },
		{ offsetof(struct nspawn_config, private_users_ownership), "map", NULL },
		{ offsetof(struct nspawn_config, working_directory), "/srv", NULL },
		{ offsetof(struct nspawn_config, pivot_root), "/a:/b", NULL },
	};
	size_t i;

	(void)state;
	for (i = 0; i < NOMAD_ARRAY_LEN(rows); i++) {
		struct nspawn_config config = good();

		*(const char **)((char *)&config + rows[i].offset) = rows[i].value;
		if (rows[i].text)
			refused(&config, rows[i].text);
		else
			accepted(&config);
	}
}

static void test_combinations(void **state)
{
	char *ports[] = { (char *)"http", NULL };
	struct nomad_pair bind = { (char *)"relative", (char *)"/x" };
	struct nspawn_config config = good();

	(void)state;
	accepted(&config);
	config.boot = config.process_two = true;
	refused(&config, "boot and process_two may not be combined");
	config = good();
	config.command = NULL;
	refused(&config, "command");
	config.boot = true;
	accepted(&config);
	config = good();
	config.image = (char *)"/";
	refused(&config, "root directory");
	config.ephemeral = true;
	accepted(&config);
	config.ephemeral = false;
	config.volatile_mode = (char *)"overlay";
	refused(&config, "root directory");
	config.volatile_mode = (char *)"yes";
	accepted(&config);
	config = good();
	config.read_only = true;
	config.private_users_ownership = (char *)"chown";
	refused(&config, "chown");
	config = good();
	config.ports = ports;
	accepted(&config);
	config.port_map.count = 1;
	refused(&config, "Invalid port declaration; use of port_map and ports");
	config = good();
	config.writable_image = config.ephemeral = true;
	refused(&config, "writable_image");
	config = good();
	config.network_bridge = config.network_zone = (char *)"x";
	refused(&config, "network_bridge and network_zone");
	config = good();
	config.bind = (struct nomad_map){ &bind, 1 };
	refused(&config, "'relative' = '/x'");
	bind.key = (char *)"+/in/image";
	accepted(&config);
}

static void test_sources(void **state)
{
	static const struct {
		const char *type, *url;
		bool fine;
	} rows[] = {
		{ "docker", "busybox:1", true },
		{ "docker", "docker://r.example/busybox", true },
		{ "docker", "oci:/srv/layout:v1", true },
		{ "docker", "dir:///etc", false },
		{ "docker", "docker-archive:///srv/x.tar", false },
		{ "tar", "https://r.example/x.tar", true },
	};
	size_t i, j;

	(void)state;
	for (j = 0; strcmp(nspawn_task_schema.options[j].name, "image_download") != 0; j++)
		;
	for (i = 0; i < NOMAD_ARRAY_LEN(rows); i++) {
		struct nspawn_download d = { .url = (char *)rows[i].url, .type = (char *)rows[i].type };

		if (nspawn_task_schema.options[j].block->check(&d, NULL) != (rows[i].fine ? 0 : -EINVAL))
			fail_msg("%s", rows[i].url);
	}
}

static void test_versions(void **state)
{
	struct nspawn_config config = good();
	struct nomad_error *err = NULL;

	(void)state;
	assert_int_equal(nspawn_config_check_version(&config, 249, &err), 0);
	config.private_users = (char *)"managed";
	assert_int_equal(nspawn_config_check_version(&config, 258, &err), 0);
	assert_int_equal(nspawn_config_check_version(&config, 252, &err), -EOPNOTSUPP);
	assert_string_equal(nomad_error_message(err),
			    "private_users = \"managed\" needs systemd 258 or newer, this host has 252");
	nomad_error_free(err);
}

static void test_help(void **state)
{
	const struct nomad_schema *schemas[] = { &nspawn_plugin_schema, &nspawn_task_schema };
	size_t i, j;

	(void)state;
	for (i = 0; i < NOMAD_ARRAY_LEN(schemas); i++)
		for (j = 0; j < schemas[i]->count; j++) {
			assert_non_null(schemas[i]->options[j].help);
			assert_true(schemas[i]->options[j].offset < schemas[i]->size);
		}
}

/* Every option of the Go driver is there, under its name and with its type. */
static void test_complete(void **state)
{
	static const struct {
		const char *name;
		enum nomad_option_type type;
		const char *def;
	} rows[] = {
		{ "image", NOMAD_STRING, NULL },
		{ "image_download", NOMAD_BLOCK, NULL },
		{ "boot", NOMAD_BOOL, "true" },
		{ "process_two", NOMAD_BOOL, "false" },
		{ "command", NOMAD_STRING_LIST, NULL },
		{ "ephemeral", NOMAD_BOOL, "false" },
		{ "read_only", NOMAD_BOOL, "false" },
		{ "volatile", NOMAD_STRING, NULL },
		{ "user_namespacing", NOMAD_BOOL, "true" },
		{ "private_users", NOMAD_STRING, NULL },
		{ "private_users_ownership", NOMAD_STRING, NULL },
		{ "network_veth", NOMAD_BOOL, "true" },
		{ "network_zone", NOMAD_STRING, NULL },
		{ "network_bridge", NOMAD_STRING, NULL },
		{ "console", NOMAD_STRING, NULL },
		{ "resolv_conf", NOMAD_STRING, NULL },
		{ "pivot_root", NOMAD_STRING, NULL },
		{ "user", NOMAD_STRING, NULL },
		{ "working_directory", NOMAD_STRING, NULL },
		{ "bind", NOMAD_STRING_MAP, NULL },
		{ "bind_read_only", NOMAD_STRING_MAP, NULL },
		{ "environment", NOMAD_STRING_MAP, NULL },
		{ "capability", NOMAD_STRING_LIST, NULL },
		{ "ports", NOMAD_STRING_LIST, NULL },
		{ "port_map", NOMAD_INT_MAP, NULL },
	};
	size_t i, j;

	(void)state;
	for (i = 0; i < NOMAD_ARRAY_LEN(rows); i++) {
		const struct nomad_option *found = NULL;

		for (j = 0; j < nspawn_task_schema.count && !found; j++)
			if (strcmp(nspawn_task_schema.options[j].name, rows[i].name) == 0)
				found = &nspawn_task_schema.options[j];
		if (!found)
			fail_msg("there is no option %s", rows[i].name);
		assert_int_equal(found->type, rows[i].type);
		if (rows[i].def)
			assert_string_equal(found->def, rows[i].def);
		else
			assert_null(found->def);
	}
}

static void test_durations(void **state)
{
	static const struct {
		const char *text;
		int seconds;
	} rows[] = { { NULL, 0 },
		     { "", 0 },
		     { "5m", 300 },
		     { "1h30m", 5400 },
		     { "90s", 90 },
		     { "5", -1 },
		     { "5d", -1 },
		     { "m", -1 },
		     { "-5m", -1 },
		     { "5m x", -1 },
		     { "99999999999999999999s", -1 } };
	size_t i;

	(void)state;
	for (i = 0; i < NOMAD_ARRAY_LEN(rows); i++)
		assert_int_equal(nspawn_duration_s(rows[i].text), rows[i].seconds);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_durations), cmocka_unit_test(test_choices), cmocka_unit_test(test_combinations),
		cmocka_unit_test(test_versions),  cmocka_unit_test(test_sources), cmocka_unit_test(test_help),
		cmocka_unit_test(test_complete),
	};

	return cmocka_run_group_tests_name("nspawn config", tests, NULL, NULL);
}
