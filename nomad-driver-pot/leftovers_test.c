/* SPDX-License-Identifier: MPL-2.0 */
#include "leftovers.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static void an_interface_is_found_by_its_description(void **state)
{
	static const char *const lines[] = {
		"em0: flags=8863<UP,BROADCAST> metric 0 mtu 1500",
		"\tdescription: nomad_ab",
		"p4a: flags=8943<UP,BROADCAST> metric 0 mtu 1500",
		"\tether 02:00:00:00:00:0a",
		"\tdescription: nomad_a",
	};
	struct pot_interface interface = { .description = "nomad_a" };

	(void)state;
	assert_false(pot_find_interface(&interface, lines[4]));
	for (size_t i = 0; i < 4; i++)
		assert_false(pot_find_interface(&interface, lines[i]));
	assert_true(pot_find_interface(&interface, lines[4]));
	assert_string_equal(interface.name, "p4a");
}

static void a_mount_point_below_the_pot_is_found(void **state)
{
	static const char root[] = "/pot/jails/nomad_a/m/";
	static const struct {
		const char *line, *point;
	} cases[] = {
		{ "/srv/data  /pot/jails/nomad_a/m/data nullfs rw 0 0", "/pot/jails/nomad_a/m/data" },
		{ "devfs  /pot/jails/nomad_a/m/dev devfs rw 0 0", "/pot/jails/nomad_a/m/dev" },
		{ "/pot/jails/nomad_a/m/x  /pot/jails/nomad_a/m/y nullfs rw 0 0", "/pot/jails/nomad_a/m/y" },
		/* A source with a blank may look like another mount point of this pot, never like one of another. */
		{ "/srv/my data  /pot/jails/nomad_a/m/tmp/copy-in.1 nullfs ro 0 0",
		  "/pot/jails/nomad_a/m/tmp/copy-in.1" },
		{ "zroot/pot/jails/nomad_a/m  /pot/jails/nomad_a/m zfs rw 0 0", NULL },
		{ "zroot/x  /pot/jails/nomad_a/m/x zfs rw 0 0", NULL },
		{ "/srv/data  /pot/jails/nomad_ab/m/data nullfs rw 0 0", NULL },
		{ "/srv/data  /mnt/pot/jails/nomad_a/m/data nullfs rw 0 0", NULL },
		{ "", NULL },
	};

	(void)state;
	for (size_t i = 0; i < NOMAD_ARRAY_LEN(cases); i++) {
		NOMAD_AUTO_FREE char *point = pot_mount_point_below(cases[i].line, root);

		if (cases[i].point)
			assert_string_equal(point, cases[i].point);
		else
			assert_null(point);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_interface_is_found_by_its_description),
		cmocka_unit_test(a_mount_point_below_the_pot_is_found),
	};

	return cmocka_run_group_tests_name("pot leftovers", tests, NULL, NULL);
}
