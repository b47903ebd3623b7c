/* SPDX-License-Identifier: MPL-2.0
 *
 * msgpack -> struct, row by row.
 *
 *	bytes --unpack--> tree --decode_block--> struct, then .check
 *
 * Nomad has converted most values to the type that the hclspec names, but
 * not all: a number that is neither a 64-bit integer nor exactly a double
 * comes as text, a map comes as one map or as a list of maps to be merged
 * (each `x { }` of the job is one), with values of any type, and nil stands
 * for "not given".  So a value may come in each form that can mean it.
 *
 * What a row demands is checked here once more and first of all here: the
 * messages name option, value and what is allowed, Nomad's own do not.
 *
 * On failure all that was built is wiped and freed by the one who began. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "nomad/log.h"
#include "schema/inner.h"

static int decode_block(struct nomad__decoder *d, const struct nomad_schema *schema, const msgpack_object_map *map,
			const struct nomad__path *up, void *config);

/* ---- Lists and maps ---- */

static int check_count(struct nomad__decoder *d, const struct nomad_option *option, size_t count,
		       const struct nomad__path *path)
{
	size_t most = option->max_items ? option->max_items : NOMAD__OPTION_MAX_ITEMS;

	if (option->non_empty && count == 0)
		return nomad__fault(d->err, d->what, path, "it must not be empty");
	if (count > most)
		return nomad__fault(d->err, d->what, path, "%zu entries are too many, the limit is %zu", count, most);
	return 0;
}

static int decode_list(struct nomad__decoder *d, const struct nomad_option *option, const msgpack_object *value,
		       const struct nomad__path *path, char ***field)
{
	size_t count;
	int r;

	if (value->type != MSGPACK_OBJECT_ARRAY)
		return nomad__not_a(d, value, path, "a list of strings");
	count = value->via.array.size;
	r = check_count(d, option, count, path);
	if (r < 0)
		return r;
	*field = calloc(count + 1, sizeof(char *));
	if (!*field)
		return nomad__fault_memory(d->err, d->what);
	for (size_t i = 0; i < count; i++) {
		struct nomad__path element = { .up = path, .index = i, .secret = path->secret };

		r = nomad__decode_text(d, &value->via.array.ptr[i], &element, &(*field)[i]);
		if (r == 0)
			r = nomad__check_text(d, option, (*field)[i], &element);
		if (r < 0)
			return r;
	}
	return 0;
}

static int add_string(struct nomad__decoder *d, const struct nomad_option *option, const char *key,
		      const msgpack_object *value, const struct nomad__path *path, struct nomad_map *map)
{
	char *text = NULL;
	int r;

	r = nomad__decode_text(d, value, path, &text);
	if (r == 0)
		r = nomad__check_text(d, option, text, path);
	if (r == 0) {
		if (path->secret)
			nomad__wipe_string((char *)nomad_map_get(map, key));
		r = nomad_map_set(map, key, text);
		if (r < 0)
			r = nomad__fault_memory(d->err, d->what);
	}
	if (path->secret)
		nomad__wipe_string(text);
	free(text);
	return r;
}

static int add_int(struct nomad__decoder *d, const struct nomad_option *option, const char *key,
		   const msgpack_object *value, const struct nomad__path *path, struct nomad_int_map *map)
{
	int64_t number;
	int r;

	r = nomad__decode_int(d, option, value, path, &number);
	if (r == 0) {
		r = nomad_int_map_set(map, key, number);
		if (r < 0)
			r = nomad__fault_memory(d->err, d->what);
	}
	return r;
}

static size_t map_count(const struct nomad_option *option, const void *field)
{
	return option->type == NOMAD_INT_MAP ? ((const struct nomad_int_map *)field)->count
					     : ((const struct nomad_map *)field)->count;
}

