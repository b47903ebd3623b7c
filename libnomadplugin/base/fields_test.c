/* SPDX-License-Identifier: MPL-2.0 */
#include "base/fields.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void test_text(void **state)
{
	char buf[8];
	struct nomad__text t;

	(void)state;
	nomad__text_init(&t, buf, sizeof(buf));
	nomad__text_num(&t, -12);
	nomad__text_add(&t, "abc");
	assert_string_equal(buf, "-12abc");
	assert_false(t.full);
	nomad__text_add(&t, "de");
	assert_string_equal(buf, "-12abcd");
	assert_true(t.full);
}

static void test_numbers(void **state)
{
	(void)state;
	assert_int_equal(nomad__parse_num("12x", 0), 12);
	assert_int_equal(nomad__parse_num("-7", 0), -7);
	assert_int_equal(nomad__parse_num("x", 5), 5);
	assert_int_equal(nomad__parse_num("", 5), 5);
	assert_int_equal(nomad__parse_num("-", 5), 5);
	assert_int_equal(nomad__parse_num(NULL, 5), 5);
	assert_int_equal(nomad__parse_num("99999999999999999999", 5), 5);
	assert_int_equal(nomad__parse_num("1785312000000000000", 5), 1785312000000000000);
}

static void test_round_trip(void **state)
{
	char buf[64], small[10];
	struct nomad__fields r;
	size_t pos = 0;

	(void)state;
	nomad__fields_init(&r, buf, sizeof(buf));
	nomad__fields_add(&r, "env", "A=1");
	nomad__fields_add(&r, "env", "");
	nomad__fields_num(&r, "pid", 42);
	nomad__fields_add(&r, "pi", "no");
	assert_false(r.full);
	assert_string_equal(nomad__fields_get(buf, r.used, "v"), "1");
	assert_int_equal(nomad__fields_get_num(buf, r.used, "pid", 0), 42);
	assert_null(nomad__fields_get(buf, r.used, "p"));
	assert_string_equal(nomad__fields_next(buf, r.used, "env", &pos), "A=1");
	assert_string_equal(nomad__fields_next(buf, r.used, "env", &pos), "");
	assert_null(nomad__fields_next(buf, r.used, "env", &pos));
	/* Cut anywhere: what is whole counts, nothing is read beyond. */
	for (size_t n = 0; n < r.used; n++) {
		char *cut = malloc(n ? n : 1);

		memcpy(cut, buf, n);
		assert_null(nomad__fields_get(cut, n, "pi"));
		free(cut);
	}
	nomad__fields_init(&r, small, sizeof(small));
	nomad__fields_add(&r, "long", "too long");
	assert_true(r.full);
	assert_int_equal(nomad__fields_write(AT_FDCWD, "never", &r, false), -EMSGSIZE);
}

static void test_seal(void **state)
{
	char buf[256] = { 0 };
	struct nomad__fields r;
	size_t n;

	(void)state;
	nomad__fields_init(&r, buf, sizeof(buf));
	nomad__fields_num(&r, "exit_code", 137);
	assert_false(nomad__fields_is_sealed(buf, r.used));
	nomad__fields_seal(&r);
	assert_false(r.full);
	assert_true(nomad__fields_is_sealed(buf, r.used));
	assert_true(nomad__fields_is_sealed(buf, sizeof(buf))); /* with the zeros behind it */
	/* Cut anywhere, with or without zeros in place of the rest, or a bit changed. */
	for (n = 0; n < r.used - 1; n++) {
		char torn[sizeof(buf)] = { 0 };

		memcpy(torn, buf, n);
		assert_false(nomad__fields_is_sealed(torn, n));
		assert_false(nomad__fields_is_sealed(torn, sizeof(torn)));
		memcpy(torn, buf, sizeof(torn));
		torn[n] ^= 1;
		assert_false(nomad__fields_is_sealed(torn, sizeof(torn)));
		/* The end came to the disk, the beginning did not. */
		memset(torn, 0, n + 1);
		memcpy(torn + n + 1, buf + n + 1, sizeof(torn) - n - 1);
		assert_false(nomad__fields_is_sealed(torn, sizeof(torn)));
	}
}

static void test_files(void **state)
{
	char dir[] = "/tmp/nomad-record-test-XXXXXX", buf[64], back[64], path[64];
	struct nomad__fields r;
	int fd;

	(void)state;
	assert_non_null(mkdtemp(dir));
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(fd >= 0);
	for (int i = 0; i < 2; i++) {
		nomad__fields_init(&r, buf, sizeof(buf));
		nomad__fields_num(&r, "i", i);
		assert_int_equal(nomad__fields_write(fd, "f", &r, i == 1), 0);
		assert_int_equal(nomad__fields_read(fd, "f", back, sizeof(back)), r.used);
		assert_int_equal(nomad__fields_get_num(back, r.used, "i", -1), i);
	}
	/* One that had no room for all its fields is not written. */
	nomad__fields_init(&r, buf, 4);
	nomad__fields_num(&r, "number", 1234567);
	assert_int_equal(nomad__fields_write(fd, "f", &r, false), -EMSGSIZE);
	assert_int_equal(nomad__fields_append(fd, "f", &r), -EMSGSIZE);
	assert_int_equal(nomad__fields_get_num(back, nomad__fields_read(fd, "f", back, sizeof(back)), "i", -1), 1);
	nomad__fields_init(&r, buf, sizeof(buf));
	nomad__fields_num(&r, "i", 1);
	assert_int_equal(nomad__fields_read(fd, "g", back, sizeof(back)), -ENOENT);
	assert_int_equal(symlinkat("f", fd, "g"), 0);
	assert_int_equal(nomad__fields_read(fd, "g", back, sizeof(back)), -ELOOP);
	/* Records that are written at the same time have temporary files of their own. */
	assert_int_equal(mkdirat(fd, ".f.new", 0700), 0);
	assert_int_equal(nomad__fields_write(fd, "f", &r, false), -EISDIR);
	assert_int_equal(nomad__fields_write(fd, "h", &r, false), 0);
	assert_int_equal(unlinkat(fd, "h", 0), 0);
	assert_int_equal(unlinkat(fd, ".f.new", AT_REMOVEDIR), 0);
	/* Only what was written, no temporary file. */
	snprintf(path, sizeof(path), "%s/g", dir);
	assert_int_equal(unlink(path), 0);
	path[strlen(path) - 1] = 'f';
	assert_int_equal(unlink(path), 0);
	close(fd);
	assert_int_equal(rmdir(dir), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_text), cmocka_unit_test(test_numbers), cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_seal), cmocka_unit_test(test_files),
	};

	return cmocka_run_group_tests_name("base/fields", tests, NULL, NULL);
}
