/* SPDX-License-Identifier: MPL-2.0
 *
 * What Nomad does between a job and us, for `validate` and `run`, which see
 * the job without Nomad.  It follows the spec tree, as Nomad does, with the
 * table on the right (an Object's members are in the order of the rows):
 *
 *	Attr	converted to its type: "5" to a number, 5 to a string, ...
 *	Block	{..} or [ {..} ]; a second one is an error
 *	List	{..} or [ {..}, ... ]
 *	Default	the literal where there is nothing or null
 *
 * Every name of the spec is written, in byte order, as Nomad has it.
 *
 * Templates ("${...}") stay text: their values are known on the node that
 * runs the task only.  An escaped one ("$${") becomes "${". */
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "schema/inner.h"

struct writer {
	const char *what;
	msgpack_packer pk;
	struct nomad_error **err;
};

static int write_object(struct writer *w, const struct nomad__spec *spec, const struct nomad_schema *schema,
			const json_t *json, const struct nomad__path *up);

static int no_memory(struct writer *w)
{
	return nomad__fault_memory(w->err, w->what);
}

static int not_a(struct writer *w, const json_t *json, const struct nomad__path *path, const char *kind)
{
	char shown[NOMAD__SHOWN_MAX_TEXT], number[NOMAD__NUMBER_MAX_TEXT];
	struct nomad__number n;

	if (path->secret) {
		nomad__show_string("", 0, true, shown);
	} else if (json_is_string(json)) {
		nomad__show_string(json_string_value(json), json_string_length(json), false, shown);
	} else if (json_is_number(json)) {
		if (json_is_integer(json))
			n = (struct nomad__number){ .is_int = true, .integer = json_integer_value(json) };
		else
			nomad__number_from_double(json_real_value(json), &n);
		nomad__number_text(&n, number);
		nomad__show_string(number, strlen(number), false, shown);
	} else {
		strcpy(shown, json_is_array(json)    ? "a list"
			      : json_is_object(json) ? "a block"
			      : json_is_true(json)   ? "'true'"
			      : json_is_false(json)  ? "'false'"
						     : "null");
	}
	return nomad__fault(w->err, w->what, path, "%s is not %s", shown, kind);
}

/* ---- Values ---- */

static int write_text(struct writer *w, const char *s, size_t size, const struct nomad__path *path)
{
	NOMAD_AUTO_FREE char *plain = NULL;
	size_t n = 0;
	bool failed;

	if (!nomad__is_text(s, size))
		return nomad__fault(w->err, w->what, path, "the text is not UTF-8 or holds a NUL");
	plain = malloc(size + 1);
	if (!plain)
		return no_memory(w);
	for (size_t i = 0; i < size; i++) {
		if (size - i >= 3 && (s[i] == '$' || s[i] == '%') && s[i + 1] == s[i] && s[i + 2] == '{')
			i++;
		plain[n++] = s[i];
	}
	failed = msgpack_pack_str(&w->pk, n) || (n && msgpack_pack_str_body(&w->pk, plain, n));
	if (path->secret)
		explicit_bzero(plain, size);
	return failed ? no_memory(w) : 0;
}

/* From a JSON number. */
static void number_of(const json_t *json, struct nomad__number *ret)
{
	char text[64];

	if (json_is_integer(json)) {
		*ret = (struct nomad__number){ .is_int = true, .integer = json_integer_value(json) };
		return;
	}
	/* Nomad sees the digits, not the double: let 0.1 be one tenth again. */
	nomad__number_from_double(json_real_value(json), ret);
	if (ret->is_int)
		return;
	for (int places = 1; places <= 17; places++) {
		snprintf(text, sizeof(text), "%.*g", places, json_real_value(json));
		if (strtod(text, NULL) == json_real_value(json))
			break;
	}
	(void)nomad__number_parse(text, strlen(text), ret);
}

static bool has_template(const json_t *json)
{
	const char *s = json_string_value(json);

	for (; s && *s; s++) {
		if (*s != '$' && *s != '%')
			continue;
		if (s[1] == '{')
			return true;
		if (s[1] == *s && s[2] == '{')
			s += 2; /* escaped */
	}
	return false;
}

