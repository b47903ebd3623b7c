/* SPDX-License-Identifier: MPL-2.0
 *
 * Values are put through a shell as pot puts them through the jail's. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "env.h"
#include "nomad/error.h"
#include "nomad/tool.h"

static char dir[64];

static int setup(void **state)
{
	(void)state;
	snprintf(dir, sizeof(dir), "/tmp/pot-env-test.XXXXXX");
	return mkdtemp(dir) ? 0 : -1;
}

static void shell(const char *script, const char *argument, char *output, size_t size)
{
	const char *argv[] = { "/bin/sh", "-c", script, "sh", argument, NULL };
	struct nomad_tool run = { .argv = argv, .path = "/usr/bin:/bin", .timeout_ms = 60000 };

	assert_int_equal(nomad_tool_run(&run, NULL), 0);
	snprintf(output, size, "%s", run.output);
	free(run.output);
}

static int teardown(void **state)
{
	char out[64];

	(void)state;
	shell("rm -rf \"$1\"", dir, out, sizeof(out));
	return 0;
}

/* What the jail's shell makes of an assignment: pot puts a backslash before double quotes. */
static void evaluate(const char *assignment, char *value, size_t size)
{
	char script[8192] = "export \"", *p = script + strlen(script);

	for (const char *s = assignment; *s; s++) {
		if (*s == '"')
			*p++ = '\\';
		*p++ = *s;
	}
	strcpy(p, "\"; printf %s \"$X\"");
	shell(script, "", value, size);
}

static const char *const values[] = {
	"",
	"plain",
	"two words",
	"\"quotes\" 'n' all",
	"$HOME ${PATH} $(id) `id` \\ \\\\ \\n",
	"a\nb\n\tc $x \"q\" `y` '\\",
	"100%s %d",
	"\xc3\xa4\xc3\xb6 utf8",
	"a;b|c&d>e<f*g?h[i]j~k#l!m",
	"-n",
	"a\rb",
};

static void test_encoded_values_arrive(void **state)
{
	(void)state;
	for (size_t i = 0; i < NOMAD_ARRAY_LEN(values); i++) {
		char *code = pot_env_encode(values[i]);
		char assignment[4096], got[4096];

		snprintf(assignment, sizeof(assignment), "X=%s", code);
		assert_null(strchr(assignment, '\n'));
		evaluate(assignment, got, sizeof(got));
		assert_string_equal(got, values[i]);
		free(code);
	}
}

static void test_values_in_files_arrive(void **state)
{
	(void)state;
	for (size_t i = 0; i < NOMAD_ARRAY_LEN(values); i++) {
		struct nomad_map env = { 0 };
		struct nomad_error *err = NULL;
		char **assignments = NULL;
		char got[4096], file[128];
		struct stat st;

		assert_int_equal(nomad_map_set(&env, "X", values[i]), 0);
		/* The same place in the jail, for once. */
		assert_int_equal(pot_env_assignments(&env, dir, dir, &assignments, &err), 0);
		assert_non_null(assignments);
		assert_null(assignments[1]);
		if (strlen(values[i]) > 3)
			assert_null(strstr(assignments[0], values[i]));
		evaluate(assignments[0], got, sizeof(got));
		assert_string_equal(got, values[i]);
		/* And for exec. */
		snprintf(file, sizeof(file), "%s/" POT_ENV_SCRIPT, dir);
		shell(". \"$1\"; printf %s \"$X\"", file, got, sizeof(got));
		assert_string_equal(got, values[i]);
		assert_int_equal(stat(file, &st), 0);
		assert_int_equal(st.st_mode & 07777, 0600);
		nomad_strv_free(assignments);
		nomad_map_done(&env);
	}
}

static void test_names(void **state)
{
	struct nomad_map env = { 0 };
	char **assignments = NULL;

	(void)state;
	assert_int_equal(nomad_map_set(&env, "NOMAD_ALLOC_PORT_my-port", "1"), 0);
	assert_int_equal(nomad_map_set(&env, "NOMAD_META_a.b", "1"), 0);
	assert_int_equal(nomad_map_set(&env, "1x", "1"), 0);
	assert_int_equal(nomad_map_set(&env, "", "1"), 0);
	assert_int_equal(nomad_map_set(&env, "_ok1", "v"), 0);
	assert_int_equal(pot_env_assignments(&env, NULL, NULL, &assignments, NULL), 0);
	assert_string_equal(assignments[0], "_ok1=v");
	assert_null(assignments[1]);
	nomad_strv_free(assignments);
	assignments = NULL;
	assert_int_equal(pot_env_plain(&env, &assignments, NULL), 0);
	assert_string_equal(assignments[0], "_ok1=v");
	assert_null(assignments[1]);
	nomad_strv_free(assignments);
	nomad_map_done(&env);
}

