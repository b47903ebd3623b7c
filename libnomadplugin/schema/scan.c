/* SPDX-License-Identifier: MPL-2.0
 *
 * The bytes of a config before anything is made of them.
 *
 * msgpack-c allocates an array of as many elements as a header announces, so
 * five bytes could ask for gigabytes.  This walk comes first: no recursion, no
 * allocation, one pass over the bytes.  It holds them to the limits of
 * schema.h, checks that every announced element can be there at all, that
 * strings are text, that keys are strings, and that nothing follows.
 *
 * Binary and extension values pass: they are legal msgpack, and only the
 * decoder knows which option they were given for.
 *
 * Keys that occur twice are found in a second step, on the parsed tree. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "schema/inner.h"

struct scanner {
	const char *what;
	const unsigned char *data;
	size_t size, at;
	size_t items;
	struct {
		size_t left; /* values to come, a pair counts two */
		bool is_map;
	} levels[NOMAD__CONFIG_MAX_DEPTH];
	size_t depth;
	struct nomad_error **err;
};

static int scan_fault(struct scanner *s, const char *why)
{
	return nomad_error_set(s->err, EINVAL, "%s: bad msgpack at byte %zu: %s", s->what, s->at, why);
}

/* A big-endian number of n bytes. */
static int take_number(struct scanner *s, size_t n, uint64_t *ret)
{
	uint64_t value = 0;

	if (s->size - s->at < n)
		return scan_fault(s, "it ends too early");
	for (size_t i = 0; i < n; i++)
		value = value << 8 | s->data[s->at++];
	*ret = value;
	return 0;
}

static int take_bytes(struct scanner *s, uint64_t n)
{
	if (s->size - s->at < n)
		return scan_fault(s, "it ends too early");
	if (n > NOMAD__CONFIG_MAX_STRING)
		return scan_fault(s, "a value is too long");
	s->at += (size_t)n;
	return 0;
}

static int take_string(struct scanner *s, uint64_t n)
{
	const char *start = (const char *)s->data + s->at;
	int r;

	r = take_bytes(s, n);
	if (r < 0)
		return r;
	if (!nomad__is_text(start, (size_t)n))
		return scan_fault(s, "a string is not UTF-8 text or holds a NUL");
	return 0;
}

static int take_container(struct scanner *s, uint64_t count, bool is_map)
{
	uint64_t values = is_map ? count * 2 : count; /* count < 2^32 */

	if (s->depth == NOMAD__CONFIG_MAX_DEPTH)
		return scan_fault(s, "it is nested too deeply");
	if (values > s->size - s->at)
		return scan_fault(s, "it ends too early");
	if (values > NOMAD__CONFIG_MAX_ITEMS - s->items)
		return scan_fault(s, "it holds too many values");
	s->levels[s->depth].left = (size_t)values;
	s->levels[s->depth].is_map = is_map;
	s->depth++;
	return 0;
}

static int take_value(struct scanner *s)
{
	unsigned char head = s->data[s->at++];
	uint64_t n = 0;
	int r = 0;

	if (head <= 0x7f || head >= 0xe0 || head == 0xc0 || head == 0xc2 || head == 0xc3)
		return 0;
	if (head <= 0x8f)
		return take_container(s, head & 0x0f, true);
	if (head <= 0x9f)
		return take_container(s, head & 0x0f, false);
	if (head <= 0xbf)
		return take_string(s, head & 0x1f);

	switch (head) {
	case 0xc4: /* binary */
	case 0xc5:
	case 0xc6:
		r = take_number(s, (size_t)1 << (head - 0xc4), &n);
		return r < 0 ? r : take_bytes(s, n);
	case 0xc7: /* extension: a type byte goes before */
	case 0xc8:
	case 0xc9:
		r = take_number(s, (size_t)1 << (head - 0xc7), &n);
		return r < 0 ? r : take_bytes(s, n + 1);
	case 0xca: /* float */
	case 0xcb:
		return take_bytes(s, (uint64_t)4 << (head - 0xca));
	case 0xcc: /* unsigned */
	case 0xcd:
	case 0xce:
	case 0xcf:
		return take_bytes(s, (uint64_t)1 << (head - 0xcc));
	case 0xd0: /* signed */
	case 0xd1:
	case 0xd2:
	case 0xd3:
		return take_bytes(s, (uint64_t)1 << (head - 0xd0));
	case 0xd4: /* extension of fixed size */
	case 0xd5:
	case 0xd6:
	case 0xd7:
	case 0xd8:
		return take_bytes(s, ((uint64_t)1 << (head - 0xd4)) + 1);
	case 0xd9:
	case 0xda:
	case 0xdb:
		r = take_number(s, (size_t)1 << (head - 0xd9), &n);
		return r < 0 ? r : take_string(s, n);
	case 0xdc:
	case 0xdd:
		r = take_number(s, (size_t)2 << (head - 0xdc), &n);
		return r < 0 ? r : take_container(s, n, false);
	case 0xde:
	case 0xdf:
		r = take_number(s, (size_t)2 << (head - 0xde), &n);
		return r < 0 ? r : take_container(s, n, true);
	default:
		s->at--;
		return scan_fault(s, "no value starts like this");
	}
}

static bool is_string_head(unsigned char head)
{
	return (head >= 0xa0 && head <= 0xbf) || (head >= 0xd9 && head <= 0xdb);
}

int nomad__scan(const char *what, const void *data, size_t size, struct nomad_error **err)
{
	struct scanner s = { .what = what, .data = data, .size = size, .err = err };
	int r;

	if (size > NOMAD__CONFIG_MAX_SIZE)
		return nomad_error_set(err, EINVAL, "%s: %zu bytes are too many, the limit is %d", what, size,
				       NOMAD__CONFIG_MAX_SIZE);
	do {
		bool is_key = false;

		if (s.depth > 0) {
			is_key = s.levels[s.depth - 1].is_map && s.levels[s.depth - 1].left % 2 == 0;
			s.levels[s.depth - 1].left--;
		}
		if (s.at == s.size)
			return scan_fault(&s, "it ends too early");
		if (s.items++ == NOMAD__CONFIG_MAX_ITEMS)
			return scan_fault(&s, "it holds too many values");
		if (is_key && !is_string_head(s.data[s.at]))
			return scan_fault(&s, "a key is not a string");
		r = take_value(&s);
		if (r < 0)
			return r;
		while (s.depth > 0 && s.levels[s.depth - 1].left == 0)
			s.depth--;
	} while (s.depth > 0);
	if (s.at != s.size)
		return scan_fault(&s, "there is more behind the value");
	return 0;
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

	r = nomad__scan(what, data, size, err);
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
