/* SPDX-License-Identifier: MPL-2.0
 *
 * schema/schema.h: what is derived from option tables, for the rest of the
 * library.  wire/ turns the spec tree into protobuf. */
#ifndef NOMAD_SCHEMA_H
#define NOMAD_SCHEMA_H

#include <stdio.h>

#include "nomad/error.h"
#include "nomad/option.h"

struct nomad_abi;
struct nomad_driver;

/* Limits on what arrives, whatever a table says. */
enum {
	NOMAD__CONFIG_MAX_SIZE = 4 << 20, /* bytes of one msgpack config */
	NOMAD__CONFIG_MAX_DEPTH = 16,
	NOMAD__CONFIG_MAX_ITEMS = 65536, /* values in all */
	NOMAD__CONFIG_MAX_STRING = 1 << 20,
};

/* The hclspec, as a tree that wire/ encodes and a text form shows. */
enum nomad__spec_kind {
	NOMAD__SPEC_OBJECT,
	NOMAD__SPEC_ATTR,
	NOMAD__SPEC_BLOCK,
	NOMAD__SPEC_BLOCK_LIST,
	NOMAD__SPEC_BLOCK_ATTRS,
	NOMAD__SPEC_DEFAULT,
	NOMAD__SPEC_LITERAL,
};

struct nomad__spec {
	enum nomad__spec_kind kind;
	char *name; /* of attribute or block; also the key in an object */
	char *type; /* ATTR, BLOCK_ATTRS: type expression */
	bool required;
	char *literal;		       /* LITERAL: HCL expression */
	uint64_t min_items, max_items; /* BLOCK_LIST */
	struct nomad__spec **children; /* OBJECT: members; BLOCK*: [nested]; DEFAULT: [primary, default] */
	size_t n_children;
};

struct nomad__spec *nomad__spec_new(const struct nomad_schema *schema, struct nomad_error **err);
void nomad__spec_free(struct nomad__spec *spec);

/* Tables are checked once, at start: names, help, defaults that parse and
 * pass their own bounds, offsets within size.  A fault names the row. */
int nomad__schema_check(const struct nomad_schema *schema, struct nomad_error **err);

enum {
	NOMAD__DECODE_STORED = 1 << 0, /* own stored config: required secrets may be absent */
};

/* Decode msgpack (a map; size 0: an empty map) into a new zeroed struct of
 * schema->size bytes, *ret_config.  `what` begins each error ("task config").
 * Unknown keys, wrong types, values out of bounds: -EINVAL with an error that
 * names option, value (unless secret) and what is allowed. */
int nomad__config_decode(const struct nomad_schema *schema, const char *what, const void *msgpack, size_t size,
			 unsigned flags, void **ret_config, struct nomad_error **err);
/* Frees the struct and all in it; secrets are wiped. */
void nomad__config_free(const struct nomad_schema *schema, void *config);

/* ---- The policy block (policy.c, match.c) ---- */

/* A rule of the block.  Its field is at `offset` in the struct of the block and in that of a namespace in it. */
struct nomad__rule {
	const struct nomad_power *power; /* of the first row that names it */
	enum nomad_option_type type;
	size_t offset;
	char *options; /* "bind, overlay" */
	char *help;
};

struct nomad__policy_table {
	struct nomad_schema schema; /* of the block */
	struct nomad_schema in_namespace;
	struct nomad__rule *rules;
	size_t n_rules;
	struct nomad_option *rows;
};

/* How both structs begin; the fields of the rules follow. */
struct nomad__policy {
	char *mode;
	char *name;			    /* in a namespace */
	struct nomad_block_list namespaces; /* not in a namespace */
};

/* The block for the options of a task; *ret is NULL if none of them says what power it gives. */
int nomad__policy_table_new(const struct nomad_schema *task, struct nomad__policy_table **ret,
			    struct nomad_error **err);
void nomad__policy_table_free(struct nomad__policy_table *table);
const struct nomad__rule *nomad__policy_rule(const struct nomad__policy_table *table, const char *name);
/* The row of "bind" or "image_download.url", or NULL. */
const struct nomad_option *nomad__policy_option(const struct nomad_schema *task, const char *name);
/* The name, malloc()ed, of a row with neither .power nor .harmless; NULL if there is none. */
char *nomad__policy_undeclared(const struct nomad_schema *task);

/* Whether one of `entries` (may be NULL) allows `value`. */
bool nomad__power_matches(enum nomad_power_kind kind, const char *const *entries, const char *value);
bool nomad__power_is_path(enum nomad_power_kind kind);
/* Whether `path` is `above` or below it. */
bool nomad__path_is_below(const char *path, const char *above);
/* The paths or words in the value of a row, as a strv; numbers and booleans as text.  NULL: out of memory. */
char **nomad__power_values(const struct nomad_option *option, const void *config);

/* The same msgpack without the values of secret options, malloc()ed. */
int nomad__config_redact(const struct nomad_schema *schema, const void *msgpack, size_t size, void **ret_data,
			 size_t *ret_size, struct nomad_error **err);

/* JSON of a job's config map -> the msgpack that Nomad would send, for
 * `validate` and `run`: block lists unwrapped, defaults applied, unknown
 * options named.  `json` is a json_t object (jansson). */
struct json_t;
int nomad__config_from_json(const struct nomad_schema *schema, const char *what, const struct json_t *json,
			    void **ret_msgpack, size_t *ret_size, struct nomad_error **err);

/* Appends all mistakes in a job's config map to the strv *mistakes: those of single options, or if there are none the
 * first one between options.  -ENOMEM at worst. */
int nomad__config_mistakes(const struct nomad_schema *schema, const char *what, const struct json_t *json,
			   char ***mistakes);

/* `DRIVER schema`: for people, as JSON Schema (draft 2020-12), as POD for the manual. */
int nomad__schema_print_text(const struct nomad_schema *schema, const char *title, FILE *out);
int nomad__schema_print_json(const struct nomad_schema *schema, const char *title, FILE *out);
int nomad__schema_print_pod(const struct nomad_schema *schema, FILE *out);

/* The driver with its tables, each struct as long as this library's; the driver itself if it is so already.  Made for
 * the life of the process.  NULL: out of memory, or blocks in blocks without end. */
const struct nomad_driver *nomad__driver_fit(const struct nomad_driver *driver, const struct nomad_abi *abi,
					     struct nomad_error **err);

#endif
