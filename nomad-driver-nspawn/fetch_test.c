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

static void test_registry(void **state)
{
	static const struct {
		const char *reference, *registry;
	} rows[] = {
		{ "alpine", "docker.io" },
		{ "library/alpine:3", "docker.io" },
		{ "docker://quay.io/a/b", "quay.io" },
		{ "localhost/a", "localhost" },
		{ "10.0.0.1:5000/a:1", "10.0.0.1:5000" },
		{ "docker://alpine:3", "docker.io" },
	};
	struct nspawn_auth auth = { .username = (char *)"me", .password = (char *)"open:sesame!" };
	char *text;
	size_t i;

	(void)state;
	for (i = 0; i < NOMAD_ARRAY_LEN(rows); i++) {
		text = nspawn_registry_of(rows[i].reference);
		assert_string_equal(text, rows[i].registry);
		free(text);
	}
	text = nspawn_auth_text(&auth, "quay.io/a/b");
	assert_string_equal(text, "{\"auths\":{\"quay.io\":{\"auth\":\"bWU6b3BlbjpzZXNhbWUh\"}}}");
	free(text);
	auth.password = NULL;
	auth.server_address = (char *)"h:1";
	text = nspawn_auth_text(&auth, "quay.io/a/b");
	assert_string_equal(text, "{\"auths\":{\"h:1\":{\"auth\":\"bWU6\"}}}");
	free(text);
	auth.username = (char *)"a";
	text = nspawn_auth_text(&auth, "x");
	assert_string_equal(text, "{\"auths\":{\"h:1\":{\"auth\":\"YTo=\"}}}");
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_bytes), cmocka_unit_test(test_registry) };

	return cmocka_run_group_tests_name("nspawn/fetch", tests, NULL, NULL);
}