static int write_string(struct writer *w, const json_t *json, const struct nomad__path *path)
{
	char text[NOMAD__NUMBER_MAX_TEXT];
	struct nomad__number number;

	if (json_is_string(json))
		return write_text(w, json_string_value(json), json_string_length(json), path);
	if (json_is_boolean(json))
		return write_text(w, json_is_true(json) ? "true" : "false", json_is_true(json) ? 4 : 5, path);
	if (!json_is_number(json))
		return not_a(w, json, path, "a string");
	number_of(json, &number);
	nomad__number_text(&number, text);
	return write_text(w, text, strlen(text), path);
}

static int write_number(struct writer *w, const json_t *json, const struct nomad__path *path)
{
	struct nomad__number number;

	if (has_template(json))
		return write_string(w, json, path);
	if (json_is_number(json))
		number_of(json, &number);
	else if (!json_is_string(json) ||
		 nomad__number_parse(json_string_value(json), json_string_length(json), &number) < 0)
		return not_a(w, json, path, "a number");
	return nomad__number_pack(&w->pk, &number) ? no_memory(w) : 0;
}

static int write_bool(struct writer *w, const json_t *json, const struct nomad__path *path)
{
	const char *s = json_string_value(json);
	bool yes;

	if (has_template(json))
		return write_string(w, json, path);
	if (json_is_boolean(json))
		yes = json_is_true(json);
	else if (s && (strcmp(s, "true") == 0 || strcmp(s, "1") == 0))
		yes = true;
	else if (s && (strcmp(s, "false") == 0 || strcmp(s, "0") == 0))
		yes = false;
	else
		return not_a(w, json, path, "true or false");
	return (yes ? msgpack_pack_true(&w->pk) : msgpack_pack_false(&w->pk)) ? no_memory(w) : 0;
}

