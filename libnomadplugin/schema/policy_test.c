/* SPDX-License-Identifier: MPL-2.0 */
#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "schema/schema.h"

struct inner {
	char *url;
};

struct config {
	char *path, *harmless;
	bool safe;
	int64_t amount;
	struct nomad_map map;
	struct inner *inner;
};

static const char *const words[] = { "a", "b*", NULL };
static const struct nomad_power path_power = { .kind = NOMAD_POWER_WRITE, .rule = "allow_path" };
static const struct nomad_power map_power = {
	.kind = NOMAD_POWER_READ, .rule = "allow_map", .also = "allow_path", .keys = true
};
static const struct nomad_power word_power = {
	.kind = NOMAD_POWER_IMAGE, .rule = "allow_url", .safe = words, .otherwise = words
};
static const struct nomad_power flag_power = { .kind = NOMAD_POWER_PRIVILEGE, .rule = "allow_unsafe" };
static const struct nomad_power amount_power = { .kind = NOMAD_POWER_AMOUNT, .rule = "max_amount", .maximum = 7 };

#define HELP .help = "What it does."
static const struct nomad_option inner_rows[] = {
	NOMAD_OPTION(struct inner, url, STRING, .power = &word_power, HELP),
};
static const struct nomad_schema inner = NOMAD_SCHEMA(struct inner, inner_rows);
static const struct nomad_option rows[] = {
	NOMAD_OPTION(struct config, path, STRING, .power = &path_power, HELP),
	NOMAD_OPTION(struct config, harmless, STRING, .harmless = "a word", HELP),
	NOMAD_OPTION(struct config, safe, BOOL, .power = &flag_power, HELP),
	NOMAD_OPTION(struct config, amount, INT, .power = &amount_power, HELP),
	NOMAD_OPTION(struct config, map, STRING_MAP, .power = &map_power, HELP),
	NOMAD_OPTION(struct config, inner, BLOCK, .block = &inner, HELP),
};
static const struct nomad_schema schema = NOMAD_SCHEMA(struct config, rows);

static struct nomad__policy_table *table_of(const struct nomad_schema *task)
{
	struct nomad__policy_table *table = NULL;
	struct nomad_error *err = NULL;

	if (nomad__policy_table_new(task, &table, &err) < 0)
		fail_msg("%s", nomad_error_message(err));
	return table;
}

static void test_block(void **state)
{
	static const char *const names[] = { "mode",	  "allow_path", "allow_unsafe", "max_amount",
					     "allow_map", "allow_url",	"namespace" };
	struct nomad__policy_table *table = table_of(&schema);
	struct nomad_error *err = NULL;

	(void)state;
	assert_int_equal(table->schema.count, NOMAD_ARRAY_LEN(names));
	for (size_t i = 0; i < table->schema.count; i++)
		assert_string_equal(table->schema.options[i].name, names[i]);
	/* The table passes what all tables have to pass. */
	if (nomad__schema_check(&table->schema, &err) < 0)
		fail_msg("%s", nomad_error_message(err));
	assert_non_null(strstr(nomad__policy_rule(table, "allow_map")->help, "what the rule allow_path says."));
	assert_non_null(strstr(nomad__policy_rule(table, "allow_url")->help, "Always allowed: a, b*. Default: a, b*."));
	assert_null(nomad__policy_rule(table, "allow_none"));
	assert_ptr_equal(nomad__policy_option(&schema, "inner.url"), &inner_rows[0]);
	assert_null(nomad__policy_option(&schema, "inner.none"));
	assert_null(nomad__policy_option(&schema, "path.url"));
	nomad__policy_table_free(table);
}

