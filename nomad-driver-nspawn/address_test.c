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

#include "lease.h"
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

static void test_address6(void **state)
{
	static const char *const bad[] = { "",		 "fd00::/97", "fd00::/7", "fd00::",
					   "10.0.0.0/8", "x::/64",    "fd00::/x", "fd00::1%lo/64" };
	char text[INET6_ADDRSTRLEN];
	struct nomad_error *err = NULL;

	(void)state;
	assert_int_equal(nspawn_address6("fd00:1:2:3:ffff:ffff:ffff:ffff/64", "10.88.0.2", text, &err), 0);
	assert_string_equal(text, "fd00:1:2:3::a58:2");
	assert_int_equal(nspawn_address6("fd00:1:2:3fff::/52", "10.88.0.2", text, &err), 0);
	assert_string_equal(text, "fd00:1:2:3000::a58:2");
	assert_int_equal(nspawn_address6("2001:db8:1:2:3:4::/96", "10.88.0.2", text, &err), 0);
	assert_string_equal(text, "2001:db8:1:2:3:4:a58:2");
	assert_null(err);
	for (size_t i = 0; i < NOMAD_ARRAY_LEN(bad); i++)
		assert_int_equal(nspawn_address6(bad[i], "10.88.0.2", text, NULL), -EINVAL);
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
		{ "10.9.0.0/23", "z", "10.9.1.3", "10.9.1.1", 24 },
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
	assert_true(nspawn_lease_sweep(dir));
}

static void test_owners(void **state)
{
	char one[80], two[80], three[80], path[128];

	(void)state;
	snprintf(one, sizeof(one), "%s/one", top);
	snprintf(two, sizeof(two), "%s/one more", top);
	snprintf(three, sizeof(three), "%s/three", top);
	assert_int_equal(mkdir(one, 0700) | mkdir(two, 0700), 0);
	assert_int_equal(take("10.88.0.0/16", NULL, one, NULL), 0);
	assert_int_equal(take("10.88.0.0/16", "zone", one, NULL), 0);
	assert_int_equal(take("10.88.0.0/16", NULL, two, NULL), 0);
	assert_string_equal(address, "10.88.0.3");
	/* A name that begins like another is another. */
	nspawn_lease_release(dir, "10.88.0.3", one);
	nspawn_lease_release(dir, "10.88.0.9", one); /* nobody's */
	/* What is of a task without a record, or of nobody, goes: another plugin may have died with it. */
	assert_int_equal(take("10.88.0.0/16", NULL, three, NULL), 0);
	assert_string_equal(address, "10.88.0.4");
	snprintf(path, sizeof(path), "%s/10.88.0.8", dir);
	fclose(fopen(path, "w"));
	assert_false(nspawn_lease_sweep(dir));
	assert_int_equal(access(path, F_OK), -1);
	assert_int_equal(take("10.88.0.0/16", NULL, two, NULL), 0);
	assert_string_equal(address, "10.88.0.4");
	nspawn_lease_release_all(dir, one);
	assert_int_equal(take("10.88.0.0/16", NULL, two, NULL), 0);
	assert_string_equal(address, "10.88.0.2");
	assert_false(nspawn_lease_sweep(dir));
	nspawn_lease_release_all(dir, two);
	assert_true(nspawn_lease_sweep(dir));
	nspawn_lease_release_all("/nowhere", "one");
}

/* All zones hash to the same network. */
uint32_t __wrap_nomad_hash32(const void *data, size_t size);

uint32_t __wrap_nomad_hash32(const void *data, size_t size)
{
	(void)data;
	(void)size;
	return 7;
}

static void test_zones(void **state)
{
	char one[80], two[80];

	(void)state;
	snprintf(one, sizeof(one), "%s/one", top);
	snprintf(two, sizeof(two), "%s/two", top);
	assert_int_equal(mkdir(one, 0700) | mkdir(two, 0700), 0);
	assert_int_equal(take("10.9.0.0/22", "red", one, NULL), 0);
	assert_string_equal(address, "10.9.3.2");
	assert_int_equal(take("10.9.0.0/22", "blue", two, NULL), 0);
	assert_string_equal(address, "10.9.2.2");
	assert_int_equal(take("10.9.0.0/22", "green", two, NULL), -ENOSPC);
	nspawn_lease_release_all(dir, one);
	/* A zone stays where it is, also when a better place has become free. */
	assert_int_equal(take("10.9.0.0/22", "blue", two, NULL), 0);
	assert_string_equal(address, "10.9.2.3");
	assert_int_equal(take("10.9.0.0/22", "green", two, NULL), 0);
	assert_string_equal(address, "10.9.3.2");
}

static void put(const char *old, const char *name, const char *boot, const char *slug)
{
	char path[160];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", old, name);
	file = fopen(path, "w");
	assert_non_null(file);
	fprintf(file, "%s %s\n", boot, slug);
	assert_int_equal(fclose(file), 0);
}

/* Version 0.1 kept addresses in its state directory: those of running tasks stay taken. */
static void test_adopted(void **state)
{
	char old[80], tasks[80], path[128], boot[64] = "";
	FILE *file = fopen("/proc/sys/kernel/random/boot_id", "r");

	(void)state;
	assert_non_null(file);
	assert_non_null(fgets(boot, sizeof(boot), file));
	fclose(file);
	boot[strcspn(boot, "\n")] = 0;
	snprintf(old, sizeof(old), "%s/addresses", top);
	snprintf(tasks, sizeof(tasks), "%s/tasks", top);
	snprintf(path, sizeof(path), "%s/web", tasks);
	assert_int_equal(mkdir(dir, 0700) | mkdir(old, 0700) | mkdir(tasks, 0700) | mkdir(path, 0700), 0);
	put(old, "10.88.0.2", boot, "web");
	put(old, "10.88.0.3", boot, "gone");
	put(old, "10.88.0.4", "00000000-0000-0000-0000-000000000000", "web");
	nspawn_address_adopt(dir, old, tasks);
	assert_int_equal(access(old, F_OK), -1);
	assert_false(nspawn_lease_sweep(dir));
	assert_int_equal(take("10.88.0.0/16", NULL, path, NULL), 0);
	assert_string_equal(address, "10.88.0.3");
	nspawn_lease_release_all(dir, path);
	assert_true(nspawn_lease_sweep(dir));
	nspawn_address_adopt(dir, old, tasks); /* nothing there */
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
		cmocka_unit_test(test_address6),
		cmocka_unit_test_setup_teardown(test_no_pools, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_owners, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_zones, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_adopted, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_at_once, set_up, tear_down),
	};

	return cmocka_run_group_tests_name("nspawn/address", tests, NULL, NULL);
}
