/* SPDX-License-Identifier: MPL-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "oci.h"

static void test_whole(void **state)
{
	struct nspawn_oci oci = { 0 };

	(void)state;
	assert_int_equal(
		nspawn_oci_parse("{\"ociVersion\":\"1.0.2\",\"hostname\":\"h\",\"root\":{\"path\":\"rootfs\","
				 "\"readonly\":true},\"process\":{\"args\":[\"/bin/a\",\"b c\"],\"cwd\":\"/w\","
				 "\"env\":[\"A=1\",\"B=x=y\",\"A=2\"],\"user\":{\"uid\":5,\"gid\":7},"
				 "\"noNewPrivileges\":true},\"linux\":{}}",
				 &oci, NULL),
		0);
	assert_string_equal(oci.root, "rootfs");
	assert_true(oci.read_only);
	assert_true(oci.no_new_privileges);
	assert_string_equal(oci.args[0], "/bin/a");
	assert_string_equal(oci.args[1], "b c");
	assert_null(oci.args[2]);
	assert_string_equal(nomad_map_get(&oci.env, "A"), "2");
	assert_string_equal(nomad_map_get(&oci.env, "B"), "x=y");
	assert_string_equal(oci.cwd, "/w");
	assert_string_equal(oci.user, "5:7");
	assert_string_equal(oci.hostname, "h");
	nspawn_oci_done(&oci);
}

static void test_little(void **state)
{
	struct nspawn_oci oci = { 0 };

	(void)state;
	assert_int_equal(nspawn_oci_parse("{\"ociVersion\":\"1.0.0\"}", &oci, NULL), 0);
	assert_null(oci.root);
	assert_null(oci.args);
	assert_null(oci.user);
	nspawn_oci_done(&oci);
	/* root is who it is without a user, too. */
	assert_int_equal(
		nspawn_oci_parse("{\"ociVersion\":\"1.0.0\",\"process\":{\"user\":{\"uid\":0,\"gid\":0}}}", &oci, NULL),
		0);
	assert_null(oci.user);
	nspawn_oci_done(&oci);
}

