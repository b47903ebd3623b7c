/* SPDX-License-Identifier: MPL-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "schema/inner.h"

static int pack(const char *text, msgpack_sbuffer *out, struct nomad_error **err)
{
	msgpack_packer pk;

	msgpack_sbuffer_init(out);
	msgpack_packer_init(&pk, out, msgpack_sbuffer_write);
	return nomad__literal_pack(&pk, text, err);
}

static void literals(void **state)
{
#define ROW(text, packed)                                                                                              \
	{                                                                                                              \
		text, packed, sizeof(packed) - 1                                                                       \
	}
	static const struct {
		const char *text, *packed;
		size_t size;
	} rows[] = {
		ROW("true", "\xc3"),
		ROW(" false ", "\xc2"),
		ROW("null", "\xc0"),
		ROW("5", "\x05"),
		ROW("-5", "\xfb"),
		ROW("0.5", "\xcb\x3f\xe0\0\0\0\0\0\0"),
		ROW("0.1", "\xa3"
			   "0.1"),
		ROW("\"\"", "\xa0"),
		ROW("\"bash\"", "\xa4"
				"bash"),
		ROW("\"a\\n\\t\\r\\\"\\\\b\"", "\xa7"
					       "a\n\t\r\"\\b"),
		ROW("\"\\u00e4\\U0001f600\"", "\xa6\xc3\xa4\xf0\x9f\x98\x80"),
		ROW("\"\\u20AC\"", "\xa3\xe2\x82\xac"),
		ROW("\"$${x} %%{y} $ % $$\"", "\xb0"
					      "${x} %{y} $ % $$"),
		ROW("[]", "\x90"),
		ROW("[ ]", "\x90"),
		ROW("[\"a\", 5,true]", "\x93\xa1"
				       "a\x05\xc3"),
		ROW("[\n\"a\",\n\"b\",\n]", "\x92\xa1"
					    "a\xa1"
					    "b"),
		ROW("{}", "\x80"),
		ROW("{ a = \"b\" }", "\x81\xa1"
				     "a\xa1"
				     "b"),
		ROW("{ a = 1, \"b c\" : [2] }", "\x82\xa1"
						"a\x01\xa3"
						"b c\x91\x02"),
		ROW("{\n a-b = 1\n c = { d = null }\n}", "\x82\xa3"
							 "a-b\x01\xa1"
							 "c\x81\xa1"
							 "d\xc0"),
	};
#undef ROW

	(void)state;
	for (size_t i = 0; i < NOMAD_ARRAY_LEN(rows); i++) {
		struct nomad_error *err = NULL;
		msgpack_sbuffer out;

		if (pack(rows[i].text, &out, &err) < 0)
			fail_msg("%s: %s", rows[i].text, nomad_error_message(err));
		if (out.size != rows[i].size || memcmp(out.data, rows[i].packed, out.size) != 0)
			fail_msg("%s has other bytes", rows[i].text);
		msgpack_sbuffer_destroy(&out);
	}
}

/* Only lists within lists count. */
static void many_lists_are_not_deep(void **state)
{
	static const char text[] = "[[[]],[[]],[[]],[[]],[[]],[[]],[[]],[[]],[[]],[[]],[[]],[[]],[[]],[[]],[[]]]";
	struct nomad_error *err = NULL;
	msgpack_sbuffer out;

	(void)state;
	if (pack(text, &out, &err) < 0)
		fail_msg("%s", nomad_error_message(err));
	assert_int_equal(out.size, 1 + 15 * 2);
	msgpack_sbuffer_destroy(&out);
}

static void faults(void **state)
{
	static const struct {
		const char *text, *message;
	} rows[] = {
		{ "", "not a literal at ''" },
		{ "bash", "not a literal at 'bash'" },
		{ "tru", "not a literal at 'tru'" },
		{ "5 6", "there is more text after the value at '6'" },
		{ "\"a", "unfinished string at ''" },
		{ "\"a\nb\"", "unfinished string at '\\nb\"'" },
		{ "\"\\x\"", "unknown escape at 'x\"'" },
		{ "\"\\", "unknown escape at ''" },
		{ "\"\\u12", "bad code point at ''" },
		{ "\"\\ud800\"", "bad code point at '\"'" },
		{ "\"\\u0000\"", "bad code point at '\"'" },
		{ "\"\\UFFFFFFFF\"", "bad code point at 'FF\"'" },
		{ "\"${x}\"", "a default cannot be a template at '${x}\"'" },
		{ "\"%{if x}\"", "a default cannot be a template at '%{if x}\"'" },
		{ "\"\xff\"", "not UTF-8 before at ''" },
		{ "-", "bad number at '-'" },
		{ "1.2.3", "bad number at '1.2.3'" },
		{ "1-2", "bad number at '1-2'" },
		{ "[1", "',' or ']' is expected at ''" },
		{ "[1 2]", "',' or ']' is expected at '2]'" },
		{ "[,]", "not a literal at ',]'" },
		{ "{ a }", "'=' is expected at '}'" },
		{ "{ 5 = 1 }", "a key is expected at '5 = 1 }'" },
		{ "{ a = 1 b = 2 }", "',' or '}' is expected at 'b = 2 }'" },
		{ "{ a = 1", "',' or '}' is expected at ''" },
		{ "[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]", "nested too deeply at '[[]]]]]]]]]]]]]]]]]]'" },
	};

	(void)state;
	for (size_t i = 0; i < NOMAD_ARRAY_LEN(rows); i++) {
		struct nomad_error *err = NULL;
		msgpack_sbuffer out;

		assert_int_equal(pack(rows[i].text, &out, &err), -EINVAL);
		assert_string_equal(nomad_error_message(err), rows[i].message);
		nomad_error_free(err);
		msgpack_sbuffer_destroy(&out);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(literals),
		cmocka_unit_test(many_lists_are_not_deep),
		cmocka_unit_test(faults),
	};

	return cmocka_run_group_tests_name("schema/literal", tests, NULL, NULL);
}
