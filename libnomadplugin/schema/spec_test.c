/* SPDX-License-Identifier: MPL-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "schema/everything.h"

/* The tree in one line per node. */
static void show(const struct nomad__spec *spec, unsigned depth, FILE *out)
{
	static const char *const kinds[] = {
		[NOMAD__SPEC_OBJECT] = "object",
		[NOMAD__SPEC_ATTR] = "attr",
		[NOMAD__SPEC_BLOCK] = "block",
		[NOMAD__SPEC_BLOCK_LIST] = "block_list",
		[NOMAD__SPEC_BLOCK_ATTRS] = "block_attrs",
		[NOMAD__SPEC_DEFAULT] = "default",
		[NOMAD__SPEC_LITERAL] = "literal",
	};

	fprintf(out, "%*s%s", (int)depth, "", kinds[spec->kind]);
	if (spec->name)
		fprintf(out, " %s", spec->name);
	if (spec->type)
		fprintf(out, " %s", spec->type);
	if (spec->literal)
		fprintf(out, " %s", spec->literal);
	if (spec->required)
		fprintf(out, " required");
	if (spec->min_items || spec->max_items)
		fprintf(out, " %" PRIu64 "..%" PRIu64, spec->min_items, spec->max_items);
	putc('\n', out);
	for (size_t i = 0; i < spec->n_children; i++)
		show(spec->children[i], depth + 1, out);
}

static void shows(const struct nomad_schema *schema, const char *expected)
{
	struct nomad__spec *spec = nomad__spec_new(schema, NULL);
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	assert_non_null(spec);
	show(spec, 0, out);
	fclose(out);
	assert_string_equal(text, expected);
	free(text);
	nomad__spec_free(spec);
}

static void every_type(void **state)
{
	(void)state;
	shows(&everything_schema, "object\n"
				  " attr text string\n"
				  " default mode\n  attr mode string\n  literal \"no\"\n"
				  " attr path string\n"
				  " attr token string\n"
				  " attr filled string\n"
				  " attr count number\n"
				  " attr bounded number\n"
				  " attr least number\n"
				  " attr most number\n"
				  " attr ratio number\n"
				  " default half\n  attr half number\n  literal 0.1\n"
				  " attr flag bool\n"
				  " default on\n  attr on bool\n  literal true\n"
				  " attr maybe bool\n"
				  " default words\n  attr words list(string)\n  literal [\"a\", \"b\"]\n"
				  " attr names list(string)\n"
				  " attr some list(string)\n"
				  " default map\n  attr map any\n  literal { a = \"b\", c = 1 }\n"
				  " attr env any\n"
				  " attr ports any\n"
				  " block branch\n"
				  "  object\n"
				  "   attr url string required\n"
				  "   attr password string required\n"
				  "   block leaf\n"
				  "    object\n"
				  "     attr name string required\n"
				  "     default port\n      attr port number\n      literal 80\n"
				  "     default flags\n      attr flags list(string)\n      literal [\"x\"]\n"
				  "     attr labels any\n"
				  "   block_list leaves\n"
				  "    object\n"
				  "     attr name string required\n"
				  "     default port\n      attr port number\n      literal 80\n"
				  "     attr flags list(string)\n"
				  "     attr labels list(map(string))\n"
				  " block_list mount 0..3\n"
				  "  object\n"
				  "   attr name string required\n"
				  "   default port\n    attr port number\n    literal 80\n"
				  "   attr flags list(string)\n"
				  "   attr labels list(map(string))\n"
				  " default preset\n"
				  "  block preset\n"
				  "   object\n"
				  "    attr name string required\n"
				  "    default port\n     attr port number\n     literal 80\n"
				  "    default flags\n     attr flags list(string)\n     literal [\"x\"]\n"
				  "    attr labels any\n"
				  "  literal { name = \"preset\" }\n"
				  " attr both string\n"
				  " attr old string\n");
}

/* Nomad must not insist on one of two names, nor fill one in. */
static void names_for_one_field(void **state)
{
	struct two {
		char *now, *other;
		struct nomad_block_list blocks;
	};
	static const struct nomad_option options[] = {
		NOMAD_OPTION(struct two, now, STRING, .required = true, .help = "Now."),
		NOMAD_OPTION_AS(struct two, now, "once", STRING, .deprecated = true, .help = "Use now."),
		NOMAD_OPTION(struct two, other, STRING, .def = "\"x\"", .help = "Other."),
		NOMAD_OPTION_AS(struct two, other, "another", STRING, .help = "Other."),
		NOMAD_OPTION(struct two, blocks, BLOCK_LIST, .required = true, .block = &leaf_schema,
			     .help = "Blocks."),
	};
	static const struct nomad_schema schema = NOMAD_SCHEMA(struct two, options);
	static const struct nomad_schema empty = { .size = 1 };
	struct nomad_error *err = NULL;
	void *config = NULL;

	(void)state;
	shows(&empty, "object\n");
	shows(&schema, "object\n attr now string\n attr once string\n attr other string\n attr another string\n"
		       " block_list blocks required 1..0\n  object\n   attr name string required\n"
		       "   default port\n    attr port number\n    literal 80\n   attr flags list(string)\n"
		       "   attr labels list(map(string))\n");
	assert_true(nomad__config_decode(&schema, "x",
					 "\x81\xa5"
					 "other\xa1y",
					 9, 0, &config, &err) < 0);
	assert_string_equal(nomad_error_message(err), "x: option 'now' is missing");
	nomad_error_free(err);
	err = NULL;
	assert_true(nomad__config_decode(&schema, "x",
					 "\x82\xa4"
					 "once\xa1y\xa6"
					 "blocks\x90",
					 16, 0, &config, &err) < 0);
	assert_string_equal(nomad_error_message(err), "x: option 'blocks' is missing");
	nomad_error_free(err);
	nomad__spec_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_type),
		cmocka_unit_test(names_for_one_field),
	};

	return cmocka_run_group_tests_name("schema/spec", tests, NULL, NULL);
}
