/* SPDX-License-Identifier: MPL-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "host.h"

static void unit_is(const char *cgroups, const char *want)
{
	char unit[64];

	if (want) {
		assert_true(nspawn_unit_of(cgroups, unit, sizeof(unit)));
		assert_string_equal(unit, want);
	} else {
		assert_false(nspawn_unit_of(cgroups, unit, sizeof(unit)));
	}
}

/* As systemd itself reads such paths. */
static void test_unit(void **state)
{
	(void)state;
	unit_is("0::/nomad.slice/share.slice/0b1c.task.scope/payload/init.scope\n", "0b1c.task.scope");
	unit_is("0::/nomad.slice/share.slice/0b1c.task.scope", "0b1c.task.scope");
	unit_is("0::/init.scope\n", "init.scope");
	unit_is("0::/system.slice/nomad.service\n", "nomad.service");
	unit_is("0::/nomad.slice/_x.task.scope/payload\n", "x.task.scope");
	unit_is("12:cpu:/a.scope\n1:name=systemd:/system.slice/nomad.service\n", "nomad.service");
	unit_is("1:name=systemd:/system.slice/nomad.service\n0::/\n", "nomad.service");
	unit_is("1:name=systemd:/b.service\n0::/a.slice/a.scope/payload\n", "a.scope");
}

static void test_no_unit(void **state)
{
	(void)state;
	unit_is("", NULL);
	unit_is("0::/\n", NULL);
	unit_is("0::/nomad-drivers/task-0b1c/payload\n", NULL);
	unit_is("0::/nomad.slice/share.slice\n", NULL);
	unit_is("0::/nomad.slice/.scope\n", NULL);
	unit_is("0::/nomad.slice/.service\n", NULL);
	unit_is("0::/a/b.scope\n", NULL);
	unit_is("0::/.slice/b.scope\n", NULL);
	unit_is("12:cpu:/a.scope\n", NULL);
	/* Longer than there is room. */
	unit_is("0::/0123456789012345678901234567890123456789012345678901234567890123456789.scope\n", NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_unit),
		cmocka_unit_test(test_no_unit),
	};

	return cmocka_run_group_tests_name("nspawn/machined", tests, NULL, NULL);
}
