/* SPDX-License-Identifier: MPL-2.0
 *
 * Messages of a host, made of the bytes of an input: a count, then fields by their number, and a value for each.  A
 * byte that changes changes one value, and what comes out can be decoded always. */
#ifndef NOMAD_TEST_FUZZ_REQUEST_MESSAGE_H
#define NOMAD_TEST_FUZZ_REQUEST_MESSAGE_H

#include "core/core.h"
#include "options.h"
#include "wire/convert.h"

struct fuzz_place {
	struct fuzz_input *in;
	const struct nomad_schema *plugin_options;
	const char *state_dir; /* the only one that is ever configured */
};

/* ---- The driver's options: every type, and every kind of power ---- */

struct fuzz_config {
	char *text, *password;
	int64_t how, amount;
	double ratio;
	bool privileged;
	int maybe;
	char **read, **write, **capabilities, **calls;
	struct nomad_map devices, limits;
	struct nomad_int_map ports;
	char *image, *user, *network;
	struct nomad_block_list mounts;
	struct fuzz_mount *mount;
};

struct fuzz_mount {
	char *source;
	bool read_only;
};

#define FUZZ_POWER(name, ...) static const struct nomad_power fuzz_##name = { .rule = #name, __VA_ARGS__ }
static const char *const fuzz_safe[] = { "none", "@basic", NULL };
FUZZ_POWER(read, .kind = NOMAD_POWER_READ);
FUZZ_POWER(write, .kind = NOMAD_POWER_WRITE, .also = "read");
FUZZ_POWER(devices, .kind = NOMAD_POWER_DEVICE, .keys = true);
FUZZ_POWER(capabilities, .kind = NOMAD_POWER_CAPABILITY);
FUZZ_POWER(calls, .kind = NOMAD_POWER_SYSTEM_CALL, .safe = fuzz_safe);
FUZZ_POWER(limits, .kind = NOMAD_POWER_LIMIT, .keys = true);
FUZZ_POWER(images, .kind = NOMAD_POWER_IMAGE, .otherwise = fuzz_safe);
FUZZ_POWER(networks, .kind = NOMAD_POWER_NETWORK, .safe = fuzz_safe);
FUZZ_POWER(users, .kind = NOMAD_POWER_USER, .safe = fuzz_safe);
FUZZ_POWER(privileged, .kind = NOMAD_POWER_PRIVILEGE, .allowed = true);
FUZZ_POWER(amount, .kind = NOMAD_POWER_AMOUNT, .maximum = 100);
#define FUZZ_ROW(T, field, kind, ...) NOMAD_OPTION(T, field, kind, .help = "Help.", __VA_ARGS__)
#define FUZZ_HARMLESS .harmless = "It is not used."

static const struct nomad_option fuzz_mount_rows[] = {
	FUZZ_ROW(struct fuzz_mount, source, STRING, .required = true, .power = &fuzz_write),
	FUZZ_ROW(struct fuzz_mount, read_only, BOOL, FUZZ_HARMLESS),
};
static const struct nomad_schema fuzz_mount_schema = NOMAD_SCHEMA(struct fuzz_mount, fuzz_mount_rows);
static const struct nomad_option fuzz_rows[] = {
	FUZZ_ROW(struct fuzz_config, text, STRING, FUZZ_HARMLESS),
	FUZZ_ROW(struct fuzz_config, password, STRING, .secret = true, FUZZ_HARMLESS),
	FUZZ_ROW(struct fuzz_config, how, INT, .def = "0", .min = -100, .max = 100, FUZZ_HARMLESS),
	FUZZ_ROW(struct fuzz_config, amount, INT, .def = "0", .power = &fuzz_amount),
	FUZZ_ROW(struct fuzz_config, ratio, NUMBER, FUZZ_HARMLESS),
	FUZZ_ROW(struct fuzz_config, privileged, BOOL, .power = &fuzz_privileged),
	FUZZ_ROW(struct fuzz_config, maybe, TRISTATE, FUZZ_HARMLESS),
	FUZZ_ROW(struct fuzz_config, read, STRING_LIST, .power = &fuzz_read),
	FUZZ_ROW(struct fuzz_config, write, STRING_LIST, .power = &fuzz_write),
	FUZZ_ROW(struct fuzz_config, capabilities, STRING_LIST, .power = &fuzz_capabilities),
	FUZZ_ROW(struct fuzz_config, calls, STRING_LIST, .power = &fuzz_calls),
	FUZZ_ROW(struct fuzz_config, devices, STRING_MAP, .power = &fuzz_devices),
	FUZZ_ROW(struct fuzz_config, limits, STRING_MAP, .power = &fuzz_limits),
	FUZZ_ROW(struct fuzz_config, ports, INT_MAP, .min = 0, .max = 65535, FUZZ_HARMLESS),
	FUZZ_ROW(struct fuzz_config, image, STRING, .power = &fuzz_images),
	FUZZ_ROW(struct fuzz_config, user, STRING, .power = &fuzz_users),
	FUZZ_ROW(struct fuzz_config, network, STRING, .power = &fuzz_networks),
	FUZZ_ROW(struct fuzz_config, mounts, BLOCK_LIST, .block = &fuzz_mount_schema),
	FUZZ_ROW(struct fuzz_config, mount, BLOCK, .block = &fuzz_mount_schema),
};
static const struct nomad_schema fuzz_schema = NOMAD_SCHEMA(struct fuzz_config, fuzz_rows);

