/* SPDX-License-Identifier: MPL-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "schema/inner.h"

struct row {
	const char *data;
	size_t size;
	const char *why; /* NULL: fine */
};
#define ROW(literal, why)                                                                                              \
	{                                                                                                              \
		literal, sizeof(literal) - 1, why                                                                      \
	}

static void each_kind_of_value(void **state)
{
	static const struct row rows[] = {
		ROW("\x00", NULL),
		ROW("\x7f", NULL),
		ROW("\xe0", NULL),
		ROW("\xff", NULL),
		ROW("\xc0", NULL),
		ROW("\xc2", NULL),
		ROW("\xc3", NULL),
		ROW("\xcc\x01", NULL),
		ROW("\xcd\0\x01", NULL),
		ROW("\xce\0\0\0\x01", NULL),
		ROW("\xcf\0\0\0\0\0\0\0\x01", NULL),
		ROW("\xd0\x01", NULL),
		ROW("\xd1\0\x01", NULL),
		ROW("\xd2\0\0\0\x01", NULL),
		ROW("\xd3\0\0\0\0\0\0\0\x01", NULL),
		ROW("\xca\0\0\0\0", NULL),
		ROW("\xcb\0\0\0\0\0\0\0\0", NULL),
		ROW("\xa0", NULL),
		ROW("\xa1"
		    "a",
		    NULL),
		ROW("\xd9\x01"
		    "a",
		    NULL),
		ROW("\xda\0\x01"
		    "a",
		    NULL),
		ROW("\xdb\0\0\0\x01"
		    "a",
		    NULL),
		ROW("\xc4\x01\0", NULL),
		ROW("\xc5\0\x01\0", NULL),
		ROW("\xc6\0\0\0\x01\0", NULL),
		ROW("\xd4\x01\0", NULL),
		ROW("\xd5\x01\0\0", NULL),
		ROW("\xd6\x01\0\0\0\0", NULL),
		ROW("\xd7\x01\0\0\0\0\0\0\0\0", NULL),
		ROW("\xd8\x01"
		    "0123456789abcdef",
		    NULL),
		ROW("\xc7\x01\x05"
		    "a",
		    NULL),
		ROW("\xc8\0\x01\x05"
		    "a",
		    NULL),
		ROW("\xc9\0\0\0\x01\x05"
		    "a",
		    NULL),
		ROW("\x90", NULL),
		ROW("\x92\x01\x02", NULL),
		ROW("\xdc\0\x01\x05", NULL),
		ROW("\xdd\0\0\0\x01\x05", NULL),
		ROW("\x80", NULL),
		ROW("\x81\xa1"
		    "a\x05",
		    NULL),
		ROW("\xde\0\x01\xa1"
		    "a\x05",
		    NULL),
		ROW("\xdf\0\0\0\x01\xa1"
		    "a\x05",
		    NULL),
		ROW("\x81\xd9\x01"
		    "a\x05",
		    NULL),
		ROW("\x92\x81\xa1"
		    "a\x90\x80",
		    NULL),
		/* each of them one byte short */
		ROW("", "byte 0: it ends too early"),
		ROW("\xcc", "byte 1: it ends too early"),
		ROW("\xcd\0", "byte 1: it ends too early"),
		ROW("\xce\0\0\0", "byte 1: it ends too early"),
		ROW("\xcf\0\0\0\0\0\0\0", "byte 1: it ends too early"),
		ROW("\xd0", "byte 1: it ends too early"),
		ROW("\xd3\0\0\0\0\0\0\0", "byte 1: it ends too early"),
		ROW("\xca\0\0\0", "byte 1: it ends too early"),
		ROW("\xcb\0\0\0\0\0\0\0", "byte 1: it ends too early"),
		ROW("\xa1", "byte 1: it ends too early"),
		ROW("\xd9", "byte 1: it ends too early"),
		ROW("\xd9\x01", "byte 2: it ends too early"),
		ROW("\xda\0", "byte 1: it ends too early"),
		ROW("\xdb\xff\xff\xff\xff", "byte 5: it ends too early"),
		ROW("\xc4\x01", "byte 2: it ends too early"),
		ROW("\xc6\xff\xff\xff\xff", "byte 5: it ends too early"),
		ROW("\xd4\x01", "byte 1: it ends too early"),
		ROW("\xc7\x01\x05", "byte 2: it ends too early"),
		ROW("\xc9\xff\xff\xff\xff\x05", "byte 5: it ends too early"),
		ROW("\x91", "byte 1: it ends too early"),
		ROW("\xdc\0", "byte 1: it ends too early"),
		ROW("\xdd\xff\xff\xff\xff", "byte 5: it ends too early"),
		ROW("\x81\xa1"
		    "a",
		    "byte 3: it ends too early"),
		ROW("\xdf\xff\xff\xff\xff", "byte 5: it ends too early"),
		/* never */
		ROW("\xc1", "byte 0: no value starts like this"),
		ROW("\x05\x05", "byte 1: there is more behind the value"),
		ROW("\x90\xc0", "byte 1: there is more behind the value"),
		ROW("\x81\x05\x05", "byte 1: a key is not a string"),
		ROW("\x81\xc0\x05", "byte 1: a key is not a string"),
		ROW("\x81\xc4\x01"
		    "a\x05",
		    "byte 1: a key is not a string"),
		ROW("\x92\x81\xa1"
		    "a\x90\x81\x90\x80",
		    "byte 6: a key is not a string"),
		ROW("\xa1\0", "byte 2: a string is not UTF-8 text or holds a NUL"),
		ROW("\xa1\x80", "byte 2: a string is not UTF-8 text or holds a NUL"),
		ROW("\xa2\xc0\x80", "byte 3: a string is not UTF-8 text or holds a NUL"),
		ROW("\xa2\xc1\xbf", "byte 3: a string is not UTF-8 text or holds a NUL"),
		ROW("\xa3\xed\xa0\x80", "byte 4: a string is not UTF-8 text or holds a NUL"),
		ROW("\xa3\xe0\x80\x80", "byte 4: a string is not UTF-8 text or holds a NUL"),
		ROW("\xa4\xf4\x90\x80\x80", "byte 5: a string is not UTF-8 text or holds a NUL"),
		ROW("\xa1\xf8", "byte 2: a string is not UTF-8 text or holds a NUL"),
		ROW("\xa2\xe2\x82", "byte 3: a string is not UTF-8 text or holds a NUL"),
		ROW("\xa3\xe2\x82\xac", NULL),
		ROW("\xa4\xf4\x8f\xbf\xbf", NULL),
		ROW("\xa2\xc2\x80", NULL),
		ROW("\x81\xa1\xff\x05", "byte 3: a string is not UTF-8 text or holds a NUL"),
	};

	(void)state;
	for (size_t i = 0; i < NOMAD_ARRAY_LEN(rows); i++) {
		struct nomad_error *err = NULL;
		/* exactly as large, so that a sanitizer sees a read beyond */
		char *copy = malloc(rows[i].size ? rows[i].size : 1);
		int r;

		memcpy(copy, rows[i].data, rows[i].size);
		r = nomad__scan("what", copy, rows[i].size, &err);
		if (!rows[i].why && r < 0)
			fail_msg("row %zu: %s", i, nomad_error_message(err));
		if (rows[i].why) {
			char *expected = nomad_strdupf("what: bad msgpack at %s", rows[i].why);

			assert_int_equal(r, -EINVAL);
			assert_string_equal(nomad_error_message(err), expected);
			free(expected);
		}
		nomad_error_free(err);
		free(copy);
	}
}

