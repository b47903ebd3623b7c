/* SPDX-License-Identifier: MPL-2.0
 *
 * Addresses: no two tasks ever get the same, nobody gives another's back. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "network.h"

static char top[] = "/tmp/nspawn-address-XXXXXX", dir[64];
static char address[INET_ADDRSTRLEN], gateway[INET_ADDRSTRLEN];
static int bits;

static int set_up(void **state)
{
	(void)state;
	strcpy(top + sizeof(top) - 7, "XXXXXX");
	if (!mkdtemp(top))
		return -1;
	snprintf(dir, sizeof(dir), "%s/a", top);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	return nomad_remove_tree(top, NULL);
}

static int take(const char *pool, const char *zone, const char *slug, struct nomad_error **err)
{
	return nspawn_address_take(dir, pool, zone, slug, address, gateway, &bits, err);
}

static void test_pools(void **state)
{
	static const struct {
		const char *pool, *zone, *address, *gateway;
		int bits;
	} rows[] = {
		{ "10.88.0.0/16", NULL, "10.88.0.2", "10.88.0.1", 32 },
		{ "10.88.77.5/16", NULL, "10.88.0.3", "10.88.0.1", 32 }, /* some address in it names it */
		{ "192.168.7.0/24", NULL, "192.168.7.2", "192.168.7.1", 32 },
		{ "172.16.0.0/28", NULL, "172.16.0.2", "172.16.0.1", 32 },
		{ "10.0.0.0/8", NULL, "10.0.0.2", "10.0.0.1", 32 },
		{ "10.9.0.0/23", "z", "10.9.1.2", "10.9.1.1", 24 }, /* room for one */
		{ "10.9.0.0/23", "another", "10.9.1.3", "10.9.1.1", 24 },
	};
	size_t i;

	(void)state;
	for (i = 0; i < NOMAD_ARRAY_LEN(rows); i++) {
		assert_int_equal(take(rows[i].pool, rows[i].zone, "task", NULL), 0);
		assert_string_equal(address, rows[i].address);
		assert_string_equal(gateway, rows[i].gateway);
		assert_int_equal(bits, rows[i].bits);
	}
}

static void test_no_pools(void **state)
{
	static const char *const bad[] = {
		"",
		"x",
		"10.88.0.0",
		"10.88.0.0/",
		"10.88.0.0/x",
		"10.88.0.0/7",
		"10.88.0.0/29",
		"10.88.0.0/-1",
		"10.88.0/16",
		"300.1.1.1/16",
		"fd00::/64",
		"10.88.0.0.0/16",
		"/16",
		"1111111111111111111/16",
	};
	size_t i;

	(void)state;
	for (i = 0; i < NOMAD_ARRAY_LEN(bad); i++) {
		struct nomad_error *err = NULL;

		assert_int_equal(take(bad[i], NULL, "task", &err), -EINVAL);
		assert_non_null(strstr(nomad_error_message(err), "is no IPv4 network"));
		nomad_error_free(err);
	}
	assert_int_equal(take("10.88.0.0/24", "zone", "task", NULL), -EINVAL);
	assert_true(nspawn_address_none(dir));
}

static void test_owners(void **state)
{
	char other[128];
	FILE *file;

	(void)state;
	assert_int_equal(take("10.88.0.0/16", NULL, "one", NULL), 0);
	assert_int_equal(take("10.88.0.0/16", "zone", "one", NULL), 0);
	assert_int_equal(take("10.88.0.0/16", NULL, "two", NULL), 0);
	assert_string_equal(address, "10.88.0.3");
	/* A name that begins like another is another. */
	nspawn_address_release_all(dir, "tw");
	nspawn_address_release_all(dir, "two ");
	nspawn_address_release(dir, "10.88.0.3", "one");
	nspawn_address_release(dir, "10.88.0.9", "one"); /* nobody's */
	assert_int_equal(take("10.88.0.0/16", NULL, "three", NULL), 0);
	assert_string_equal(address, "10.88.0.4");
	nspawn_address_release_all(dir, "one");
	assert_int_equal(take("10.88.0.0/16", NULL, "four", NULL), 0);
	assert_string_equal(address, "10.88.0.2");
	nspawn_address_release_all(dir, "two");
	nspawn_address_release_all(dir, "three");
	nspawn_address_release_all(dir, "four");
	assert_true(nspawn_address_none(dir));
	nspawn_address_release_all("/nowhere", "one");
	/* What is of another life of the machine, or of nobody, goes. */
	assert_int_equal(take("10.88.0.0/16", NULL, "now", NULL), 0);
	snprintf(other, sizeof(other), "%s/10.88.0.7", dir);
	file = fopen(other, "w");
	assert_non_null(file);
	fputs("00000000-0000-0000-0000-000000000000 before\n", file);
	fclose(file);
	snprintf(other, sizeof(other), "%s/10.88.0.8", dir);
	fclose(fopen(other, "w"));
	nspawn_address_sweep(dir);
	assert_int_equal(access(other, F_OK), -1);
	assert_false(nspawn_address_none(dir));
	nspawn_address_release_all(dir, "now");
	assert_true(nspawn_address_none(dir));
}

/* Four processes at once, as two plugins of a host would be. */
static void test_at_once(void **state)
{
	char name[16];
	int i, n, status;
	struct stat st;

	(void)state;
	assert_int_equal(mkdir(dir, 0700), 0);
	for (i = 0; i < 4; i++) {
		if (fork())
			continue;
		for (n = 0; n < 50; n++) {
			snprintf(name, sizeof(name), "t%d-%d", i, n);
			if (take("10.88.0.0/16", NULL, name, NULL) < 0)
				_exit(1);
		}
		_exit(0);
	}
	for (i = 0; i < 4; i++) {
		assert_true(wait(&status) > 0);
		assert_int_equal(status, 0);
	}
	/* 200 are taken: the first 200. */
	for (i = 2; i < 202; i++) {
		char path[96];

		snprintf(path, sizeof(path), "%s/10.88.0.%d", dir, i);
		assert_int_equal(stat(path, &st), 0);
	}
	assert_int_equal(take("10.88.0.0/16", NULL, "next", NULL), 0);
	assert_string_equal(address, "10.88.0.202");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_pools, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_no_pools, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_owners, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_at_once, set_up, tear_down),
	};

	return cmocka_run_group_tests_name("nspawn/address", tests, NULL, NULL);
}
