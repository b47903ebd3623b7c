/* SPDX-License-Identifier: MPL-2.0
 *
 * Users of containers: never another's, whoever says that they are in use. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "lease.h"
#include "users.h"

enum { FIRST = 524288 };

static char top[] = "/tmp/nspawn-users-XXXXXX", leases[64], locks[64], subuid[64], proc[64], name[NAME_MAX];
static const char *const subids[] = { subuid, NULL };
static const struct nspawn_users_host host = { leases, locks, subids, proc };
static struct nspawn_users users;

static int set_up(void **state)
{
	(void)state;
	strcpy(top + sizeof(top) - 7, "XXXXXX");
	if (!mkdtemp(top))
		return -1;
	snprintf(leases, sizeof(leases), "%s/leases", top);
	snprintf(locks, sizeof(locks), "%s/locks", top);
	snprintf(subuid, sizeof(subuid), "%s/subuid", top);
	snprintf(proc, sizeof(proc), "%s/proc", top);
	return mkdir(locks, 0700) | mkdir(proc, 0700);
}

static int tear_down(void **state)
{
	(void)state;
	return nomad_remove_tree(top, NULL);
}

static void put(const char *text, const char *fmt, ...) NOMAD_PRINTF(2, 3);
static void put(const char *text, const char *fmt, ...)
{
	char path[PATH_MAX];
	va_list args;
	FILE *file;

	va_start(args, fmt);
	vsnprintf(path, sizeof(path), fmt, args);
	va_end(args);
	file = fopen(path, "w");
	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

/* Which of the ranges, from the first on. */
static int chosen(uint64_t start, const char *slug)
{
	assert_int_equal(nspawn_users_choose(&host, start, slug, &users, name, NULL), 0);
	assert_int_equal(users.count, NSPAWN_USERS);
	assert_int_equal(users.first % NSPAWN_USERS, 0);
	return (int)((users.first - FIRST) / NSPAWN_USERS);
}

static void test_collisions(void **state)
{
	char slug[16], text[64];
	int i;

	(void)state;
	/* 200 tasks whose names have the same hash. */
	for (i = 0; i < 200; i++) {
		snprintf(slug, sizeof(slug), "task-%d", i);
		assert_int_equal(chosen(28662, slug), (28662 + i) % 28664);
		assert_int_equal(nspawn_lease_take(leases, name, top, NULL), 1);
	}
	/* A task that has some keeps them. */
	assert_int_equal(chosen(28662, "task-0"), 28662);
	snprintf(text, sizeof(text), "%u-%u.task-0", FIRST + 28662 * 65536U, FIRST + 28663 * 65536U - 1);
	assert_string_equal(name, text);
}

static void test_others(void **state)
{
	char path[160], own[128];
	int fd;

	(void)state;
	snprintf(path, sizeof(path), "%s/%u", locks, FIRST);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(chosen(0, "web"), 0); /* left, but locked by nobody */
	assert_int_equal(flock(fd, LOCK_EX | LOCK_NB), 0);
	assert_int_equal(chosen(0, "web"), 1);
	put("# a comment\nalice:589900:65536\n", "%s", subuid);
	assert_int_equal(chosen(0, "web"), 3);
	/* Processes: one of ours, and one with users of its own. */
	snprintf(path, sizeof(path), "%s/self", proc);
	snprintf(own, sizeof(own), "%s/self/ns", proc);
	assert_int_equal(mkdir(path, 0700) | mkdir(own, 0700), 0);
	snprintf(path, sizeof(path), "%s/user", own);
	assert_int_equal(symlink("user:[1]", path), 0);
	snprintf(path, sizeof(path), "%s/77", proc);
	snprintf(own, sizeof(own), "%s/77/ns", proc);
	assert_int_equal(mkdir(path, 0700) | mkdir(own, 0700), 0);
	snprintf(path, sizeof(path), "%s/user", own);
	assert_int_equal(symlink("user:[2]", path), 0);
	put("         0     720896      65536\n", "%s/77/uid_map", proc);
	assert_int_equal(chosen(0, "web"), 4);
	close(fd);
	assert_int_equal(chosen(0, "web"), 0);
}

static int check(unsigned first, unsigned count, const char *slug, const char *job, struct nomad_error **err)
{
	users = (struct nspawn_users){ .first = first, .count = count, .named = true };
	return nspawn_users_check(&host, &users, slug, job, name, err);
}

static void test_named(void **state)
{
	struct nomad_error *err = NULL;

	(void)state;
	assert_int_equal(chosen(0, "one"), 0);
	assert_int_equal(nspawn_lease_take(leases, name, top, NULL), 1);
	assert_int_equal(check(FIRST, 1000, "two", "default/job", &err), -EBUSY);
	assert_non_null(strstr(nomad_error_message(err), "option 'private_users': users 524288 to 525287"));
	nomad_error_free(err);
	assert_int_equal(check(FIRST - 1, 2, "two", "default/job", NULL), -EBUSY);
	assert_int_equal(check(FIRST + 65536, 1000, "two", "default/job", NULL), 0);
	assert_int_equal(nspawn_lease_take(leases, name, "/state/two\ndefault/job", NULL), 1);
	assert_int_equal(chosen(1, "three"), 2);
	/* The same job may share what it names, but no part of it, and no other job may. */
	assert_int_equal(check(FIRST + 65536, 1000, "three", "default/job", NULL), 0);
	assert_int_equal(check(FIRST + 65536, 999, "three", "default/job", NULL), -EBUSY);
	assert_int_equal(check(FIRST + 65536, 1000, "three", "default/another", NULL), -EBUSY);
	/* What is of a task that is gone is free. */
	assert_false(nspawn_lease_sweep(leases));
	assert_int_equal(check(FIRST + 65536, 1000, "three", "default/another", NULL), 0);
}

static void test_none_left(void **state)
{
	struct nomad_error *err = NULL;

	(void)state;
	put("a:0:4294967295\n", "%s", subuid);
	assert_int_equal(nspawn_users_choose(&host, 5, "web", &users, name, &err), -ENOSPC);
	assert_non_null(strstr(nomad_error_message(err), "are in use"));
	nomad_error_free(err);
}

static void test_wanted(void **state)
{
	static const struct {
		const char *users;
		unsigned first, count;
	} rows[] = {
		{ NULL, 0, 65536 },	 { "pick", 0, 65536 }, { "yes", 0, 0 },	  { "identity", 0, 0 },
		{ "managed", 0, 0 },	 { "no", 0, 0 },       { "0", 0, 0 },	  { "5:0", 0, 0 },
		{ "99999999999", 0, 0 }, { "7:9", 7, 9 },      { "7", 7, 65536 }, { "4294967295:2", 0, 0 },
	};
	struct nspawn_config config = { .user_namespacing = true };
	size_t i;

	(void)state;
	for (i = 0; i < NOMAD_ARRAY_LEN(rows); i++) {
		config.private_users = (char *)rows[i].users;
		users = nspawn_users_wanted(&config);
		assert_int_equal(users.first, rows[i].first);
		assert_int_equal(users.count, rows[i].count);
		assert_int_equal(users.named, users.first > 0);
	}
	config = (struct nspawn_config){ .user_namespacing = false };
	assert_int_equal(nspawn_users_wanted(&config).count, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_collisions),
		TEST(test_others),
		TEST(test_named),
		TEST(test_none_left),
		TEST(test_wanted),
	};

	return cmocka_run_group_tests_name("nspawn users", tests, NULL, NULL);
}