static void test_what_may_be_seen(void **state)
{
	struct nomad_map env = { 0 };
	char **assignments = NULL;

	(void)state;
	assert_int_equal(nomad_map_set(&env, "NOMAD_TASK_NAME", "web"), 0);
	assert_int_equal(nomad_map_set(&env, "NOMAD_TOKEN", "canary"), 0);
	assert_int_equal(nomad_map_set(&env, "PASSWORD", "canary"), 0);
	assert_int_equal(pot_env_assignments(&env, dir, "/secrets", &assignments, NULL), 0);
	assert_string_equal(assignments[0], "NOMAD_TASK_NAME=web");
	assert_string_equal(assignments[1], "NOMAD_TOKEN=$(cat /secrets/.nomad-env/1)");
	assert_string_equal(assignments[2], "PASSWORD=$(cat /secrets/.nomad-env/2)");
	nomad_strv_free(assignments);
	nomad_map_done(&env);
}

static void test_empty(void **state)
{
	struct nomad_map env = { 0 };
	char **assignments = (char **)1;

	(void)state;
	assert_int_equal(pot_env_assignments(&env, dir, "/secrets", &assignments, NULL), 0);
	assert_null(assignments);
}

/* The task had the directory before. */
static void test_no_link_is_followed(void **state)
{
	struct nomad_map env = { 0 };
	char **assignments = NULL;
	char victim[128], trap[128], got[64];

	(void)state;
	snprintf(victim, sizeof(victim), "%s/victim", dir);
	snprintf(trap, sizeof(trap), "%s/" POT_ENV_DIR, dir);
	assert_int_equal(nomad_map_set(&env, "X", "canary"), 0);
	shell("mkdir \"$1\"; echo precious >\"$1/0\"; echo precious >\"$1/exports\"", victim, got, sizeof(got));
	shell("rm -rf \"$1\"", trap, got, sizeof(got));
	assert_int_equal(symlink(victim, trap), 0);
	assert_int_equal(pot_env_assignments(&env, dir, "/secrets", &assignments, NULL), 0);
	nomad_strv_free(assignments);
	assignments = NULL;
	shell("cat \"$1/0\" \"$1/exports\"", victim, got, sizeof(got));
	assert_string_equal(got, "precious\nprecious\n");
	/* Again, with links inside. */
	shell("rm -rf \"$1\"; mkdir \"$1\"; ln -s ../victim/0 \"$1/0\"; ln -s ../victim \"$1/d\"; mkdir -p \"$1/e/f\"",
	      trap, got, sizeof(got));
	assert_int_equal(pot_env_assignments(&env, dir, "/secrets", &assignments, NULL), 0);
	nomad_strv_free(assignments);
	shell("cat \"$1/0\" \"$1/exports\"", victim, got, sizeof(got));
	assert_string_equal(got, "precious\nprecious\n");
	shell("ls \"$1\"", trap, got, sizeof(got));
	assert_string_equal(got, "0\nexports\n");
	nomad_map_done(&env);
}

static void test_failure(void **state)
{
	struct nomad_map env = { 0 };
	struct nomad_error *err = NULL;
	char **assignments = NULL;

	(void)state;
	assert_int_equal(nomad_map_set(&env, "X", "canary"), 0);
	assert_int_equal(pot_env_assignments(&env, "/nonexistent", "/secrets", &assignments, &err), -ENOENT);
	assert_non_null(strstr(nomad_error_message(err), "/nonexistent"));
	assert_null(strstr(nomad_error_message(err), "canary"));
	nomad_error_free(err);
	nomad_map_done(&env);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_encoded_values_arrive),
		cmocka_unit_test(test_values_in_files_arrive),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_what_may_be_seen),
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_no_link_is_followed),
		cmocka_unit_test(test_failure),
	};

	return cmocka_run_group_tests_name("pot environment", tests, setup, teardown);
}
