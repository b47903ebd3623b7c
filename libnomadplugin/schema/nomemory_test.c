/* SPDX-License-Identifier: MPL-2.0
 *
 * Each allocation that the library makes fails once, one run each: every
 * function has to say -ENOMEM, touch no output and leak nothing (run under
 * a leak checker).  The linker redirects the calls, see schema.mk. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "schema/everything.h"

static long left = -1; /* allocations until one fails; negative: none does */

static bool fails(void)
{
	return left >= 0 && left-- == 0;
}

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t size);
char *__real_strdup(const char *s);
char *__real_strndup(const char *s, size_t n);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t size);
char *__wrap_strdup(const char *s);
char *__wrap_strndup(const char *s, size_t n);

void *__wrap_malloc(size_t size)
{
	return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
	return fails() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t size)
{
	return fails() ? NULL : __real_realloc(p, size);
}

char *__wrap_strdup(const char *s)
{
	return fails() ? NULL : __real_strdup(s);
}

char *__wrap_strndup(const char *s, size_t n)
{
	return fails() ? NULL : __real_strndup(s, n);
}

static const char config_bytes[] = "\x87"
				   "\xa4"
				   "text\xa1"
				   "t"
				   "\xa5"
				   "names\x92\xa1"
				   "x\xa1"
				   "y"
				   "\xa3"
				   "env\x92\x81\xa1"
				   "b\xa1"
				   "b\x82\xa1"
				   "b\xa1"
				   "c\xa1"
				   "a\x05"
				   "\xa5"
				   "ports\x81\xa1"
				   "p\x05"
				   "\xa6"
				   "branch\x84\xa3"
				   "url\xa1"
				   "u\xa8"
				   "password\xa1"
				   "p\xa4"
				   "leaf\x81\xa4"
				   "name\xa1"
				   "n"
				   "\xa6"
				   "leaves\x92\x81\xa4"
				   "name\xa1"
				   "n\x81\xa4"
				   "name\xa1"
				   "m"
				   "\xa5"
				   "mount\x91\x81\xa4"
				   "name\xa1"
				   "n"
				   "\xa3"
				   "old\xa1"
				   "o";

static json_t *json;

static int decode(struct nomad_error **err)
{
	void *config = NULL;
	int r = nomad__config_decode(&everything_schema, "x", config_bytes, sizeof(config_bytes) - 1,
				     NOMAD__DECODE_STORED, &config, err);

	if (r < 0)
		assert_null(config);
	nomad__config_free(&everything_schema, config);
	return r;
}

static int redact(struct nomad_error **err)
{
	void *data = NULL;
	size_t size;
	int r = nomad__config_redact(&everything_schema, config_bytes, sizeof(config_bytes) - 1, &data, &size, err);

	if (r < 0)
		assert_null(data);
	free(data);
	return r;
}

static int from_json(struct nomad_error **err)
{
	void *data = NULL;
	size_t size;
	int r = nomad__config_from_json(&everything_schema, "x", json, &data, &size, err);

	if (r < 0)
		assert_null(data);
	free(data);
	return r;
}

static int spec(struct nomad_error **err)
{
	struct nomad__spec *tree = nomad__spec_new(&everything_schema, err);
	int r = tree ? 0 : -ENOMEM;

	nomad__spec_free(tree);
	return r;
}

static int check(struct nomad_error **err)
{
	return nomad__schema_check(&everything_schema, err);
}

static const char *const words[] = { "a", "b", NULL };
static const struct nomad_power power = {
	.kind = NOMAD_POWER_IMAGE, .rule = "allow_a", .safe = words, .also = "allow_b"
};
static const struct nomad_option power_rows[] = {
	{ .name = "a", .type = NOMAD_STRING_LIST, .power = &power, .help = "A." },
	{ .name = "b", .type = NOMAD_STRING_LIST, .offset = sizeof(char **), .power = &power, .help = "B." },
};
static const struct nomad_schema power_schema = { power_rows, 2, 2 * sizeof(char **), NULL };

static int policy(struct nomad_error **err)
{
	struct nomad__policy_table *table = NULL;
	int r = nomad__policy_table_new(&power_schema, &table, err);

	if (r < 0)
		assert_null(table);
	nomad__policy_table_free(table);
	return r;
}

static int values(struct nomad_error **err)
{
	char *given[] = { (char *)"x", (char *)"y", NULL }, **config[2] = { given, NULL };
	NOMAD_AUTO_STRV char **list = nomad__power_values(&power_rows[0], config);

	(void)err;
	return list ? 0 : -ENOMEM;
}

static FILE *null_device;

static int print_text(struct nomad_error **err)
{
	(void)err;
	return nomad__schema_print_text(&everything_schema, "t", null_device);
}

static int print_pod(struct nomad_error **err)
{
	(void)err;
	return nomad__schema_print_pod(&everything_schema, null_device);
}

static int print_json(struct nomad_error **err)
{
	(void)err;
	return nomad__schema_print_json(&everything_schema, "t", null_device);
}

/* Fail the first, the second, ... until a run needs no more. */
static void exhaust(int (*run)(struct nomad_error **err))
{
	for (long n = 0;; n++) {
		struct nomad_error *err = NULL;
		bool failed;
		int r;

		left = n;
		r = run(&err);
		failed = left < 0;
		left = -1;
		if (!failed) {
			assert_int_equal(r, 0);
			assert_null(err);
			assert_true(n > 0);
			return;
		}
		if (r != -ENOMEM)
			fail_msg("allocation %ld: %d (%s)", n, r, nomad_error_message(err));
		nomad_error_free(err);
		if (n > 100000)
			fail_msg("it never ends");
	}
}

static void each_allocation_may_fail(void **state)
{
	int (*const runs[])(struct nomad_error * *err) = { decode,     redact,	  from_json,  spec,   check,
							   print_text, print_pod, print_json, policy, values };

	(void)state;
	for (size_t i = 0; i < NOMAD_ARRAY_LEN(runs); i++) {
		print_message("# function %zu\n", i);
		exhaust(runs[i]);
	}
}

static void *json_malloc(size_t size)
{
	return malloc(size);
}

static void json_release(void *p)
{
	free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_allocation_may_fail),
	};
	int failed;

	json_set_alloc_funcs(json_malloc, json_release);
	json = json_loads("{\"text\":\"t\",\"map\":[{\"a\":1,\"b\":0.1}],\"words\":[1],\"branch\":{\"url\":\"u\","
			  "\"password\":\"p\",\"leaves\":[{\"name\":\"n\"}]}}",
			  0, NULL);
	null_device = fopen("/dev/null", "we");
	if (!json || !null_device)
		return 1;
	failed = cmocka_run_group_tests_name("schema/nomemory", tests, NULL, NULL);
	fclose(null_device);
	json_decref(json);
	return failed;
}
