/* SPDX-License-Identifier: MPL-2.0
 *
 * Faults in tables, found at start rather than by the first user of the row
 * in question, and the ready-made checks for rows.
 *
 * The default is held to more than the decoder asks of a value: it has to be
 * written in the option's own type, because Nomad does not convert it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "schema/inner.h"

const char *nomad_check_absolute_path(const char *value)
{
	return value[0] == '/' ? NULL : "an absolute path";
}

const char *nomad_check_env_name(const char *value)
{
	const char *s = value;

	if ((*s >= 'a' && *s <= 'z') || (*s >= 'A' && *s <= 'Z') || *s == '_')
		for (s++;
		     (*s >= 'a' && *s <= 'z') || (*s >= 'A' && *s <= 'Z') || (*s >= '0' && *s <= '9') || *s == '_';)
			s++;
	return s > value && !*s ? NULL : "a name of an environment variable";
}

static const char what[] = "option table";

static bool is_name(const char *name)
{
	if (!name || *name < 'a' || *name > 'z' || strlen(name) > 64)
		return false;
	return name[strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_")] == '\0';
}

static bool is_sentence(const char *help)
{
	size_t n = help ? strlen(help) : 0;

	return n > 1 && strchr(".?!)", help[n - 1]) && nomad__is_text(help, n);
}

static bool is_text(const char *s)
{
	return !s || nomad__is_text(s, strlen(s));
}

static bool are_texts(const struct nomad_option *option)
{
	for (const char *const *choice = option->choices; choice && *choice; choice++)
		if (!is_text(*choice))
			return false;
	return is_text(option->def) && is_text(option->unit) && is_text(option->example);
}

static bool has_type(enum nomad_option_type type, const enum nomad_option_type *types, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (types[i] == type)
			return true;
	return false;
}
#define IS_ONE_OF(type, ...)                                                                                           \
	has_type(type, (const enum nomad_option_type[]){ __VA_ARGS__ },                                                \
		 NOMAD_ARRAY_LEN(((const enum nomad_option_type[]){ __VA_ARGS__ })))

/* Does the literal begin as one of the option's own type does? */
static bool is_own_type(const struct nomad_option *option)
{
	const char *def = option->def + strspn(option->def, " \t\n");

	switch (option->type) {
	case NOMAD_STRING:
		return *def == '"';
	case NOMAD_INT:
	case NOMAD_NUMBER:
		return *def == '-' || (*def >= '0' && *def <= '9');
	case NOMAD_BOOL:
	case NOMAD_TRISTATE:
		return *def == 't' || *def == 'f';
	case NOMAD_STRING_LIST:
		return *def == '[';
	default:
		return *def == '{';
	}
}

static int check_default(const struct nomad_option *option, const struct nomad__path *path, struct nomad_error **err)
{
	/* A schema of this one row gives the field its absent value and frees it. */
	struct nomad_option row = *option;
	struct nomad_schema single = { .options = &row, .count = 1, .size = nomad__field_size(option->type) };
	void *field;
	int r;

	if (option->required)
		return nomad__fault(err, what, path, "it is required and has a default");
	if (option->type == NOMAD_BLOCK_LIST)
		return nomad__fault(err, what, path, "a block list cannot have a default");
	if (!is_own_type(option))
		return nomad__fault(err, what, path, "its default has another type");
	row.offset = 0;
	field = nomad__config_new(&single);
	if (!field)
		return nomad__fault_memory(err, what);
	r = nomad__default_decode(&row, what, path, field, err);
	nomad__config_free(&single, field);
	return r;
}

static int check_limits(const struct nomad_option *option, const struct nomad__path *path, struct nomad_error **err)
{
	if (option->min > option->max)
		return nomad__fault(err, what, path, "its minimum is above its maximum");
	if ((option->min || option->max) && !IS_ONE_OF(option->type, NOMAD_INT, NOMAD_NUMBER, NOMAD_INT_MAP))
		return nomad__fault(err, what, path, "only numbers have bounds");
	if (option->choices && !IS_ONE_OF(option->type, NOMAD_STRING, NOMAD_STRING_LIST))
		return nomad__fault(err, what, path, "only strings have choices");
	if (option->choices && !option->choices[0])
		return nomad__fault(err, what, path, "its list of choices is empty");
	if (option->check && !IS_ONE_OF(option->type, NOMAD_STRING, NOMAD_STRING_LIST, NOMAD_STRING_MAP))
		return nomad__fault(err, what, path, "only strings are checked");
	if (option->max_items &&
	    !IS_ONE_OF(option->type, NOMAD_STRING_LIST, NOMAD_STRING_MAP, NOMAD_INT_MAP, NOMAD_BLOCK_LIST))
		return nomad__fault(err, what, path, "only lists, maps and block lists have max_items");
	if (option->max_items > NOMAD__OPTION_MAX_ITEMS)
		return nomad__fault(err, what, path, "max_items is above the library's limit of %d",
				    NOMAD__OPTION_MAX_ITEMS);
	if (option->non_empty &&
	    IS_ONE_OF(option->type, NOMAD_INT, NOMAD_NUMBER, NOMAD_BOOL, NOMAD_TRISTATE, NOMAD_BLOCK))
		return nomad__fault(err, what, path, "only strings, lists and maps can be empty");
	return 0;
}

