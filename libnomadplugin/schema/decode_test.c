/* SPDX-License-Identifier: MPL-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "schema/everything.h"

struct bytes {
	const char *data;
	size_t size;
};
#define BYTES(literal)                                                                                                 \
	{                                                                                                              \
		literal, sizeof(literal) - 1                                                                           \
	}

static struct everything *decoded(const char *data, size_t size, unsigned flags)
{
	struct nomad_error *err = NULL;
	void *config = NULL;
	int r = nomad__config_decode(&everything_schema, "task config", data, size, flags, &config, &err);

	if (r < 0)
		fail_msg("%s", nomad_error_message(err));
	assert_null(err);
	return config;
}
#define DECODED(literal) decoded(literal, sizeof(literal) - 1, 0)

static void refused(const char *data, size_t size, const char *expected)
{
	struct nomad_error *err = NULL;
	void *config = (void *)&err;
	int r = nomad__config_decode(&everything_schema, "task config", data, size, 0, &config, &err);

	if (r >= 0)
		fail_msg("accepted instead of: %s", expected);
	assert_int_equal(r, -EINVAL);
	assert_ptr_equal(config, (void *)&err); /* untouched */
	assert_string_equal(nomad_error_message(err), expected);
	nomad_error_free(err);
	/* and without interest in why */
	assert_int_equal(nomad__config_decode(&everything_schema, "x", data, size, 0, &config, NULL), -EINVAL);
}
#define REFUSED(literal, expected) refused(literal, sizeof(literal) - 1, expected)

static void done(struct everything *config)
{
	nomad__config_free(&everything_schema, config);
}

static void absent_values_and_defaults(struct everything *c)
{
	assert_null(c->text);
	assert_string_equal(c->mode, "no");
	assert_null(c->token);
	assert_true(c->count == NOMAD_INT_UNSET);
	assert_true(isnan(c->ratio));
	assert_true(c->half == 0.1);
	assert_false(c->flag);
	assert_true(c->on);
	assert_int_equal(c->maybe, -1);
	assert_int_equal(nomad_strv_count((const char *const *)c->words), 2);
	assert_string_equal(c->words[1], "b");
	assert_null(c->names);
	assert_int_equal(c->map.count, 2);
	assert_string_equal(nomad_map_get(&c->map, "c"), "1");
	assert_int_equal(c->env.count, 0);
	assert_int_equal(c->ports.count, 0);
	assert_null(c->branch);
	assert_int_equal(c->mounts.count, 0);
	assert_string_equal(c->preset->name, "preset");
	assert_int_equal(c->preset->port, 80);
	assert_string_equal(c->preset->flags[0], "x");
	assert_null(c->both);
	done(c);
}

static void nothing_gives_the_defaults(void **state)
{
	static const char nil[] = "\xde\x00\x19"
				  "\xa4"
				  "text\xc0"
				  "\xa4"
				  "mode\xc0"
				  "\xa4"
				  "path\xc0"
				  "\xa5"
				  "token\xc0"
				  "\xa6"
				  "filled\xc0"
				  "\xa5"
				  "count\xc0"
				  "\xa7"
				  "bounded\xc0"
				  "\xa5"
				  "least\xc0"
				  "\xa4"
				  "most\xc0"
				  "\xa5"
				  "ratio\xc0"
				  "\xa4"
				  "half\xc0"
				  "\xa4"
				  "flag\xc0"
				  "\xa2"
				  "on\xc0"
				  "\xa5"
				  "maybe\xc0"
				  "\xa5"
				  "words\xc0"
				  "\xa5"
				  "names\xc0"
				  "\xa4"
				  "some\xc0"
				  "\xa3"
				  "map\xc0"
				  "\xa3"
				  "env\xc0"
				  "\xa5"
				  "ports\xc0"
				  "\xa6"
				  "branch\xc0"
				  "\xa5"
				  "mount\xc0"
				  "\xa6"
				  "preset\xc0"
				  "\xa4"
				  "both\xc0"
				  "\xa3"
				  "old\xc0";

	(void)state;
	absent_values_and_defaults(DECODED(""));
	absent_values_and_defaults(DECODED("\x80"));
	absent_values_and_defaults(DECODED("\xc0"));
	absent_values_and_defaults(DECODED("\xdf\0\0\0\0"));
	absent_values_and_defaults(DECODED(nil));
	nomad__config_free(&everything_schema, NULL);
}

