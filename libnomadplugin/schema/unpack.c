/* SPDX-License-Identifier: MPL-2.0
 *
 * Bytes of others -> msgpack-c's tree, bounded.
 *
 * msgpack_unpack() allocates as many elements as a header announces: five
 * bytes could ask for gigabytes, and msgpack-c has no setting against it.  So
 * its parser (the template that its own library instantiates) runs once
 * before, with callbacks that allocate nothing and hold the input to the
 * limits of schema.h.  Each announced value takes at least one byte, so input
 * that announces more values than it has bytes is refused.  The callbacks
 * also check that strings are text and keys are strings.
 *
 * Binary and extension values pass: they are legal msgpack, and only the
 * caller knows their meaning.
 *
 * Keys that occur twice are found in a second step, on the parsed tree. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "schema/inner.h"

struct checker {
	size_t size;	 /* of the input */
	size_t values;	 /* announced so far, the outermost one included */
	const char *why; /* a callback refused */
};

static const char cut[] = "it ends too early";

static int refuse(struct checker *c, const char *why)
{
	c->why = why;
	return -1;
}

static int take_array(struct checker *c, uint64_t values, bool *is_key)
{
	*is_key = false;
	if (values > c->size - c->values)
		return refuse(c, cut);
	if (values > NOMAD__CONFIG_MAX_ITEMS - c->values)
		return refuse(c, "it holds too many values");
	c->values += (size_t)values;
	return 0;
}

static int take_str(struct checker *c, const char *s, size_t size, bool *is_key)
{
	*is_key = true;
	if (size > NOMAD__CONFIG_MAX_STRING)
		return refuse(c, "a string is too long");
	return nomad__is_text(s, size) ? 0 : refuse(c, "a string is not UTF-8 text or holds a NUL");
}

/* The callbacks as the template calls them.  An "object" is whether it can be a key. */
#define check_root(c) false
#define check_nil(c, is_key) (*(is_key) = false, 0)
#define check_true check_nil
#define check_false check_nil
#define check_uint8(c, value, is_key) ((void)(value), *(is_key) = false, 0)
#define check_uint16 check_uint8
#define check_uint32 check_uint8
#define check_uint64 check_uint8
#define check_int8 check_uint8
#define check_int16 check_uint8
#define check_int32 check_uint8
#define check_int64 check_uint8
#define check_float check_uint8
#define check_double check_uint8
#define check_array take_array
#define check_array_item(c, array, value) 0
#define check_map(c, pairs, is_key) take_array(c, 2 * (uint64_t)(pairs), is_key)
#define check_map_item(c, map, key, value) ((key) ? 0 : refuse(c, "a key is not a string"))
#define check_str(c, base, s, size, is_key) take_str(c, s, size, is_key)
#define check_bin(c, base, s, size, is_key) ((void)(s), *(is_key) = false, 0)
/* msgpack-c 4 takes the length 2^32 - 1 for 0 here, because it adds one for the type. */
#define check_ext(c, base, s, size, is_key) ((size) == 0 ? refuse(c, cut) : check_bin(c, base, s, size, is_key))

#define MSGPACK_EMBED_STACK_SIZE NOMAD__CONFIG_MAX_DEPTH
#define msgpack_unpack_struct(name) struct check##name
#define msgpack_unpack_func(ret, name) static inline ret check##name
#define msgpack_unpack_callback(name) check##name
#define msgpack_unpack_object bool
#define msgpack_unpack_user struct checker
#include <msgpack/unpack_define.h>
#include <msgpack/unpack_template.h>

int nomad__msgpack_check(const char *what, const void *data, size_t size, struct nomad_error **err)
{
	struct check_context context = { .user = { .size = size, .values = 1 } };
	size_t at = 0;
	const char *why;
	int r;

	check_init(&context);
	r = size == 0 ? 0 : check_execute(&context, data, size, &at);
	if (r > 0 && at == size)
		return 0;
	if (r > 0)
		why = "there is more data after the value";
	else if (r == 0)
		why = cut;
	else if (context.user.why)
		why = context.user.why;
	else if (r == MSGPACK_UNPACK_NOMEM_ERROR)
		why = "it is nested too deeply";
	else
		why = "no value starts like this";
	return nomad_error_set(err, EINVAL, "%s: bad msgpack at byte %zu: %s", what, at, why);
}

