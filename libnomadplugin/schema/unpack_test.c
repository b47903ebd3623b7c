/* SPDX-License-Identifier: MPL-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif
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
		ROW("\xa1\141", NULL),
		ROW("\xd9\x01\141", NULL),
		ROW("\xda\0\x01\141", NULL),
		ROW("\xdb\0\0\0\x01\141", NULL),
		ROW("\xc4\x01\0", NULL),
		ROW("\xc5\0\x01\0", NULL),
		ROW("\xc6\0\0\0\x01\0", NULL),
		ROW("\xd4\x01\0", NULL),
		ROW("\xd5\x01\0\0", NULL),
		ROW("\xd6\x01\0\0\0\0", NULL),
		ROW("\xd7\x01\0\0\0\0\0\0\0\0", NULL),
		ROW("\xd8\x01\060123456789abcdef", NULL),
		ROW("\xc7\x01\x05\141", NULL),
		ROW("\xc8\0\x01\x05\141", NULL),
		ROW("\xc9\0\0\0\x01\x05\141", NULL),
		ROW("\x90", NULL),
		ROW("\x92\x01\x02", NULL),
		ROW("\xdc\0\x01\x05", NULL),
		ROW("\xdd\0\0\0\x01\x05", NULL),
		ROW("\x80", NULL),
		ROW("\x81\xa1\141\x05", NULL),
		ROW("\xde\0\x01\xa1\141\x05", NULL),
		ROW("\xdf\0\0\0\x01\xa1\141\x05", NULL),
		ROW("\x81\xd9\x01\141\x05", NULL),
		ROW("\x92\x81\xa1\141\x90\x80", NULL),
		/* each of them one byte short */
		ROW("", "it ends too early"),
		ROW("\xcc", "it ends too early"),
		ROW("\xcd\0", "it ends too early"),
		ROW("\xce\0\0\0", "it ends too early"),
		ROW("\xcf\0\0\0\0\0\0\0", "it ends too early"),
		ROW("\xd0", "it ends too early"),
		ROW("\xd3\0\0\0\0\0\0\0", "it ends too early"),
		ROW("\xca\0\0\0", "it ends too early"),
		ROW("\xcb\0\0\0\0\0\0\0", "it ends too early"),
		ROW("\xa1", "it ends too early"),
		ROW("\xd9", "it ends too early"),
		ROW("\xd9\x01", "it ends too early"),
		ROW("\xda\0", "it ends too early"),
		ROW("\xdb\xff\xff\xff\xff", "it ends too early"),
		ROW("\xc4\x01", "it ends too early"),
		ROW("\xc6\xff\xff\xff\xff", "it ends too early"),
		ROW("\xd4\x01", "it ends too early"),
		ROW("\xc7\x01\x05", "it ends too early"),
		ROW("\xc9\xff\xff\xff\xff\x05", "it ends too early"),
		ROW("\x91", "it ends too early"),
		ROW("\xdc\0", "it ends too early"),
		ROW("\xdd\xff\xff\xff\xff", "it ends too early"),
		ROW("\x81\xa1\141", "it ends too early"),
		ROW("\xdf\xff\xff\xff\xff", "it ends too early"),
		/* never */
		ROW("\xc1", "no value starts like this"),
		ROW("\x05\x05", "there is more data after the value"),
		ROW("\x90\xc0", "there is more data after the value"),
		ROW("\x81\x05\x05", "a key is not a string"),
		ROW("\x81\xc0\x05", "a key is not a string"),
		ROW("\x81\xc4\x01\141\x05", "a key is not a string"),
		ROW("\x92\x81\xa1\141\x90\x81\x90\x80", "a key is not a string"),
		ROW("\xa1\0", "a string is not UTF-8 text or holds a NUL"),
		ROW("\xa1\x80", "a string is not UTF-8 text or holds a NUL"),
		ROW("\xa2\xc0\x80", "a string is not UTF-8 text or holds a NUL"),
		ROW("\xa2\xc1\xbf", "a string is not UTF-8 text or holds a NUL"),
		ROW("\xa3\xed\xa0\x80", "a string is not UTF-8 text or holds a NUL"),
		ROW("\xa3\xe0\x80\x80", "a string is not UTF-8 text or holds a NUL"),
		ROW("\xa4\xf4\x90\x80\x80", "a string is not UTF-8 text or holds a NUL"),
		ROW("\xa1\xf8", "a string is not UTF-8 text or holds a NUL"),
		ROW("\xa2\xe2\x82", "a string is not UTF-8 text or holds a NUL"),
		ROW("\xa3\xe2\x82\xac", NULL),
		ROW("\xa4\xf4\x8f\xbf\xbf", NULL),
		ROW("\xa2\xc2\x80", NULL),
		ROW("\x81\xa1\xff\x05", "a string is not UTF-8 text or holds a NUL"),
	};

	(void)state;
	for (size_t i = 0; i < NOMAD_ARRAY_LEN(rows); i++) {
		struct nomad_error *err = NULL;
		/* exactly as large, so that a sanitizer sees a read beyond */
		char *copy = malloc(rows[i].size ? rows[i].size : 1);
		int r;

		memcpy(copy, rows[i].data, rows[i].size);
		r = nomad__msgpack_check("what", copy, rows[i].size, &err);
		if (!rows[i].why && r < 0)
			fail_msg("row %zu: %s", i, nomad_error_message(err));
		if (rows[i].why) {
			assert_int_equal(r, -EINVAL);
			if (!strstr(nomad_error_message(err), rows[i].why))
				fail_msg("row %zu: %s", i, nomad_error_message(err));
		}
		nomad_error_free(err);
		free(copy);
	}
}