static void test_wrong(void **state)
{
	static const struct {
		const char *text, *error;
	} rows[] = {
		{ "", "it is no JSON" },
		{ "[]", "ociVersion is 'missing'" },
		{ "{\"ociVersion\":\"2.0\"}", "ociVersion is '2.0'" },
		{ "{\"ociVersion\":\"1.0.0\",\"process\":{\"args\":[1]}}", "its process" },
		{ "{\"ociVersion\":\"1.0.0\",\"image\":{\"Cmd\":[1]}}", "its process" },
		{ "{\"ociVersion\":\"1.0.0\",\"process\":{\"user\":{\"additionalGids\":[-1]}}}", "its process" },
		{ "{\"ociVersion\":\"1.0.0\",\"process\":{\"env\":[\"=x\"]}}", "its process" },
		{ "{\"ociVersion\":\"1.0.0\",\"process\":{\"env\":[7]}}", "its process" },
		{ "{\"ociVersion\":\"1.0.0\",\"process\":{\"user\":{\"uid\":-1}}}", "its process" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < NOMAD_ARRAY_LEN(rows); i++) {
		struct nspawn_oci oci = { 0 };
		struct nomad_error *err = NULL;

		assert_true(nspawn_oci_parse(rows[i].text, &oci, &err) < 0);
		assert_non_null(strstr(nomad_error_message(err), rows[i].error));
		nomad_error_free(err);
		nspawn_oci_done(&oci);
	}
}

/* With millions of them a start would take hours. */
static void test_many(void **state)
{
	static const char *const names[] = { "args", "env" };

	(void)state;
	for (size_t i = 0; i < NOMAD_ARRAY_LEN(names); i++) {
		struct nspawn_oci oci = { 0 };
		struct nomad_error *err = NULL;
		char *text = NULL;
		size_t size;
		FILE *out = open_memstream(&text, &size);

		fprintf(out, "{\"ociVersion\":\"1.0.0\",\"process\":{\"%s\":[\"A=0\"", names[i]);
		for (int n = 1; n < 5000; n++)
			fprintf(out, ",\"A=%d\"", n);
		fputs("]}}", out);
		fclose(out);
		assert_int_equal(nspawn_oci_parse(text, &oci, &err), -E2BIG);
		nomad_error_free(err);
		nspawn_oci_done(&oci);
		free(text);
	}
}

static void test_image(void **state)
{
	const struct {
		const char *name;
		int signal;
	} rows[] = { { "SIGQUIT", SIGQUIT },
		     { "3", 3 },
		     { "TERM", SIGTERM },
		     { "SIGRTMIN+3", SIGRTMIN + 3 },
		     { "SIGNO", 0 },
		     { "SIGSYS", SIGSYS },
		     { "HUP", SIGHUP },
		     { "99", 0 },
		     { "", 0 },
		     { "SIGRTMIN+99", 0 } };
	struct nspawn_oci oci = { 0 };
	char text[256];
	size_t i;

	(void)state;
	for (i = 0; i < NOMAD_ARRAY_LEN(rows); i++) {
		snprintf(text, sizeof(text),
			 "{\"ociVersion\":\"1.0.0\",\"process\":{\"user\":{\"additionalGids\":[7,80]}},\"image\":{"
			 "\"Entrypoint\":[\"/e\"],\"Cmd\":[\"c\",\"d\"],\"StopSignal\":\"%s\"}}",
			 rows[i].name);
		assert_int_equal(nspawn_oci_parse(text, &oci, NULL), 0);
		assert_true(oci.has_image);
		assert_int_equal(oci.stop_signal, rows[i].signal);
		assert_string_equal(oci.entrypoint[0], "/e");
		assert_string_equal(oci.cmd[1], "d");
		assert_string_equal(oci.groups, "7,80");
		nspawn_oci_done(&oci);
	}
}

static void test_health(void **state)
{
	static const struct {
		const char *health, *word;
		int words, retries;
		int64_t interval;
	} rows[] = {
		{ "{}", NULL, 0, 0, 0 },
		{ "{\"Test\":[]}", NULL, 0, 0, 0 },
		{ "{\"Test\":[\"NONE\"]}", NULL, 0, 0, 0 },
		{ "{\"Test\":[\"CMD\"]}", NULL, 0, 0, 0 },
		{ "{\"Test\":[\"CMD\",\"/c\",\"d\"]}", "/c", 2, 3, 30000 },
		{ "{\"Test\":[\"CMD-SHELL\",\"c | d\"],\"Interval\":2000000,\"Retries\":9}", "/bin/sh", 3, 9, 2 },
		{ "{\"Test\":[\"CMD\",\"/c\"],\"Interval\":7,\"Retries\":-1}", "/c", 1, 3, 1 },
		{ "{\"Test\":[\"CMD\",\"/c\"],\"Interval\":9223372036854775807}", "/c", 1, 3, 86400000 },
	};
	struct nspawn_oci oci = { 0 };
	char text[256];

	(void)state;
	for (size_t i = 0; i < NOMAD_ARRAY_LEN(rows); i++) {
		snprintf(text, sizeof(text), "{\"ociVersion\":\"1.0.0\",\"image\":{\"Healthcheck\":%s}}",
			 rows[i].health);
		assert_int_equal(nspawn_oci_parse(text, &oci, NULL), 0);
		assert_int_equal(oci.health ? nomad_strv_count((const char *const *)oci.health) : 0, rows[i].words);
		if (rows[i].word)
			assert_string_equal(oci.health[0], rows[i].word);
		assert_int_equal(oci.health_retries, rows[i].retries);
		assert_int_equal(oci.health_ms[0], rows[i].interval);
		nspawn_oci_done(&oci);
	}
	assert_int_equal(
		nspawn_oci_parse("{\"ociVersion\":\"1.0.0\",\"image\":{\"Healthcheck\":{\"Test\":[\"CMD\",1]}}}", &oci,
				 NULL),
		-EINVAL);
	nspawn_oci_done(&oci);
}

static void test_file(void **state)
{
	struct nspawn_oci oci = { 0 };
	struct nomad_error *err = NULL;

	(void)state;
	assert_int_equal(nspawn_oci_read("/no/such/config.json", &oci, &err), -ENOENT);
	assert_non_null(strstr(nomad_error_message(err), "'/no/such/config.json'"));
	nomad_error_free(err);
	nspawn_oci_done(&oci);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_whole),  cmocka_unit_test(test_little), cmocka_unit_test(test_wrong),
		cmocka_unit_test(test_many),   cmocka_unit_test(test_file),   cmocka_unit_test(test_image),
		cmocka_unit_test(test_health),
	};

	return cmocka_run_group_tests_name("oci", tests, NULL, NULL);
}