static void strings(void **state)
{
	static const struct {
		struct bytes bytes;
		const char *text;
	} rows[] = {
		{ BYTES("\x81\xa4"
			"text\xa0"),
		  "" },
		{ BYTES("\x81\xa4"
			"text\xa3"
			"abc"),
		  "abc" },
		{ BYTES("\x81\xa4"
			"text\xd9\x03"
			"abc"),
		  "abc" },
		{ BYTES("\x81\xa4"
			"text\xda\0\x03"
			"abc"),
		  "abc" },
		{ BYTES("\x81\xa4"
			"text\xdb\0\0\0\x03"
			"abc"),
		  "abc" },
		{ BYTES("\x81\xd9\x04"
			"text\xa3"
			"abc"),
		  "abc" },
		{ BYTES("\x81\xa4"
			"text\xa4"
			"\xf0\x9f\x98\x80"),
		  "\xf0\x9f\x98\x80" },
		{ BYTES("\x81\xa4"
			"text\xc3"),
		  "true" },
		{ BYTES("\x81\xa4"
			"text\xc2"),
		  "false" },
		{ BYTES("\x81\xa4"
			"text\x05"),
		  "5" },
		{ BYTES("\x81\xa4"
			"text\xff"),
		  "-1" },
		{ BYTES("\x81\xa4"
			"text\xcf\xff\xff\xff\xff\xff\xff\xff\xff"),
		  "18446744073709551615" },
		{ BYTES("\x81\xa4"
			"text\xd3\x80\0\0\0\0\0\0\0"),
		  "-9223372036854775808" },
		{ BYTES("\x81\xa4"
			"text\xcb\x3f\xf8\0\0\0\0\0\0"),
		  "1.5" },
		{ BYTES("\x81\xa4"
			"text\xca\x3f\xc0\0\0"),
		  "1.5" },
		{ BYTES("\x81\xa4"
			"text\xcb\x40\0\0\0\0\0\0\0"),
		  "2" },
	};

	(void)state;
	for (size_t i = 0; i < NOMAD_ARRAY_LEN(rows); i++) {
		struct everything *c = decoded(rows[i].bytes.data, rows[i].bytes.size, 0);

		assert_string_equal(c->text, rows[i].text);
		done(c);
	}
}

static void whole_numbers(void **state)
{
	static const struct {
		struct bytes bytes;
		int64_t value;
	} rows[] = {
		{ BYTES("\x81\xa5"
			"count\x00"),
		  0 },
		{ BYTES("\x81\xa5"
			"count\x7f"),
		  127 },
		{ BYTES("\x81\xa5"
			"count\xe0"),
		  -32 },
		{ BYTES("\x81\xa5"
			"count\xcc\xff"),
		  255 },
		{ BYTES("\x81\xa5"
			"count\xcd\x01\x2c"),
		  300 },
		{ BYTES("\x81\xa5"
			"count\xce\xff\xff\xff\xff"),
		  4294967295 },
		{ BYTES("\x81\xa5"
			"count\xcf\x7f\xff\xff\xff\xff\xff\xff\xff"),
		  INT64_MAX },
		{ BYTES("\x81\xa5"
			"count\xd0\x80"),
		  -128 },
		{ BYTES("\x81\xa5"
			"count\xd1\x80\x00"),
		  -32768 },
		{ BYTES("\x81\xa5"
			"count\xd2\x80\x00\x00\x00"),
		  INT32_MIN },
		{ BYTES("\x81\xa5"
			"count\xd3\x80\x00\x00\x00\x00\x00\x00\x01"),
		  INT64_MIN + 1 },
		{ BYTES("\x81\xa5"
			"count\xd0\x05"),
		  5 },
		{ BYTES("\x81\xa5"
			"count\xcb\x40\x14\0\0\0\0\0\0"),
		  5 },
		{ BYTES("\x81\xa5"
			"count\xcb\xc0\x14\0\0\0\0\0\0"),
		  -5 },
		{ BYTES("\x81\xa5"
			"count\xcb\x80\0\0\0\0\0\0\0"),
		  0 },
		{ BYTES("\x81\xa5"
			"count\xca\x40\xa0\0\0"),
		  5 },
		{ BYTES("\x81\xa5"
			"count\xa4"
			"8080"),
		  8080 },
		{ BYTES("\x81\xa5"
			"count\xa2"
			"-5"),
		  -5 },
		{ BYTES("\x81\xa5"
			"count\xa3"
			"5.0"),
		  5 },
		{ BYTES("\x81\xa5"
			"count\xa3"
			"1e3"),
		  1000 },
		{ BYTES("\x81\xa5"
			"count\xb3"
			"9223372036854775807"),
		  INT64_MAX },
	};

	(void)state;
	for (size_t i = 0; i < NOMAD_ARRAY_LEN(rows); i++) {
		struct everything *c = decoded(rows[i].bytes.data, rows[i].bytes.size, 0);

		if (c->count != rows[i].value)
			fail_msg("row %zu: %" PRId64 " is not %" PRId64, i, c->count, rows[i].value);
		done(c);
	}
}

static void numbers(void **state)
{
	static const struct {
		struct bytes bytes;
		double value;
	} rows[] = {
		{ BYTES("\x81\xa4"
			"half\x05"),
		  5 },
		{ BYTES("\x81\xa4"
			"half\xff"),
		  -1 },
		{ BYTES("\x81\xa4"
			"half\xcf\xff\xff\xff\xff\xff\xff\xff\xff"),
		  18446744073709551615.0 },
		{ BYTES("\x81\xa4"
			"half\xcb\x3f\xf8\0\0\0\0\0\0"),
		  1.5 },
		{ BYTES("\x81\xa4"
			"half\xca\x3f\xc0\0\0"),
		  1.5 },
		{ BYTES("\x81\xa4"
			"half\xa3"
			"0.1"),
		  0.1 },
		{ BYTES("\x81\xa4"
			"half\xbf"
			"1000000000000000000000000000000"),
		  1e30 },
		{ BYTES("\x81\xa4"
			"half\xab"
			"-0.00000015"),
		  -1.5e-7 },
	};

	(void)state;
	for (size_t i = 0; i < NOMAD_ARRAY_LEN(rows); i++) {
		struct everything *c = decoded(rows[i].bytes.data, rows[i].bytes.size, 0);

		if (c->half != rows[i].value)
			fail_msg("row %zu: %g is not %g", i, c->half, rows[i].value);
		done(c);
	}
}

