/* SPDX-License-Identifier: MPL-2.0
 *
 * Names of tasks: of the whole id, valid everywhere, never twice. */
#include "core/task.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void check(const char *slug)
{
	size_t n = strlen(slug);

	if (n < 1 || n > 63 || strspn(slug, "abcdefghijklmnopqrstuvwxyz0123456789-") != n || slug[0] < 'a' ||
	    slug[0] > 'z' || slug[n - 1] == '-')
		fail_msg("'%s' is not a valid name", slug);
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void test_random(void **state)
{
	enum { N = 100000 };
	char **slugs = calloc(N, sizeof(*slugs));
	unsigned seed = 42;

	(void)state;
	for (int i = 0; i < N; i++) {
		char id[256], name[32] = "";
		size_t n = (size_t)rand_r(&seed) % 30;

		for (size_t j = 0; j < n; j++)
			name[j] = (char)(33 + rand_r(&seed) % 200);
		/* Few names and allocations, so that only the end differs. */
		if (i % 2)
			snprintf(name, sizeof(name), "web-%d", i % 10);
		snprintf(id, sizeof(id), "%08x-0000-4000-8000-%012x/%s/%08x", i % 16, i % 4, name, (unsigned)i);
		slugs[i] = nomad__slug(id);
		assert_non_null(slugs[i]);
		check(slugs[i]);
		if (i % 1000 == 0) {
			char *again = nomad__slug(id);

			assert_string_equal(again, slugs[i]);
			free(again);
		}
	}
	qsort(slugs, N, sizeof(*slugs), by_text);
	for (int i = 1; i < N; i++)
		assert_string_not_equal(slugs[i - 1], slugs[i]);
	for (int i = 0; i < N; i++)
		free(slugs[i]);
	free(slugs);
}

static void test_hostile(void **state)
{
	static const char *const ids[] = {
		"x",
		"/",
		"//",
		"///",
		"../../etc/passwd",
		"a/../b",
		"a/b",
		"a/-/b",
		"a/---/b",
		"a/9/b",
		"a/.../b",
		"a/\n/b",
		"a/\xff\xfe/b",
		"-/-/-",
		"0123456789abcdef/UPPER Case/1",
		"deadbeef-1/a-very-long-name-of-a-task-that-goes-on-and-on/2",
		"a/abcdefghijklmnopqrs-tuv/b",
		"ABCDEF00-1111/x/1",
		"01234567/x--y/1",
		"%s%n/%s/%n",
	};

	(void)state;
	for (size_t i = 0; i < NOMAD_ARRAY_LEN(ids); i++) {
		char *slug = nomad__slug(ids[i]);

		check(slug);
		for (size_t j = 0; j < i; j++) {
			char *other = nomad__slug(ids[j]);

			assert_string_not_equal(slug, other);
			free(other);
		}
		free(slug);
	}
}

static void test_readable(void **state)
{
	char *slug = nomad__slug("1a2b3c4d-0000-1111-2222-333344445555/Web_Server/cafe0123");

	(void)state;
	assert_memory_equal(slug, "web-server-1a2b3c4d-", 20);
	free(slug);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_random), cmocka_unit_test(test_hostile),
					    cmocka_unit_test(test_readable) };

	return cmocka_run_group_tests_name("slug", tests, NULL, NULL);
}