static void checked(const char *data, size_t size, const char *why)
{
	struct nomad_error *err = NULL;
	int r = nomad__msgpack_check("what", data, size, &err);

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
	checked(bytes, NOMAD__CONFIG_MAX_DEPTH + 1, NULL);
	bytes[NOMAD__CONFIG_MAX_DEPTH] = (char)0x91;
	bytes[NOMAD__CONFIG_MAX_DEPTH + 1] = 0x05;
	checked(bytes, NOMAD__CONFIG_MAX_DEPTH + 2, "nested too deeply");

	memset(bytes, 0, size);
	memcpy(bytes, "\xdd\x00\x00\xff\xff", 5); /* the list counts as a value */
	checked(bytes, 5 + 65535, NULL);
	memcpy(bytes, "\xdd\x00\x01\x00\x00", 5);
	checked(bytes, 5 + 65536, "too many values");
	memcpy(bytes, "\x92\xdd\x00\x00\xff\xfd", 6);
	checked(bytes, 6 + 65533 + 1, NULL);
	memcpy(bytes, "\x92\xdd\x00\x00\xff\xff", 6);
	checked(bytes, 6 + 65535 + 1, "too many values");
	memcpy(bytes, "\xdf\x7f\xff\xff\xff", 5);
	checked(bytes, size - 16, "ends too early");

	memset(bytes, 'x', size);
	memcpy(bytes, "\xdb\x00\x10\x00\x00", 5);
	checked(bytes, 5 + 1048576, NULL);
	memcpy(bytes, "\xdb\x00\x10\x00\x01", 5);
	checked(bytes, 5 + 1048577, "too long");
	free(bytes);
}

#ifdef __GLIBC__
static size_t allocated(void)
{
	struct mallinfo2 info = mallinfo2();

	return info.uordblks + info.hblkhd;
}

/* What the zone holds at its end is its peak: it gives nothing back before. */
static void unpack_costs_at_most(const char *data, size_t size, int expected, size_t most)
{
	size_t before = allocated();
	msgpack_object root;
	msgpack_zone zone;

	assert_true(msgpack_zone_init(&zone, 64));
	assert_int_equal(nomad__unpack("what", data, size, &zone, &root, NULL), expected);
	if (allocated() - before > most)
		fail_msg("%zu bytes of input took %zu", size, allocated() - before);
	msgpack_zone_destroy(&zone);
}

static void memory_is_bounded(void **state)
{
	char bytes[65536 + 8];
	enum { BASE = 1024 };

	(void)state;
	memset(bytes, 0, sizeof(bytes));
	memcpy(bytes, "\xdd\xff\xff\xff\xff", 5); /* claims 2^32 - 1 */
	unpack_costs_at_most(bytes, sizeof(bytes), -EINVAL, BASE);
	memcpy(bytes, "\xdf\xff\xff\xff\xff", 5);
	unpack_costs_at_most(bytes, sizeof(bytes), -EINVAL, BASE);
	memset(bytes, 0x91, sizeof(bytes));
	unpack_costs_at_most(bytes, sizeof(bytes), -EINVAL, BASE);
	/* each list claims all bytes that follow */
	for (size_t i = 0; i < 15; i++)
		memcpy(bytes + 3 * i, "\xdc\xff\x00", 3);
	unpack_costs_at_most(bytes, sizeof(bytes), -EINVAL, BASE);
	memset(bytes, 0, sizeof(bytes));
	memcpy(bytes, "\xdd\x00\x00\xff\xff", 5); /* as many as there may be */
	unpack_costs_at_most(bytes, 5 + 65535, 0, 64 * sizeof(bytes));
	memset(bytes, 0x90, sizeof(bytes));
	memcpy(bytes, "\xdd\x00\x00\xff\xff", 5);
	unpack_costs_at_most(bytes, 5 + 65535, 0, 64 * sizeof(bytes));
}
#endif

static void twins(void **state)
{
	static const struct row rows[] = {
		ROW("\x82\xa1\141\x01\xa1\142\x02", NULL),
		ROW("\x82\xa1\142\x01\xa1\141\x02", NULL),
		ROW("\x83\xa0\x01\xa1\141\x01\xa2\141a\x02", NULL),
		ROW("\x83\xa2\141a\x01\xa1\141\x02\xa0\x01", NULL),
		ROW("\x82\xa1\141\x01\xa1\141\x02", "'a'"),
		ROW("\x82\xa0\x01\xa0\x02", "''"),
		ROW("\x83\xa1\141\x01\xa1\142\x02\xa1\141\x02", "'a'"),
		ROW("\x81\xa1\155\x91\x82\xa1\172\x01\xa1\172\x02", "'z'"),
		ROW("\x82\xa1\141\x81\xa1\170\x01\xa1\142\x81\xa1\170\x02", NULL),
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
#ifdef __GLIBC__
		cmocka_unit_test(memory_is_bounded),
#endif
		cmocka_unit_test(twins),
	};

	return cmocka_run_group_tests_name("schema/unpack", tests, NULL, NULL);
}
