/* SPDX-License-Identifier: MPL-2.0
 *
 * Mappings as they stand in records, and in the firewall of a network
 * namespace of this process (root, nft). */
#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "network.h"
#include "tool.h"

static const char pool[] = "10.88.0.0/16";

static void test_record(void **state)
{
	static const struct nspawn_port some[] = {
		{ 8080, 80, "" },
		{ 53, 5353, "192.0.2.1" },
		{ 65535, 1, "127.0.0.1" },
	};
	static const char *const bad[] = {
		"x",
		"1:",
		"0:1",
		"70000:1",
		"1:0",
		"1:2;3:4",
		":",
		",",
		",1:2",
		"-1:2",
		"1:2@",
		"1:2@x",
		"1:2@1.2.3",
		"1:2@1.2.3.4.5",
		"1:2@300.2.3.4",
		"1:2@::1::2",
		"1:2@fd00::1]",
		"1:2@1.2.3.4;",
		"1:2@1.2.3.4 }",
		"1:2 ",
		"123456:1",
	};
	char *text = nspawn_ports_format(some, 3);
	struct nspawn_port *back = NULL;
	size_t n = 7, i;

	(void)state;
	assert_string_equal(text, "8080:80,53:5353@192.0.2.1,65535:1@127.0.0.1");
	assert_int_equal(nspawn_ports_parse(text, &back, &n), 0);
	assert_int_equal(n, 3);
	for (i = 0; i < n; i++) {
		assert_int_equal(back[i].host, some[i].host);
		assert_int_equal(back[i].container, some[i].container);
		assert_string_equal(back[i].at, some[i].at);
	}
	free(text);
	free(back);
	for (i = 0; i < NOMAD_ARRAY_LEN(bad); i++) {
		back = NULL;
		assert_int_equal(nspawn_ports_parse(bad[i], &back, &n), -EINVAL);
		assert_null(back);
	}
}

static bool have_firewall(void)
{
	char *nft = nomad_tool_find("nft");
	bool have = nft && !geteuid() && !unshare(CLONE_NEWNET) &&
		    nspawn_tool_run((const char *const[]){ nft, "list", "ruleset", NULL }, NULL, NULL, NULL) >= 0;

	free(nft);
	return have;
}

static char *rules(void)
{
	char *text = NULL;

	assert_int_equal(
		nspawn_tool_run((const char *const[]){ "nft", "-nn", "list", "ruleset", NULL }, NULL, &text, NULL), 0);
	return text;
}

static void assert_rule(const char *what, bool wanted)
{
	char *text = rules();

	if (!strstr(text, what) == wanted)
		fail_msg("'%s' is %s there:\n%s", what, wanted ? "not" : "still", text);
	free(text);
}

static void test_neighbours(void **state)
{
	const struct nspawn_port web = { 8080, 80, "" }, two[] = { { 8080, 80, "" }, { 53, 53, "" } };
	struct nomad_error *err = NULL;
	char *text;

	(void)state;
	if (!have_firewall())
		skip();
	assert_int_equal(nspawn_firewall_open(pool, "10.88.0.2", &web, 1, NULL), 0);
	assert_rule("6 . 8080 : 10.88.0.2 . 80", true);
	assert_rule("17 . 8080 : 10.88.0.2 . 80", true);
	/* Another wants the same: nothing of it is done, and its end takes nothing away. */
	assert_int_equal(nspawn_firewall_open(pool, "10.88.0.3", two, 2, &err), -EIO);
	assert_non_null(strstr(nomad_error_message(err), "nft"));
	nomad_error_free(err);
	assert_rule("10.88.0.3", false);
	nspawn_firewall_close(pool, "10.88.0.3", two, 2, false);
	assert_rule("6 . 8080 : 10.88.0.2 . 80", true);
	assert_rule("17 . 8080 : 10.88.0.2 . 80", true);
	/* An address that begins like its own. */
	assert_int_equal(nspawn_firewall_open(pool, "10.88.0.33", &two[1], 1, NULL), 0);
	nspawn_firewall_close(pool, "10.88.0.3", &two[1], 1, false);
	assert_rule("6 . 53 : 10.88.0.33 . 53", true);
	/* The end, twice. */
	nspawn_firewall_close(pool, "10.88.0.33", &two[1], 1, false);
	nspawn_firewall_close(pool, "10.88.0.33", &two[1], 1, false);
	assert_rule("10.88.0.33", false);
	nspawn_firewall_close(pool, "10.88.0.2", &web, 1, true);
	nspawn_firewall_close(pool, "10.88.0.2", &web, 1, true);
	text = rules();
	assert_string_equal(text, "");
	free(text);
}

static void test_addresses(void **state)
{
	const struct nspawn_port one = { 8080, 80, "192.0.2.1" }, other = { 8080, 80, "192.0.2.9" };
	const struct nspawn_port local = { 8080, 80, "127.0.0.1" };

	(void)state;
	if (!have_firewall())
		skip();
	assert_int_equal(nspawn_firewall_open(pool, "10.88.0.2", &one, 1, NULL), 0);
	assert_int_equal(nspawn_firewall_open(pool, "10.88.0.3", &other, 1, NULL), 0);
	assert_rule("192.0.2.1 . 6 . 8080 : 10.88.0.2 . 80", true);
	assert_rule("192.0.2.9 . 17 . 8080 : 10.88.0.3 . 80", true);
	/* Loopback is of who came first; who asks for it by name is refused. */
	assert_rule("127.0.0.1 . 6 . 8080 : 10.88.0.2 . 80", true);
	assert_int_equal(nspawn_firewall_open(pool, "10.88.0.4", &local, 1, NULL), -EIO);
	nspawn_firewall_close(pool, "10.88.0.4", &local, 1, false);
	nspawn_firewall_close(pool, "10.88.0.3", &other, 1, false);
	assert_rule("192.0.2.9", false);
	assert_rule("127.0.0.1 . 6 . 8080 : 10.88.0.2 . 80", true);
	assert_rule("192.0.2.1 . 17 . 8080 : 10.88.0.2 . 80", true);
	nspawn_firewall_close(pool, "10.88.0.2", &one, 1, true);
	assert_rule("nomad_nspawn", false);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_record),
		cmocka_unit_test(test_neighbours),
		cmocka_unit_test(test_addresses),
	};

	return cmocka_run_group_tests_name("nspawn/firewall", tests, NULL, NULL);
}