static void scanned(const char *data, size_t size, const char *why)
{
	struct nomad_error *err = NULL;
	int r = nomad__scan("what", data, size, &err);

	assert_int_equal(r, why ? -EINVAL : 0);
	if (why)
		assert_non_null(strstr(nomad_error_message(err), why));
	nomad_error_free(err);
}

static void limits(void **state)
{
	size_t size = NOMAD__CONFIG_MAX_SIZE + 16;
	char *bytes = malloc(size);

	(void)state;
	memset(bytes, 0x91, 64); /* lists of lists */
	bytes[NOMAD__CONFIG_MAX_DEPTH] = 0x05;
	scanned(bytes, NOMAD__CONFIG_MAX_DEPTH + 1, NULL);
	bytes[NOMAD__CONFIG_MAX_DEPTH] = (char)0x91;
	bytes[NOMAD__CONFIG_MAX_DEPTH + 1] = 0x05;
	scanned(bytes, NOMAD__CONFIG_MAX_DEPTH + 2, "nested too deeply");

	memset(bytes, 0, size);
	memcpy(bytes, "\xdd\x00\x00\xff\xff", 5); /* the list counts as a value */
	scanned(bytes, 5 + 65535, NULL);
	memcpy(bytes, "\xdd\x00\x01\x00\x00", 5);
	scanned(bytes, 5 + 65536, "too many values");
	memcpy(bytes, "\x92\xdd\x00\x00\xff\xfd", 6);
	scanned(bytes, 6 + 65533 + 1, NULL);
	memcpy(bytes, "\x92\xdd\x00\x00\xff\xff", 6);
	scanned(bytes, 6 + 65535 + 1, "too many values");
	memcpy(bytes, "\xdf\x7f\xff\xff\xff", 5);
	scanned(bytes, size - 16, "ends too early");

	memset(bytes, 'x', size);
	memcpy(bytes, "\xdb\x00\x10\x00\x00", 5);
	scanned(bytes, 5 + 1048576, NULL);
	memcpy(bytes, "\xdb\x00\x10\x00\x01", 5);
	scanned(bytes, 5 + 1048577, "too long");
	scanned(bytes, NOMAD__CONFIG_MAX_SIZE + 1, "4194305 bytes are too many, the limit is 4194304");
	free(bytes);
}

