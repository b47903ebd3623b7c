/* SPDX-License-Identifier: MPL-2.0
 *
 * schema/inner.h: what the files of this folder share.
 *
 *	unpack.c	bytes of others -> msgpack-c's tree: bounded, well formed, or refused
 *	literal.c	HCL literals (.def of a row) -> msgpack
 *	number.c	decimal text <-> numbers, as HCL sees them
 *	field.c		the C fields: sizes, absent values, wiping and freeing
 *	text.c		where an error happened, values for people, "did you mean"
 *	scalar.c	msgpack -> string, number, boolean
 *	decode.c	msgpack -> struct		redact.c	msgpack -> msgpack, no secrets
 *	from_json.c	JSON -> msgpack			check.c		faults in tables
 *	mistakes.c	all faults in a config
 *	spec.c		table -> hclspec tree
 *	fit.c		tables of a driver with an older header
 *	facts.c		a row in words			print_*.c	table -> people */
#ifndef NOMAD_SCHEMA_INNER_H
#define NOMAD_SCHEMA_INNER_H

#include <stdio.h>

#include "schema/schema.h"
#include "schema/unpack.h"

enum {
	/* Entries of one list, map or block list, where the row has no .max_items. */
	NOMAD__OPTION_MAX_ITEMS = 8192,
	/* Blocks within blocks within ... of a table. */
	NOMAD__SCHEMA_MAX_DEPTH = 6,
	/* A number's decimal text; the longest double has 330 characters. */
	NOMAD__NUMBER_MAX_TEXT = 400,
	NOMAD__PATH_MAX_TEXT = 256,
	NOMAD__SHOWN_MAX_TEXT = 160,
};

/* ---- text.c ---- */

/* Where in a config we are: a chain on the stack, innermost first.  A name,
 * or, if that is NULL, an index.  A secret covers all below it. */
struct nomad__path {
	const struct nomad__path *up;
	const char *name;
	size_t length;
	size_t index;
	bool secret;
};

/* "mount[1].source", cut where `text` ends. */
void nomad__path_text(const struct nomad__path *path, char text[NOMAD__PATH_MAX_TEXT]);
/* The value for an error: control characters escaped, cut after 80 bytes, in
 * quotes if it is a string.  A secret is "the value". */
void nomad__show_string(const char *s, size_t size, bool secret, char text[NOMAD__SHOWN_MAX_TEXT]);
void nomad__show(const msgpack_object *value, bool secret, char text[NOMAD__SHOWN_MAX_TEXT]);
/* WHAT: option 'PATH': MESSAGE.  Returns -EINVAL. */
int nomad__fault(struct nomad_error **err, const char *what, const struct nomad__path *path, const char *fmt, ...)
	NOMAD_PRINTF(4, 5);
int nomad__fault_missing(struct nomad_error **err, const char *what, const struct nomad__path *path);
int nomad__fault_unknown(struct nomad_error **err, const char *what, const struct nomad__path *up,
			 const struct nomad_schema *schema, const char *name, size_t size);
int nomad__fault_memory(struct nomad_error **err, const char *what);

/* The row of that name, or NULL. */
const struct nomad_option *nomad__option_find(const struct nomad_schema *schema, const char *name, size_t size);
/* Rows that fill the same field (an old and a new name of one thing). */
bool nomad__option_is_alias(const struct nomad_schema *schema, const struct nomad_option *option);
/* Are the characters of `s` valid UTF-8, none of them NUL? */
bool nomad__is_text(const char *s, size_t size);

/* ---- number.c ---- */

struct nomad__number {
	bool is_int; /* else `real` */
	int64_t integer;
	double real;
	bool exact; /* `real` is what the text says, no digit lost */
};

/* "-12", "0.1", "1e3"; whole numbers in range become integers.  -EINVAL for
 * anything else, -ERANGE for what no double can hold. */
int nomad__number_parse(const char *s, size_t size, struct nomad__number *ret);
bool nomad__is_whole(double real);
/* A double that is a whole number and fits is an integer. */
void nomad__number_from_double(double real, struct nomad__number *ret);
/* Decimal text without exponent that reads back as the same number. */
void nomad__number_text(const struct nomad__number *number, char text[NOMAD__NUMBER_MAX_TEXT]);
/* As Nomad encodes it: int, exact double, else decimal text. */
int nomad__number_pack(msgpack_packer *pk, const struct nomad__number *number);

/* ---- literal.c ---- */

int nomad__literal_pack(msgpack_packer *pk, const char *text, struct nomad_error **err);

/* ---- field.c ---- */

size_t nomad__field_size(enum nomad_option_type type);
size_t nomad__field_align(enum nomad_option_type type);
/* A new zeroed struct with each field absent, or NULL. */
void *nomad__config_new(const struct nomad_schema *schema);
void nomad__config_init(const struct nomad_schema *schema, void *config);
/* Frees what the struct holds, not the struct; wipes it if it has secrets. */
void nomad__config_done(const struct nomad_schema *schema, void *config, bool secret);
bool nomad__schema_has_secrets(const struct nomad_schema *schema);
void nomad__wipe_string(char *s);

/* ---- unpack.c, see also unpack.h ---- */

/* The options of one config: no bytes, or nil, means no options. */
int nomad__unpack_options(const char *what, const void *data, size_t size, msgpack_zone *zone, msgpack_object_map *ret,
			  struct nomad_error **err);

/* ---- scalar.c ---- */

struct nomad__decoder {
	const char *what;
	unsigned flags;
	struct nomad_error **err;
};

/* "VALUE is not KIND" */
int nomad__not_a(struct nomad__decoder *d, const msgpack_object *value, const struct nomad__path *path,
		 const char *kind);
int nomad__check_text(struct nomad__decoder *d, const struct nomad_option *option, const char *s,
		      const struct nomad__path *path);
/* A copy of what HCL would turn into a string, also numbers and booleans. */
int nomad__decode_text(struct nomad__decoder *d, const msgpack_object *value, const struct nomad__path *path,
		       char **ret);
int nomad__decode_string(struct nomad__decoder *d, const struct nomad_option *option, const msgpack_object *value,
			 const struct nomad__path *path, char **field);
int nomad__decode_int(struct nomad__decoder *d, const struct nomad_option *option, const msgpack_object *value,
		      const struct nomad__path *path, int64_t *ret);
int nomad__decode_number(struct nomad__decoder *d, const struct nomad_option *option, const msgpack_object *value,
			 const struct nomad__path *path, double *ret);
int nomad__decode_bool(struct nomad__decoder *d, const msgpack_object *value, const struct nomad__path *path,
		       bool *ret);

/* ---- decode.c ---- */

/* Decode one row's default into `field`, with all checks of the row. */
int nomad__default_decode(const struct nomad_option *option, const char *what, const struct nomad__path *path,
			  void *field, struct nomad_error **err);

/* ---- facts.c ---- */

/* "string", "whole number", "list of strings" */
const char *nomad__type_text(const struct nomad_option *option);
/* Sentences on defaults, bounds and so on, appended to *facts.  0 or -ENOMEM. */
int nomad__option_facts(const struct nomad_option *option, char ***facts) NOMAD_MUST_CHECK;
/* The example as a line of a job, malloc()ed.  The row must have one. */
char *nomad__option_example(const struct nomad_option *option);

#endif