static void booleans(void **state)
{
	struct everything *c;

	(void)state;
	c = DECODED("\x83\xa4"
		    "flag\xc3\xa2"
		    "on\xc2\xa5"
		    "maybe\xc2");
	assert_true(c->flag);
	assert_false(c->on);
	assert_int_equal(c->maybe, 0);
	done(c);
	c = DECODED("\x83\xa4"
		    "flag\xa4"
		    "true\xa2"
		    "on\xa5"
		    "false\xa5"
		    "maybe\xa1"
		    "1");
	assert_true(c->flag);
	assert_false(c->on);
	assert_int_equal(c->maybe, 1);
	done(c);
}

static void lists(void **state)
{
	struct everything *c;

	(void)state;
	c = DECODED("\x81\xa5"
		    "words\x90");
	assert_non_null(c->words); /* given, and empty: no default */
	assert_null(c->words[0]);
	done(c);
	c = DECODED("\x81\xa5"
		    "words\x93\xa1"
		    "x\x05\xc3");
	assert_int_equal(nomad_strv_count((const char *const *)c->words), 3);
	assert_string_equal(c->words[0], "x");
	assert_string_equal(c->words[1], "5");
	assert_string_equal(c->words[2], "true");
	done(c);
	c = DECODED("\x81\xa5"
		    "words\xdc\0\x01\xa0");
	assert_string_equal(c->words[0], "");
	done(c);
	c = DECODED("\x81\xa5"
		    "words\xdd\0\0\0\x01\xa0");
	assert_null(c->words[1]);
	done(c);
}

static void maps_in_each_form(void **state)
{
	/* a block; two blocks; a bare map; with a null; each kind of value; empty ones */
	static const struct {
		struct bytes bytes;
		size_t count;
		const char *a, *c;
	} rows[] = {
		{ BYTES("\x81\xa3"
			"map\x91\x81\xa1"
			"a\xa1"
			"b"),
		  1, "b", NULL },
		{ BYTES("\x81\xa3"
			"map\x92\x81\xa1"
			"a\xa1"
			"b\x81\xa1"
			"c\xa1"
			"d"),
		  2, "b", "d" },
		{ BYTES("\x81\xa3"
			"map\x92\x81\xa1"
			"a\xa1"
			"b\x81\xa1"
			"a\xa1"
			"z"),
		  1, "z", NULL },
		{ BYTES("\x81\xa3"
			"map\x81\xa1"
			"a\xa1"
			"b"),
		  1, "b", NULL },
		{ BYTES("\x81\xa3"
			"map\xde\0\x01\xa1"
			"a\xa1"
			"b"),
		  1, "b", NULL },
		{ BYTES("\x81\xa3"
			"map\x92\x81\xa1"
			"a\xa1"
			"b\x81\xa1"
			"a\xc0"),
		  1, "b", NULL },
		{ BYTES("\x81\xa3"
			"map\x92\xc0\x81\xa1"
			"a\xa1"
			"b"),
		  1, "b", NULL },
		{ BYTES("\x81\xa3"
			"map\x91\x82\xa1"
			"a\x05\xa1"
			"c\xc3"),
		  2, "5", "true" },
		{ BYTES("\x81\xa3"
			"map\x91\x82\xa1"
			"a\xcb\x3f\xe0\0\0\0\0\0\0\xa1"
			"c\xa3"
			"0.1"),
		  2, "0.5", "0.1" },
		{ BYTES("\x81\xa3"
			"map\x90"),
		  0, NULL, NULL },
		{ BYTES("\x81\xa3"
			"map\x80"),
		  0, NULL, NULL },
		{ BYTES("\x81\xa3"
			"map\x91\x80"),
		  0, NULL, NULL },
		{ BYTES("\x81\xa3"
			"map\x81\xa0\xa0"),
		  1, NULL, NULL },
	};
	struct everything *c;
	int64_t port;

	(void)state;
	for (size_t i = 0; i < NOMAD_ARRAY_LEN(rows); i++) {
		c = decoded(rows[i].bytes.data, rows[i].bytes.size, 0);
		if (c->map.count != rows[i].count)
			fail_msg("row %zu: %zu entries", i, c->map.count);
		if (rows[i].a)
			assert_string_equal(nomad_map_get(&c->map, "a"), rows[i].a);
		if (rows[i].c)
			assert_string_equal(nomad_map_get(&c->map, "c"), rows[i].c);
		done(c);
	}
	c = DECODED("\x81\xa5"
		    "ports\x92\x81\xa4"
		    "http\x50\x82\xa3"
		    "ssh\xa2"
		    "22\xa4"
		    "http\xcd\x1f\x90");
	assert_int_equal(c->ports.count, 2);
	assert_true(nomad_int_map_get(&c->ports, "ssh", &port));
	assert_int_equal(port, 22);
	assert_true(nomad_int_map_get(&c->ports, "http", &port));
	assert_int_equal(port, 8080);
	done(c);
	c = DECODED("\x81\xa3"
		    "env\x92\x81\xa1"
		    "a\xa1"
		    "b\x81\xa1"
		    "a\xa1"
		    "c");
	assert_string_equal(nomad_map_get(&c->env, "a"), "c");
	done(c);
}