/* A row that says nothing is found, also in a block; a driver of which no row says anything has no policy. */
static void test_undeclared(void **state)
{
	struct nomad_option some[NOMAD_ARRAY_LEN(rows)], silent = inner_rows[0];
	struct nomad_schema block = { &silent, 1, sizeof(struct inner), NULL };
	struct nomad_schema task = { some, NOMAD_ARRAY_LEN(rows), sizeof(struct config), NULL };
	struct nomad__policy_table *table = NULL;
	struct nomad_error *err = NULL;

	(void)state;
	memcpy(some, rows, sizeof(rows));
	silent.power = NULL;
	some[5].block = &block;
	assert_int_equal(nomad__policy_table_new(&task, &table, &err), -EINVAL);
	assert_non_null(strstr(nomad_error_message(err), "'inner.url': neither .power"));
	nomad_error_free(err);
	err = NULL;
	/* One rule, two types. */
	silent.power = &(const struct nomad_power){ .kind = NOMAD_POWER_PRIVILEGE, .rule = "allow_path" };
	assert_true(nomad__policy_table_new(&task, &table, &err) < 0);
	nomad_error_free(err);
	for (size_t i = 0; i < task.count; i++)
		some[i].power = NULL;
	silent.power = NULL;
	table = (void *)&err;
	assert_int_equal(nomad__policy_table_new(&task, &table, NULL), 0);
	assert_null(table);
}

static void test_bad_rows(void **state)
{
	static const struct {
		struct nomad_power power;
		size_t row;
	} bad[] = {
		{ { .kind = NOMAD_POWER_KIND_MAX, .rule = "allow_x" }, 0 },
		{ { .kind = NOMAD_POWER_WRITE }, 0 },
		{ { .kind = NOMAD_POWER_WRITE, .rule = "Allow" }, 0 },
		{ { .kind = NOMAD_POWER_AMOUNT, .rule = "max_x" }, 0 },
		{ { .kind = NOMAD_POWER_WRITE, .rule = "allow_x" }, 3 },
		{ { .kind = NOMAD_POWER_WRITE, .rule = "allow_x" }, 5 },
	};

	(void)state;
	for (size_t i = 0; i < NOMAD_ARRAY_LEN(bad); i++) {
		struct nomad_option row = rows[bad[i].row];
		struct nomad_schema one = { &row, 1, sizeof(struct config), NULL };

		row.power = &bad[i].power;
		if (nomad__schema_check(&one, NULL) != -EINVAL)
			fail_msg("row %zu passes", i);
	}
}

static void test_matches(void **state)
{
	static const struct {
		enum nomad_power_kind kind;
		const char *entry, *value;
		bool matches;
	} cases[] = {
		{ NOMAD_POWER_READ, "/srv", "/srv", true },
		{ NOMAD_POWER_READ, "/srv/", "/srv/deep/er", true },
		{ NOMAD_POWER_READ, "/srv", "/srv2", false },
		{ NOMAD_POWER_READ, "/srv", "/", false },
		{ NOMAD_POWER_READ, "/", "/etc", true },
		{ NOMAD_POWER_READ, "/srv", "/srv/../etc", false },
		{ NOMAD_POWER_READ, "/srv", "/srv/..", false },
		{ NOMAD_POWER_READ, "/srv", "/srv/..x", true },
		{ NOMAD_POWER_READ, "srv", "/srv", false },
		{ NOMAD_POWER_READ, "", "/srv", false },
		{ NOMAD_POWER_READ, "+/in", "+/in", true },
		{ NOMAD_POWER_READ, "+/in", "+/in/deeper", false },
		{ NOMAD_POWER_READ, "/*", "/etc", false },
		{ NOMAD_POWER_CAPABILITY, "NET_ADMIN", "CAP_NET_ADMIN", true },
		{ NOMAD_POWER_CAPABILITY, "cap_net_*", "CAP_NET_RAW", true },
		{ NOMAD_POWER_CAPABILITY, "CAP_NET_*", "all", false },
		{ NOMAD_POWER_CAPABILITY, "CAP_KILL", "CAP_KILL,CAP_SYS_ADMIN", false },
		{ NOMAD_POWER_IMAGE, "https://a.example/*", "https://a.example/b/c", true },
		{ NOMAD_POWER_IMAGE, "https://a.example/*", "https://a.example.evil/b", false },
		{ NOMAD_POWER_IMAGE, "https://*", "https://user:x@a.example/../b?c", true },
		{ NOMAD_POWER_IMAGE, "https://*.example/*", "https://b.a.example/c", true },
		{ NOMAD_POWER_IMAGE, "https://*.example/*", "https://evil/x.example/c", false },
		{ NOMAD_POWER_IMAGE, "https://*.example/*", "https://evil?.example/c", false },
		{ NOMAD_POWER_IMAGE, "https://*.example/*", "https://evil#.example/c", false },
		{ NOMAD_POWER_IMAGE, "https://a.example*/*", "https://a.example@evil/c", false },
		{ NOMAD_POWER_IMAGE, "https://a.example/team/*", "https://a.example/team/../c", false },
		{ NOMAD_POWER_IMAGE, "https://a.example/team/*", "https://a.example/team/%2E./c", false },
		{ NOMAD_POWER_IMAGE, "file:///srv/*", "file:///srv/..", false },
		{ NOMAD_POWER_IMAGE, "a.example/*", "a.example/b@sha256:c", true },
		{ NOMAD_POWER_IMAGE, "*.example/b", "evil/c.example/b", false },
		{ NOMAD_POWER_WORD, "g4-*", "g4-1G", true },
		{ NOMAD_POWER_WORD, "g4-*", "*", false },
		{ NOMAD_POWER_USER, "1000-1999", "1000:1000", true },
		{ NOMAD_POWER_USER, "1000-1999", "1000:1001", false },
		{ NOMAD_POWER_USER, "0-9", "5:5", true },
		{ NOMAD_POWER_USER, "0-9", "5:6", false },
		{ NOMAD_POWER_USER, "1000-1999", "999:2", false },
		{ NOMAD_POWER_USER, "1000-1999", "1000", false }, /* 65536 of them */
		{ NOMAD_POWER_USER, "0-131071", "65536", true },
		{ NOMAD_POWER_USER, "1000-1999", "1000:0", false },
		{ NOMAD_POWER_USER, "0-4294967295", "99999999999", false },
		{ NOMAD_POWER_USER, "identity", "identity", true },
		{ NOMAD_POWER_USER, "0-65535", "identity", false },
	};

	(void)state;
	for (size_t i = 0; i < NOMAD_ARRAY_LEN(cases); i++) {
		const char *const entries[] = { "nothing", cases[i].entry, NULL };

		if (nomad__power_matches(cases[i].kind, entries, cases[i].value) != cases[i].matches)
			fail_msg("'%s' and '%s'", cases[i].entry, cases[i].value);
	}
	assert_false(nomad__power_matches(NOMAD_POWER_READ, NULL, "/srv"));
}

