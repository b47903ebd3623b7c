/* SPDX-License-Identifier: MPL-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "schema/everything.h"

static json_t *printed(const struct nomad_schema *schema)
{
	json_error_t fault;
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);
	json_t *json;

	assert_int_equal(nomad__schema_print_json(schema, "Everything", out), 0);
	fclose(out);
	assert_true(text[size - 1] == '\n');
	json = json_loads(text, JSON_REJECT_DUPLICATES, &fault);
	if (!json)
		fail_msg("%s", fault.text);
	free(text);
	return json;
}

/* The property of that name is exactly this. */
static void property_is(const json_t *object, const char *name, const char *expected)
{
	json_t *want = json_loads(expected, 0, NULL),
	       *got = json_object_get(json_object_get(object, "properties"), name);
	char *text = json_dumps(got, JSON_ENCODE_ANY);

	assert_non_null(want);
	if (!json_equal(want, got))
		fail_msg("%s: %s is not %s", name, text, expected);
	free(text);
	json_decref(want);
}

static void every_type(void **state)
{
	json_t *root = printed(&everything_schema), *defs;

	(void)state;
	assert_string_equal(json_string_value(json_object_get(root, "$schema")),
			    "https://json-schema.org/draft/2020-12/schema");
	assert_string_equal(json_string_value(json_object_get(root, "title")), "Everything");
	assert_string_equal(json_string_value(json_object_get(root, "type")), "object");
	assert_true(json_is_false(json_object_get(root, "additionalProperties")));
	assert_null(json_object_get(root, "required"));
	assert_int_equal(json_object_size(json_object_get(root, "properties")), everything_schema.count);
	property_is(root, "text", "{\"type\":\"string\",\"description\":\"Any text.\"}");
	property_is(root, "mode",
		    "{\"type\":\"string\",\"enum\":[\"yes\",\"state\",\"overlay\",\"no\"],\"default\":\"no\","
		    "\"description\":\"How much of it is kept.\"}");
	property_is(root, "path", "{\"type\":\"string\",\"pattern\":\"^/\",\"description\":\"A path.\"}");
	property_is(root, "token",
		    "{\"type\":\"string\",\"pattern\":\"^[A-Za-z_][A-Za-z0-9_]*$\","
		    "\"description\":\"A secret.\",\"writeOnly\":true}");
	property_is(root, "filled", "{\"type\":\"string\",\"minLength\":1,\"description\":\"Never empty.\"}");
	property_is(root, "bounded",
		    "{\"type\":\"integer\",\"minimum\":1,\"maximum\":10,"
		    "\"description\":\"A small number. Unit: seconds.\"}");
	property_is(root, "least", "{\"type\":\"integer\",\"minimum\":5,\"description\":\"A number from five on.\"}");
	property_is(root, "most", "{\"type\":\"integer\",\"maximum\":5,\"description\":\"A number up to five.\"}");
	property_is(root, "half", "{\"type\":\"number\",\"default\":0.1,\"description\":\"A tenth, by its default.\"}");
	property_is(root, "on", "{\"type\":\"boolean\",\"default\":true,\"description\":\"A flag that is on.\"}");
	property_is(root, "maybe", "{\"type\":\"boolean\",\"description\":\"A flag that may be unset.\"}");
	property_is(root, "words",
		    "{\"type\":\"array\",\"items\":{\"type\":\"string\"},\"maxItems\":4,"
		    "\"default\":[\"a\",\"b\"],\"description\":\"Words.\"}");
	property_is(root, "map",
		    "{\"anyOf\":[{\"type\":\"object\",\"maxProperties\":4,"
		    "\"additionalProperties\":{\"type\":\"string\"}},{\"type\":\"array\",\"items\":"
		    "{\"type\":\"object\",\"maxProperties\":4,\"additionalProperties\":{\"type\":\"string\"}}}],"
		    "\"default\":{\"a\":\"b\",\"c\":1},\"examples\":[{\"a\":\"b\"}],\"description\":\"A map.\"}");
	property_is(root, "branch",
		    "{\"anyOf\":[{\"$ref\":\"#/$defs/branch\"},{\"type\":\"array\",\"maxItems\":1,"
		    "\"items\":{\"$ref\":\"#/$defs/branch\"}}],\"description\":\"A block.\"}");
	property_is(root, "mount",
		    "{\"anyOf\":[{\"$ref\":\"#/$defs/mount\"},{\"type\":\"array\",\"maxItems\":3,"
		    "\"items\":{\"$ref\":\"#/$defs/mount\"}}],\"description\":\"Blocks.\"}");
	property_is(root, "old", "{\"type\":\"string\",\"deprecated\":true,\"description\":\"Use both instead.\"}");

	defs = json_object_get(root, "$defs");
	assert_int_equal(json_object_size(defs), 5);
	property_is(json_object_get(defs, "branch.leaves"), "name",
		    "{\"type\":\"string\",\"minLength\":1,\"description\":\"What it is called.\"}");
	assert_int_equal(json_array_size(json_object_get(json_object_get(defs, "branch"), "required")), 2);
	json_decref(root);
}

static void secrets_show_no_default(void **state)
{
	static const struct nomad_option options[] = {
		NOMAD_OPTION(struct leaf, name, STRING, .secret = true, .def = "\"hush\"", .help = "Name."),
	};
	static const struct nomad_schema schema = NOMAD_SCHEMA(struct leaf, options);
	json_t *root = printed(&schema);

	(void)state;
	property_is(root, "name", "{\"type\":\"string\",\"description\":\"Name.\",\"writeOnly\":true}");
	assert_null(json_object_get(root, "$defs"));
	json_decref(root);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_type),
		cmocka_unit_test(secrets_show_no_default),
	};

	return cmocka_run_group_tests_name("schema/print_json", tests, NULL, NULL);
}