static void blocks(void **state)
{
	static const char tree[] = "\x82"
				   "\xa6"
				   "branch\x84"
				   "\xa3"
				   "url\xa1"
				   "u"
				   "\xa8"
				   "password\xa1"
				   "p"
				   "\xa4"
				   "leaf\x81\xa4"
				   "name\xa1"
				   "n"
				   "\xa6"
				   "leaves\x92"
				   "\x82\xa4"
				   "name\xa2"
				   "l0\xa4"
				   "port\x09"
				   "\x82\xa4"
				   "name\xa2"
				   "l1\xa6"
				   "labels\x91\x81\xa1"
				   "k\xa1"
				   "v"
				   "\xa5"
				   "mount\x91\x81\xa4"
				   "name\xa1"
				   "m";
	struct everything *c;
	const struct leaf *leaves;

	(void)state;
	c = DECODED(tree);
	assert_string_equal(c->branch->url, "u");
	assert_string_equal(c->branch->password, "p");
	assert_string_equal(c->branch->leaf->name, "n");
	assert_int_equal(c->branch->leaf->port, 80);
	assert_int_equal(c->branch->leaves.count, 2);
	leaves = c->branch->leaves.items;
	assert_string_equal(leaves[0].name, "l0");
	assert_int_equal(leaves[0].port, 9);
	assert_string_equal(leaves[0].flags[0], "x");
	assert_string_equal(nomad_map_get(&leaves[1].labels, "k"), "v");
	assert_int_equal(c->mounts.count, 1);
	assert_string_equal(((struct leaf *)c->mounts.items)->name, "m");
	done(c);
	/* the forms of a block */
	c = DECODED("\x82\xa6"
		    "preset\x91\x81\xa4"
		    "name\xa1"
		    "q\xa5"
		    "mount\x81\xa4"
		    "name\xa1"
		    "m");
	assert_string_equal(c->preset->name, "q");
	assert_int_equal(c->mounts.count, 1);
	done(c);
	c = DECODED("\x81\xa5"
		    "mount\x90");
	assert_int_equal(c->mounts.count, 0);
	done(c);
}

static void a_required_block_list_has_a_block(void **state)
{
	static const struct nomad_option options[] = {
		NOMAD_OPTION_AS(struct everything, mounts, "mount", BLOCK_LIST, .block = &leaf_schema, .required = true,
				.help = "Blocks."),
	};
	static const struct nomad_schema schema = NOMAD_SCHEMA(struct everything, options);
	static const struct bytes none[] = { BYTES("\x81\xa5mount\x90"), BYTES("\x81\xa5mount\xc0"), BYTES("\x80") };
	struct nomad_error *err = NULL;
	void *config = NULL;

	(void)state;
	for (size_t i = 0; i < NOMAD_ARRAY_LEN(none); i++) {
		assert_int_equal(
			nomad__config_decode(&schema, "task config", none[i].data, none[i].size, 0, &config, &err),
			-EINVAL);
		assert_string_equal(nomad_error_message(err), "task config: option 'mount' is missing");
		nomad_error_free(err);
		err = NULL;
	}
}

/* What the decoder logs; the caller frees it. */
static char *logged(const char *data, size_t size, unsigned flags)
{
	int kept = dup(STDERR_FILENO);
	FILE *file = tmpfile();
	char *text = calloc(1, 4096);

	assert_non_null(file);
	dup2(fileno(file), STDERR_FILENO);
	done(decoded(data, size, flags));
	dup2(kept, STDERR_FILENO);
	close(kept);
	assert_true(pread(fileno(file), text, 4095, 0) >= 0);
	fclose(file);
	return text;
}

static void a_deprecated_option_that_is_given_is_warned_of(void **state)
{
	static const struct bytes old = BYTES("\x81\xa3old\xa1x"), both = BYTES("\x81\xa4\142oth\xa1x");
	char *text = logged(old.data, old.size, 0);

	(void)state;
	assert_string_equal(text, "warn: task config: option 'old' is deprecated: Use both instead.\n");
	free(text);
	text = logged(old.data, old.size, NOMAD__DECODE_STORED);
	assert_string_equal(text, "");
	free(text);
	text = logged(both.data, both.size, 0);
	assert_string_equal(text, "");
	free(text);
}

static void names_for_one_field(void **state)
{
	struct everything *c;

	(void)state;
	c = DECODED("\x81\xa4"
		    "both\xa1"
		    "x");
	assert_string_equal(c->both, "x");
	done(c);
	c = DECODED("\x82\xa3"
		    "old\xa1"
		    "y\xa4"
		    "both\xc0");
	assert_string_equal(c->both, "y");
	done(c);
	REFUSED("\x82\xa3"
		"old\xa1"
		"y\xa4"
		"both\xa1"
		"x",
		"task config: option 'both': it is the same as 'old': give one of them");
}