/* An operator may name a path through a link; the value has none. */
static void test_links(void **state)
{
	char dir[] = "/tmp/nomad-policy-XXXXXX";
	NOMAD_AUTO_FREE char *real = NULL, *target = NULL, *link = NULL, *below = NULL;

	(void)state;
	assert_non_null(mkdtemp(dir));
	real = realpath(dir, NULL);
	target = nomad_strdupf("%s/target", real);
	link = nomad_strdupf("%s/link", real);
	below = nomad_strdupf("%s/target/x", real);
	assert_int_equal(mkdir(target, 0700), 0);
	assert_int_equal(symlink(target, link), 0);
	assert_true(nomad__power_matches(NOMAD_POWER_WRITE, (const char *const[]){ link, NULL }, below));
	assert_false(nomad__power_matches(NOMAD_POWER_WRITE, (const char *const[]){ target, NULL }, link));
	assert_int_equal(unlink(link) | rmdir(target) | rmdir(dir), 0);
}

static void test_values(void **state)
{
	struct nomad_pair pair = { (char *)"/from", (char *)"/to" };
	struct config config = { .path = (char *)"/p", .safe = false, .amount = 8, .map = { &pair, 1 } };
	static const char *const want[] = { "/p", NULL, "false", "8", "/from" };

	(void)state;
	for (size_t i = 0; i < NOMAD_ARRAY_LEN(want); i++) {
		NOMAD_AUTO_STRV char **values = rows[i].power ? nomad__power_values(&rows[i], &config) : NULL;

		if (!rows[i].power)
			continue;
		assert_non_null(values);
		assert_string_equal(values[0], want[i]);
		assert_null(values[1]);
	}
	config.path = NULL;
	config.amount = NOMAD_INT_UNSET;
	for (size_t i = 0; i < 4; i += 3) {
		NOMAD_AUTO_STRV char **values = nomad__power_values(&rows[i], &config);

		assert_null(values[0]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_block),	cmocka_unit_test(test_undeclared), cmocka_unit_test(test_bad_rows),
		cmocka_unit_test(test_matches), cmocka_unit_test(test_links),	   cmocka_unit_test(test_values),
	};

	return cmocka_run_group_tests_name("policy", tests, NULL, NULL);
}
