/* SPDX-License-Identifier: MPL-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "schema/inner.h"

#define ROW(text, packed)                                                                                              \
	{                                                                                                              \
		text, packed, sizeof(packed) - 1                                                                       \
	}

/* Bytes as Nomad's own libraries (go-cty's msgpack) produce them. */
static void text_to_msgpack_as_nomad_does(void **state)
{
	static const struct {
		const char *text, *packed;
		size_t size;
	} rows[] = {
		ROW("0", "\x00"),
		ROW("-0", "\x00"),
		ROW("-0.0", "\x00"),
		ROW("5", "\x05"),
		ROW("+5", "\x05"),
		ROW("5.", "\x05"),
		ROW("1.0", "\x01"),
		ROW("1e3", "\xcd\x03\xe8"),
		ROW("005", "\x05"),
		ROW("127", "\x7f"),
		ROW("128", "\xcc\x80"),
		ROW("300", "\xcd\x01\x2c"),
		ROW("-1", "\xff"),
		ROW("-33", "\xd0\xdf"),
		ROW("65536", "\xce\0\x01\0\0"),
		ROW("-40000", "\xd2\xff\xff\x63\xc0"),
		ROW("9223372036854775807", "\xcf\x7f\xff\xff\xff\xff\xff\xff\xff"),
		ROW("-9223372036854775808", "\xd3\x80\0\0\0\0\0\0\0"),
		ROW("9223372036854775808", "\xb3"
					   "9223372036854775808"),
		ROW("0.5", "\xcb\x3f\xe0\0\0\0\0\0\0"),
		ROW(".5", "\xcb\x3f\xe0\0\0\0\0\0\0"),
		ROW("1.5", "\xcb\x3f\xf8\0\0\0\0\0\0"),
		ROW("-1.5", "\xcb\xbf\xf8\0\0\0\0\0\0"),
		ROW("15e-1", "\xcb\x3f\xf8\0\0\0\0\0\0"),
		ROW("0.000015e5", "\xcb\x3f\xf8\0\0\0\0\0\0"),
		ROW("0.1", "\xa3"
			   "0.1"),
		ROW("0.10", "\xa3"
			    "0.1"),
		ROW("-0.1", "\xa4"
			    "-0.1"),
		ROW("1e-7", "\xa9"
			    "0.0000001"),
		ROW("-1.5e-7", "\xab"
			       "-0.00000015"),
		ROW("1e30", "\xbf"
			    "1000000000000000000000000000000"),
		ROW("100000000000000000000000", "\xb8"
						"100000000000000000000000"),
		ROW("123.456", "\xa7"
			       "123.456"),
	};

	(void)state;
	for (size_t i = 0; i < NOMAD_ARRAY_LEN(rows); i++) {
		struct nomad__number number;
		msgpack_sbuffer out;
		msgpack_packer pk;

		msgpack_sbuffer_init(&out);
		msgpack_packer_init(&pk, &out, msgpack_sbuffer_write);
		if (nomad__number_parse(rows[i].text, strlen(rows[i].text), &number) < 0)
			fail_msg("%s is refused", rows[i].text);
		assert_int_equal(nomad__number_pack(&pk, &number), 0);
		if (out.size != rows[i].size || memcmp(out.data, rows[i].packed, out.size) != 0)
			fail_msg("%s has other bytes", rows[i].text);
		msgpack_sbuffer_destroy(&out);
	}
}

static void what_is_no_number(void **state)
{
	static const char *const rows[] = { "",	   " ",	       " 5",	"5 ",  "-",    "+",	".",
					    "e5",  "5e",       "5e+",	"--5", "0x10", "1_000", "inf",
					    "nan", "Infinity", "1.2.3", "1,5", "5a" };
	char digits[NOMAD__NUMBER_MAX_TEXT + 8];
	struct nomad__number number;

	(void)state;
	for (size_t i = 0; i < NOMAD_ARRAY_LEN(rows); i++)
		if (nomad__number_parse(rows[i], strlen(rows[i]), &number) != -EINVAL)
			fail_msg("'%s' is accepted", rows[i]);
	assert_int_equal(nomad__number_parse("1e400", 5, &number), -ERANGE);
	assert_int_equal(nomad__number_parse("-1e400", 6, &number), -ERANGE);
	assert_int_equal(nomad__number_parse("1e999999999999999999999", 23, &number), -ERANGE);
	assert_int_equal(nomad__number_parse("1e-999999999999999999999", 24, &number), 0);
	memset(digits, '1', sizeof(digits));
	assert_int_equal(nomad__number_parse(digits, sizeof(digits), &number), -EINVAL);
	assert_int_equal(nomad__number_parse(digits, 308, &number), 0);
}

/* Any double's text reads back as the same double, without an exponent. */
static void text_reads_back(void **state)
{
	static const double rows[] = { 0.1,	1.0 / 3,      1e-300,	DBL_MIN,
				       DBL_MAX, DBL_TRUE_MIN, -DBL_MAX, 1e22,
				       0.3,	123456.789,   0x1p63,	-0x1p63,
				       0x1p53,	5e-324,	      1e16,	99999999999999999.0 };
	char text[NOMAD__NUMBER_MAX_TEXT];
	struct nomad__number number;

	(void)state;
	for (size_t i = 0; i < NOMAD_ARRAY_LEN(rows); i++) {
		nomad__number_from_double(rows[i], &number);
		nomad__number_text(&number, text);
		assert_null(strpbrk(text, "eE"));
		if (strtod(text, NULL) != rows[i])
			fail_msg("%a became %s", rows[i], text);
	}
	nomad__number_from_double(NAN, &number);
	nomad__number_text(&number, text);
	assert_string_equal(text, "nan");
	nomad__number_from_double(-INFINITY, &number);
	nomad__number_text(&number, text);
	assert_string_equal(text, "-inf");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text_to_msgpack_as_nomad_does),
		cmocka_unit_test(what_is_no_number),
		cmocka_unit_test(text_reads_back),
	};

	return cmocka_run_group_tests_name("schema/number", tests, NULL, NULL);
}
