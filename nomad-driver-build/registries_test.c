/* SPDX-License-Identifier: MPL-2.0
 *
 * When docker.io is searched, and what is said of insecure registries. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "nomad/plugin.h"
#include "registries.h"

#define V(...) ((char **)(uintptr_t)(const char *const[]){ __VA_ARGS__, NULL })
#define DOCKER "unqualified-search-registries = [\"docker.io\"]\n"

static void write_file(const char *path, const char *text)
{
	FILE *out = fopen(path, "w");

	assert_non_null(out);
	assert_true(fputs(text, out) >= 0);
	assert_int_equal(fclose(out), 0);
}

/* The drop-in for a node whose registries.conf has text `conf` and whose drop-in `name` has `drop_in`, if not NULL. */
static void expect(const char *conf, const char *name, const char *drop_in, char *const *insecure, const char *want)
{
	char dir[] = "/tmp/registries-XXXXXX", path[64], sub[64], file[128];
	char *text;

	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/r.conf", dir);
	snprintf(sub, sizeof(sub), "%s/r.conf.d", dir);
	snprintf(file, sizeof(file), "%s/%s", sub, name ? name : "x");
	if (conf)
		write_file(path, conf);
	if (name) {
		assert_int_equal(mkdir(sub, 0755), 0);
		write_file(file, drop_in);
	}
	text = build_registries_drop_in(path, insecure);
	assert_non_null(text);
	assert_string_equal(text, want);
	free(text);
	assert_int_equal(nomad_remove_tree(dir, NULL), 0);
}

static void test_search(void **state)
{
	(void)state;
	expect(NULL, NULL, NULL, NULL, DOCKER);
	expect("# unqualified-search-registries = [\"x\"]\n", "short.conf", "[aliases]\n\"a\" = \"q.io/a\"\n", NULL,
	       DOCKER);
	expect("x = 1\n  unqualified-search-registries = []\n", NULL, NULL, NULL, "");
	expect("[registries.search]\nregistries = ['x.org']\n", NULL, NULL, NULL, "");
	expect(NULL, "010.conf", "unqualified-search-registries = [\"x.org\"]\n", NULL, "");
	/* The engine reads no such file. */
	expect(NULL, "010.conf.old", "unqualified-search-registries = [\"x.org\"]\n", NULL, DOCKER);
}

static void test_insecure(void **state)
{
	(void)state;
	expect(NULL, NULL, NULL, V("127.0.0.1:5000", "h"),
	       DOCKER "\n[[registry]]\nlocation = \"127.0.0.1:5000\"\ninsecure = true\n"
		      "\n[[registry]]\nlocation = \"h\"\ninsecure = true\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_search), cmocka_unit_test(test_insecure) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
