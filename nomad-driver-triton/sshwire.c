/* SPDX-License-Identifier: MPL-2.0 */
/* The data types of SSH; see sshwire.h. */
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "sshwire.h"

struct triton_span triton_read_bytes(struct triton_reader *reader, size_t size)
{
	struct triton_span span = { NULL, 0 };

	if (reader->bad || size > reader->left) {
		reader->bad = true;
		return span;
	}
	span.data = reader->at;
	span.size = size;
	reader->at += size;
	reader->left -= size;
	return span;
}

uint32_t triton_read_u32(struct triton_reader *reader)
{
	struct triton_span span = triton_read_bytes(reader, 4);

	if (!span.data)
		return 0;
	return (uint32_t)span.data[0] << 24 | (uint32_t)span.data[1] << 16 | (uint32_t)span.data[2] << 8 | span.data[3];
}

struct triton_span triton_read_string(struct triton_reader *reader)
{
	uint32_t size = triton_read_u32(reader);

	return triton_read_bytes(reader, size);
}

bool triton_span_is(struct triton_span span, const char *text)
{
	return span.data && span.size == strlen(text) && memcmp(span.data, text, span.size) == 0;
}

void triton_write_bytes(struct triton_writer *writer, const void *data, size_t size)
{
	if (writer->bad || !size)
		return;
	if (writer->size + size > writer->room) {
		size_t room = (writer->size + size) * 2 + 64;
		unsigned char *bigger = OPENSSL_clear_realloc(writer->data, writer->size, room);

		if (!bigger) {
			writer->bad = true;
			return;
		}
		writer->data = bigger;
		writer->room = room;
	}
	memcpy(writer->data + writer->size, data, size);
	writer->size += size;
}

void triton_write_u8(struct triton_writer *writer, unsigned char byte)
{
	triton_write_bytes(writer, &byte, 1);
}

void triton_write_u32(struct triton_writer *writer, uint32_t value)
{
	unsigned char bytes[4] = { value >> 24, value >> 16, value >> 8, value };

	triton_write_bytes(writer, bytes, sizeof(bytes));
}

void triton_write_string(struct triton_writer *writer, const void *data, size_t size)
{
	triton_write_u32(writer, (uint32_t)size);
	triton_write_bytes(writer, data, size);
}

void triton_write_mpint(struct triton_writer *writer, const unsigned char *data, size_t size)
{
	while (size && !*data) {
		data++;
		size--;
	}
	triton_write_u32(writer, (uint32_t)(size + (size && *data & 0x80)));
	if (size && *data & 0x80)
		triton_write_u8(writer, 0);
	triton_write_bytes(writer, data, size);
}

void triton_writer_done(struct triton_writer *writer)
{
	OPENSSL_clear_free(writer->data, writer->size);
	memset(writer, 0, sizeof(*writer));
}