/* ---- Messages ---- */

static struct {
	uint8_t data[8192];
	size_t size;
} fuzz_state; /* the last driver_state */

FUZZ void fuzz_keep_state(const ProtobufCBinaryData *state)
{
	fuzz_state.size = state && state->len <= sizeof(fuzz_state.data) ? state->len : 0;
	if (fuzz_state.size)
		memcpy(fuzz_state.data, state->data, fuzz_state.size);
}

static union {
	char bytes[1 << 18];
	int64_t align;
} fuzz_arena;
static size_t fuzz_arena_used;

/* Zeroed; NULL: the message grows too large. */
FUZZ void *fuzz_alloc(size_t size)
{
	char *p = fuzz_arena.bytes + fuzz_arena_used;

	size = (size + 15) & ~(size_t)15;
	if (size > sizeof(fuzz_arena) - fuzz_arena_used)
		return NULL;
	fuzz_arena_used += size;
	return memset(p, 0, size);
}

FUZZ char *fuzz_copy(const char *text)
{
	char *copy = fuzz_alloc(strlen(text) + 1);

	return copy ? strcpy(copy, text) : (char *)"";
}

static ProtobufCMessage *fuzz_fill(const struct fuzz_place *place, const ProtobufCMessageDescriptor *type,
				   unsigned depth);

FUZZ void fuzz_fill_bytes(const struct fuzz_place *place, const char *name, ProtobufCBinaryData *ret)
{
	void *bytes;

	if (strncmp(name, "msgpack", 7) == 0) {
		bool plugin = strcmp(name, "msgpack_config") == 0;

		bytes = fuzz_config_of(plugin ? place->plugin_options : &fuzz_schema, plugin ? place->state_dir : NULL,
				       place->in, &ret->len);
	} else if (strcmp(name, "driver_state") == 0 && fuzz_byte(place->in) < 0xf0) {
		*ret = (ProtobufCBinaryData){ fuzz_state.size, fuzz_state.data };
		return;
	} else {
		bytes = fuzz_bytes(place->in, fuzz_byte(place->in), &ret->len);
	}
	ret->data = fuzz_alloc(ret->len + 1);
	if (ret->data)
		memcpy(ret->data, bytes, ret->len);
	else
		ret->len = 0;
	free(bytes);
}

/* False: there is no room for it. */
FUZZ bool fuzz_fill_value(const struct fuzz_place *place, const ProtobufCFieldDescriptor *field, void *member,
			  unsigned depth)
{
	switch (field->type) {
	case PROTOBUF_C_TYPE_STRING:
		*(char **)member = fuzz_copy(fuzz_word(place->in));
		return true;
	case PROTOBUF_C_TYPE_BYTES:
		fuzz_fill_bytes(place, field->name, member);
		return true;
	case PROTOBUF_C_TYPE_MESSAGE:
		return (*(ProtobufCMessage **)member = fuzz_fill(place, field->descriptor, depth + 1)) != NULL;
	case PROTOBUF_C_TYPE_DOUBLE:
		*(double *)member = (double)fuzz_number(place->in) / 3;
		return true;
	case PROTOBUF_C_TYPE_BOOL:
		*(protobuf_c_boolean *)member = fuzz_byte(place->in) & 1;
		return true;
	case PROTOBUF_C_TYPE_INT64:
	case PROTOBUF_C_TYPE_SINT64:
	case PROTOBUF_C_TYPE_SFIXED64:
	case PROTOBUF_C_TYPE_UINT64:
	case PROTOBUF_C_TYPE_FIXED64:
		*(int64_t *)member = fuzz_number(place->in);
		return true;
	default:
		*(int32_t *)member = (int32_t)fuzz_number(place->in);
		return true;
	}
}

