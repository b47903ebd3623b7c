/* SPDX-License-Identifier: MPL-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>

#include "schema/everything.h"

struct one {
	char *s;
	int64_t i;
	char **l;
	struct nomad_map m;
	void *b;
	struct nomad_block_list list;
	bool flag;
};

static const struct nomad_schema endless;
static const struct nomad_option endless_options[] = {
	NOMAD_OPTION(struct one, b, BLOCK, .block = &endless, .help = "Itself."),
};
static const struct nomad_schema endless = NOMAD_SCHEMA(struct one, endless_options);

static const struct nomad_option helpless_options[] = { NOMAD_OPTION(struct one, s, STRING) };
static const struct nomad_schema helpless = NOMAD_SCHEMA(struct one, helpless_options);

static const char *const no_choices[] = { NULL };
static const char *const choices[] = { "a", NULL };

static void good_tables_pass(void **state)
{
	struct nomad_error *err = NULL;

	(void)state;
	if (nomad__schema_check(&everything_schema, &err) < 0)
		fail_msg("%s", nomad_error_message(err));
}

static void each_fault_names_the_row(void **state)
{
#define OPT(...) NOMAD_OPTION(struct one, __VA_ARGS__)
	static const struct {
		struct nomad_option option;
		const char *message;
	} rows[] = {
		{ OPT(s, STRING), "option 's': its help is missing or not a full sentence" },
		{ OPT(s, STRING, .help = ""), "option 's': its help is missing or not a full sentence" },
		{ OPT(s, STRING, .help = "no sentence"), "option 's': its help is missing or not a full sentence" },
		{ OPT(s, STRING, .help = "H.", .unit = "\xff"), "option 's': its texts are not UTF-8" },
		{ { .name = NULL, .help = "H." }, "row 0 has no valid name (a-z, then a-z, 0-9 and '_')" },
		{ { .name = "", .help = "H." }, "row 0 has no valid name (a-z, then a-z, 0-9 and '_')" },
		{ { .name = "A", .help = "H." }, "row 0 has no valid name (a-z, then a-z, 0-9 and '_')" },
		{ { .name = "a-b", .help = "H." }, "row 0 has no valid name (a-z, then a-z, 0-9 and '_')" },
		{ { .name = "x", .type = NOMAD_OPTION_TYPE_MAX, .help = "H." },
		  "option 'x': its type is unknown to the library" },
		{ { .name = "x", .type = NOMAD_INT, .offset = sizeof(struct one), .help = "H." },
		  "option 'x': its field is outside the struct" },
		{ { .name = "x", .type = NOMAD_INT, .offset = SIZE_MAX - 7, .help = "H." },
		  "option 'x': its field is outside the struct" },
		{ { .name = "x", .type = NOMAD_STRING_MAP, .offset = sizeof(struct one) - 8, .help = "H." },
		  "option 'x': its field is outside the struct" },
		{ { .name = "x", .type = NOMAD_INT, .offset = 4, .help = "H." },
		  "option 'x': its field is not aligned" },
		{ OPT(b, BLOCK, .help = "H."), "option 'b': blocks, and only blocks, have rows of their own" },
		{ OPT(s, STRING, .block = &leaf_schema, .help = "H."),
		  "option 's': blocks, and only blocks, have rows of their own" },
		{ OPT(b, BLOCK, .block = &helpless, .help = "H."),
		  "option 'b.s': its help is missing or not a full sentence" },
		{ OPT(b, BLOCK, .block = &endless, .help = "H."),
		  "option 'b.b.b.b.b.b.b': blocks are nested too deeply" },
		{ OPT(i, INT, .min = 5, .max = 1, .help = "H."), "option 'i': its minimum is above its maximum" },
		{ OPT(s, STRING, .max = 1, .help = "H."), "option 's': only numbers have bounds" },
		{ OPT(i, INT, .choices = choices, .help = "H."), "option 'i': only strings have choices" },
		{ OPT(s, STRING, .choices = no_choices, .help = "H."), "option 's': its list of choices is empty" },
		{ OPT(i, INT, .check = nomad_check_env_name, .help = "H."), "option 'i': only strings are checked" },
		{ OPT(s, STRING, .max_items = 1, .help = "H."),
		  "option 's': only lists, maps and block lists have max_items" },
		{ OPT(l, STRING_LIST, .max_items = 8193, .help = "H."),
		  "option 'l': max_items is above the library's limit of 8192" },
		{ OPT(i, INT, .non_empty = true, .help = "H."),
		  "option 'i': only strings, lists and maps can be empty" },
		{ OPT(s, STRING, .required = true, .def = "\"a\"", .help = "H."),
		  "option 's': it is required and has a default" },
		{ OPT(list, BLOCK_LIST, .block = &leaf_schema, .def = "[]", .help = "H."),
		  "option 'list': a block list cannot have a default" },
		{ OPT(s, STRING, .def = "bash", .help = "H."), "option 's': its default has another type" },
		{ OPT(s, STRING, .def = "5", .help = "H."), "option 's': its default has another type" },
		{ OPT(flag, BOOL, .def = "\"true\"", .help = "H."), "option 'flag': its default has another type" },
		{ OPT(m, STRING_MAP, .def = "[]", .help = "H."), "option 'm': its default has another type" },
		{ OPT(s, STRING, .def = "\"a", .help = "H."), "option 's': bad default: unfinished string at ''" },
		{ OPT(i, INT, .min = 1, .max = 3, .def = "4", .help = "H."), "option 'i': '4' is not between 1 and 3" },
		{ OPT(i, INT, .def = "1.5", .help = "H."), "option 'i': '1.5' is not a whole number" },
		{ OPT(s, STRING, .choices = choices, .def = "\"b\"", .help = "H."), "option 's': 'b' is not one of a" },
		{ OPT(s, STRING, .secret = true, .check = nomad_check_absolute_path, .def = "\"b\"", .help = "H."),
		  "option 's': the value is not an absolute path" },
		{ OPT(b, BLOCK, .block = &leaf_schema, .def = "{}", .help = "H."), "option 'b.name' is missing" },
	};

	(void)state;
	for (size_t i = 0; i < NOMAD_ARRAY_LEN(rows); i++) {
		struct nomad_schema schema = { .options = &rows[i].option, .count = 1, .size = sizeof(struct one) };
		struct nomad_error *err = NULL;
		char *expected = nomad_strdupf("option table: %s", rows[i].message);

		if (nomad__schema_check(&schema, &err) != -EINVAL)
			fail_msg("passes: %s", expected);
		assert_string_equal(nomad_error_message(err), expected);
		nomad_error_free(err);
		free(expected);
	}
}

static void rows_against_each_other(void **state)
{
	static const struct nomad_option twins[] = { OPT(s, STRING, .help = "H."), OPT(s, STRING, .help = "H.") };
	static const struct nomad_option other_type[] = { OPT(s, STRING, .help = "H."),
							  NOMAD_OPTION_AS(struct one, s, "t", INT, .help = "H.") };
	static const struct nomad_option overlap[] = {
		OPT(m, STRING_MAP, .help = "H."),
		{ .name = "t", .type = NOMAD_INT, .offset = offsetof(struct one, m) + 8, .help = "H." }
	};
	static const struct nomad_option alias[] = { OPT(s, STRING, .help = "H."),
						     NOMAD_OPTION_AS(struct one, s, "t", STRING, .help = "H.") };
	static const struct {
		const struct nomad_option *options;
		const char *message;
	} rows[] = {
		{ twins, "option table: option 's': it has a second row" },
		{ other_type, "option table: option 't': its field overlaps that of 's'" },
		{ overlap, "option table: option 't': its field overlaps that of 'm'" },
		{ alias, NULL },
	};

	(void)state;
	for (size_t i = 0; i < NOMAD_ARRAY_LEN(rows); i++) {
		struct nomad_schema schema = { .options = rows[i].options, .count = 2, .size = sizeof(struct one) };
		struct nomad_error *err = NULL;

		assert_int_equal(nomad__schema_check(&schema, &err), rows[i].message ? -EINVAL : 0);
		if (rows[i].message)
			assert_string_equal(nomad_error_message(err), rows[i].message);
		nomad_error_free(err);
	}
#undef OPT
}

static void ready_made_checks(void **state)
{
	(void)state;
	assert_null(nomad_check_absolute_path("/"));
	assert_null(nomad_check_absolute_path("/a b"));
	assert_string_equal(nomad_check_absolute_path(""), "an absolute path");
	assert_non_null(nomad_check_absolute_path("a/b"));
	assert_null(nomad_check_env_name("A"));
	assert_null(nomad_check_env_name("_a9"));
	assert_non_null(nomad_check_env_name(""));
	assert_non_null(nomad_check_env_name("9a"));
	assert_non_null(nomad_check_env_name("a=b"));
	assert_non_null(nomad_check_env_name("a-b"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_tables_pass),
		cmocka_unit_test(each_fault_names_the_row),
		cmocka_unit_test(rows_against_each_other),
		cmocka_unit_test(ready_made_checks),
	};

	return cmocka_run_group_tests_name("schema/check", tests, NULL, NULL);
}
