/* SPDX-License-Identifier: MPL-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "schema/everything.h"

/* A small table whose result is short: each row of a test gives one value. */
struct few {
	char *s;
	double n;
	bool b;
	char **l;
	struct nomad_map m;
	struct leaf *k;
	struct nomad_block_list v;
	char *d;
};
struct tiny {
	char *a;
	int64_t z;
};
static const struct nomad_option tiny_options[] = {
	NOMAD_OPTION(struct tiny, z, INT, .def = "1", .help = "Z."),
	NOMAD_OPTION(struct tiny, a, STRING, .help = "A."),
};
static const struct nomad_schema tiny_schema = NOMAD_SCHEMA(struct tiny, tiny_options);
static const struct nomad_option few_options[] = {
	NOMAD_OPTION(struct few, v, BLOCK_LIST, .block = &tiny_schema, .max_items = 2, .help = "V."),
	NOMAD_OPTION(struct few, s, STRING, .help = "S."),
	NOMAD_OPTION(struct few, n, NUMBER, .help = "N."),
	NOMAD_OPTION(struct few, b, BOOL, .help = "B."),
	NOMAD_OPTION(struct few, l, STRING_LIST, .help = "L."),
	NOMAD_OPTION(struct few, m, STRING_MAP, .help = "M."),
	NOMAD_OPTION(struct few, k, BLOCK, .block = &tiny_schema, .help = "K."),
	NOMAD_OPTION(struct few, d, STRING, .def = "\"x\"", .secret = true, .help = "D."),
};
static const struct nomad_schema few_schema = NOMAD_SCHEMA(struct few, few_options);

static int convert(const struct nomad_schema *schema, const char *text, void **ret, size_t *ret_size,
		   struct nomad_error **err)
{
	json_error_t fault;
	json_t *json = json_loads(text, JSON_ALLOW_NUL, &fault);
	int r;

	if (!json)
		fail_msg("%s: %s", text, fault.text);
	r = nomad__config_from_json(schema, "task config", json, ret, ret_size, err);
	json_decref(json);
	return r;
}

