/* SPDX-License-Identifier: MPL-2.0
 *
 * nomad/option.h: one row per option is the whole truth about it.
 *
 * From a table come the hclspec that Nomad gets, the decoder of what Nomad
 * sends, the validation errors, `DRIVER schema`, and the OPTIONS section of
 * the manual.  A driver describes its `plugin` block and its task `config`
 * block with one schema each and gets filled C structs back.
 *
 *	struct config { char *command; bool boot; int64_t pids; struct nomad_map env; };
 *
 *	static const struct nomad_option options[] = {
 *		NOMAD_OPTION(struct config, command, STRING, .required = true, .help = "Program to run."),
 *		NOMAD_OPTION(struct config, boot, BOOL, .def = "true", .help = "Run an init."),
 *	};
 *	static const struct nomad_schema schema = NOMAD_SCHEMA(struct config, options);
 */
#ifndef NOMAD_OPTION_H
#define NOMAD_OPTION_H

#include "nomad/base.h"

NOMAD_BEGIN_DECLS

struct nomad_error;
struct nomad_schema;

/* The type of an option, and what the field at .offset has to be.  A field
 * is zeroed before; an option that is not given and has no .def leaves the
 * value named "absent". */
enum nomad_option_type {
	NOMAD_STRING,	   /* char *; absent NULL */
	NOMAD_INT,	   /* int64_t; absent NOMAD_INT_UNSET */
	NOMAD_NUMBER,	   /* double; absent NaN */
	NOMAD_BOOL,	   /* bool; absent false */
	NOMAD_TRISTATE,	   /* int: -1 absent, 0 false, 1 true */
	NOMAD_STRING_LIST, /* char ** (strv); absent NULL */
	NOMAD_STRING_MAP,  /* struct nomad_map: `x { k = "v" }`, repeatable, or `x = { k = "v" }` */
	NOMAD_INT_MAP,	   /* struct nomad_int_map, same forms */
	NOMAD_BLOCK,	   /* T *, T described by .block; absent NULL */
	NOMAD_BLOCK_LIST,  /* struct nomad_block_list of T, in order */
	NOMAD_OPTION_TYPE_MAX,
};

#define NOMAD_INT_UNSET INT64_MIN

/* The elements stand one behind the other, `.block->size` bytes each. */
struct nomad_block_list {
	void *items;
	size_t count;
};

struct nomad_option {
	const char *name; /* as it stands in the job file */
	enum nomad_option_type type;
	size_t offset; /* of the field in the struct */
	bool required;
	bool secret;			  /* never shown, stored or logged */
	bool deprecated;		  /* accepted, with a warning in the log; help says what to use */
	bool non_empty;			  /* "" and [] are refused */
	const char *def;		  /* default, as HCL literal: "\"bash\"", "true", "5", "[\"a\"]" */
	const char *const *choices;	  /* STRING, STRING_LIST: NULL-terminated allowed values */
	int64_t min, max;		  /* INT, NUMBER, INT_MAP values; both 0: unbounded */
	uint32_t max_items;		  /* lists, maps, block lists; 0: the library's limit */
	const char *unit;		  /* for people: "bytes", "seconds" */
	const char *help;		  /* whole sentences; required (a test fails without) */
	const char *example;		  /* HCL of the value, for the manual */
	const struct nomad_schema *block; /* BLOCK, BLOCK_LIST */
	/* Further check of a given STRING, of each element of a STRING_LIST, or
	 * of each value of a STRING_MAP.  Returns NULL if fine, else static text
	 * of what is expected ("an absolute path"). */
	const char *(*check)(const char *value);
};

struct nomad_schema {
	const struct nomad_option *options;
	size_t count;
	size_t size; /* of the struct that is filled */
	/* Checks between options, after all rows have passed.  Optional. */
	int (*check)(const void *config, struct nomad_error **err);
};

#define NOMAD_OPTION(T, field, kind, ...)                                                                              \
	{                                                                                                              \
		.name = #field, .type = NOMAD_##kind, .offset = offsetof(T, field), __VA_ARGS__                        \
	}
/* For a name that is another than the field's (aliases, C keywords). */
#define NOMAD_OPTION_AS(T, field, wire_name, kind, ...)                                                                \
	{                                                                                                              \
		.name = wire_name, .type = NOMAD_##kind, .offset = offsetof(T, field), __VA_ARGS__                     \
	}
#define NOMAD_SCHEMA(T, table, ...)                                                                                    \
	{                                                                                                              \
		.options = (table), .count = NOMAD_ARRAY_LEN(table), .size = sizeof(T), __VA_ARGS__                    \
	}

/* Ready-made checks for .check. */
const char *nomad_check_absolute_path(const char *value);
const char *nomad_check_env_name(const char *value);

NOMAD_END_DECLS

#endif
