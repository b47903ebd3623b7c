/* SPDX-License-Identifier: MPL-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "config.h"
#include "util.h"

static char error[CONFIG_ERROR_SIZE];

static int parse(const char *text, struct config *c)
{
	const char *const names[] = { "test.json" };

	return config_parse(&text, names, 1, c, error);
}

static void empty_means_dhcp_everywhere(void **state)
{
	const struct config_interface *i;
	struct config c;

	(void)state;
	assert_int_equal(config_parse(NULL, NULL, 0, &c, error), 0);
	i = config_interface_for(&c, "eth0", "52:54:00:12:34:56");
	assert_non_null(i);
	assert_true(i->dhcp);
	assert_true(i->accept_ra);
	assert_string_equal(c.agent.command[0], "/opt/nomad/nomad");
	assert_int_equal(c.watchdog_seconds, 60);
	assert_true(c.state.grow);
	assert_non_null(strstr(c.agent_json, "\"data_dir\": \"/state/nomad\""));
	config_done(&c);
}

static void what_is_wrong_is_said(void **state)
{
	static const struct {
		const char *text, *says;
	} cases[] = {
		{ "{", "'test.json' line 1 column 1" },
		{ "[]", "not a JSON object" },
		{ "{\"a\": 1, \"a\": 2}", "duplicate" },
		{ "{\"nomadinit\": 3}", "nomadinit must be an object" },
		{ "{\"nomadinit\": {\"hostnam\": \"x\"}}", "nomadinit has no option \"hostnam\"" },
		{ "{\"nomadinit\": {\"hostname\": \"a b\"}}",
		  "nomadinit.hostname: \"a b\" is not valid, want a host name" },
		{ "{\"nomadinit\": {\"hostname\": 3}}", "nomadinit.hostname must be a string" },
		{ "{\"nomadinit\": {\"dns\": [\"one\"]}}", "nomadinit.dns: \"one\" is not valid" },
		{ "{\"nomadinit\": {\"dns\": \"192.0.2.1\"}}", "nomadinit.dns must be a list of strings" },
		{ "{\"nomadinit\": {\"watchdog_seconds\": -1}}", "from 0 to 3600, not -1" },
		{ "{\"nomadinit\": {\"watchdog_seconds\": \"9\"}}", "must be a number" },
		{ "{\"nomadinit\": {\"sysctl\": {\"a\": 1}}}", "nomadinit.sysctl.a must be a string" },
		{ "{\"nomadinit\": {\"network\": []}}", "whose keys are interfaces" },
		{ "{\"nomadinit\": {\"network\": {\"eth0\": {\"addresses\": [\"192.0.2.1\"]}}}}",
		  "want addresses as 192.0.2.7/24" },
		{ "{\"nomadinit\": {\"network\": {\"eth0\": {\"addresses\": [\"192.0.2.1/33\"]}}}}", "not valid" },
		{ "{\"nomadinit\": {\"network\": {\"../eth0\": {}}}}", "no interface name" },
		{ "{\"nomadinit\": {\"agent\": {\"command\": [\"nomad\"]}}}", "absolute path" },
		{ "{\"nomadinit\": {\"agent\": {\"command\": []}}}", "absolute path" },
		{ "{\"nomadinit\": {\"agent\": {\"restart_min_seconds\": 9, \"restart_max_seconds\": 3}}}",
		  "less than" },
		{ "{\"nomadinit\": {\"state\": {\"label\": \"a/b\"}}}", "want a label" },
		{ "{\"nomadinit\": {\"log_bytes\": 5}}", "0 or at least" },
	};
	struct config c;
	size_t i;

	(void)state;
	for (i = 0; i < NOMAD_ARRAY_LEN(cases); i++) {
		assert_int_equal(parse(cases[i].text, &c), -EINVAL);
		if (!strstr(error, cases[i].says))
			fail_msg("'%s' says '%s', not '%s'", cases[i].text, error, cases[i].says);
	}
}

static void later_texts_override(void **state)
{
	const char *const names[] = { "one", "two" };
	const char *const texts[] = {
		"{\"nomadinit\": {\"hostname\": \"one\", \"ntp\": [\"a\", \"b\"]}, \"client\": {\"enabled\": true}}",
		"{\"nomadinit\": {\"hostname\": \"two\", \"ntp\": [\"c\"]}, \"client\": {\"node_class\": \"x\"}}"
	};
	struct config c;

	(void)state;
	assert_int_equal(config_parse(texts, names, 2, &c, error), 0);
	assert_string_equal(c.hostname, "two");
	assert_string_equal(c.ntp[0], "c");
	assert_null(c.ntp[1]);
	assert_non_null(strstr(c.agent_json, "\"enabled\": true"));
	assert_non_null(strstr(c.agent_json, "\"node_class\": \"x\""));
	assert_null(strstr(c.agent_json, "nomadinit"));
	config_done(&c);
}

static void clients_drain_and_servers_do_not_leave(void **state)
{
	struct config c;

	(void)state;
	assert_int_equal(parse("{\"client\": {\"enabled\": true}}", &c), 0);
	assert_non_null(strstr(c.agent_json, "\"leave_on_terminate\": true"));
	assert_non_null(strstr(c.agent_json, "drain_on_shutdown"));
	config_done(&c);
	assert_int_equal(parse("{\"client\": {\"enabled\": true}, \"server\": {\"enabled\": true}}", &c), 0);
	assert_null(strstr(c.agent_json, "leave_on_terminate"));
	config_done(&c);
	assert_int_equal(parse("{\"client\": {\"enabled\": true, \"drain_on_shutdown\": {\"deadline\": \"7m\"}}, "
			       "\"data_dir\": \"/x\"}",
			       &c),
			 0);
	assert_non_null(strstr(c.agent_json, "\"7m\""));
	assert_non_null(strstr(c.agent_json, "\"data_dir\": \"/x\""));
	config_done(&c);
}

static void interfaces_are_found_by_name_mac_or_star(void **state)
{
	const struct config_interface *i;
	struct config c;

	(void)state;
	assert_int_equal(
		parse("{\"nomadinit\": {\"network\": {\"*\": {\"mtu\": 1400}, \"52:54:00:AA:00:01\": {\"mtu\": 1401},"
		      "\"eth1\": {\"addresses\": [\"192.0.2.1/24\", \"2001:db8::1/64\"], \"gateways\": "
		      "[\"192.0.2.254\"]}}}}",
		      &c),
		0);
	assert_int_equal(config_interface_for(&c, "eth0", "52:54:00:aa:00:01")->mtu, 1401);
	assert_int_equal(config_interface_for(&c, "eth7", "52:54:00:aa:00:02")->mtu, 1400);
	i = config_interface_for(&c, "eth1", NULL);
	assert_false(i->dhcp);
	assert_string_equal(i->addresses[1], "2001:db8::1/64");
	config_done(&c);
	assert_int_equal(parse("{\"nomadinit\": {\"network\": {\"eth1\": {}}}}", &c), 0);
	assert_null(config_interface_for(&c, "eth0", NULL));
	config_done(&c);
}

static void every_option_has_help(void **state)
{
	char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);

	(void)state;
	config_help(f);
	fclose(f);
	assert_null(strstr(text, "(null)"));
	assert_non_null(strstr(text, "nomadinit.network.INTERFACE.mtu: number from 0 to 65535"));
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(empty_means_dhcp_everywhere),
		cmocka_unit_test(what_is_wrong_is_said),
		cmocka_unit_test(later_texts_override),
		cmocka_unit_test(clients_drain_and_servers_do_not_leave),
		cmocka_unit_test(interfaces_are_found_by_name_mac_or_star),
		cmocka_unit_test(every_option_has_help),
	};

	return cmocka_run_group_tests_name("config", tests, NULL, NULL);
}
