/* SPDX-License-Identifier: MPL-2.0
 *
 * A config without its secrets, for what is kept on disk.  Secret options
 * are left out altogether, and so is what the table does not know: it could
 * be anything.  The decoder takes the result with NOMAD__DECODE_STORED. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "schema/inner.h"

static int redact_block(const struct nomad_schema *schema, const msgpack_object_map *map, msgpack_packer *pk);

/* Nomad sends each option that is absent as nil, which means the same. */
static const struct nomad_option *keep(const struct nomad_schema *schema, const msgpack_object_kv *pair)
{
	const msgpack_object_str *key = &pair->key.via.str;
	const struct nomad_option *option = nomad__option_find(schema, nomad__bytes(key), key->size);

	return option && !option->secret && pair->val.type != MSGPACK_OBJECT_NIL ? option : NULL;
}

/* A block, or a list of them; what is neither is nothing the decoder takes. */
static int redact_value(const struct nomad_option *option, const msgpack_object *value, msgpack_packer *pk)
{
	if (!option->block)
		return msgpack_pack_object(pk, *value);
	if (value->type == MSGPACK_OBJECT_MAP)
		return redact_block(option->block, &value->via.map, pk);
	if (value->type != MSGPACK_OBJECT_ARRAY)
		return msgpack_pack_nil(pk);
	if (msgpack_pack_array(pk, value->via.array.size))
		return -1;
	for (size_t i = 0; i < value->via.array.size; i++) {
		const msgpack_object *block = &value->via.array.ptr[i];
		int r;

		if (block->type == MSGPACK_OBJECT_MAP)
			r = redact_block(option->block, &block->via.map, pk);
		else
			r = msgpack_pack_nil(pk);
		if (r)
			return -1;
	}
	return 0;
}

static int redact_block(const struct nomad_schema *schema, const msgpack_object_map *map, msgpack_packer *pk)
{
	size_t count = 0;

	for (size_t i = 0; i < map->size; i++)
		count += keep(schema, &map->ptr[i]) != NULL;
	if (msgpack_pack_map(pk, count))
		return -1;
	for (size_t i = 0; i < map->size; i++) {
		const struct nomad_option *option = keep(schema, &map->ptr[i]);

		if (!option)
			continue;
		if (msgpack_pack_object(pk, map->ptr[i].key) || redact_value(option, &map->ptr[i].val, pk))
			return -1;
	}
	return 0;
}

int nomad__config_redact(const struct nomad_schema *schema, const void *msgpack, size_t size, void **ret_data,
			 size_t *ret_size, struct nomad_error **err)
{
	static const char what[] = "config to store";
	msgpack_sbuffer out;
	msgpack_packer pk;
	msgpack_object_map options;
	msgpack_zone zone;
	int r;

	if (!msgpack_zone_init(&zone, 8192))
		return nomad__fault_memory(err, what);
	msgpack_sbuffer_init(&out);
	msgpack_packer_init(&pk, &out, msgpack_sbuffer_write);
	r = nomad__unpack_options(what, msgpack, size, &zone, &options, err);
	if (r == 0 && redact_block(schema, &options, &pk))
		r = nomad__fault_memory(err, what);
	msgpack_zone_destroy(&zone);
	if (r == 0) {
		/* A copy, for it stays as long as the task, and the buffer has 8 KiB at least.  Shrunk in place it
		 * would leave a hole that the next one does not fit into. */
		*ret_size = out.size;
		*ret_data = malloc(out.size);
		if (*ret_data)
			memcpy(*ret_data, out.data, out.size);
		else
			r = nomad__fault_memory(err, what);
	}
	msgpack_sbuffer_destroy(&out);
	return r;
}