static void stored_configs_lack_secrets(void **state)
{
	static const char bare[] = "\x81\xa6"
				   "branch\x81\xa3"
				   "url\xa1"
				   "u";
	struct everything *c;

	(void)state;
	REFUSED(bare, "task config: option 'branch.password' is missing");
	c = decoded(bare, sizeof(bare) - 1, NOMAD__DECODE_STORED);
	assert_null(c->branch->password);
	done(c);
}

#define TEN "0123456789"
#define EIGHTY TEN TEN TEN TEN TEN TEN TEN TEN

static void errors_say_what_is_wrong(void **state)
{
	static const struct {
		struct bytes bytes;
		const char *message;
	} rows[] = {
		{ BYTES("\x81\xa6"
			"comand\xc0"),
		  "unknown option 'comand'" },
		{ BYTES("\x81\xa5"
			"ocunt\xc0"),
		  "unknown option 'ocunt' (did you mean 'count'?)" },
		{ BYTES("\x81\xa4"
			"prts\xc0"),
		  "unknown option 'prts' (did you mean 'ports'?)" },
		{ BYTES("\x81\xa4"
			"pord\xc0"),
		  "unknown option 'pord'" },
		{ BYTES("\x81\xa3"
			"odl\xc0"),
		  "unknown option 'odl'" }, /* nobody is sent to a deprecated name */
		{ BYTES("\x81\xa0\xc0"), "unknown option ''" },
		{ BYTES("\x81\xa3"
			"a\nb\xc0"),
		  "unknown option 'a\\nb'" },
		{ BYTES("\x81\xa6"
			"preset\x82\xa4"
			"name\xa1"
			"n\xa4"
			"prot\x05"),
		  "unknown option 'preset.prot' (did you mean 'port'?)" },
		{ BYTES("\x81\xa5"
			"mount\x92\x81\xa4"
			"name\xa1"
			"n\x80"),
		  "option 'mount[1].name' is missing" },
		{ BYTES("\x81\xa6"
			"branch\x80"),
		  "option 'branch.url' is missing" },
		{ BYTES("\x81\xa6"
			"preset\x81\xa4"
			"name\xa0"),
		  "option 'preset.name': it must not be empty" },
		{ BYTES("\x81\xa6"
			"preset\x92\x80\x80"),
		  "option 'preset': it is given more than once" },
		{ BYTES("\x81\xa6"
			"preset\x05"),
		  "option 'preset': '5' is not a block" },
		{ BYTES("\x81\xa5"
			"mount\xa1"
			"x"),
		  "option 'mount': 'x' is not a block" },
		{ BYTES("\x81\xa5"
			"mount\x91\xc0"),
		  "option 'mount[0]': null is not a block" },
		{ BYTES("\x81\xa5"
			"mount\x94\x80\x80\x80\x80"),
		  "option 'mount': 4 entries are too many, the limit is 3" },
		{ BYTES("\x81\xa4"
			"text\x90"),
		  "option 'text': a list is not a string" },
		{ BYTES("\x81\xa4"
			"text\x80"),
		  "option 'text': a block is not a string" },
		{ BYTES("\x81\xa4"
			"text\xc4\x01x"),
		  "option 'text': binary data is not a string" },
		{ BYTES("\x81\xa4"
			"text\xd4\0\0"),
		  "option 'text': the value was not known when the task was started" },
		{ BYTES("\x81\xa4"
			"text\xc7\x02\x0c"
			"ab"),
		  "option 'text': the value was not known when the task was started" },
		{ BYTES("\x81\xa4"
			"mode\xa9"
			"sometimes"),
		  "option 'mode': 'sometimes' is not one of yes, state, overlay, no" },
		{ BYTES("\x81\xa4"
			"path\xa3"
			"a/b"),
		  "option 'path': 'a/b' is not an absolute path" },
		{ BYTES("\x81\xa6"
			"filled\xa0"),
		  "option 'filled': it must not be empty" },
		{ BYTES("\x81\xa5"
			"token\xa3"
			"a b"),
		  "option 'token': the value is not a name of an environment variable" },
		{ BYTES("\x81\xa5"
			"token\x90"),
		  "option 'token': the value is not a string" },
		{ BYTES("\x81\xa5"
			"count\xa1"
			"x"),
		  "option 'count': 'x' is not a whole number" },
		{ BYTES("\x81\xa5"
			"count\xa0"),
		  "option 'count': '' is not a whole number" },
		{ BYTES("\x81\xa5"
			"count\xa2"
			" 5"),
		  "option 'count': ' 5' is not a whole number" },
		{ BYTES("\x81\xa5"
			"count\xa3"
			"0x5"),
		  "option 'count': '0x5' is not a whole number" },
		{ BYTES("\x81\xa5"
			"count\xa3"
			"0.1"),
		  "option 'count': '0.1' is not a whole number" },
		{ BYTES("\x81\xa5"
			"count\xcb\x3f\xf8\0\0\0\0\0\0"),
		  "option 'count': '1.5' is not a whole number" },
		{ BYTES("\x81\xa5"
			"count\xcb\x7f\xf0\0\0\0\0\0\0"),
		  "option 'count': 'inf' is not a whole number" },
		{ BYTES("\x81\xa5"
			"count\xcb\x7f\xf8\0\0\0\0\0\0"),
		  "option 'count': 'nan' is not a whole number" },
		{ BYTES("\x81\xa5"
			"count\xc3"),
		  "option 'count': 'true' is not a whole number" },
		{ BYTES("\x81\xa5"
			"count\xcf\xff\xff\xff\xff\xff\xff\xff\xff"),
		  "option 'count': '18446744073709551615' is out of range" },
		{ BYTES("\x81\xa5"
			"count\xcb\x43\xe0\0\0\0\0\0\0"),
		  "option 'count': '9223372036854775808' is out of range" },
		{ BYTES("\x81\xa5"
			"count\xd3\x80\0\0\0\0\0\0\0"),
		  "option 'count': '-9223372036854775808' is out of range" },
		{ BYTES("\x81\xa5"
			"count\xa4"
			"1e30"),
		  "option 'count': '1e30' is out of range" },
		{ BYTES("\x81\xa7"
			"bounded\x00"),
		  "option 'bounded': '0' is not between 1 and 10 seconds" },
		{ BYTES("\x81\xa7"
			"bounded\x0b"),
		  "option 'bounded': '11' is not between 1 and 10 seconds" },
		{ BYTES("\x81\xa7"
			"bounded\xcf\xff\xff\xff\xff\xff\xff\xff\xff"),
		  "option 'bounded': '18446744073709551615' is not between 1 and 10 seconds" },
		{ BYTES("\x81\xa5"
			"least\x04"),
		  "option 'least': '4' is less than 5" },
		{ BYTES("\x81\xa4"
			"most\x06"),
		  "option 'most': '6' is more than 5" },
		{ BYTES("\x81\xa5"
			"ratio\xcb\x40\x04\0\0\0\0\0\0"),
		  "option 'ratio': '2.5' is not between 0 and 2" },
		{ BYTES("\x81\xa5"
			"ratio\x03"),
		  "option 'ratio': '3' is not between 0 and 2" },
		{ BYTES("\x81\xa5"
			"ratio\xa4"
			"-0.1"),
		  "option 'ratio': '-0.1' is not between 0 and 2" },
		{ BYTES("\x81\xa5"
			"ratio\xa3"
			"abc"),
		  "option 'ratio': 'abc' is not a number" },
		{ BYTES("\x81\xa5"
			"ratio\xcb\x7f\xf8\0\0\0\0\0\0"),
		  "option 'ratio': 'nan' is not a number" },
		{ BYTES("\x81\xa4"
			"flag\xa3"
			"yes"),
		  "option 'flag': 'yes' is not true or false" },
		{ BYTES("\x81\xa4"
			"flag\x01"),
		  "option 'flag': '1' is not true or false" },
		{ BYTES("\x81\xa5"
			"maybe\xa4"
			"True"),
		  "option 'maybe': 'True' is not true or false" },
		{ BYTES("\x81\xa5"
			"words\xa1"
			"x"),
		  "option 'words': 'x' is not a list of strings" },
		{ BYTES("\x81\xa5"
			"words\x92\xa1"
			"x\xc0"),
		  "option 'words[1]': null is not a string" },
		{ BYTES("\x81\xa5"
			"words\x91\x90"),
		  "option 'words[0]': a list is not a string" },
		{ BYTES("\x81\xa5"
			"words\x95\xa0\xa0\xa0\xa0\xa0"),
		  "option 'words': 5 entries are too many, the limit is 4" },
		{ BYTES("\x81\xa5"
			"names\x92\xa1"
			"a\xa1"
			"="),
		  "option 'names[1]': '=' is not a name of an environment variable" },
		{ BYTES("\x81\xa4"
			"some\x90"),
		  "option 'some': it must not be empty" },
		{ BYTES("\x81\xa4"
			"some\x91\xa1"
			"x"),
		  "option 'some[0]': 'x' is not one of yes, state, overlay, no" },
		{ BYTES("\x81\xa3"
			"map\xa1"
			"x"),
		  "option 'map': 'x' is not a map of strings" },
		{ BYTES("\x81\xa3"
			"map\x91\x05"),
		  "option 'map': '5' is not a map of strings" },
		{ BYTES("\x81\xa3"
			"map\x91\x81\xa1"
			"a\x91\x01"),
		  "option 'map.a': a list is not a string" },
		{ BYTES("\x81\xa3"
			"map\x81\xa1"
			"a\x80"),
		  "option 'map.a': a block is not a string" },
		{ BYTES("\x81\xa3"
			"map\x85\xa1"
			"a\x00\xa1"
			"b\x00\xa1"
			"c\x00\xa1"
			"d\x00\xa1"
			"e\x00"),
		  "option 'map': 5 entries are too many, the limit is 4" },
		{ BYTES("\x81\xa3"
			"env\x81\xa1"
			"a\x80"),
		  "option 'env.a': the value is not a string" },
		{ BYTES("\x81\xa5"
			"ports\x81\xa1"
			"a\x00"),
		  "option 'ports.a': '0' is not between 1 and 65535" },
		{ BYTES("\x81\xa5"
			"ports\x81\xa1"
			"a\xa1"
			"x"),
		  "option 'ports.a': 'x' is not a whole number" },
		{ BYTES("\x81\xa5"
			"ports\x05"),
		  "option 'ports': '5' is not a map of whole numbers" },
		{ BYTES("\x81\xa5"
			"count\xa7"
			"a\nb\t\x1b\x7f"
			"c"),
		  "option 'count': 'a\\nb\\t\\u001b\\u007fc' is not a whole number" },
		{ BYTES("\x81\xa5"
			"count\xa5"
			"\xe2\x80\xae"
			"ab"),
		  "option 'count': '\\u202eab' is not a whole number" },
		{ BYTES("\x81\xa5"
			"count\xd9\x51" EIGHTY "x"),
		  "option 'count': '" EIGHTY "...' is not a whole number" },
		{ BYTES("\x82\xa4"
			"text\xa1"
			"a\xa4"
			"text\xa1"
			"b"),
		  "key 'text' is given twice in the same block" },
		{ BYTES("\x93\x01\x02\x03"), "it is not a map of options" },
		{ BYTES("\xa1x"), "it is not a map of options" },
	};

	(void)state;
	for (size_t i = 0; i < NOMAD_ARRAY_LEN(rows); i++) {
		char *message;

		message = nomad_strdupf("task config: %s", rows[i].message);
		refused(rows[i].bytes.data, rows[i].bytes.size, message);
		free(message);
	}
}

