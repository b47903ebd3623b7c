/* SPDX-License-Identifier: MPL-2.0
 *
 * wire/message.h: protobuf messages from and to bytes. */
#ifndef NOMAD_WIRE_MESSAGE_H
#define NOMAD_WIRE_MESSAGE_H

#include <protobuf-c/protobuf-c.h>

#include "nomad/error.h"

#include "wire/base.pb-c.h"
#include "wire/driver.pb-c.h"
#include "wire/google.pb-c.h"
#include "wire/hclspec.pb-c.h"
#include "wire/health.pb-c.h"
#include "wire/plugin.pb-c.h"
#include "wire/structs.pb-c.h"

enum {
	NOMAD__MESSAGE_MAX_SIZE = 64 << 20,    /* bytes of one message on the wire */
	NOMAD__MESSAGE_MAX_MEMORY = 512 << 20, /* bytes of one message in memory */
};

/* Decodes.  -EINVAL with an error that names the message, also if a string is not UTF-8. */
int nomad__message_unpack(const ProtobufCMessageDescriptor *type, const void *data, size_t size, ProtobufCMessage **ret,
			  struct nomad_error **err) NOMAD_MUST_CHECK;
void nomad__message_free(ProtobufCMessage *message);

/* Encodes into memory of `alloc(ud, size)`, which may return NULL.
 * Each byte of a string that is not UTF-8 becomes '?', because the other side
 * would refuse the whole message.  0 or -ENOMEM. */
int nomad__message_pack(const ProtobufCMessage *message, void *(*alloc)(void *ud, size_t size),
			void *ud) NOMAD_MUST_CHECK;

/* Returns the length of the longest prefix of `s` (size bytes) that is UTF-8. */
size_t nomad__utf8_prefix(const char *s, size_t size);
/* Replaces each byte that is not UTF-8 by '?'.  Returns whether any was. */
bool nomad__utf8_repair(char *s);

#endif
