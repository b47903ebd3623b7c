/* SPDX-License-Identifier: MPL-2.0
 *
 * A msgpack map.  A new key may be added at any time; a change of meaning
 * takes a new version, which older plugins refuse by name. */
#include "core/handle.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "schema/unpack.h"

static void pack_key(msgpack_packer *pk, const char *key)
{
	msgpack_pack_str_with_body(pk, key, strlen(key));
}

static void pack_string(msgpack_packer *pk, const char *key, const char *value)
{
	pack_key(pk, key);
	pack_key(pk, value ? value : "");
}

int nomad__handle_encode(const struct nomad__handle *handle, void **ret_data, size_t *ret_size,
			 struct nomad_error **err)
{
	msgpack_sbuffer buffer;
	msgpack_packer pk;

	msgpack_sbuffer_init(&buffer);
	msgpack_packer_init(&pk, &buffer, msgpack_sbuffer_write);
	msgpack_pack_map(&pk, 5);
	pack_key(&pk, "version");
	msgpack_pack_uint64(&pk, handle->version);
	pack_string(&pk, "driver", handle->driver);
	pack_string(&pk, "boot_id", handle->boot_id);
	pack_string(&pk, "state_dir", handle->state_dir);
	pack_key(&pk, "config");
	if (msgpack_pack_bin_with_body(&pk, handle->config, handle->config_size) < 0) {
		msgpack_sbuffer_destroy(&buffer);
		return nomad_error_errno(err, ENOMEM, "encode the task's handle");
	}
	*ret_size = buffer.size;
	*ret_data = msgpack_sbuffer_release(&buffer);
	return 0;
}

static bool is_key(const msgpack_object *key, const char *name)
{
	return key->via.str.size == strlen(name) && memcmp(key->via.str.ptr, name, key->via.str.size) == 0;
}

static int take_string(const msgpack_object *value, const char *what, char **ret, struct nomad_error **err)
{
	if (value->type != MSGPACK_OBJECT_STR)
		return nomad_error_set(err, EINVAL, "decode the task's handle: %s: not a string", what);
	*ret = strndup(nomad__bytes(&value->via.str), value->via.str.size);
	return *ret ? 0 : nomad_error_errno(err, ENOMEM, "decode the task's handle");
}

static int read_map(const msgpack_object_map *map, struct nomad__handle *h, struct nomad_error **err)
{
	int r = 0;

	for (uint32_t i = 0; i < map->size && r >= 0; i++) {
		const msgpack_object *key = &map->ptr[i].key, *value = &map->ptr[i].val;

		if (is_key(key, "version")) {
			if (value->type != MSGPACK_OBJECT_POSITIVE_INTEGER)
				return nomad_error_set(err, EINVAL, "decode the task's handle: version: not a number");
			h->version = value->via.u64;
		} else if (is_key(key, "driver")) {
			r = take_string(value, "driver", &h->driver, err);
		} else if (is_key(key, "boot_id")) {
			r = take_string(value, "boot_id", &h->boot_id, err);
		} else if (is_key(key, "state_dir")) {
			r = take_string(value, "state_dir", &h->state_dir, err);
		} else if (is_key(key, "config")) {
			if (value->type != MSGPACK_OBJECT_BIN)
				return nomad_error_set(err, EINVAL, "decode the task's handle: config: not binary");
			h->config_size = value->via.bin.size;
			h->config = malloc(h->config_size + 1);
			if (!h->config)
				return nomad_error_errno(err, ENOMEM, "decode the task's handle");
			if (h->config_size)
				memcpy(h->config, value->via.bin.ptr, h->config_size);
		}
	}
	if (r < 0)
		return r;
	if (h->version < 1 || h->version > NOMAD__HANDLE_VERSION)
		return nomad_error_set(err, EINVAL,
				       "decode the task's handle: version %llu was written by another release of this "
				       "driver; this one reads versions 1 to %d",
				       (unsigned long long)h->version, NOMAD__HANDLE_VERSION);
	if (!h->driver || !h->boot_id || !h->state_dir || !h->config)
		return nomad_error_set(err, EINVAL, "decode the task's handle: incomplete");
	return 0;
}

int nomad__handle_decode(const void *data, size_t size, struct nomad__handle *ret, struct nomad_error **err)
{
	struct nomad__handle handle = { 0 };
	msgpack_object root;
	msgpack_zone zone;
	int r;

	if (!size)
		return nomad_error_set(err, EINVAL, "decode the task's handle: empty");
	if (size > NOMAD__HANDLE_MAX_SIZE)
		return nomad_error_set(err, EINVAL, "decode the task's handle: larger than %d bytes",
				       NOMAD__HANDLE_MAX_SIZE);
	if (!msgpack_zone_init(&zone, 1024))
		return nomad_error_errno(err, ENOMEM, "decode the task's handle");
	r = nomad__unpack("decode the task's handle", data, size, &zone, &root, err);
	if (r >= 0 && root.type != MSGPACK_OBJECT_MAP)
		r = nomad_error_set(err, EINVAL, "decode the task's handle: not a map");
	if (r >= 0)
		r = read_map(&root.via.map, &handle, err);
	msgpack_zone_destroy(&zone);
	if (r < 0) {
		nomad__handle_done(&handle);
		return r;
	}
	*ret = handle;
	return 0;
}

void nomad__handle_done(struct nomad__handle *handle)
{
	free(handle->driver);
	free(handle->boot_id);
	free(handle->state_dir);
	free(handle->config);
	*handle = (struct nomad__handle){ 0 };
}
