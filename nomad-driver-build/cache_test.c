/* SPDX-License-Identifier: MPL-2.0
 *
 * Which caches go: the oldest first, until the rest is small enough; none
 * that a build holds. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "host.h"

enum { MIB = 1 << 20 };

static char top[] = "/tmp/cache_test.XXXXXX";

static const char *at(const char *cache, const char *name)
{
	static char path[256];

	snprintf(path, sizeof(path), "%s/cache/%s/%s", top, cache, name);
	return path;
}

static bool is_there(const char *cache)
{
	return access(at(cache, "root-overlay/data"), F_OK) == 0;
}

/* One of a MiB that was last used at that time. */
static void add(const char *cache, time_t used)
{
	static char data[MIB];
	struct timespec times[2] = { { .tv_sec = used }, { .tv_sec = used } };
	int fd;

	assert_true(mkdir(at(cache, ""), 0700) == 0 || errno == EEXIST);
	assert_true(mkdir(at(cache, "root-overlay"), 0700) == 0 || errno == EEXIST);
	fd = open(at(cache, "root-overlay/data"), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	memset(data, 1, sizeof(data));
	assert_true(write(fd, data, sizeof(data)) == sizeof(data));
	/* So that its blocks are counted. */
	assert_int_equal(fsync(fd), 0);
	close(fd);
	fd = open(at(cache, "lock"), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(futimens(fd, times), 0);
	close(fd);
}

static int set_up(void **state)
{
	char path[64];

	(void)state;
	strcpy(top, "/tmp/cache_test.XXXXXX");
	if (!mkdtemp(top))
		return -1;
	snprintf(path, sizeof(path), "%s/cache", top);
	return mkdir(path, 0700);
}

static int tear_down(void **state)
{
	(void)state;
	return build_tree_remove(top);
}

static void test_oldest_first(void **state)
{
	(void)state;
	add("default~new", 3000);
	add("default~old", 1000);
	add("other~middle", 2000);
	build_cache_collect(top, 10 * MIB);
	assert_true(is_there("default~new") && is_there("default~old") && is_there("other~middle"));
	build_cache_collect(top, 2 * MIB + MIB / 2);
	assert_true(is_there("default~new") && !is_there("default~old") && is_there("other~middle"));
	/* A build may wait for the lock of one that is gone. */
	assert_int_equal(access(at("default~old", "lock"), F_OK), 0);
	build_cache_collect(top, 0);
	assert_false(is_there("default~new") || is_there("other~middle"));
}

static void test_in_use(void **state)
{
	int lock;

	(void)state;
	add("default~held", 1000);
	add("default~free", 2000);
	lock = open(at("default~held", "lock"), O_RDWR | O_CLOEXEC);
	assert_int_equal(flock(lock, LOCK_SH), 0);
	build_cache_collect(top, MIB / 2);
	assert_true(is_there("default~held"));
	assert_false(is_there("default~free"));
	close(lock);
	build_cache_collect(top, MIB / 2);
	assert_false(is_there("default~held"));
}

/* What is none of ours, and links to what is not. */
static void test_strange(void **state)
{
	char outside[64], path[128];

	(void)state;
	snprintf(outside, sizeof(outside), "%s/outside", top);
	assert_int_equal(mkdir(outside, 0700), 0);
	snprintf(path, sizeof(path), "%s/kept", outside);
	assert_int_equal(mkdir(path, 0700), 0);
	add("default~links", 1000);
	assert_int_equal(symlink(outside, at("default~links", "link")), 0);
	assert_int_equal(symlink(path, at("default~links", "root-overlay/link")), 0);
	/* One whose lock is a link. */
	add("default~locked", 500);
	assert_int_equal(unlink(at("default~locked", "lock")), 0);
	assert_int_equal(symlink("/etc/passwd", at("default~locked", "lock")), 0);
	build_cache_collect(top, 0);
	assert_false(is_there("default~links"));
	assert_true(is_there("default~locked"));
	assert_int_equal(access(path, F_OK), 0);
	build_cache_collect("/nonexistent", 0);
}

#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = { T(test_oldest_first), T(test_in_use), T(test_strange) };

	return cmocka_run_group_tests_name("build/cache", tests, NULL, NULL);
}
