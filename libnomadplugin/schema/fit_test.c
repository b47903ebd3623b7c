/* SPDX-License-Identifier: MPL-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "nomad/plugin.h"
#include "schema/schema.h"

/* The tables as an older header had them: each struct ends where the last field but some was. */
struct old_option {
	char bytes[offsetof(struct nomad_option, harmless)];
};
struct old_schema {
	char bytes[offsetof(struct nomad_schema, check)];
};
struct old_power {
	char bytes[offsetof(struct nomad_power, keys)];
};

static struct old_option options[2], inner_options[1];
static struct old_schema schema, inner_schema;
static struct old_power power;

static void set_up_tables(void)
{
	const struct nomad_power p = { .kind = NOMAD_POWER_READ, .rule = "allow_read", .keys = true };
	const struct nomad_option o[] = {
		{ .name = "path", .type = NOMAD_STRING, .harmless = "not there", .power = (const void *)&power },
		{ .name = "block", .type = NOMAD_BLOCK, .block = (const void *)&inner_schema },
	};
	const struct nomad_option i = { .name = "deep", .type = NOMAD_INT, .def = "5" };
	const struct nomad_schema s = { (const void *)options, 2, 16, NULL };
	const struct nomad_schema is = { (const void *)inner_options, 1, 8, NULL };

	memcpy(&power, &p, sizeof(power));
	memcpy(&options[0], &o[0], sizeof(options[0]));
	memcpy(&options[1], &o[1], sizeof(options[1]));
	memcpy(&inner_options[0], &i, sizeof(inner_options[0]));
	memcpy(&schema, &s, sizeof(schema));
	memcpy(&inner_schema, &is, sizeof(inner_schema));
}

static void tables_of_an_older_header_are_completed(void **state)
{
	struct nomad_abi abi = NOMAD_ABI_INIT;
	const struct nomad_driver old = {
		.name = "old", .task_schema = (const void *)&schema, .destroy_network = (void *)1, .start = (void *)2
	};
	const struct nomad_driver *whole;
	const struct nomad_option *rows;

	(void)state;
	set_up_tables();
	abi.option = sizeof(struct old_option);
	abi.schema = sizeof(struct old_schema);
	abi.power = sizeof(struct old_power);
	abi.driver = offsetof(struct nomad_driver, destroy_network);
	whole = nomad__driver_fit(&old, &abi, NULL);
	assert_non_null(whole);
	assert_string_equal(whole->name, "old");
	assert_ptr_equal(whole->start, old.start);
	assert_null(whole->destroy_network);
	assert_null(whole->config_schema);
	assert_int_equal(whole->task_schema->count, 2);
	assert_int_equal(whole->task_schema->size, 16);
	assert_null(whole->task_schema->check);
	rows = whole->task_schema->options;
	assert_string_equal(rows[0].name, "path");
	assert_null(rows[0].harmless);
	assert_string_equal(rows[0].power->rule, "allow_read");
	assert_false(rows[0].power->keys);
	assert_string_equal(rows[1].name, "block");
	assert_string_equal(rows[1].block->options[0].name, "deep");
	assert_string_equal(rows[1].block->options[0].def, "5");
}

static void one_of_this_header_is_taken_as_it_is(void **state)
{
	static const struct nomad_driver own = { .name = "own" };
	const struct nomad_abi abi = NOMAD_ABI_INIT;

	(void)state;
	assert_ptr_equal(nomad__driver_fit(&own, &abi, NULL), &own);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tables_of_an_older_header_are_completed),
		cmocka_unit_test(one_of_this_header_is_taken_as_it_is),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
