/* SPDX-License-Identifier: MPL-2.0 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "download.h"

static void write_bytes(const char *path, off_t n)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, n), 0);
	close(fd);
}

static void test_bytes(void **state)
{
	char top[] = "/tmp/nspawn-fetch-XXXXXX";
	int i;

	(void)state;
	assert_int_equal(nspawn_tree_bytes("/nowhere/at/all"), 0);
	assert_non_null(mkdtemp(top));
	assert_int_equal(chdir(top), 0);
	assert_int_equal(nspawn_tree_bytes(top), 0);
	write_bytes("a", 5);
	assert_int_equal(mkdir("d", 0700), 0);
	write_bytes("d/b", 1LL << 33);
	assert_int_equal(symlink("/usr", "d/link"), 0); /* leads out of it */
	assert_int_equal(symlink("..", "d/up"), 0);
	assert_int_equal(mkfifo("d/fifo", 0600), 0);
	assert_true(nspawn_tree_bytes(top) == 5 + (1LL << 33));
	assert_int_equal(nspawn_tree_bytes("a"), 0);
	/* Holes take nothing. */
	assert_in_range(nspawn_tree_use(top), 6 * 512, 1 << 20);
	/* Too deep is cut, not followed for ever. */
	for (i = 0; i < 100; i++) {
		assert_int_equal(mkdir("x", 0700), 0);
		assert_int_equal(chdir("x"), 0);
	}
	write_bytes("deep", 7);
	assert_true(nspawn_tree_bytes(top) == 5 + (1LL << 33));
	assert_in_range(nspawn_tree_use(top), 100 * 512, 1 << 20);
	assert_int_equal(chdir("/"), 0);
	assert_int_equal(nomad_remove_tree(top, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_bytes) };

	return cmocka_run_group_tests_name("nspawn/fetch", tests, NULL, NULL);
}