static int key_compare(const msgpack_object_str *a, const msgpack_object_str *b)
{
	int r = memcmp(nomad__bytes(a), nomad__bytes(b), a->size < b->size ? a->size : b->size);

	return r ? r : (a->size > b->size) - (a->size < b->size);
}

static int key_sort(const void *a, const void *b)
{
	return key_compare(*(const msgpack_object_str *const *)a, *(const msgpack_object_str *const *)b);
}

/* Keys come sorted from Nomad: the copy is for those that do not. */
static int find_twins(const char *what, const msgpack_object_map *map, struct nomad_error **err)
{
	NOMAD_AUTO_FREE const msgpack_object_str **keys = NULL;
	char shown[NOMAD__SHOWN_MAX_TEXT];
	size_t i;

	for (i = 1; i < map->size; i++)
		if (key_compare(&map->ptr[i - 1].key.via.str, &map->ptr[i].key.via.str) >= 0)
			break;
	if (i >= map->size)
		return 0;
	keys = calloc(map->size, sizeof(keys[0]));
	if (!keys)
		return nomad__fault_memory(err, what);
	for (i = 0; i < map->size; i++)
		keys[i] = &map->ptr[i].key.via.str;
	qsort(keys, map->size, sizeof(keys[0]), key_sort);
	for (i = 1; i < map->size; i++)
		if (key_compare(keys[i - 1], keys[i]) == 0) {
			nomad__show_string(nomad__bytes(keys[i]), keys[i]->size, false, shown);
			return nomad_error_set(err, EINVAL, "%s: key %s is given twice in the same block", what, shown);
		}
	return 0;
}

/* As deep as NOMAD__CONFIG_MAX_DEPTH. */
static int find_all_twins(const char *what, const msgpack_object *value, struct nomad_error **err)
{
	int r = 0;

	if (value->type == MSGPACK_OBJECT_ARRAY) {
		for (size_t i = 0; i < value->via.array.size && r == 0; i++)
			r = find_all_twins(what, &value->via.array.ptr[i], err);
	} else if (value->type == MSGPACK_OBJECT_MAP) {
		r = find_twins(what, &value->via.map, err);
		for (size_t i = 0; i < value->via.map.size && r == 0; i++)
			r = find_all_twins(what, &value->via.map.ptr[i].val, err);
	}
	return r;
}

int nomad__unpack(const char *what, const void *data, size_t size, msgpack_zone *zone, msgpack_object *ret,
		  struct nomad_error **err)
{
	size_t at = 0;
	int r;

	r = nomad__msgpack_check(what, data, size, err);
	if (r < 0)
		return r;
	switch (msgpack_unpack(data, size, &at, zone, ret)) {
	case MSGPACK_UNPACK_SUCCESS:
		return find_all_twins(what, ret, err);
	case MSGPACK_UNPACK_NOMEM_ERROR:
		return nomad__fault_memory(err, what);
	default:
		return nomad_error_set(err, EINVAL, "%s: bad msgpack", what);
	}
}

int nomad__unpack_options(const char *what, const void *data, size_t size, msgpack_zone *zone, msgpack_object_map *ret,
			  struct nomad_error **err)
{
	msgpack_object root = { .type = MSGPACK_OBJECT_NIL };
	int r;

	if (size > NOMAD__CONFIG_MAX_SIZE)
		return nomad_error_set(err, EINVAL, "%s: %zu bytes are too many, the limit is %d", what, size,
				       NOMAD__CONFIG_MAX_SIZE);
	r = size == 0 ? 0 : nomad__unpack(what, data, size, zone, &root, err);
	if (r < 0)
		return r;
	if (root.type != MSGPACK_OBJECT_MAP && root.type != MSGPACK_OBJECT_NIL)
		return nomad_error_set(err, EINVAL, "%s: it is not a map of options", what);
	*ret = root.type == MSGPACK_OBJECT_MAP ? root.via.map : (msgpack_object_map){ 0 };
	return 0;
}
