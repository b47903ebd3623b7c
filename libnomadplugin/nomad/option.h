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

/* ---- Policy ----
 *
 * Some options give a job power over its host.  Such a row names the kind of
 * power and the rule of the operator's `policy` block that bounds it; every
 * other row says why it is harmless.  From the rows come the policy block,
 * its manual, the check before each start and the text of a refusal.  A table
 * in which no row says either has no policy; one in which only some do is
 * refused when the plugin starts. */
enum nomad_power_kind {
	/* A path of the host.  The rule is a list of paths, and each allows what is below it.  What Nomad has given
	 * to the task needs no rule: the directories alloc, local and secrets, except for writing to the logs, and
	 * volumes.  Device nodes there do. */
	NOMAD_POWER_READ,
	NOMAD_POWER_WRITE,
	NOMAD_POWER_DEVICE, /* also a path; nothing is given */
	/* A word.  The rule is a list of globs. */
	NOMAD_POWER_CAPABILITY, /* in any case, with or without CAP_ */
	NOMAD_POWER_SYSTEM_CALL,
	NOMAD_POWER_LIMIT, /* the name of a resource limit */
	/* Where an image comes from: a URL, a registry's name.  An entry that goes beyond the host's name allows no
	 * other host and no "..". */
	NOMAD_POWER_IMAGE,
	NOMAD_POWER_NETWORK,
	NOMAD_POWER_WORD, /* any other */
	/* A user id of the host, FIRST:COUNT, or a word.  The rule is a list of numbers, FIRST-LAST and words. */
	NOMAD_POWER_USER,
	/* Whatever is not safe.  The rule is true or false. */
	NOMAD_POWER_PRIVILEGE,
	/* A number.  The rule is the maximum, and what a task gets that asks for none; 0 is no maximum. */
	NOMAD_POWER_AMOUNT,
	NOMAD_POWER_KIND_MAX,
};

struct nomad_power {
	enum nomad_power_kind kind;
	const char *rule;	 /* its name in the policy block; rows may share one of the same kind */
	const char *also;	 /* another rule whose entries count as well (to write includes to read); or NULL */
	const char *const *safe; /* values, as entries of a rule, that need no rule; NULL-terminated */
	const char *const *otherwise; /* entries, where the operator gives none; NULL: nothing */
	bool allowed;		      /* PRIVILEGE: where the operator says nothing */
	int64_t maximum;	      /* AMOUNT: likewise */
	bool strict;		      /* READ, WRITE: what Nomad has given needs a rule as well */
	bool own_dirs;		      /* with strict: but not the task's own local and secrets directories */
	const char *help;	      /* a sentence more for the rule's manual; or NULL */
	bool keys;		      /* of a map: its keys are meant, not its values */
	/* The paths or words in one value, as a strv that the caller frees; NULL: out of memory.  Without it the
	 * value is one. */
	char **(*parts)(const char *value);
	/* The library does not check this option by itself: what it means depends on the host, and the driver
	 * calls nomad_task_may(). */
	bool by_driver;
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
	/* One of them in each row of a task's table, see above; of a BLOCK, its own rows say it. */
	const struct nomad_power *power;
	const char *harmless; /* why no job can do harm by it */
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

#ifdef __cplusplus
/* C++ has the initializers of NOMAD_OPTION since C++20 only, and in the order of the struct.  For C++11: what is to be
 * set of the row `o`, as a statement list.  Such a table is made before main(). */
#define NOMAD_OPTION_CXX(T, field, kind, ...)                                                                          \
	([]() -> nomad_option {                                                                                        \
		nomad_option o = {};                                                                                   \
		o.name = #field;                                                                                       \
		o.type = NOMAD_##kind;                                                                                 \
		o.offset = offsetof(T, field);                                                                         \
		__VA_ARGS__;                                                                                           \
		return o;                                                                                              \
	}())
#define NOMAD_SCHEMA_CXX(T, table)                                                                                     \
	{                                                                                                              \
		(table), NOMAD_ARRAY_LEN(table), sizeof(T), NULL                                                       \
	}
#endif

/* Ready-made checks for .check. */
const char *nomad_check_absolute_path(const char *value);
const char *nomad_check_env_name(const char *value);

NOMAD_END_DECLS

#endif
