/* SPDX-License-Identifier: MPL-2.0
 *
 * Options in the forms of docker: what is one, and what is none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "docker.h"

static void test_checks(void **state)
{
	static const struct {
		const char *(*check)(const char *value);
		const char *value;
		bool fine;
	} rows[] = {
		{ nspawn_check_volume, "/srv:/data", true },
		{ nspawn_check_volume, "local/x:/data:ro", true },
		{ nspawn_check_volume, "/srv:/data:rw", true },
		{ nspawn_check_volume, "/srv:data", false },
		{ nspawn_check_volume, "/srv", false },
		{ nspawn_check_volume, ":/data", false },
		{ nspawn_check_volume, "/srv:/data:z", false },
		{ nspawn_check_extra_host, "db:10.0.0.1", true },
		{ nspawn_check_extra_host, "db.x-y:::1", true },
		{ nspawn_check_extra_host, "db:10.0.0", false },
		{ nspawn_check_extra_host, ":10.0.0.1", false },
		{ nspawn_check_extra_host, "db", false },
		{ nspawn_check_extra_host, "a b:10.0.0.1", false },
		{ nspawn_check_extra_host, "a:1.1.1.1\nx", false },
	};
	size_t i;

	(void)state;
	for (i = 0; i < NOMAD_ARRAY_LEN(rows); i++)
		if (!rows[i].check(rows[i].value) != rows[i].fine)
			fail_msg("'%s'", rows[i].value);
}

static void test_sysctls(void **state)
{
	static const struct {
		const char *name;
		bool own, shared;
	} rows[] = {
		{ "net.core.somaxconn", true, false },
		{ "kernel.shmmax", true, true },
		{ "kernel.msgmnb", true, true },
		{ "kernel.sem", true, true },
		{ "fs.mqueue.msg_max", true, true },
		{ "kernel.core_pattern", false, false },
		{ "net/../kernel/core", false, false },
		{ "kernel.sem+kernel.x", false, false },
		{ "net...kernel.sysrq", false, false },
		{ "vm.overcommit_memory", false, false },
		{ "kernel.shmmax\nkernel.x", false, false },
		{ "", false, false },
	};
	size_t i;

	(void)state;
	for (i = 0; i < NOMAD_ARRAY_LEN(rows); i++)
		if (nspawn_is_sysctl(rows[i].name, true, true) != rows[i].own ||
		    nspawn_is_sysctl(rows[i].name, false, true) != rows[i].shared ||
		    nspawn_is_sysctl(rows[i].name, false, false))
			fail_msg("'%s'", rows[i].name);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_checks), cmocka_unit_test(test_sysctls) };

	return cmocka_run_group_tests_name("nspawn docker", tests, NULL, NULL);
}
