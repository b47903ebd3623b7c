/* SPDX-License-Identifier: MPL-2.0
 *
 * The options as JSON Schema (draft 2020-12), for editors and for programs
 * that write jobs.  It describes the JSON of a job's config: what HCL calls a
 * block is an object there, or a list of objects as Nomad's own conversion
 * has it, so both forms are allowed.  A block's own schema is in $defs,
 * under its path. */
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "schema/inner.h"

struct maker {
	json_t *defs;
	bool failed; /* out of memory: looked at once, at the end */
};

static void set(struct maker *m, json_t *object, const char *key, json_t *take_value)
{
	if (json_object_set_new(object, key, take_value) < 0)
		m->failed = true;
}

static void append(struct maker *m, json_t *array, json_t *take_value)
{
	if (json_array_append_new(array, take_value) < 0)
		m->failed = true;
}

static json_t *object_with(struct maker *m, const char *key, json_t *take_value)
{
	json_t *object = json_object();

	set(m, object, key, take_value);
	return object;
}

/* ---- HCL literals ---- */

static json_t *json_of(struct maker *m, const msgpack_object *value)
{
	json_t *json;

	switch (value->type) {
	case MSGPACK_OBJECT_BOOLEAN:
		return json_boolean(value->via.boolean);
	case MSGPACK_OBJECT_POSITIVE_INTEGER:
	case MSGPACK_OBJECT_NEGATIVE_INTEGER:
		return json_integer(value->via.i64);
	case MSGPACK_OBJECT_FLOAT32:
	case MSGPACK_OBJECT_FLOAT64:
		return json_real(value->via.f64);
	case MSGPACK_OBJECT_STR:
		return json_stringn(nomad__bytes(&value->via.str), value->via.str.size);
	case MSGPACK_OBJECT_ARRAY:
		json = json_array();
		for (size_t i = 0; i < value->via.array.size; i++)
			append(m, json, json_of(m, &value->via.array.ptr[i]));
		return json;
	case MSGPACK_OBJECT_MAP:
		json = json_object();
		for (size_t i = 0; i < value->via.map.size; i++) {
			const msgpack_object_str *key = &value->via.map.ptr[i].key.via.str;
			NOMAD_AUTO_FREE char *name = strndup(nomad__bytes(key), key->size);

			if (name)
				set(m, json, name, json_of(m, &value->via.map.ptr[i].val));
			else
				m->failed = true;
		}
		return json;
	default:
		return json_null();
	}
}

/* NULL for what is not a literal (an example may be any HCL). */
static json_t *json_of_literal(struct maker *m, const struct nomad_option *option, const char *text)
{
	struct nomad__number number;
	msgpack_sbuffer buffer;
	msgpack_packer pk;
	msgpack_object value;
	msgpack_zone zone;
	json_t *json = NULL;
	int r;

	/* One tenth is text in msgpack, and a number here. */
	if (option->type == NOMAD_NUMBER && nomad__number_parse(text, strlen(text), &number) == 0)
		return number.is_int ? json_integer(number.integer) : json_real(number.real);
	if (!msgpack_zone_init(&zone, 1024)) {
		m->failed = true;
		return NULL;
	}
	msgpack_sbuffer_init(&buffer);
	msgpack_packer_init(&pk, &buffer, msgpack_sbuffer_write);
	r = nomad__literal_pack(&pk, text, NULL);
	if (r == 0)
		r = nomad__unpack("literal", buffer.data, buffer.size, &zone, &value, NULL);
	if (r == 0)
		json = json_of(m, &value);
	else if (r == -ENOMEM)
		m->failed = true;
	msgpack_sbuffer_destroy(&buffer);
	msgpack_zone_destroy(&zone);
	return json;
}

/* ---- Rows ---- */

static json_t *typed(struct maker *m, const char *type)
{
	return object_with(m, "type", json_string(type));
}

static json_t *schema_of_string(struct maker *m, const struct nomad_option *option)
{
	json_t *schema = typed(m, "string"), *choices;

	if (option->choices) {
		choices = json_array();
		for (const char *const *choice = option->choices; *choice; choice++)
			append(m, choices, json_string(*choice));
		set(m, schema, "enum", choices);
	}
	if (option->check == nomad_check_absolute_path)
		set(m, schema, "pattern", json_string("^/"));
	if (option->check == nomad_check_env_name)
		set(m, schema, "pattern", json_string("^[A-Za-z_][A-Za-z0-9_]*$"));
	if (option->type == NOMAD_STRING && option->non_empty)
		set(m, schema, "minLength", json_integer(1));
	return schema;
}

static json_t *schema_of_number(struct maker *m, const struct nomad_option *option)
{
	json_t *schema = typed(m, option->type == NOMAD_NUMBER ? "number" : "integer");

	if (option->min || option->max) {
		if (option->min != INT64_MIN)
			set(m, schema, "minimum", json_integer(option->min));
		if (option->max != INT64_MAX)
			set(m, schema, "maximum", json_integer(option->max));
	}
	return schema;
}