/* Add one block's pairs to those of earlier blocks; a null is not a pair. */
static int merge_map(struct nomad__decoder *d, const struct nomad_option *option, const msgpack_object_map *pairs,
		     const struct nomad__path *path, void *field)
{
	int r = 0;

	for (size_t i = 0; i < pairs->size && r == 0; i++) {
		const msgpack_object_str *name = &pairs->ptr[i].key.via.str;
		const msgpack_object *value = &pairs->ptr[i].val;
		struct nomad__path entry = {
			.up = path, .name = nomad__bytes(name), .length = name->size, .secret = path->secret
		};
		char *key;

		if (value->type == MSGPACK_OBJECT_NIL)
			continue;
		key = strndup(entry.name, entry.length);
		if (!key)
			return nomad__fault_memory(d->err, d->what);
		if (option->type == NOMAD_INT_MAP)
			r = add_int(d, option, key, value, &entry, field);
		else
			r = add_string(d, option, key, value, &entry, field);
		if (path->secret)
			nomad__wipe_string(key);
		free(key);
		/* A map's own look-up is linear: the limit bounds the work, too. */
		if (r == 0 && map_count(option, field) > NOMAD__OPTION_MAX_ITEMS)
			break;
	}
	return r;
}

static int decode_map(struct nomad__decoder *d, const struct nomad_option *option, const msgpack_object *value,
		      const struct nomad__path *path, void *field)
{
	const char *kind = option->type == NOMAD_INT_MAP ? "a map of whole numbers" : "a map of strings";
	int r = 0;

	if (value->type == MSGPACK_OBJECT_MAP) {
		r = merge_map(d, option, &value->via.map, path, field);
	} else if (value->type == MSGPACK_OBJECT_ARRAY) {
		for (size_t i = 0; i < value->via.array.size && r == 0; i++) {
			const msgpack_object *block = &value->via.array.ptr[i];

			if (block->type == MSGPACK_OBJECT_MAP)
				r = merge_map(d, option, &block->via.map, path, field);
			else if (block->type != MSGPACK_OBJECT_NIL)
				return nomad__not_a(d, block, path, kind);
			if (r == 0 && map_count(option, field) > NOMAD__OPTION_MAX_ITEMS)
				break;
		}
	} else {
		return nomad__not_a(d, value, path, kind);
	}
	return r < 0 ? r : check_count(d, option, map_count(option, field), path);
}

/* ---- Blocks ---- */

static int decode_one_block(struct nomad__decoder *d, const struct nomad_option *option, const msgpack_object *value,
			    const struct nomad__path *path, void **field)
{
	if (value->type == MSGPACK_OBJECT_ARRAY && value->via.array.size == 1)
		value = value->via.array.ptr;
	if (value->type == MSGPACK_OBJECT_ARRAY)
		return nomad__fault(d->err, d->what, path, "it is given more than once");
	if (value->type != MSGPACK_OBJECT_MAP)
		return nomad__not_a(d, value, path, "a block");
	*field = nomad__config_new(option->block);
	if (!*field)
		return nomad__fault_memory(d->err, d->what);
	return decode_block(d, option->block, &value->via.map, path, *field);
}

static int decode_block_list(struct nomad__decoder *d, const struct nomad_option *option, const msgpack_object *value,
			     const struct nomad__path *path, struct nomad_block_list *field)
{
	const msgpack_object *blocks = value;
	size_t count = 1, size = option->block->size;
	int r;

	if (value->type == MSGPACK_OBJECT_ARRAY) {
		blocks = value->via.array.ptr;
		count = value->via.array.size;
	} else if (value->type != MSGPACK_OBJECT_MAP) {
		return nomad__not_a(d, value, path, "a block");
	}
	if (count == 0 && option->required)
		return nomad__fault_missing(d->err, d->what, path);
	r = check_count(d, option, count, path);
	if (r < 0 || count == 0)
		return r;
	field->items = calloc(count, size);
	if (!field->items)
		return nomad__fault_memory(d->err, d->what);
	for (size_t i = 0; i < count; i++) {
		struct nomad__path element = { .up = path, .index = i, .secret = path->secret };
		void *item = (char *)field->items + i * size;

		if (blocks[i].type != MSGPACK_OBJECT_MAP)
			return nomad__not_a(d, &blocks[i], &element, "a block");
		nomad__config_init(option->block, item);
		field->count = i + 1;
		r = decode_block(d, option->block, &blocks[i].via.map, &element, item);
		if (r < 0)
			return r;
	}
	return 0;
}

