/* SPDX-License-Identifier: MPL-2.0
 *
 * Protobuf messages from and to bytes, with two checks that protobuf-c leaves
 * to its user.  Memory is bounded: two bytes on the wire can become a map entry
 * of 56 bytes.  Strings are UTF-8, as in proto3: Go's decoder refuses a message
 * with any other, so a task that prints Latin-1 would break its driver's event
 * stream. */
#include "wire/message.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct budget {
	size_t left;
};

static void *budget_alloc(void *ud, size_t size)
{
	struct budget *budget = ud;

	if (size > budget->left)
		return NULL;
	budget->left -= size;
	return malloc(size ? size : 1);
}

static void budget_free(void *ud, void *p)
{
	(void)ud;
	free(p);
}

/* ---- UTF-8 ---- */

/* Returns the length of the character at s, 0 if it is not UTF-8. */
static size_t utf8_length(const unsigned char *s, size_t size)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	uint32_t c = s[0];
	size_t n;

	if (c < 0x80)
		return 1;
	if ((c & 0xe0) == 0xc0) {
		n = 2;
		c &= 0x1f;
	} else if ((c & 0xf0) == 0xe0) {
		n = 3;
		c &= 0x0f;
	} else if ((c & 0xf8) == 0xf0) {
		n = 4;
		c &= 0x07;
	} else {
		return 0;
	}
	if (n > size)
		return 0;
	for (size_t i = 1; i < n; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (s[i] & 0x3f);
	}
	if (c < least[n] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
		return 0;
	return n;
}

size_t nomad__utf8_prefix(const char *s, size_t size)
{
	size_t i = 0;

	while (i < size) {
		size_t n = utf8_length((const unsigned char *)s + i, size - i);

		if (n == 0)
			break;
		i += n;
	}
	return i;
}

bool nomad__utf8_repair(char *s)
{
	size_t size = strlen(s);
	size_t i = nomad__utf8_prefix(s, size);
	bool wrong = i < size;

	while (i < size) {
		s[i] = '?';
		i++;
		i += nomad__utf8_prefix(s + i, size - i);
	}
	return wrong;
}

/* Are all strings of the message UTF-8?  With `repair` (then the message is
 * our own copy) they are so afterwards. */
static bool check_strings(ProtobufCMessage *message, bool repair)
{
	const ProtobufCMessageDescriptor *type = message->descriptor;
	bool fine = true;

	for (unsigned i = 0; i < type->n_fields; i++) {
		const ProtobufCFieldDescriptor *field = &type->fields[i];
		char *member = (char *)message + field->offset;
		size_t n = 1;

		if (field->type != PROTOBUF_C_TYPE_STRING && field->type != PROTOBUF_C_TYPE_MESSAGE)
			continue;
		if (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF &&
		    *(const uint32_t *)((char *)message + field->quantifier_offset) != field->id)
			continue;
		if (field->label == PROTOBUF_C_LABEL_REPEATED) {
			n = *(const size_t *)((char *)message + field->quantifier_offset);
			member = *(char **)member;
		}
		for (size_t k = 0; k < n; k++) {
			void *item = ((void **)member)[k];

			if (!item || item == field->default_value)
				continue;
			if (field->type == PROTOBUF_C_TYPE_MESSAGE)
				fine &= check_strings(item, repair);
			else if (repair)
				nomad__utf8_repair(item);
			else
				fine &= ((const char *)item)[nomad__utf8_prefix(item, strlen(item))] == '\0';
		}
	}
	return fine;
}

/* ---- Messages ---- */

void nomad__message_free(ProtobufCMessage *message)
{
	if (message)
		protobuf_c_message_free_unpacked(message, NULL);
}

int nomad__message_unpack(const ProtobufCMessageDescriptor *type, const void *data, size_t size, ProtobufCMessage **ret,
			  struct nomad_error **err)
{
	struct budget budget = { NOMAD__MESSAGE_MAX_MEMORY };
	ProtobufCAllocator allocator = { budget_alloc, budget_free, &budget };
	ProtobufCMessage *message = NULL;

	if (size <= NOMAD__MESSAGE_MAX_SIZE)
		message = protobuf_c_message_unpack(type, &allocator, size, size ? data : (const void *)"");
	if (!message)
		return nomad_error_set(err, EINVAL, "decode the %zu bytes of a %s: malformed or too large", size,
				       type->short_name);
	if (!check_strings(message, false)) {
		nomad__message_free(message);
		return nomad_error_set(err, EINVAL, "decode the %zu bytes of a %s: a string is not UTF-8", size,
				       type->short_name);
	}
	*ret = message;
	return 0;
}

int nomad__message_pack(const ProtobufCMessage *message, void *(*alloc)(void *ud, size_t size), void *ud)
{
	ProtobufCMessage *copy = NULL;
	size_t size = protobuf_c_message_get_packed_size(message);
	uint8_t *data;

	if (!check_strings((ProtobufCMessage *)message, false)) {
		/* '?' replaces one byte, so the size stays. */
		void *bytes = malloc(size);

		if (!bytes)
			return -ENOMEM;
		protobuf_c_message_pack(message, bytes);
		copy = protobuf_c_message_unpack(message->descriptor, NULL, size, bytes);
		free(bytes);
		if (!copy)
			return -ENOMEM;
		check_strings(copy, true);
		message = copy;
	}
	data = alloc(ud, size);
	if (data)
		protobuf_c_message_pack(message, data);
	nomad__message_free(copy);
	return data ? 0 : -ENOMEM;
}