/* Bytes that Nomad's libraries give for the same JSON and spec. */
static void as_nomad_encodes(void **state)
{
#define ROW(json, b, d, k, l, m, n, s, v)                                                                              \
	{                                                                                                              \
		json,                                                                                                  \
			"\x88\xa1"                                                                                     \
			"b" b "\xa1"                                                                                   \
			"d" d "\xa1"                                                                                   \
			"k" k "\xa1"                                                                                   \
			"l" l "\xa1"                                                                                   \
			"m" m "\xa1"                                                                                   \
			"n" n "\xa1"                                                                                   \
			"s" s "\xa1"                                                                                   \
			"v" v,                                                                                         \
			sizeof("\x88\xa1"                                                                              \
			       "b" b "\xa1"                                                                            \
			       "d" d "\xa1"                                                                            \
			       "k" k "\xa1"                                                                            \
			       "l" l "\xa1"                                                                            \
			       "m" m "\xa1"                                                                            \
			       "n" n "\xa1"                                                                            \
			       "s" s "\xa1"                                                                            \
			       "v" v) -                                                                                \
				1                                                                                      \
	}
#define NIL "\xc0"
#define DEF "\xa1x"
#define NOV "\x90"
#define S(json, s) ROW("{\"s\":" json "}", NIL, DEF, NIL, NIL, NIL, NIL, s, NOV)
#define N(json, n) ROW("{\"n\":" json "}", NIL, DEF, NIL, NIL, NIL, n, NIL, NOV)
#define B(json, b) ROW("{\"b\":" json "}", b, DEF, NIL, NIL, NIL, NIL, NIL, NOV)
#define L(json, l) ROW("{\"l\":" json "}", NIL, DEF, NIL, l, NIL, NIL, NIL, NOV)
#define M(json, m) ROW("{\"m\":" json "}", NIL, DEF, NIL, NIL, m, NIL, NIL, NOV)
#define K(json, k) ROW("{\"k\":" json "}", NIL, DEF, k, NIL, NIL, NIL, NIL, NOV)
#define V(json, v) ROW("{\"v\":" json "}", NIL, DEF, NIL, NIL, NIL, NIL, NIL, v)
#define TINY                                                                                                           \
	"\x82\xa1"                                                                                                     \
	"a"
	static const struct {
		const char *json, *bytes;
		size_t size;
	} rows[] = {
		ROW("{}", NIL, DEF, NIL, NIL, NIL, NIL, NIL, NOV),
		ROW("{\"//\": \"comment\", \"d\": \"y\"}", NIL, "\xa1y", NIL, NIL, NIL, NIL, NIL, NOV),
		ROW("{\"d\": null}", NIL, DEF, NIL, NIL, NIL, NIL, NIL, NOV),
		S("\"a\"", "\xa1"
			   "a"),
		S("5", "\xa1"
		       "5"),
		S("true", "\xa4"
			  "true"),
		S("0.1", "\xa3"
			 "0.1"),
		S("1e30", "\xbf"
			  "1000000000000000000000000000000"),
		S("1e-7", "\xa9"
			  "0.0000001"),
		S("null", NIL),
		S("\"a$${b}c%%{d}\"", "\xaa"
				      "a${b}c%{d}"),
		S("\"${NOMAD_TASK_DIR}/x\"", "\xb3"
					     "${NOMAD_TASK_DIR}/x"),
		N("5", "\x05"),
		N("\"8080\"", "\xcd\x1f\x90"),
		N("\"1e3\"", "\xcd\x03\xe8"),
		N("0.5", "\xcb\x3f\xe0\0\0\0\0\0\0"),
		N("0.1", "\xa3"
			 "0.1"),
		N("1.0", "\x01"),
		N("\"+5\"", "\x05"),
		N("\".5\"", "\xcb\x3f\xe0\0\0\0\0\0\0"),
		N("-0.0", "\x00"),
		N("1e30", "\xbf"
			  "1000000000000000000000000000000"),
		N("\"9223372036854775808\"", "\xb3"
					     "9223372036854775808"),
		N("\"${NOMAD_PORT_http}\"", "\xb2"
					    "${NOMAD_PORT_http}"),
		B("true", "\xc3"),
		B("\"true\"", "\xc3"),
		B("\"1\"", "\xc3"),
		B("\"false\"", "\xc2"),
		B("\"0\"", "\xc2"),
		L("[]", "\x90"),
		L("[1, true, \"x\", 0.1]", "\x94\xa1"
					   "1\xa4"
					   "true\xa1"
					   "x\xa3"
					   "0.1"),
		M("[]", "\x90"),
		M("{}", "\x80"),
		M("[{}]", "\x91\x80"),
		M("[{\"a\":\"b\"}]", "\x91\x81\xa1"
				     "a\xa1"
				     "b"),
		M("[{\"a\":\"b\"},{\"f\":0.5,\"e\":0.1,\"d\":true,\"c\":5}]", "\x92\x81\xa1"
									      "a\xa1"
									      "b\x84\xa1"
									      "c\x05\xa1"
									      "d\xc3\xa1"
									      "e\xa3"
									      "0.1\xa1"
									      "f\xcb\x3f\xe0\0\0\0\0\0\0"),
		M("{\"a\":1,\"b\":null}", "\x82\xa1"
					  "a\x01\xa1"
					  "b\xc0"),
		M("[{\"a\":\"$${x}\"}]", "\x91\x81\xa1"
					 "a\xa4"
					 "${x}"),
		K("[]", NIL),
		K("null", NIL),
		K("{}", TINY "\xc0\xa1"
			     "z\x01"),
		K("[{}]", TINY "\xc0\xa1"
			       "z\x01"),
		K("{\"z\":\"7\",\"a\":5}", TINY "\xa1"
						"5\xa1"
						"z\x07"),
		V("null", "\x90"),
		V("{}", "\x91" TINY "\xc0\xa1"
			"z\x01"),
		V("[{\"a\":\"p\"},{\"a\":\"q\"}]", "\x92" TINY "\xa1"
						   "p\xa1"
						   "z\x01" TINY "\xa1"
						   "q\xa1"
						   "z\x01"),
	};

	(void)state;
	for (size_t i = 0; i < NOMAD_ARRAY_LEN(rows); i++) {
		struct nomad_error *err = NULL;
		void *data = NULL;
		size_t size = 0;

		if (convert(&few_schema, rows[i].json, &data, &size, &err) < 0)
			fail_msg("%s: %s", rows[i].json, nomad_error_message(err));
		if (size != rows[i].size || memcmp(data, rows[i].bytes, size) != 0)
			fail_msg("%s has other bytes", rows[i].json);
		free(data);
	}
}

