/* SPDX-License-Identifier: MPL-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "wire/spec.h"

#define NODE(k, ...) ((struct nomad__spec){ .kind = NOMAD__SPEC_##k, __VA_ARGS__ })
#define CHILDREN(...)                                                                                                  \
	.children = (struct nomad__spec *[]){ __VA_ARGS__ },                                                           \
	.n_children = sizeof((struct nomad__spec *[]){ __VA_ARGS__ }) / sizeof(struct nomad__spec *)

static void check(const struct nomad__spec *tree, const char *expected, size_t size)
{
	uint8_t bytes[512];
	Pb__Spec *spec;

	assert_int_equal(nomad__spec_to_message(tree, &spec, NULL), 0);
	assert_true(pb__spec__get_packed_size(spec) < sizeof(bytes));
	assert_int_equal(pb__spec__pack(spec, bytes), size);
	assert_memory_equal(bytes, expected, size);
	nomad__spec_message_free(spec);
}

static void an_empty_schema_is_an_empty_object(void **state)
{
	(void)state;
	check(&NODE(OBJECT), "\x0a\x00", 2);
}

/* Object{ count: Default(Attr{count,number}, Literal{1}) }, as Go encodes it. */
static void a_default_is_encoded_as_go_does(void **state)
{
	static const char expected[] = "\x0a\x27\x0a\x25\x0a\x05"
				       "count"
				       "\x12\x1c\x4a\x1a\x0a\x11\x1a\x0f\x0a\x05"
				       "count"
				       "\x12\x06"
				       "number"
				       "\x12\x05\x52\x03\x0a\x01\x31";
	struct nomad__spec attr = NODE(ATTR, .name = (char *)"count", .type = (char *)"number");
	struct nomad__spec literal = NODE(LITERAL, .literal = (char *)"1");
	struct nomad__spec def = NODE(DEFAULT, .name = (char *)"count", CHILDREN(&attr, &literal));

	(void)state;
	check(&NODE(OBJECT, CHILDREN(&def)), expected, sizeof(expected) - 1);
}

static void every_kind_has_its_field(void **state)
{
	struct nomad__spec attr = NODE(ATTR, .name = (char *)"a", .type = (char *)"string", .required = true);
	struct nomad__spec nested = NODE(OBJECT, CHILDREN(&attr));
	struct nomad__spec block = NODE(BLOCK, .name = (char *)"b", .required = true, CHILDREN(&nested));
	struct nomad__spec list =
		NODE(BLOCK_LIST, .name = (char *)"l", .min_items = 1, .max_items = 9, CHILDREN(&nested));
	struct nomad__spec attrs = NODE(BLOCK_ATTRS, .name = (char *)"m", .type = (char *)"string");
	struct nomad__spec object = NODE(OBJECT, CHILDREN(&block, &list, &attrs));
	Pb__Spec *spec;

	(void)state;
	assert_int_equal(nomad__spec_to_message(&object, &spec, NULL), 0);
	assert_int_equal(spec->object->n_attributes, 3);
	assert_string_equal(spec->object->attributes[0]->key, "b");
	assert_int_equal(spec->object->attributes[0]->value->block_case, PB__SPEC__BLOCK_BLOCK_VALUE);
	assert_true(spec->object->attributes[0]->value->block_value->required);
	assert_true(
		spec->object->attributes[0]->value->block_value->nested->object->attributes[0]->value->attr->required);
	assert_int_equal(spec->object->attributes[1]->value->block_case, PB__SPEC__BLOCK_BLOCK_LIST);
	assert_int_equal(spec->object->attributes[1]->value->block_list->min_items, 1);
	assert_int_equal(spec->object->attributes[1]->value->block_list->max_items, 9);
	assert_int_equal(spec->object->attributes[2]->value->block_case, PB__SPEC__BLOCK_BLOCK_ATTRS);
	assert_string_equal(spec->object->attributes[2]->value->block_attrs->type, "string");
	nomad__spec_message_free(spec);
}

static void a_broken_tree_is_an_error(void **state)
{
	struct nomad__spec list = NODE(BLOCK_LIST, .name = (char *)"l");
	struct nomad__spec object = NODE(OBJECT, CHILDREN(&list));
	struct nomad_error *err = NULL;
	Pb__Spec *spec = NULL;

	(void)state;
	assert_int_equal(nomad__spec_to_message(&object, &spec, &err), -EINVAL);
	assert_null(spec);
	nomad_error_free(err);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_empty_schema_is_an_empty_object),
		cmocka_unit_test(a_default_is_encoded_as_go_does),
		cmocka_unit_test(every_kind_has_its_field),
		cmocka_unit_test(a_broken_tree_is_an_error),
	};

	return cmocka_run_group_tests_name("wire/spec", tests, NULL, NULL);
}