static void twins(void **state)
{
	static const struct row rows[] = {
		ROW("\x82\xa1"
		    "a\x01\xa1"
		    "b\x02",
		    NULL),
		ROW("\x82\xa1"
		    "b\x01\xa1"
		    "a\x02",
		    NULL),
		ROW("\x83\xa0\x01\xa1"
		    "a\x01\xa2"
		    "aa\x02",
		    NULL),
		ROW("\x83\xa2"
		    "aa\x01\xa1"
		    "a\x02\xa0\x01",
		    NULL),
		ROW("\x82\xa1"
		    "a\x01\xa1"
		    "a\x02",
		    "'a'"),
		ROW("\x82\xa0\x01\xa0\x02", "''"),
		ROW("\x83\xa1"
		    "a\x01\xa1"
		    "b\x02\xa1"
		    "a\x02",
		    "'a'"),
		ROW("\x81\xa1"
		    "m\x91\x82\xa1"
		    "z\x01\xa1"
		    "z\x02",
		    "'z'"),
		ROW("\x82\xa1"
		    "a\x81\xa1"
		    "x\x01\xa1"
		    "b\x81\xa1"
		    "x\x02",
		    NULL),
	};

	(void)state;
	for (size_t i = 0; i < NOMAD_ARRAY_LEN(rows); i++) {
		struct nomad_error *err = NULL;
		msgpack_object root;
		msgpack_zone zone;
		int r;

		assert_true(msgpack_zone_init(&zone, 64));
		r = nomad__unpack("what", rows[i].data, rows[i].size, &zone, &root, &err);
		assert_int_equal(r, rows[i].why ? -EINVAL : 0);
		if (rows[i].why) {
			assert_non_null(strstr(nomad_error_message(err), rows[i].why));
			assert_non_null(strstr(nomad_error_message(err), "given twice"));
		}
		nomad_error_free(err);
		msgpack_zone_destroy(&zone);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_kind_of_value),
		cmocka_unit_test(limits),
		cmocka_unit_test(twins),
	};

	return cmocka_run_group_tests_name("schema/scan", tests, NULL, NULL);
}