static int decode_value(struct nomad__decoder *d, const struct nomad_option *option, const msgpack_object *value,
			const struct nomad__path *path, void *field)
{
	bool flag = false;
	int r;

	switch (option->type) {
	case NOMAD_STRING:
		return nomad__decode_string(d, option, value, path, field);
	case NOMAD_INT:
		return nomad__decode_int(d, option, value, path, field);
	case NOMAD_NUMBER:
		return nomad__decode_number(d, option, value, path, field);
	case NOMAD_BOOL:
		return nomad__decode_bool(d, value, path, field);
	case NOMAD_TRISTATE:
		r = nomad__decode_bool(d, value, path, &flag);
		if (r == 0)
			*(int *)field = flag;
		return r;
	case NOMAD_STRING_LIST:
		return decode_list(d, option, value, path, field);
	case NOMAD_STRING_MAP:
	case NOMAD_INT_MAP:
		return decode_map(d, option, value, path, field);
	case NOMAD_BLOCK:
		return decode_one_block(d, option, value, path, field);
	case NOMAD_BLOCK_LIST:
		return decode_block_list(d, option, value, path, field);
	default:
		return nomad__fault(d->err, d->what, path, "its type is unknown to the library");
	}
}

static int decode_default(struct nomad__decoder *d, const struct nomad_option *option, const struct nomad__path *path,
			  void *field)
{
	NOMAD_AUTO_ERROR struct nomad_error *cause = NULL;
	msgpack_sbuffer buffer;
	msgpack_packer pk;
	msgpack_zone zone;
	msgpack_object value;
	int r;

	if (!msgpack_zone_init(&zone, 1024))
		return nomad__fault_memory(d->err, d->what);
	msgpack_sbuffer_init(&buffer);
	msgpack_packer_init(&pk, &buffer, msgpack_sbuffer_write);
	r = nomad__literal_pack(&pk, option->def, &cause);
	if (r == -ENOMEM)
		nomad__fault_memory(d->err, d->what);
	else if (r < 0)
		nomad__fault(d->err, d->what, path, "bad default: %s", nomad_error_message(cause));
	if (r == 0)
		r = nomad__unpack(d->what, buffer.data, buffer.size, &zone, &value, d->err);
	if (r == 0 && value.type != MSGPACK_OBJECT_NIL)
		r = decode_value(d, option, &value, path, field);
	msgpack_sbuffer_destroy(&buffer);
	msgpack_zone_destroy(&zone);
	return r;
}

int nomad__default_decode(const struct nomad_option *option, const char *what, const struct nomad__path *path,
			  void *field, struct nomad_error **err)
{
	struct nomad__decoder d = { .what = what, .err = err };

	return decode_default(&d, option, path, field);
}

/* The value of a row, NULL if it is not there or null. */
static const msgpack_object *given(const msgpack_object_map *map, const struct nomad_option *option)
{
	size_t size = strlen(option->name);

	for (size_t i = 0; i < map->size; i++)
		if (map->ptr[i].key.via.str.size == size &&
		    memcmp(map->ptr[i].key.via.str.ptr, option->name, size) == 0)
			return map->ptr[i].val.type == MSGPACK_OBJECT_NIL ? NULL : &map->ptr[i].val;
	return NULL;
}

/* Another row that fills the same field and is given. */
static const struct nomad_option *given_alias(const struct nomad_schema *schema, const msgpack_object_map *map,
					      const struct nomad_option *option)
{
	for (size_t i = 0; i < schema->count; i++) {
		const struct nomad_option *other = &schema->options[i];

		if (other != option && other->offset == option->offset && given(map, other))
			return other;
	}
	return NULL;
}

