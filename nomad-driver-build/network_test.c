/* SPDX-License-Identifier: MPL-2.0
 *
 * The resolver's file of a private network; the rest is test/build/25-network.sh. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "network.h"

static void test_resolv_conf(void **state)
{
	static const char text[] = "# by hand\nnameserver 127.0.0.53\nsearch a.example b.example\noptions ndots:1";
	char path[] = "/tmp/resolv-XXXXXX", *got;
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0 && write(fd, text, sizeof(text) - 1) == sizeof(text) - 1);
	close(fd);
	got = build_network_resolv_conf(path);
	unlink(path);
	assert_string_equal(got, "nameserver 10.0.2.3\nsearch a.example b.example\noptions ndots:1\n");
	free(got);
	got = build_network_resolv_conf(path);
	assert_string_equal(got, "nameserver 10.0.2.3\n");
	free(got);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_resolv_conf) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