/* ---- The worked example of the protocol notes ---- */

struct pair {
	char *src;
	int rw;
};
static const struct nomad_option pair_options[] = {
	NOMAD_OPTION(struct pair, src, STRING, .help = "Source."),
	NOMAD_OPTION(struct pair, rw, TRISTATE, .help = "Writable."),
};
static const struct nomad_schema pair_schema = NOMAD_SCHEMA(struct pair, pair_options);

struct worked {
	char *image;
	char **args;
	int64_t pids;
	double memswap, ratio;
	bool ro;
	struct nomad_map labels, opts, net;
	struct nomad_block_list mount, vols;
	struct pair *init;
};
static const struct nomad_option worked_options[] = {
	NOMAD_OPTION(struct worked, image, STRING, .required = true, .help = "Image."),
	NOMAD_OPTION(struct worked, args, STRING_LIST, .help = "Arguments."),
	NOMAD_OPTION(struct worked, pids, INT, .help = "Pids."),
	NOMAD_OPTION(struct worked, memswap, NUMBER, .help = "Swap."),
	NOMAD_OPTION(struct worked, ratio, NUMBER, .help = "Ratio."),
	NOMAD_OPTION(struct worked, ro, BOOL, .def = "false", .help = "Read-only."),
	NOMAD_OPTION(struct worked, labels, STRING_MAP, .help = "Labels."),
	NOMAD_OPTION(struct worked, opts, STRING_MAP, .help = "Options."),
	NOMAD_OPTION(struct worked, mount, BLOCK_LIST, .block = &pair_schema, .help = "Mounts."),
	NOMAD_OPTION(struct worked, init, BLOCK, .block = &pair_schema, .help = "Init."),
	NOMAD_OPTION(struct worked, vols, BLOCK_LIST, .block = &pair_schema, .help = "Volumes."),
	NOMAD_OPTION(struct worked, net, STRING_MAP, .help = "Networks."),
};
static const struct nomad_schema worked_schema = NOMAD_SCHEMA(struct worked, worked_options);

