/* SPDX-License-Identifier: MPL-2.0
 *
 * Table -> hclspec: what Nomad accepts and converts before it calls the plugin.
 *
 *	STRING, INT, NUMBER, BOOL, TRISTATE	Attr string, number, number, bool, bool
 *	STRING_LIST				Attr list(string)
 *	STRING_MAP, INT_MAP			Attr any; in a block list list(map(...))
 *	BLOCK, BLOCK_LIST			the same, with an Object nested
 *	a row with .def				Default(the above, Literal)
 *
 * `any` takes each form that a map may come in: `x { }` and `x = { }` are
 * lists of maps by the time Nomad looks at them, a variable is a bare map.
 * Not so within a block list: Nomad has to find one type for all blocks, and
 * where one block gives an `any` attribute and another does not, that search
 * panics and takes the agent down with it (hcldec's block list over go-cty's
 * ListVal).  A literal of another type than the attribute's is the same danger.
 *
 * So these are kept from Nomad and left to the decoder: defaults of lists,
 * maps and blocks within a block list; demands and defaults of rows that share
 * a field (Nomad would insist on the one name, or fill it in, where the user
 * wrote the other). */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "schema/inner.h"

static struct nomad__spec *object_of(const struct nomad_schema *schema, bool in_list);

void nomad__spec_free(struct nomad__spec *spec)
{
	if (!spec)
		return;
	for (size_t i = 0; i < spec->n_children; i++)
		nomad__spec_free(spec->children[i]);
	free(spec->children);
	free(spec->name);
	free(spec->type);
	free(spec->literal);
	free(spec);
}

/* A node with room for children; name, type and literal are copied. */
static struct nomad__spec *node(enum nomad__spec_kind kind, const char *name, const char *type, const char *literal,
				size_t children)
{
	struct nomad__spec *spec = calloc(1, sizeof(*spec));

	if (!spec)
		return NULL;
	spec->kind = kind;
	spec->name = name ? strdup(name) : NULL;
	spec->type = type ? strdup(type) : NULL;
	spec->literal = literal ? strdup(literal) : NULL;
	spec->children = children ? calloc(children, sizeof(spec->children[0])) : NULL;
	if ((name && !spec->name) || (type && !spec->type) || (literal && !spec->literal) ||
	    (children && !spec->children)) {
		nomad__spec_free(spec);
		return NULL;
	}
	return spec;
}

/* Hang `take_child` below; false if it is NULL. */
static bool add(struct nomad__spec *spec, struct nomad__spec *take_child)
{
	if (take_child)
		spec->children[spec->n_children++] = take_child;
	return take_child != NULL;
}

static const char *attr_type(const struct nomad_option *option, bool in_list)
{
	switch (option->type) {
	case NOMAD_INT:
	case NOMAD_NUMBER:
		return "number";
	case NOMAD_BOOL:
	case NOMAD_TRISTATE:
		return "bool";
	case NOMAD_STRING_LIST:
		return "list(string)";
	case NOMAD_STRING_MAP:
		return in_list ? "list(map(string))" : "any";
	case NOMAD_INT_MAP:
		return in_list ? "list(map(number))" : "any";
	default:
		return "string";
	}
}

static struct nomad__spec *block_of(const struct nomad_option *option, bool in_list)
{
	bool list = option->type == NOMAD_BLOCK_LIST;
	struct nomad__spec *spec = node(list ? NOMAD__SPEC_BLOCK_LIST : NOMAD__SPEC_BLOCK, option->name, NULL, NULL, 1);

	if (!spec || !add(spec, object_of(option->block, in_list || list))) {
		nomad__spec_free(spec);
		return NULL;
	}
	return spec;
}

static bool sends_default(const struct nomad_schema *schema, const struct nomad_option *option, bool in_list)
{
	if (!option->def || nomad__option_is_alias(schema, option))
		return false;
	switch (option->type) {
	case NOMAD_STRING_LIST:
	case NOMAD_STRING_MAP:
	case NOMAD_INT_MAP:
	case NOMAD_BLOCK:
		return !in_list;
	case NOMAD_BLOCK_LIST:
		return false;
	default:
		return true;
	}
}

static struct nomad__spec *row_of(const struct nomad_schema *schema, const struct nomad_option *option, bool in_list)
{
	struct nomad__spec *spec, *outer;

	if (option->type == NOMAD_BLOCK || option->type == NOMAD_BLOCK_LIST)
		spec = block_of(option, in_list);
	else
		spec = node(NOMAD__SPEC_ATTR, option->name, attr_type(option, in_list), NULL, 0);
	if (!spec)
		return NULL;
	spec->required = option->required && !nomad__option_is_alias(schema, option);
	if (option->type == NOMAD_BLOCK_LIST) {
		spec->min_items = spec->required;
		spec->max_items = option->max_items;
	}
	if (!sends_default(schema, option, in_list))
		return spec;
	outer = node(NOMAD__SPEC_DEFAULT, option->name, NULL, NULL, 2);
	if (!outer) {
		nomad__spec_free(spec);
		return NULL;
	}
	add(outer, spec);
	if (!add(outer, node(NOMAD__SPEC_LITERAL, NULL, NULL, option->def, 0))) {
		nomad__spec_free(outer);
		return NULL;
	}
	return outer;
}

static struct nomad__spec *object_of(const struct nomad_schema *schema, bool in_list)
{
	struct nomad__spec *spec = node(NOMAD__SPEC_OBJECT, NULL, NULL, NULL, schema->count);

	for (size_t i = 0; spec && i < schema->count; i++)
		if (!add(spec, row_of(schema, &schema->options[i], in_list))) {
			nomad__spec_free(spec);
			return NULL;
		}
	return spec;
}

struct nomad__spec *nomad__spec_new(const struct nomad_schema *schema, struct nomad_error **err)
{
	struct nomad__spec *spec = object_of(schema, false);

	if (!spec)
		nomad_error_set(err, ENOMEM, "describe the options to Nomad: out of memory");
	return spec;
}
