/* SPDX-License-Identifier: MPL-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "cmdline.h"
#include "confdrive.h"
#include "util.h"

static void kernel_arguments_become_json(void **state)
{
	char *text;

	(void)state;
	cmdline_set("nomadinit.hostname=n1 nomadinit.set.client.enabled=true "
		    "nomadinit.set.client.servers=[\"192.0.2.1\",\"x y\"] nomadinit.set.region=eu "
		    "nomadinit.set.nomadinit.network.eth0.dhcp=true");
	text = confdrive_from_cmdline();
	assert_non_null(strstr(text, "\"hostname\": \"n1\""));
	assert_non_null(strstr(text, "\"enabled\": true"));
	assert_non_null(strstr(text, "\"servers\": [\"192.0.2.1\", \"x y\"]"));
	free(text);
}

static void what_is_not_json_is_a_string(void **state)
{
	char *text;

	(void)state;
	cmdline_set("nomadinit.set.a=eu nomadinit.set.b=3 nomadinit.set.=x nomadinit.set.c..d=1 nomadinit.set.a.b=1");
	text = confdrive_from_cmdline();
	assert_non_null(strstr(text, "\"b\": 3"));
	assert_null(strstr(text, "\"\":"));
	free(text);
	cmdline_set("");
	text = confdrive_from_cmdline();
	assert_string_equal(text, "{}");
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(kernel_arguments_become_json),
		cmocka_unit_test(what_is_not_json_is_a_string),
	};

	return cmocka_run_group_tests_name("confdrive", tests, NULL, NULL);
}