static void warn_deprecated(const struct nomad__decoder *d, const struct nomad_option *option,
			    const struct nomad__path *path)
{
	char where[NOMAD__PATH_MAX_TEXT];

	if (!option->deprecated || (d->flags & NOMAD__DECODE_STORED))
		return;
	nomad__path_text(path, where);
	nomad_log(NOMAD_LOG_WARN, "%s: option '%s' is deprecated: %s", d->what, where, option->help);
}

static int decode_row(struct nomad__decoder *d, const struct nomad_schema *schema, const struct nomad_option *option,
		      const msgpack_object_map *map, const struct nomad__path *up, void *config)
{
	struct nomad__path path = {
		.up = up,
		.name = option->name,
		.length = strlen(option->name),
		.secret = option->secret || (up && up->secret),
	};
	const struct nomad_option *alias = given_alias(schema, map, option);
	const msgpack_object *value = given(map, option);
	void *field = (char *)config + option->offset;

	if (value && alias)
		return nomad__fault(d->err, d->what, &path, "it is the same as '%s': give one of them", alias->name);
	if (alias)
		return 0;
	if (value) {
		warn_deprecated(d, option, &path);
		return decode_value(d, option, value, &path, field);
	}
	if (option->def)
		return decode_default(d, option, &path, field);
	if (option->required && !(path.secret && (d->flags & NOMAD__DECODE_STORED)))
		return nomad__fault_missing(d->err, d->what, &path);
	return 0;
}

static int decode_block(struct nomad__decoder *d, const struct nomad_schema *schema, const msgpack_object_map *map,
			const struct nomad__path *up, void *config)
{
	struct nomad_error *cause = NULL;
	int r;

	for (size_t i = 0; i < map->size; i++) {
		const msgpack_object_str *key = &map->ptr[i].key.via.str;

		if (!nomad__option_find(schema, nomad__bytes(key), key->size))
			return nomad__fault_unknown(d->err, d->what, up, schema, nomad__bytes(key), key->size);
	}
	for (size_t i = 0; i < schema->count; i++) {
		r = decode_row(d, schema, &schema->options[i], map, up, config);
		if (r < 0)
			return r;
	}
	/* A stored config lacks its secrets, and has passed before. */
	if (!schema->check || (d->flags & NOMAD__DECODE_STORED))
		return 0;
	r = schema->check(config, &cause);
	if (r >= 0)
		return 0;
	if (!cause)
		nomad_error_set(&cause, -r, "the options do not go together");
	if (up) {
		char where[NOMAD__PATH_MAX_TEXT];

		nomad__path_text(up, where);
		nomad_error_wrap(&cause, "%s: option '%s'", d->what, where);
	} else {
		nomad_error_wrap(&cause, "%s", d->what);
	}
	if (d->err)
		*d->err = cause;
	else
		nomad_error_free(cause);
	return r;
}

int nomad__config_decode(const struct nomad_schema *schema, const char *what, const void *msgpack, size_t size,
			 unsigned flags, void **ret_config, struct nomad_error **err)
{
	struct nomad__decoder d = { .what = what, .flags = flags, .err = err };
	msgpack_object_map options;
	msgpack_zone zone;
	void *config;
	int r;

	config = nomad__config_new(schema);
	if (!config)
		return nomad__fault_memory(err, what);
	if (!msgpack_zone_init(&zone, 8192)) {
		free(config);
		return nomad__fault_memory(err, what);
	}
	r = nomad__unpack_options(what, msgpack, size, &zone, &options, err);
	if (r == 0)
		r = decode_block(&d, schema, &options, NULL, config);
	msgpack_zone_destroy(&zone);
	if (r < 0) {
		nomad__config_free(schema, config);
		return r;
	}
	*ret_config = config;
	return 0;
}