static void worked_example(void **state)
{
	static const char bytes[] = "\x8c"
				    "\xa4\x61\x72\x67\x73\x92\xa2\x2d\x63\xa2\x69\x64"
				    "\xa5\x69\x6d\x61\x67\x65\xa8\x61\x6c\x70\x69\x6e\x65\x3a\x33"
				    "\xa4\x69\x6e\x69\x74\xc0"
				    "\xa6\x6c\x61\x62\x65\x6c\x73\x92\x81\xa1\x61\xa1\x62\x81\xa1\x63\xa1\x64"
				    "\xa7\x6d\x65\x6d\x73\x77\x61\x70\xcb\x3f\xf8\x00\x00\x00\x00\x00\x00"
				    "\xa5\x6d\x6f\x75\x6e\x74\x91\x82\xa2\x72\x77\xc0\xa3\x73\x72\x63\xa2\x2f\x73"
				    "\xa3\x6e\x65\x74\x80"
				    "\xa4\x6f\x70\x74\x73\x81\xa1\x6b\xa1\x76"
				    "\xa4\x70\x69\x64\x73\xcd\x01\x2c"
				    "\xa5\x72\x61\x74\x69\x6f\xa3\x30\x2e\x31"
				    "\xa2\x72\x6f\xc2"
				    "\xa4\x76\x6f\x6c\x73\x90";
	struct nomad_error *err = NULL;
	struct worked *c;
	const struct pair *mount;
	void *config = NULL;

	(void)state;
	assert_int_equal(
		nomad__config_decode(&worked_schema, "task config", bytes, sizeof(bytes) - 1, 0, &config, &err), 0);
	c = config;
	assert_string_equal(c->image, "alpine:3");
	assert_string_equal(c->args[1], "id");
	assert_int_equal(c->pids, 300);
	assert_true(c->memswap == 1.5);
	assert_true(c->ratio == 0.1);
	assert_false(c->ro);
	assert_int_equal(c->labels.count, 2);
	assert_string_equal(nomad_map_get(&c->labels, "c"), "d");
	assert_string_equal(nomad_map_get(&c->opts, "k"), "v");
	assert_int_equal(c->mount.count, 1);
	mount = c->mount.items;
	assert_string_equal(mount->src, "/s");
	assert_int_equal(mount->rw, -1);
	assert_null(c->init);
	assert_int_equal(c->vols.count, 0);
	assert_int_equal(c->net.count, 0);
	nomad__config_free(&worked_schema, c);
}

