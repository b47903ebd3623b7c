/* SPDX-License-Identifier: MPL-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "util.h"

static char dir[] = "/tmp/nomadinit-util.XXXXXX";

static int make_dir(void **state)
{
	(void)state;
	return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
	const char *const argv[] = { "/bin/rm", "-rf", dir, NULL };

	(void)state;
	return util_run(argv, 10000);
}

static void files_are_read_within_bounds(void **state)
{
	char path[64], buf[8], *data;
	size_t len;

	(void)state;
	snprintf(path, sizeof(path), "%s/file", dir);
	assert_int_equal(util_read_file(path, buf, sizeof(buf)), -ENOENT);
	assert_int_equal(util_replace_file(path, "abc \n", 5, 0600), 0);
	assert_int_equal(util_read_file(path, buf, sizeof(buf)), 5);
	assert_int_equal(util_read_line(path, buf, sizeof(buf)), 3);
	assert_string_equal(buf, "abc");
	assert_int_equal(util_replace_file(path, "12345678", 8, 0600), 0);
	assert_int_equal(util_read_file(path, buf, sizeof(buf)), -EFBIG);
	assert_int_equal(util_read_alloc(path, 7, &data, &len), -EFBIG);
	assert_int_equal(util_read_alloc(path, 8, &data, &len), 0);
	assert_int_equal(len, 8);
	assert_string_equal(data, "12345678");
	free(data);
}

static void replacing_leaves_no_half_file(void **state)
{
	char path[64], temp[80];
	struct stat st;

	(void)state;
	snprintf(path, sizeof(path), "%s/sub", dir);
	snprintf(temp, sizeof(temp), "%s.new", path);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(util_replace_file(path, "x", 1, 0600), -EISDIR);
	assert_int_equal(stat(temp, &st), -1);
}

static void numbers_are_whole(void **state)
{
	long v = 7;

	(void)state;
	assert_int_equal(util_parse_long("12", 0, 100, &v), 0);
	assert_int_equal(v, 12);
	assert_int_equal(util_parse_long("12x", 0, 100, &v), -EINVAL);
	assert_int_equal(util_parse_long("", 0, 100, &v), -EINVAL);
	assert_int_equal(util_parse_long(" 1", 0, 100, &v), -EINVAL);
	assert_int_equal(util_parse_long("101", 0, 100, &v), -ERANGE);
	assert_int_equal(util_parse_long("99999999999999999999", 0, 100, &v), -ERANGE);
	assert_int_equal(v, 12);
}

static void host_names_are_told_from_rubbish(void **state)
{
	static const char *const good[] = { "a", "node1", "node-1.example.com", "1.2" };
	static const char *const bad[] = { "",	  "-a",	 "a-",	"a..b", ".a",	     "a.",
					   "a b", "a/b", "a_b", "a\n",	"$(reboot)", "a-.b" };
	char longest[300];
	size_t i;

	(void)state;
	for (i = 0; i < NOMAD_ARRAY_LEN(good); i++)
		assert_true(util_is_hostname(good[i]));
	for (i = 0; i < NOMAD_ARRAY_LEN(bad); i++)
		assert_false(util_is_hostname(bad[i]));
	memset(longest, 'a', sizeof(longest));
	longest[64] = '\0';
	assert_false(util_is_hostname(longest));
	longest[63] = '\0';
	assert_true(util_is_hostname(longest));
}

static void programs_are_run_with_a_limit(void **state)
{
	const char *const good[] = { "/bin/true", NULL }, *const three[] = { "/bin/sh", "-c", "exit 3", NULL };
	const char *const none[] = { "/no/such/program", NULL }, *const slow[] = { "/bin/sleep", "60", NULL };

	(void)state;
	assert_int_equal(util_run(good, 10000), 0);
	assert_int_equal(util_run(three, 10000), 3);
	assert_int_equal(util_run(none, 10000), 127);
	assert_int_equal(util_run(slow, 50), -ETIMEDOUT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(files_are_read_within_bounds),
		cmocka_unit_test(replacing_leaves_no_half_file),
		cmocka_unit_test(numbers_are_whole),
		cmocka_unit_test(host_names_are_told_from_rubbish),
		cmocka_unit_test(programs_are_run_with_a_limit),
	};

	return cmocka_run_group_tests_name("util", tests, make_dir, remove_dir);
}
