/* SPDX-License-Identifier: MPL-2.0
 *
 * schema/unpack.h: the one way to read msgpack that others wrote. */
#ifndef NOMAD_SCHEMA_UNPACK_H
#define NOMAD_SCHEMA_UNPACK_H

#include <msgpack.h>

#include "nomad/error.h"

/* May msgpack-c have these bytes?  -EINVAL with an error if they break a
 * limit of schema.h or are not exactly one well-formed value with text as
 * strings and strings as keys. */
int nomad__msgpack_check(const char *what, const void *data, size_t size, struct nomad_error **err);
/* Checks and parses; no key occurs twice in a map.  Strings of *ret point
 * into `data`, the rest into `zone`, which grows to at most 64 bytes for each
 * byte of input and 4 MiB in all. */
int nomad__unpack(const char *what, const void *data, size_t size, msgpack_zone *zone, msgpack_object *ret,
		  struct nomad_error **err);

/* msgpack-c has NULL for an empty string. */
static inline const char *nomad__bytes(const msgpack_object_str *s)
{
	return s->size ? s->ptr : "";
}

#endif