/* ---- Checks between options ---- */

struct crossed {
	char *user;
	char *password;
	struct pair *inner;
};

static int crossed_check(const void *config, struct nomad_error **err)
{
	const struct crossed *c = config;

	if (c->user && strcmp(c->user, "mute") == 0)
		return -ERANGE;
	return c->user && !c->password ? nomad_error_set(err, EINVAL, "a user needs a password") : 0;
}

static int inner_check(const void *config, struct nomad_error **err)
{
	const struct pair *c = config;

	return c->src ? 0 : nomad_error_set(err, ENOENT, "no source");
}

static const struct nomad_schema inner_schema = NOMAD_SCHEMA(struct pair, pair_options, .check = inner_check);
static const struct nomad_option crossed_options[] = {
	NOMAD_OPTION(struct crossed, user, STRING, .help = "User."),
	NOMAD_OPTION(struct crossed, password, STRING, .secret = true, .help = "Password."),
	NOMAD_OPTION(struct crossed, inner, BLOCK, .block = &inner_schema, .help = "Inner."),
};
static const struct nomad_schema crossed_schema = NOMAD_SCHEMA(struct crossed, crossed_options, .check = crossed_check);

static void checks_between_options(void **state)
{
	static const struct {
		struct bytes bytes;
		unsigned flags;
		int r;
		const char *message;
	} rows[] = {
		{ BYTES(""), 0, 0, NULL },
		{ BYTES("\x81\xa4"
			"user\xa1"
			"u"),
		  0, -EINVAL, "plugin config: a user needs a password" },
		{ BYTES("\x81\xa4"
			"user\xa1"
			"u"),
		  NOMAD__DECODE_STORED, 0, NULL },
		{ BYTES("\x81\xa4"
			"user\xa4"
			"mute"),
		  0, -ERANGE, "plugin config: the options do not go together" },
		{ BYTES("\x81\xa5"
			"inner\x80"),
		  0, -ENOENT, "plugin config: option 'inner': no source" },
	};

	(void)state;
	for (size_t i = 0; i < NOMAD_ARRAY_LEN(rows); i++) {
		struct nomad_error *err = NULL;
		void *config = NULL;
		int r = nomad__config_decode(&crossed_schema, "plugin config", rows[i].bytes.data, rows[i].bytes.size,
					     rows[i].flags, &config, &err);

		assert_int_equal(r, rows[i].r);
		if (rows[i].message)
			assert_string_equal(nomad_error_message(err), rows[i].message);
		nomad_error_free(err);
		nomad__config_free(&crossed_schema, config);
	}
}

static void big_maps_are_bounded(void **state)
{
	/* 10000 keys: "k0000".."k9999" */
	size_t size = 5 + 3 + 10000 * 7, at = 0;
	char *bytes = malloc(size + 16);

	(void)state;
	memcpy(bytes,
	       "\x81\xa3"
	       "env\xde\x27\x10",
	       8);
	at = 8;
	for (int i = 0; i < 10000; i++)
		at += (size_t)sprintf(bytes + at, "\xa5k%04d%c", i, 1);
	refused(bytes, at, "task config: option 'env': 8193 entries are too many, the limit is 8192");
	free(bytes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_gives_the_defaults),
		cmocka_unit_test(strings),
		cmocka_unit_test(whole_numbers),
		cmocka_unit_test(numbers),
		cmocka_unit_test(booleans),
		cmocka_unit_test(lists),
		cmocka_unit_test(maps_in_each_form),
		cmocka_unit_test(blocks),
		cmocka_unit_test(a_required_block_list_has_a_block),
		cmocka_unit_test(a_deprecated_option_that_is_given_is_warned_of),
		cmocka_unit_test(names_for_one_field),
		cmocka_unit_test(stored_configs_lack_secrets),
		cmocka_unit_test(errors_say_what_is_wrong),
		cmocka_unit_test(worked_example),
		cmocka_unit_test(checks_between_options),
		cmocka_unit_test(big_maps_are_bounded),
	};

	return cmocka_run_group_tests_name("schema/decode", tests, NULL, NULL);
}