FUZZ size_t fuzz_size_of(ProtobufCType type)
{
	switch (type) {
	case PROTOBUF_C_TYPE_STRING:
	case PROTOBUF_C_TYPE_MESSAGE:
		return sizeof(void *);
	case PROTOBUF_C_TYPE_BYTES:
		return sizeof(ProtobufCBinaryData);
	case PROTOBUF_C_TYPE_BOOL:
		return sizeof(protobuf_c_boolean);
	case PROTOBUF_C_TYPE_DOUBLE:
	case PROTOBUF_C_TYPE_INT64:
	case PROTOBUF_C_TYPE_SINT64:
	case PROTOBUF_C_TYPE_SFIXED64:
	case PROTOBUF_C_TYPE_UINT64:
	case PROTOBUF_C_TYPE_FIXED64:
		return 8;
	default:
		return 4;
	}
}

FUZZ void fuzz_fill_field(const struct fuzz_place *place, const ProtobufCFieldDescriptor *field,
			  ProtobufCMessage *message, unsigned depth)
{
	char *member = (char *)message + field->offset, *quantifier = (char *)message + field->quantifier_offset;
	size_t size = fuzz_size_of(field->type), n;

	if (field->label == PROTOBUF_C_LABEL_REPEATED) {
		n = fuzz_byte(place->in) % 4;
		*(char **)member = fuzz_alloc(n * size);
		*(size_t *)quantifier = 0;
		for (size_t i = 0; *(char **)member && i < n; i++)
			if (fuzz_fill_value(place, field, *(char **)member + i * size, depth))
				*(size_t *)quantifier = i + 1;
			else
				break;
	} else if (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) {
		memset(member, 0, size);
		*(uint32_t *)quantifier = fuzz_fill_value(place, field, member, depth) ? field->id : 0;
	} else {
		(void)fuzz_fill_value(place, field, member, depth);
	}
}

/* Fields without which little happens: a task's, and its id. */
FUZZ bool fuzz_is_needed(const ProtobufCMessageDescriptor *type, const ProtobufCFieldDescriptor *field)
{
	return (field->type == PROTOBUF_C_TYPE_MESSAGE &&
		(field->descriptor == &pb__task_config__descriptor ||
		 field->descriptor == &pb__task_handle__descriptor ||
		 field->descriptor == &pb__exec_task_streaming_request__setup__descriptor)) ||
	       strcmp(field->name, "task_id") == 0 || strcmp(field->name, "msgpack_driver_config") == 0 ||
	       strcmp(field->name, "msgpack_config") == 0 || strcmp(field->name, "command") == 0 ||
	       strcmp(field->name, "driver_state") == 0 ||
	       (type == &pb__task_config__descriptor && strcmp(field->name, "id") == 0);
}

FUZZ void fuzz_fill_task(Pb__TaskConfig *task)
{
	task->name = (char *)"web";
	task->alloc_id = (char *)fuzz_words[3];
	task->alloc_dir = (char *)"/nonexistent/alloc";
	task->job_id = task->job_name = task->task_group_name = task->node_id = task->namespace_ = (char *)"default";
}

static ProtobufCMessage *fuzz_fill(const struct fuzz_place *place, const ProtobufCMessageDescriptor *type,
				   unsigned depth)
{
	ProtobufCMessage *message = depth < 8 ? fuzz_alloc(type->sizeof_message) : NULL;
	unsigned count;

	if (!message)
		return NULL;
	protobuf_c_message_init(type, message);
	if (type == &pb__task_config__descriptor)
		fuzz_fill_task((Pb__TaskConfig *)message);
	for (unsigned i = 0; i < type->n_fields; i++)
		if (fuzz_is_needed(type, &type->fields[i]))
			fuzz_fill_field(place, &type->fields[i], message, depth);
	for (count = type->n_fields ? fuzz_byte(place->in) % 8 : 0; count; count--)
		fuzz_fill_field(place, &type->fields[fuzz_byte(place->in) % type->n_fields], message, depth);
	return message;
}

/* As it would come from the wire; NULL if it would not: a string is not UTF-8. */
FUZZ ProtobufCMessage *fuzz_message(const struct fuzz_place *place, const ProtobufCMessageDescriptor *type)
{
	ProtobufCMessage *message, *ret = NULL;
	uint8_t *bytes;
	size_t size;

	fuzz_arena_used = 0;
	message = fuzz_fill(place, type, 0);
	fuzz_must(message);
	size = protobuf_c_message_get_packed_size(message);
	bytes = malloc(size ? size : 1);
	fuzz_must(bytes);
	protobuf_c_message_pack(message, bytes);
	if (nomad__message_unpack(type, bytes, size, &ret, NULL) < 0)
		ret = NULL;
	free(bytes);
	return ret;
}

#endif
