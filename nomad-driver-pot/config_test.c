/* SPDX-License-Identifier: MPL-2.0
 *
 * What the option tables let through and what not. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "config.h"
#include "nomad/error.h"
#include "schema/schema.h"

static void test_tables(void **state)
{
	struct nomad_error *err = NULL;

	(void)state;
	assert_int_equal(nomad__schema_check(&pot_config_schema, &err), 0);
	assert_int_equal(nomad__schema_check(&pot_task_schema, &err), 0);
}

/* The Go driver's names must not go. */
static void test_names_of_the_go_driver(void **state)
{
	static const char *const names[] = {
		"image",    "pot",  "tag",   "command",		"args",	       "network_mode",
		"port_map", "copy", "mount", "mount_read_only", "extra_hosts", "attributes",
	};

	(void)state;
	for (size_t i = 0; i < NOMAD_ARRAY_LEN(names); i++) {
		bool found = false;

		for (size_t j = 0; j < pot_task_schema.count; j++)
			found = found || strcmp(pot_task_schema.options[j].name, names[i]) == 0;
		assert_true(found);
	}
}

static const char *check(const char *name, const char *value)
{
	for (size_t i = 0; i < pot_task_schema.count; i++) {
		const struct nomad_option *o = &pot_task_schema.options[i];

		if (strcmp(o->name, name) == 0)
			return o->check(value);
	}
	fail_msg("no option '%s'", name);
	return NULL;
}

static void test_values(void **state)
{
	static const struct {
		const char *option, *good[8], *bad[16];
	} cases[] = {
		{ "image", { "https://x/y", "file:///tmp/i" }, { "", "-x", "a b", "a\nb" } },
		{ "pot", { "nginx-amd64_14" }, { "", "-p", "a b", "../x", "a/b", "a;b" } },
		{ "tag", { "1.2", "1_2" }, { "", "-t", "1 2" } },
		{ "command", { "nginx", "nginx -g 'x'" }, { "a\nb" } },
		{ "args", { "", "x y", "'q'", "\"" }, { "a\nb", "\r" } },
		{ "copy", { "a:/b", "/a:/b", "/a b:/c d", "/a:/b:c" }, { "", "a", ":/b", "a:b", "a:", "-a:/b" } },
		{ "mount",
		  { "/a:/b", "local/x:/b/c" },
		  { "", "/a", "/a:", "/a:b", ":/b", "/a:/", "/a b:/c", "/a:/b:ro", "/:/x", "-a:/b" } },
		{ "mount_read_only", { "/a:/b" }, { "/a", "/a:/" } },
		{ "extra_hosts",
		  { "h:192.0.2.1", "h:2001:db8::1" },
		  { "", "h", "h:", ":192.0.2.1", "h:x", "h:192.0.2", "h h:192.0.2.1" } },
		{ "attributes",
		  { "mlock:yes", "mlock:OFF", "devfs_ruleset:4", "sysvshm:new", "exec_stop:/bin/x a:b", "persistent:no",
		    "no-rc-script:yes" },
		  { "", "mlock", "mlock:", "mlock:1", "nope:yes", "devfs_ruleset:x", "sysvshm:old", "sysvshm:NEW",
		    "exec_stop:A=1 x", "persistent:yes", "persistent:ON", "no-rc-script:no", "stop_timeout:-1",
		    "devfs_ruleset:65536", "enforce_statfs:3" } },
		{ "limits", { "1", "100k", "2G" }, { "", "0", "00k", "k", "-1", "1x", "1kk", "1.5g" } },
		{ "port_map",
		  { "80", "udp:53", "tcp:1", "65535" },
		  { "", "0", "65536", "-1", "80x", "http", "udp:", "udp:x", "+80", " 80" } },
		{ "ports", { "http", "udp:dns", "tcp:x" }, { "", "udp:" } },
		{ "ip", { "auto", "em0|192.0.2.1" }, { "", "-x", "a b" } },
		{ "dns", { "inherit", "pot", "off", "custom:/a" }, { "", "custom:", "custom:a", "x", "custom:/a b" } },
		{ "bridge", { "back" }, { "", "-b", "a b" } },
		{ "signature_key", { "/a" }, { "", "a" } },
	};

	(void)state;
	for (size_t i = 0; i < NOMAD_ARRAY_LEN(cases); i++) {
		for (const char *const *v = cases[i].good; *v; v++) {
			if (check(cases[i].option, *v))
				fail_msg("%s = '%s' was refused: %s", cases[i].option, *v, check(cases[i].option, *v));
		}
		for (const char *const *v = cases[i].bad; *v; v++) {
			if (!check(cases[i].option, *v))
				fail_msg("%s = '%s' was let through", cases[i].option, *v);
		}
	}
}

static void test_combinations(void **state)
{
	char *list[] = { (char *)"x", NULL }, *two[] = { (char *)"x", (char *)"y", NULL };
	char *ab[] = { (char *)"/a:/b", NULL }, *again[] = { (char *)"/a/:/c", NULL };
	char *place[] = { (char *)"/c:/b", NULL }, *other[] = { (char *)"/aa:/bb", (char *)"/a/b:/c", NULL };
	char *none[] = { NULL }, *automatic[] = { (char *)"auto", NULL };
	const struct {
		struct pot_task_config config;
		bool good;
	} cases[] = {
		{ { 0 }, true },
		{ { .args = list }, false },
		{ { .args = list, .command = (char *)"c" }, true },
		{ { .network_mode = (char *)"alias" }, false },
		{ { .network_mode = (char *)"alias", .ip = list }, true },
		{ { .network_mode = (char *)"alias", .ip = two }, true },
		{ { .network_mode = (char *)"alias", .ip = none }, false },
		{ { .network_mode = (char *)"alias", .ip = automatic }, false },
		{ { .network_mode = (char *)"public-bridge", .ip = automatic }, true },
		{ { .network_mode = (char *)"public-bridge", .ip = two }, false },
		{ { .network_mode = (char *)"private-bridge", .bridge = (char *)"b", .network_stack = (char *)"ipv6" },
		  false },
		{ { .network_mode = (char *)"private-bridge", .bridge = (char *)"b", .network_stack = (char *)"dual" },
		  true },
		{ { .network_mode = (char *)"private-bridge" }, false },
		{ { .network_mode = (char *)"private-bridge", .bridge = (char *)"b" }, true },
		{ { .network_mode = (char *)"public-bridge", .bridge = (char *)"b" }, false },
		{ { .network_mode = (char *)"host", .ip = list }, false },
		{ { .ip = list }, false },
		{ { .network_mode = (char *)"public-bridge", .ip = list }, true },
		{ { .mount = ab, .mount_read_only = again }, false },
		{ { .mount = ab, .mount_read_only = place }, false },
		{ { .mount = ab, .mount_read_only = other }, true },
	};

	(void)state;
	for (size_t i = 0; i < NOMAD_ARRAY_LEN(cases); i++) {
		struct nomad_error *err = NULL;

		assert_int_equal(pot_task_schema.check(&cases[i].config, &err), cases[i].good ? 0 : -EINVAL);
		assert_true(cases[i].good == !err);
		nomad_error_free(err);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tables),
		cmocka_unit_test(test_names_of_the_go_driver),
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_combinations),
	};

	return cmocka_run_group_tests_name("pot options", tests, NULL, NULL);
}