static int key_sort(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The keys of an object in byte order, borrowed. */
static const char **sorted_keys(const json_t *json, size_t *ret_count)
{
	const char **keys = calloc(json_object_size(json) + 1, sizeof(keys[0]));
	json_t *object = (json_t *)json; /* iterating does not change it */
	size_t n = 0;

	if (!keys)
		return NULL;
	for (void *i = json_object_iter(object); i; i = json_object_iter_next(object, i))
		keys[n++] = json_object_iter_key(i);
	qsort(keys, n, sizeof(keys[0]), key_sort);
	*ret_count = n;
	return keys;
}

static int write_any(struct writer *w, const json_t *json, size_t depth, const struct nomad__path *path);

static int write_any_object(struct writer *w, const json_t *json, size_t depth, const struct nomad__path *path)
{
	NOMAD_AUTO_FREE const char **keys = NULL;
	size_t count = 0;
	int r = 0;

	keys = sorted_keys(json, &count);
	if (!keys || msgpack_pack_map(&w->pk, count))
		return no_memory(w);
	for (size_t i = 0; i < count && r == 0; i++) {
		struct nomad__path entry = {
			.up = path, .name = keys[i], .length = strlen(keys[i]), .secret = path->secret
		};

		r = write_text(w, keys[i], entry.length, path);
		if (r == 0)
			r = write_any(w, json_object_get(json, keys[i]), depth + 1, &entry);
	}
	return r;
}

/* As it stands: type `any`. */
static int write_any(struct writer *w, const json_t *json, size_t depth, const struct nomad__path *path)
{
	int r = 0;

	if (depth > NOMAD__CONFIG_MAX_DEPTH)
		return nomad__fault(w->err, w->what, path, "it is nested too deeply");
	if (json_is_null(json))
		return msgpack_pack_nil(&w->pk) ? no_memory(w) : 0;
	if (json_is_boolean(json))
		return write_bool(w, json, path);
	if (json_is_number(json))
		return write_number(w, json, path);
	if (json_is_string(json))
		return write_string(w, json, path);
	if (json_is_object(json))
		return write_any_object(w, json, depth, path);
	if (msgpack_pack_array(&w->pk, json_array_size(json)))
		return no_memory(w);
	for (size_t i = 0; i < json_array_size(json) && r == 0; i++) {
		struct nomad__path element = { .up = path, .index = i, .secret = path->secret };

		r = write_any(w, json_array_get(json, i), depth + 1, &element);
	}
	return r;
}

static int write_list(struct writer *w, const json_t *json, const struct nomad__path *path)
{
	int r = 0;

	if (!json_is_array(json))
		return not_a(w, json, path, "a list of strings");
	if (msgpack_pack_array(&w->pk, json_array_size(json)))
		return no_memory(w);
	for (size_t i = 0; i < json_array_size(json) && r == 0; i++) {
		struct nomad__path element = { .up = path, .index = i, .secret = path->secret };

		r = write_string(w, json_array_get(json, i), &element);
	}
	return r;
}

/* list(map(string)), list(map(number)): no bare map, as Nomad has it in a block list. */
static int write_map_list(struct writer *w, bool numbers, const json_t *json, const struct nomad__path *path)
{
	static const char kind[] = "a list of maps (a block, or several)";

	if (!json_is_array(json))
		return not_a(w, json, path, kind);
	if (msgpack_pack_array(&w->pk, json_array_size(json)))
		return no_memory(w);
	for (size_t i = 0; i < json_array_size(json); i++) {
		const json_t *map = json_array_get(json, i);
		NOMAD_AUTO_FREE const char **keys = NULL;
		size_t count = 0;
		int r;

		if (!json_is_object(map))
			return not_a(w, map, path, kind);
		keys = sorted_keys(map, &count);
		if (!keys || msgpack_pack_map(&w->pk, count))
			return no_memory(w);
		for (size_t k = 0; k < count; k++) {
			const json_t *value = json_object_get(map, keys[k]);
			struct nomad__path entry = {
				.up = path, .name = keys[k], .length = strlen(keys[k]), .secret = path->secret
			};

			r = write_text(w, keys[k], entry.length, path);
			if (r == 0 && json_is_null(value))
				r = msgpack_pack_nil(&w->pk) ? no_memory(w) : 0;
			else if (r == 0)
				r = numbers ? write_number(w, value, &entry) : write_string(w, value, &entry);
			if (r < 0)
				return r;
		}
	}
	return 0;
}

static int write_attr(struct writer *w, const char *type, const json_t *json, const struct nomad__path *path)
{
	if (strcmp(type, "string") == 0)
		return write_string(w, json, path);
	if (strcmp(type, "number") == 0)
		return write_number(w, json, path);
	if (strcmp(type, "bool") == 0)
		return write_bool(w, json, path);
	if (strcmp(type, "list(string)") == 0)
		return write_list(w, json, path);
	if (strncmp(type, "list(map(", 9) == 0)
		return write_map_list(w, strcmp(type, "list(map(number))") == 0, json, path);
	return write_any(w, json, 0, path);
}

/* ---- Blocks ---- */

/* `json`: an object, an array of them, or NULL for none at all. */
static int write_blocks(struct writer *w, const struct nomad__spec *spec, const struct nomad_option *option,
			const json_t *json, const struct nomad__path *path)
{
	bool many = spec->kind == NOMAD__SPEC_BLOCK_LIST;
	size_t count = json_is_array(json) ? json_array_size(json) : json ? 1 : 0;
	int r = 0;

	if (count == 0 && (spec->required || spec->min_items))
		return nomad__fault_missing(w->err, w->what, path);
	if (count > 1 && !many)
		return nomad__fault(w->err, w->what, path, "it is given more than once");
	if (many && spec->max_items && count > spec->max_items)
		return nomad__fault(w->err, w->what, path, "%zu entries are too many, the limit is %zu", count,
				    (size_t)spec->max_items);
	if (many ? msgpack_pack_array(&w->pk, count) : count == 0 && msgpack_pack_nil(&w->pk))
		return no_memory(w);
	for (size_t i = 0; i < count && r == 0; i++) {
		struct nomad__path element = { .up = path, .index = i, .secret = path->secret };
		const struct nomad__path *place = many ? &element : path;
		const json_t *block = json_is_array(json) ? json_array_get(json, i) : json;

		if (!json_is_object(block))
			return not_a(w, block, place, "a block");
		r = write_object(w, spec->children[0], option->block, block, place);
	}
	return r;
}

/* `json` is NULL where nothing is given. */
static int write_row(struct writer *w, const struct nomad__spec *spec, const struct nomad_option *option,
		     const json_t *json, const struct nomad__path *up)
{
	struct nomad__path path = {
		.up = up,
		.name = option->name,
		.length = strlen(option->name),
		.secret = option->secret || (up && up->secret),
	};
	NOMAD_AUTO_ERROR struct nomad_error *cause = NULL;

	if (spec->kind == NOMAD__SPEC_DEFAULT) {
		bool none = !json || (spec->children[0]->kind == NOMAD__SPEC_BLOCK && json_is_array(json) &&
				      json_array_size(json) == 0);
		int r;

		if (!none)
			return write_row(w, spec->children[0], option, json, up);
		r = nomad__literal_pack(&w->pk, spec->children[1]->literal, &cause);
		if (r < 0)
			return r == -ENOMEM ? no_memory(w)
					    : nomad__fault(w->err, w->what, &path, "bad default: %s",
							   nomad_error_message(cause));
		return 0;
	}
	if (spec->kind != NOMAD__SPEC_ATTR)
		return write_blocks(w, spec, option, json, &path);
	if (json)
		return write_attr(w, spec->type, json, &path);
	if (spec->required)
		return nomad__fault_missing(w->err, w->what, &path);
	return msgpack_pack_nil(&w->pk) ? no_memory(w) : 0;
}

static int row_sort(const void *a, const void *b)
{
	return strcmp((*(const struct nomad_option *const *)a)->name, (*(const struct nomad_option *const *)b)->name);
}

static int write_object(struct writer *w, const struct nomad__spec *spec, const struct nomad_schema *schema,
			const json_t *json, const struct nomad__path *up)
{
	NOMAD_AUTO_FREE const struct nomad_option **rows = NULL;
	json_t *object = (json_t *)json;
	int r = 0;

	for (void *i = json_object_iter(object); i; i = json_object_iter_next(object, i)) {
		const char *name = json_object_iter_key(i);

		/* HCL in JSON takes this one for a comment. */
		if (strcmp(name, "//") != 0 && !nomad__option_find(schema, name, strlen(name)))
			return nomad__fault_unknown(w->err, w->what, up, schema, name, strlen(name));
	}
	rows = calloc(schema->count + 1, sizeof(rows[0]));
	if (!rows)
		return no_memory(w);
	for (size_t i = 0; i < schema->count; i++)
		rows[i] = &schema->options[i];
	qsort(rows, schema->count, sizeof(rows[0]), row_sort);
	if (msgpack_pack_map(&w->pk, schema->count))
		return no_memory(w);
	for (size_t i = 0; i < schema->count && r == 0; i++) {
		const json_t *value = json_object_get(json, rows[i]->name);
		size_t length = strlen(rows[i]->name);

		if (msgpack_pack_str(&w->pk, length) || msgpack_pack_str_body(&w->pk, rows[i]->name, length))
			return no_memory(w);
		r = write_row(w, spec->children[rows[i] - schema->options], rows[i], json_is_null(value) ? NULL : value,
			      up);
	}
	return r;
}

int nomad__config_from_json(const struct nomad_schema *schema, const char *what, const struct json_t *json,
			    void **ret_msgpack, size_t *ret_size, struct nomad_error **err)
{
	struct writer w = { .what = what, .err = err };
	struct nomad__spec *spec;
	msgpack_sbuffer out;
	int r;

	if (!json_is_object(json))
		return nomad_error_set(err, EINVAL, "%s: it is not a map of options", what);
	spec = nomad__spec_new(schema, err);
	if (!spec)
		return -ENOMEM;
	msgpack_sbuffer_init(&out);
	msgpack_packer_init(&w.pk, &out, msgpack_sbuffer_write);
	r = write_object(&w, spec, schema, json, NULL);
	nomad__spec_free(spec);
	if (r == 0)
		r = nomad__msgpack_check(what, out.data, out.size, err);
	if (r < 0) {
		if (out.data)
			explicit_bzero(out.data, out.size);
		msgpack_sbuffer_destroy(&out);
		return r;
	}
	*ret_size = out.size;
	*ret_msgpack = msgpack_sbuffer_release(&out);
	return 0;
}
