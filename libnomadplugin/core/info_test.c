/* SPDX-License-Identifier: MPL-2.0
 *
 * The text of resolv.conf. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "nomad/task.h"

static void resolv_conf(void **state)
{
	static char v4[] = "192.0.2.1", v6[] = "2001:db8::1", a[] = "a.example", b[] = "b.example", ndots[] = "ndots:2";
	char *servers[] = { v4, v6, NULL }, *searches[] = { a, b, NULL }, *options[] = { ndots, NULL };
	const struct nomad_task_info none = { 0 },
				     all = { .dns_servers = servers, .dns_searches = searches, .dns_options = options };
	char *text = nomad_resolv_conf(&none);

	(void)state;
	assert_string_equal(text, "");
	free(text);
	text = nomad_resolv_conf(&all);
	assert_string_equal(text, "nameserver 192.0.2.1\nnameserver 2001:db8::1\n"
				  "search a.example b.example\noptions ndots:2\n");
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(resolv_conf) };

	return cmocka_run_group_tests_name("core/info", tests, NULL, NULL);
}