static int check_power(const struct nomad_option *option, const struct nomad__path *path, struct nomad_error **err)
{
	const struct nomad_power *power = option->power;

	if (power && option->harmless)
		return nomad__fault(err, what, path, "it has both .power and .harmless");
	if (!power)
		return 0;
	if ((unsigned)power->kind >= NOMAD_POWER_KIND_MAX || !is_name(power->rule))
		return nomad__fault(err, what, path, "its power has no kind or no valid rule name");
	if ((power->kind == NOMAD_POWER_AMOUNT) != (option->type == NOMAD_INT) ||
	    !IS_ONE_OF(option->type, NOMAD_STRING, NOMAD_STRING_LIST, NOMAD_STRING_MAP, NOMAD_BOOL, NOMAD_TRISTATE,
		       NOMAD_INT))
		return nomad__fault(err, what, path, "its type cannot have this kind of power");
	return 0;
}

/* Rows may share a field (an old name), but not overlap in other ways. */
static int check_place(const struct nomad_schema *schema, size_t row, const struct nomad__path *path,
		       struct nomad_error **err)
{
	const struct nomad_option *option = &schema->options[row];
	size_t size = nomad__field_size(option->type);

	if (option->offset % nomad__field_align(option->type) != 0)
		return nomad__fault(err, what, path, "its field is not aligned");
	if (option->offset > schema->size || size > schema->size - option->offset)
		return nomad__fault(err, what, path, "its field is outside the struct");
	for (size_t i = 0; i < row; i++) {
		const struct nomad_option *other = &schema->options[i];

		if (strcmp(other->name, option->name) == 0)
			return nomad__fault(err, what, path, "it has a second row");
		if (other->offset == option->offset && other->type == option->type && other->block == option->block)
			continue;
		if (other->offset < option->offset + size &&
		    option->offset < other->offset + nomad__field_size(other->type))
			return nomad__fault(err, what, path, "its field overlaps that of '%s'", other->name);
	}
	return 0;
}

static int check_schema(const struct nomad_schema *schema, const struct nomad__path *up, size_t depth,
			struct nomad_error **err);

static int check_row(const struct nomad_schema *schema, size_t row, const struct nomad__path *up, size_t depth,
		     struct nomad_error **err)
{
	const struct nomad_option *option = &schema->options[row];
	struct nomad__path path = { .up = up, .name = option->name, .secret = option->secret || (up && up->secret) };
	bool is_block = option->type == NOMAD_BLOCK || option->type == NOMAD_BLOCK_LIST;
	int r;

	if (!is_name(option->name))
		return nomad_error_set(err, EINVAL, "%s: row %zu has no valid name (a-z, then a-z, 0-9 and '_')", what,
				       row);
	path.length = strlen(option->name);
	if ((unsigned)option->type >= NOMAD_OPTION_TYPE_MAX)
		return nomad__fault(err, what, &path, "its type is unknown to the library");
	if (!is_sentence(option->help))
		return nomad__fault(err, what, &path, "its help is missing or not a full sentence");
	if (!are_texts(option))
		return nomad__fault(err, what, &path, "its texts are not UTF-8");
	if (is_block != (option->block != NULL))
		return nomad__fault(err, what, &path, "blocks, and only blocks, have rows of their own");
	r = check_place(schema, row, &path, err);
	if (r == 0)
		r = check_limits(option, &path, err);
	if (r == 0)
		r = check_power(option, &path, err);
	if (r == 0 && is_block)
		r = check_schema(option->block, &path, depth + 1, err);
	if (r == 0 && option->def)
		r = check_default(option, &path, err);
	return r;
}

static int check_schema(const struct nomad_schema *schema, const struct nomad__path *up, size_t depth,
			struct nomad_error **err)
{
	int r = 0;

	if (depth > NOMAD__SCHEMA_MAX_DEPTH)
		return nomad__fault(err, what, up, "blocks are nested too deeply");
	for (size_t i = 0; i < schema->count && r == 0; i++)
		r = check_row(schema, i, up, depth, err);
	return r;
}

int nomad__schema_check(const struct nomad_schema *schema, struct nomad_error **err)
{
	return check_schema(schema, NULL, 0, err);
}
