/* SPDX-License-Identifier: MPL-2.0
 *
 * nomad/option.h: tables of options.  One row is the only description of an
 * option.
 *
 * The library derives from a table the hclspec for Nomad, the decoder, the
 * validation errors, `DRIVER schema`, and the options in the manual.  A driver
 * describes its `plugin` block and its task `config` block with one schema
 * each and gets filled C structs.
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

/* The type of an option, and the C type of its field at .offset.  An option
 * that is not given and has no .def leaves the value after "absent". */
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

/* An array of `count` elements of `.block->size` bytes each. */
struct nomad_block_list {
	void *items;
	size_t count;
};

/* ---- Policy ----
 *
 * Some options give a job power over its host.  Such a row names the kind of
 * power and the rule of the operator's `policy` block that limits it.  Every
 * other row gives the reason why it is harmless.  The library derives from the
 * rows the policy block, its manual, the check before each start and the text
 * of a refusal.  A table without any power or reason has no policy.  If only
 * some rows have one, the plugin does not start. */
enum nomad_power_kind {
	/* A path of the host.  The rule is a list of paths; each allows everything below it.  Files that Nomad has
	 * given to the task need no rule: the directories alloc (its logs only for reading), local and secrets, and
	 * volumes.  Device nodes in them do need one. */
	NOMAD_POWER_READ,
	NOMAD_POWER_WRITE,
	NOMAD_POWER_DEVICE, /* also a path; always needs a rule */
	/* A word.  The rule is a list of globs. */
	NOMAD_POWER_CAPABILITY, /* in any case, with or without CAP_ */
	NOMAD_POWER_SYSTEM_CALL,
	NOMAD_POWER_LIMIT, /* the name of a resource limit */
	/* The source of an image: a URL, or the name of a registry.  An entry that is longer than the host's name
	 * allows no other host and no "..". */
	NOMAD_POWER_IMAGE,
	NOMAD_POWER_NETWORK,
	NOMAD_POWER_WORD, /* any other */
	/* A user id of the host, FIRST:COUNT, or a word.  The rule is a list of numbers, FIRST-LAST and words. */
	NOMAD_POWER_USER,
	/* Any other power.  The rule is true or false. */
	NOMAD_POWER_PRIVILEGE,
	/* A number.  The rule is the maximum, and the value of a task that sets none.  0: no maximum. */
	NOMAD_POWER_AMOUNT,
	NOMAD_POWER_KIND_MAX,
};

struct nomad_power {
	enum nomad_power_kind kind;
	const char *rule;	      /* its name in the policy block; rows of the same kind may share it */
	const char *also;	      /* another rule whose entries count as well (write includes read); or NULL */
	const char *const *safe;      /* values, as entries of a rule, that need no rule; NULL-terminated */
	const char *const *otherwise; /* default entries of the rule; NULL: none */
	bool allowed;		      /* PRIVILEGE: the default */
	int64_t maximum;	      /* AMOUNT: the default */
	bool strict;		      /* READ, WRITE: files that Nomad has given need a rule as well */
	bool own_dirs;		      /* with strict: except in the task's own local and secrets directories */
	const char *help;	      /* an additional sentence for the rule's manual; or NULL */
	bool keys;		      /* of a map: check its keys instead of its values */
	/* Returns the paths or words in one value, as a strv that the caller frees; NULL if out of memory.  Without
	 * this function the whole value is one word. */
	char **(*parts)(const char *value);
	/* The library does not check this option, because its meaning depends on the host.  The driver calls
	 * nomad_task_may(). */
	bool by_driver;
};

struct nomad_option {
	const char *name; /* in the job file */
	enum nomad_option_type type;
	size_t offset; /* of the field in the struct */
	bool required;
	bool secret;			  /* never shown, stored or logged */
	bool deprecated;		  /* accepted, with a warning in the log; help names the replacement */
	bool non_empty;			  /* "" and [] are refused */
	const char *def;		  /* default, as HCL literal: "\"bash\"", "true", "5", "[\"a\"]" */
	const char *const *choices;	  /* STRING, STRING_LIST: NULL-terminated allowed values */
	int64_t min, max;		  /* INT, NUMBER, INT_MAP values; both 0: unbounded */
	uint32_t max_items;		  /* lists, maps, block lists; 0: the library's limit */
	const char *unit;		  /* for manuals: "bytes", "seconds" */
	const char *help;		  /* full sentences; required (a test checks it) */
	const char *example;		  /* HCL of the value, for the manual */
	const struct nomad_schema *block; /* BLOCK, BLOCK_LIST */
	/* Checks a STRING, each element of a STRING_LIST, or each value of a
	 * STRING_MAP.  Returns NULL if the value is valid, otherwise static text
	 * that names what is expected ("an absolute path"). */
	const char *(*check)(const char *value);
	/* Each row of a task's table has one of them, see above.  A BLOCK has neither; its own rows have. */
	const struct nomad_power *power;
	const char *harmless; /* why no job can do harm with it */
};

struct nomad_schema {
	const struct nomad_option *options;
	size_t count;
	size_t size; /* of the struct that is filled */
	/* Checks the combination of options, after all rows are valid.  Optional. */
	int (*check)(const void *config, struct nomad_error **err);
};

#define NOMAD_OPTION(T, field, kind, ...)                                                                              \
	{                                                                                                              \
		.name = #field, .type = NOMAD_##kind, .offset = offsetof(T, field), __VA_ARGS__                        \
	}
/* For a name that differs from the field's (aliases, C keywords). */
#define NOMAD_OPTION_AS(T, field, wire_name, kind, ...)                                                                \
	{                                                                                                              \
		.name = wire_name, .type = NOMAD_##kind, .offset = offsetof(T, field), __VA_ARGS__                     \
	}
#define NOMAD_SCHEMA(T, table, ...)                                                                                    \
	{                                                                                                              \
		.options = (table), .count = NOMAD_ARRAY_LEN(table), .size = sizeof(T), __VA_ARGS__                    \
	}

#ifdef __cplusplus
/* C++ supports the initializers of NOMAD_OPTION only since C++20, and only in the order of the struct.  For C++11:
 * pass statements that set the fields of the row `o`.  Such a table is built before main(). */
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
