/* SPDX-License-Identifier: MPL-2.0
 *
 * schema/everything.h: a table with every type and every kind of demand, for
 * the tests and the fuzzers. */
#ifndef NOMAD_SCHEMA_EVERYTHING_H
#define NOMAD_SCHEMA_EVERYTHING_H

#include "schema/schema.h"

struct leaf {
	char *name;
	int64_t port;
	char **flags;
	struct nomad_map labels;
};

struct branch {
	char *url;
	char *password;
	struct leaf *leaf;
	struct nomad_block_list leaves;
};

struct everything {
	char *text;
	char *mode;
	char *path;
	char *token;
	char *filled;
	int64_t count;
	int64_t bounded;
	int64_t least;
	int64_t most;
	double ratio;
	double half;
	bool flag;
	bool on;
	int maybe;
	char **words;
	char **names;
	char **some;
	struct nomad_map map;
	struct nomad_map env;
	struct nomad_int_map ports;
	struct branch *branch;
	struct nomad_block_list mounts;
	struct leaf *preset;
	char *both;
};

static const char *const everything_modes[] = { "yes", "state", "overlay", "no", NULL };

static const struct nomad_option leaf_options[] = {
	NOMAD_OPTION(struct leaf, name, STRING, .required = true, .non_empty = true, .help = "What it is called."),
	NOMAD_OPTION(struct leaf, port, INT, .def = "80", .min = 1, .max = 65535, .help = "Where it listens."),
	NOMAD_OPTION(struct leaf, flags, STRING_LIST, .def = "[\"x\"]", .help = "Flags."),
	NOMAD_OPTION(struct leaf, labels, STRING_MAP, .help = "Labels."),
};
static const struct nomad_schema leaf_schema = NOMAD_SCHEMA(struct leaf, leaf_options);

static const struct nomad_option branch_options[] = {
	NOMAD_OPTION(struct branch, url, STRING, .required = true, .help = "From where."),
	NOMAD_OPTION(struct branch, password, STRING, .required = true, .secret = true, .help = "Who may."),
	NOMAD_OPTION(struct branch, leaf, BLOCK, .block = &leaf_schema, .help = "One leaf."),
	NOMAD_OPTION(struct branch, leaves, BLOCK_LIST, .block = &leaf_schema, .help = "Leaves."),
};
static const struct nomad_schema branch_schema = NOMAD_SCHEMA(struct branch, branch_options);

static const struct nomad_option everything_options[] = {
	NOMAD_OPTION(struct everything, text, STRING, .help = "Any text."),
	NOMAD_OPTION(struct everything, mode, STRING, .choices = everything_modes, .def = "\"no\"",
		     .help = "How much of it is kept."),
	NOMAD_OPTION(struct everything, path, STRING, .check = nomad_check_absolute_path, .help = "A path."),
	NOMAD_OPTION(struct everything, token, STRING, .secret = true, .check = nomad_check_env_name,
		     .help = "A secret."),
	NOMAD_OPTION(struct everything, filled, STRING, .non_empty = true, .help = "Never empty."),
	NOMAD_OPTION(struct everything, count, INT, .help = "Any number."),
	NOMAD_OPTION(struct everything, bounded, INT, .min = 1, .max = 10, .unit = "seconds",
		     .help = "A small number."),
	NOMAD_OPTION(struct everything, least, INT, .min = 5, .max = INT64_MAX, .help = "A number from five on."),
	NOMAD_OPTION(struct everything, most, INT, .min = INT64_MIN, .max = 5, .help = "A number up to five."),
	NOMAD_OPTION(struct everything, ratio, NUMBER, .min = 0, .max = 2, .help = "A ratio."),
	NOMAD_OPTION(struct everything, half, NUMBER, .def = "0.1", .help = "A tenth, by its default."),
	NOMAD_OPTION(struct everything, flag, BOOL, .help = "A flag."),
	NOMAD_OPTION(struct everything, on, BOOL, .def = "true", .help = "A flag that is on."),
	NOMAD_OPTION(struct everything, maybe, TRISTATE, .help = "A flag that may be unset."),
	NOMAD_OPTION(struct everything, words, STRING_LIST, .max_items = 4, .def = "[\"a\", \"b\"]", .help = "Words."),
	NOMAD_OPTION(struct everything, names, STRING_LIST, .check = nomad_check_env_name, .help = "Names."),
	NOMAD_OPTION(struct everything, some, STRING_LIST, .non_empty = true, .choices = everything_modes,
		     .help = "Some modes."),
	NOMAD_OPTION(struct everything, map, STRING_MAP, .max_items = 4, .def = "{ a = \"b\", c = 1 }",
		     .help = "A map.", .example = "{ a = \"b\" }"),
	NOMAD_OPTION(struct everything, env, STRING_MAP, .secret = true, .help = "A secret map."),
	NOMAD_OPTION(struct everything, ports, INT_MAP, .min = 1, .max = 65535, .help = "Ports by name."),
	NOMAD_OPTION(struct everything, branch, BLOCK, .block = &branch_schema, .help = "A block."),
	NOMAD_OPTION_AS(struct everything, mounts, "mount", BLOCK_LIST, .block = &leaf_schema, .max_items = 3,
			.help = "Blocks."),
	NOMAD_OPTION(struct everything, preset, BLOCK, .block = &leaf_schema, .def = "{ name = \"preset\" }",
		     .help = "A block with a default."),
	NOMAD_OPTION(struct everything, both, STRING, .help = "It has an old name."),
	NOMAD_OPTION_AS(struct everything, both, "old", STRING, .deprecated = true, .help = "Use both instead."),
};
static const struct nomad_schema everything_schema = NOMAD_SCHEMA(struct everything, everything_options);

#endif
