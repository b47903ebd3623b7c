/* SPDX-License-Identifier: MPL-2.0
 *
 * sshwire.h: the data types of the SSH protocol (RFC 4251 section 5), as the
 * agent speaks them and OpenSSH key files hold them.
 *
 * A reader never reads past its end: once something did not fit, `bad` is
 * set and all that follows is empty.  A writer that ran out of memory is
 * `bad` likewise; look once at the end. */
#ifndef TRITON_SSHWIRE_H
#define TRITON_SSHWIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct triton_reader {
	const unsigned char *at;
	size_t left;
	bool bad;
};

struct triton_span {
	const unsigned char *data;
	size_t size;
};

uint32_t triton_read_u32(struct triton_reader *reader);
struct triton_span triton_read_bytes(struct triton_reader *reader, size_t size);
struct triton_span triton_read_string(struct triton_reader *reader);
bool triton_span_is(struct triton_span span, const char *text);

struct triton_writer {
	unsigned char *data;
	size_t size, room;
	bool bad;
};

void triton_write_u8(struct triton_writer *writer, unsigned char byte);
void triton_write_u32(struct triton_writer *writer, uint32_t value);
void triton_write_bytes(struct triton_writer *writer, const void *data, size_t size);
void triton_write_string(struct triton_writer *writer, const void *data, size_t size);
/* A positive big-endian number: no leading zeros but the one that keeps it positive. */
void triton_write_mpint(struct triton_writer *writer, const unsigned char *data, size_t size);
/* Wipes and frees. */
void triton_writer_done(struct triton_writer *writer);

#endif