/* `take_item`, or a list of them. */
static json_t *one_or_list(struct maker *m, json_t *take_item, size_t least, size_t most)
{
	json_t *list = typed(m, "array"), *forms = json_array();

	set(m, list, "items", json_incref(take_item));
	if (least)
		set(m, list, "minItems", json_integer((json_int_t)least));
	if (most)
		set(m, list, "maxItems", json_integer((json_int_t)most));
	append(m, forms, take_item);
	append(m, forms, list);
	return object_with(m, "anyOf", forms);
}

static json_t *schema_of_map(struct maker *m, const struct nomad_option *option)
{
	json_t *map = typed(m, "object");

	set(m, map, "additionalProperties",
	    option->type == NOMAD_INT_MAP ? schema_of_number(m, option) : schema_of_string(m, option));
	if (option->max_items)
		set(m, map, "maxProperties", json_integer(option->max_items));
	return one_or_list(m, map, option->non_empty, 0);
}

static json_t *schema_of_list(struct maker *m, const struct nomad_option *option)
{
	json_t *list = typed(m, "array");

	set(m, list, "items", schema_of_string(m, option));
	if (option->non_empty)
		set(m, list, "minItems", json_integer(1));
	if (option->max_items)
		set(m, list, "maxItems", json_integer(option->max_items));
	return list;
}

static json_t *schema_of_table(struct maker *m, const struct nomad_schema *table, const char *up);

static json_t *schema_of_block(struct maker *m, const struct nomad_option *option, const char *path)
{
	NOMAD_AUTO_FREE char *reference = nomad_strdupf("#/$defs/%s", path);
	json_t *block = reference ? object_with(m, "$ref", json_string(reference)) : NULL;

	set(m, m->defs, path, schema_of_table(m, option->block, path));
	if (option->type == NOMAD_BLOCK)
		return one_or_list(m, block, 0, 1);
	return one_or_list(m, block, option->required || option->non_empty, option->max_items);
}

static json_t *schema_of_type(struct maker *m, const struct nomad_option *option, const char *path)
{
	switch (option->type) {
	case NOMAD_STRING:
		return schema_of_string(m, option);
	case NOMAD_INT:
	case NOMAD_NUMBER:
		return schema_of_number(m, option);
	case NOMAD_BOOL:
	case NOMAD_TRISTATE:
		return typed(m, "boolean");
	case NOMAD_STRING_LIST:
		return schema_of_list(m, option);
	case NOMAD_STRING_MAP:
	case NOMAD_INT_MAP:
		return schema_of_map(m, option);
	default:
		return schema_of_block(m, option, path);
	}
}

static json_t *schema_of_row(struct maker *m, const struct nomad_option *option, const char *path)
{
	NOMAD_AUTO_FREE char *help = nomad_strdupf("%s%s%s%s", option->help, option->unit ? " Unit: " : "",
						   option->unit ? option->unit : "", option->unit ? "." : "");
	json_t *schema = schema_of_type(m, option, path), *literal;

	set(m, schema, "description", help ? json_string(help) : NULL);
	if (option->def && !option->secret)
		set(m, schema, "default", json_of_literal(m, option, option->def));
	literal = option->example ? json_of_literal(m, option, option->example) : NULL;
	if (literal) {
		json_t *examples = json_array();

		append(m, examples, literal);
		set(m, schema, "examples", examples);
	}
	if (option->deprecated)
		set(m, schema, "deprecated", json_true());
	if (option->secret)
		set(m, schema, "writeOnly", json_true());
	return schema;
}

static json_t *schema_of_table(struct maker *m, const struct nomad_schema *table, const char *up)
{
	json_t *schema = typed(m, "object"), *properties = json_object(), *required = json_array();

	for (size_t i = 0; i < table->count; i++) {
		const struct nomad_option *option = &table->options[i];
		NOMAD_AUTO_FREE char *path = nomad_strdupf("%s%s%s", up, *up ? "." : "", option->name);

		if (path)
			set(m, properties, option->name, schema_of_row(m, option, path));
		else
			m->failed = true;
		if (option->required && !nomad__option_is_alias(table, option))
			append(m, required, json_string(option->name));
	}
	set(m, schema, "properties", properties);
	if (!required || json_array_size(required))
		set(m, schema, "required", required);
	else
		json_decref(required);
	set(m, schema, "additionalProperties", json_false());
	return schema;
}

int nomad__schema_print_json(const struct nomad_schema *schema, const char *title, FILE *out)
{
	struct maker m = { .defs = json_object() };
	json_t *root = object_with(&m, "$schema", json_string("https://json-schema.org/draft/2020-12/schema"));
	json_t *table;
	int r = 0;

	set(&m, root, "title", json_string(title));
	table = schema_of_table(&m, schema, "");
	if (json_object_update(root, table) < 0)
		m.failed = true;
	json_decref(table);
	if (json_object_size(m.defs))
		set(&m, root, "$defs", m.defs);
	else
		json_decref(m.defs);
	if (m.failed || !root)
		r = -ENOMEM;
	else if (json_dumpf(root, out, JSON_INDENT(2)) < 0 || putc('\n', out) == EOF)
		r = ferror(out) ? -EIO : -ENOMEM;
	json_decref(root);
	return r;
}