static void errors_say_what_is_wrong(void **state)
{
	static const struct {
		const char *json, *message;
	} rows[] = {
		{ "[]", "it is not a map of options" },
		{ "{\"comand\":1}", "unknown option 'comand'" },
		{ "{\"wrds\":1}", "unknown option 'wrds' (did you mean 'words'?)" },
		{ "{\"branch\":{\"ulr\":1}}", "unknown option 'branch.ulr' (did you mean 'url'?)" },
		{ "{\"branch\":[{}]}", "option 'branch.password' is missing" },
		{ "{\"branch\":[{\"password\":\"x\"}]}", "option 'branch.url' is missing" },
		{ "{\"mount\":[{\"name\":\"x\"},{}]}", "option 'mount[1].name' is missing" },
		{ "{\"preset\":[{\"name\":\"x\"},{}]}", "option 'preset': it is given more than once" },
		{ "{\"preset\":5}", "option 'preset': '5' is not a block" },
		{ "{\"mount\":[5]}", "option 'mount[0]': '5' is not a block" },
		{ "{\"mount\":[{},{},{},{}]}", "option 'mount': 4 entries are too many, the limit is 3" },
		{ "{\"text\":[]}", "option 'text': a list is not a string" },
		{ "{\"text\":{}}", "option 'text': a block is not a string" },
		{ "{\"text\":\"a\\u0000b\"}", "option 'text': the text is not UTF-8 or holds a NUL" },
		{ "{\"count\":\"abc\"}", "option 'count': 'abc' is not a number" },
		{ "{\"count\":true}", "option 'count': 'true' is not a number" },
		{ "{\"count\":\"$${abc}\"}", "option 'count': '$${abc}' is not a number" },
		{ "{\"mount\":{\"name\":\"x\",\"labels\":{\"a\":1}}}",
		  "option 'mount[0].labels': a block is not a list of maps (a block, or several)" },
		{ "{\"mount\":{\"name\":\"x\",\"labels\":[5]}}",
		  "option 'mount[0].labels': '5' is not a list of maps (a block, or several)" },
		{ "{\"mount\":{\"name\":\"x\",\"labels\":[{\"a\":[]}]}}",
		  "option 'mount[0].labels.a': a list is not a string" },
		{ "{\"flag\":1}", "option 'flag': '1' is not true or false" },
		{ "{\"flag\":1.5}", "option 'flag': '1.5' is not true or false" },
		{ "{\"flag\":\"yes\"}", "option 'flag': 'yes' is not true or false" },
		{ "{\"words\":\"x\"}", "option 'words': 'x' is not a list of strings" },
		{ "{\"words\":[null]}", "option 'words[0]': null is not a string" },
		{ "{\"words\":[\"a\",[]]}", "option 'words[1]': a list is not a string" },
		{ "{\"token\":[\"s3cret\"]}", "option 'token': the value is not a string" },
		{ "{\"map\":[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]}",
		  "option 'map[0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0]': it is nested too deeply" },
	};

	(void)state;
	for (size_t i = 0; i < NOMAD_ARRAY_LEN(rows); i++) {
		char *expected = nomad_strdupf("task config: %s", rows[i].message);
		struct nomad_error *err = NULL;
		void *data = &err;
		size_t size = 7;

		if (convert(&everything_schema, rows[i].json, &data, &size, &err) != -EINVAL)
			fail_msg("accepted: %s", rows[i].json);
		assert_string_equal(nomad_error_message(err), expected);
		assert_ptr_equal(data, &err);
		nomad_error_free(err);
		free(expected);
	}
}

