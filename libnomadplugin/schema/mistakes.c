/* SPDX-License-Identifier: MPL-2.0
 *
 * All mistakes of a config, for `validate`.  The decoder stops at the first
 * one.  So each option is decoded by itself, with a copy of the table that
 * requires nothing; checks between options come last, as they trust the
 * options. */
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "schema/inner.h"

struct collector {
	const struct nomad_schema *relaxed; /* of the whole config */
	const char *what;
	char ***mistakes;
};

/* ---- The table that requires nothing ---- */

static void relaxed_free(struct nomad_schema *schema)
{
	if (!schema)
		return;
	for (size_t i = 0; schema->options && i < schema->count; i++)
		relaxed_free((struct nomad_schema *)schema->options[i].block);
	free((void *)schema->options);
	free(schema);
}

static struct nomad_schema *relaxed_copy(const struct nomad_schema *schema)
{
	struct nomad_schema *copy = malloc(sizeof(*copy));
	struct nomad_option *rows = calloc(schema->count + 1, sizeof(*rows));
	bool failed = !copy || !rows;

	for (size_t i = 0; !failed && i < schema->count; i++) {
		rows[i] = schema->options[i];
		rows[i].required = false;
		if (rows[i].block)
			failed = !(rows[i].block = relaxed_copy(rows[i].block));
	}
	if (copy)
		*copy = (struct nomad_schema){ .options = rows, .count = schema->count, .size = schema->size };
	else
		free(rows);
	if (!failed)
		return copy;
	relaxed_free(copy);
	return NULL;
}

/* ---- One option at a time ---- */

static int decode(const struct nomad_schema *schema, const char *what, const json_t *json, struct nomad_error **err)
{
	NOMAD_AUTO_FREE void *msgpack = NULL;
	void *config = NULL;
	size_t size = 0;
	int r = nomad__config_from_json(schema, what, json, &msgpack, &size, err);

	if (r >= 0)
		r = nomad__config_decode(schema, what, msgpack, size, 0, &config, err);
	if (config)
		nomad__config_free(schema, config);
	return r;
}

/* `err` is that of `r`. */
static int note(struct collector *c, int r, struct nomad_error *const *err)
{
	if (r >= 0)
		return 0;
	return r == -ENOMEM ? r : nomad_strv_add(c->mistakes, nomad_error_message(*err));
}

/* `root` is a document in which `place`, an empty object, gets what `json` has, entry by entry. */
static int collect(struct collector *c, const struct nomad_schema *schema, json_t *root, json_t *place, json_t *json,
		   const struct nomad__path *up);

static int collect_blocks(struct collector *c, const struct nomad_option *option, json_t *root, json_t *place,
			  json_t *value, const struct nomad__path *up)
{
	struct nomad__path path = { .up = up, .name = option->name, .length = strlen(option->name) };
	size_t count = json_is_array(value) ? json_array_size(value) : 1;
	int r = 0;

	for (size_t i = 0; i < count && r == 0; i++) {
		json_t *block = json_is_array(value) ? json_array_get(value, i) : value;
		struct nomad__path element = { .up = &path, .index = i };
		json_t *list = json_array(), *inner = NULL;

		/* Empty ones before it, so that its number is right. */
		for (size_t k = 0; k <= i; k++)
			json_array_append_new(list, inner = json_object());
		json_object_set_new(place, option->name, list);
		r = !inner ? -ENOMEM
			   : collect(c, option->block, root, inner, block,
				     option->type == NOMAD_BLOCK_LIST ? &element : &path);
		json_object_del(place, option->name);
	}
	return r;
}

static bool has_blocks(const struct nomad_option *option, const json_t *value)
{
	size_t count = json_array_size(value);

	if (!option || !option->block || (json_is_array(value) && option->type == NOMAD_BLOCK && count > 1))
		return false;
	for (size_t i = 0; i < count; i++)
		if (!json_is_object(json_array_get(value, i)))
			return false;
	return json_is_array(value) || json_is_object(value);
}

static int collect(struct collector *c, const struct nomad_schema *schema, json_t *root, json_t *place, json_t *json,
		   const struct nomad__path *up)
{
	int r = 0;

	for (void *i = json_object_iter(json); i && r == 0; i = json_object_iter_next(json, i)) {
		NOMAD_AUTO_ERROR struct nomad_error *err = NULL;
		const char *name = json_object_iter_key(i);
		json_t *value = json_object_iter_value(i);
		const struct nomad_option *option = nomad__option_find(schema, name, strlen(name));

		if (has_blocks(option, value)) {
			r = collect_blocks(c, option, root, place, value, up);
			continue;
		}
		json_object_set(place, name, value);
		r = note(c, decode(c->relaxed, c->what, root, &err), &err);
		json_object_del(place, name);
	}
	for (size_t i = 0; i < schema->count && r == 0; i++) {
		NOMAD_AUTO_ERROR struct nomad_error *err = NULL;
		const struct nomad_option *option = &schema->options[i];
		struct nomad__path path = { .up = up, .name = option->name, .length = strlen(option->name) };
		json_t *value = json_object_get(json, option->name);

		if (option->required && (!value || json_is_null(value)))
			r = note(c, nomad__fault_missing(&err, c->what, &path), &err);
	}
	return r;
}

int nomad__config_mistakes(const struct nomad_schema *schema, const char *what, const json_t *json, char ***mistakes)
{
	NOMAD_AUTO_ERROR struct nomad_error *err = NULL;
	struct nomad_schema *relaxed = relaxed_copy(schema);
	struct collector c = { .relaxed = relaxed, .what = what, .mistakes = mistakes };
	json_t *root = json_object();
	int r = relaxed && root ? 0 : -ENOMEM;

	if (r == 0)
		r = collect(&c, schema, root, root, (json_t *)json, NULL);
	if (r == 0 && !*mistakes)
		r = note(&c, decode(schema, what, json, &err), &err);
	json_decref(root);
	relaxed_free(relaxed);
	return r;
}