static void a_required_block_list_has_a_block(void **state)
{
	static const struct nomad_option options[] = {
		NOMAD_OPTION_AS(struct everything, mounts, "mount", BLOCK_LIST, .block = &leaf_schema, .required = true,
				.help = "Blocks."),
	};
	static const struct nomad_schema schema = NOMAD_SCHEMA(struct everything, options);
	static const char *const none[] = { "{}", "{\"mount\":[]}", "{\"mount\":null}" };
	struct nomad_error *err = NULL;
	void *data = NULL;
	size_t size = 0;

	(void)state;
	for (size_t i = 0; i < NOMAD_ARRAY_LEN(none); i++) {
		assert_int_equal(convert(&schema, none[i], &data, &size, &err), -EINVAL);
		assert_string_equal(nomad_error_message(err), "task config: option 'mount' is missing");
		nomad_error_free(err);
		err = NULL;
	}
}

static void there_and_back(void **state)
{
	static const char json[] =
		"{\"text\":\"t\",\"count\":\"5\",\"ratio\":0.1,\"flag\":\"true\",\"maybe\":false,\"words\":[\"x\",1],"
		"\"map\":[{\"k\":1,\"m\":2},{\"l\":true}],\"ports\":{\"http\":\"80\"},\"old\":\"o\","
		"\"branch\":[{\"url\":\"u\",\"password\":\"p\",\"leaf\":[{\"name\":\"n\"}],"
		"\"leaves\":[{\"name\":\"m\",\"labels\":[{\"a\":\"b\",\"c\":\"d\"},{\"e\":\"f\"}]},{\"name\":\"o\"}]}],"
		"\"mount\":[{\"name\":\"q\",\"port\":\"99\"}]}";
	struct nomad_error *err = NULL;
	struct everything *c;
	void *data = NULL, *config = NULL;
	const struct leaf *leaves;
	size_t size = 0;
	int64_t port = 0;

	(void)state;
	assert_int_equal(convert(&everything_schema, json, &data, &size, &err), 0);
	if (nomad__config_decode(&everything_schema, "task config", data, size, 0, &config, &err) < 0)
		fail_msg("%s", nomad_error_message(err));
	c = config;
	assert_string_equal(c->text, "t");
	assert_string_equal(c->mode, "no");
	assert_int_equal(c->count, 5);
	assert_true(c->ratio == 0.1 && c->half == 0.1);
	assert_true(c->flag);
	assert_int_equal(c->maybe, 0);
	assert_string_equal(c->words[1], "1");
	assert_int_equal(c->map.count, 3);
	assert_string_equal(nomad_map_get(&c->map, "m"), "2");
	assert_string_equal(nomad_map_get(&c->map, "l"), "true");
	assert_true(nomad_int_map_get(&c->ports, "http", &port));
	assert_int_equal(port, 80);
	assert_string_equal(c->both, "o");
	assert_string_equal(c->branch->leaf->flags[0], "x");
	leaves = c->branch->leaves.items;
	assert_int_equal(leaves[0].labels.count, 3);
	assert_string_equal(nomad_map_get(&leaves[0].labels, "a"), "b");
	assert_string_equal(nomad_map_get(&leaves[0].labels, "c"), "d");
	assert_string_equal(nomad_map_get(&leaves[0].labels, "e"), "f");
	assert_string_equal(leaves[1].flags[0], "x");
	assert_int_equal(((struct leaf *)c->mounts.items)->port, 99);
	assert_string_equal(c->preset->name, "preset");
	nomad__config_free(&everything_schema, config);
	free(data);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(as_nomad_encodes),
		cmocka_unit_test(errors_say_what_is_wrong),
		cmocka_unit_test(a_required_block_list_has_a_block),
		cmocka_unit_test(there_and_back),
	};

	return cmocka_run_group_tests_name("schema/from_json", tests, NULL, NULL);
}
