/* SPDX-License-Identifier: MPL-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "host.h"
#include "tool.h"

#define SH(script) ((const char *const[]){ "/bin/sh", "-c", script, NULL })

static void test_output(void **state)
{
	char *out = NULL;

	(void)state;
	assert_int_equal(
		nspawn_tool_run(SH("cat; echo err >&2"), &(struct nspawn_tool){ .input = "hello\n" }, &out, NULL), 0);
	assert_string_equal(out, "hello\n");
	free(out);
	out = NULL;
	/* More than is kept: the beginning of it. */
	assert_int_equal(nspawn_tool_run(SH("seq 1 200000"), NULL, &out, NULL), 0);
	assert_int_equal(strlen(out), 65535);
	assert_int_equal(strncmp(out, "1\n2\n", 4), 0);
	free(out);
}

static void test_failure(void **state)
{
	struct nomad_error *err = NULL;

	(void)state;
	assert_int_equal(nspawn_tool_run(SH("echo one >&2; echo 'the reason' >&2; exit 3"),
					 &(struct nspawn_tool){ .what = "the tool" }, NULL, &err),
			 -EIO);
	assert_string_equal(nomad_error_message(err), "the tool ended with 3: one; the reason");
	nomad_error_free(err);
	err = NULL;
	assert_int_equal(nspawn_tool_run(SH("exit 3"), &(struct nspawn_tool){ .status_only = true }, NULL, NULL), 3);
	assert_int_equal(nspawn_tool_run(SH("kill -9 $$"), NULL, NULL, &err), -EIO);
	assert_non_null(strstr(nomad_error_message(err), "ended with 137"));
	nomad_error_free(err);
	err = NULL;
	assert_int_equal(nspawn_tool_run(SH("sleep 100"), &(struct nspawn_tool){ .timeout_ms = 50 }, NULL, &err),
			 -ETIMEDOUT);
	nomad_error_free(err);
	err = NULL;
	assert_true(nspawn_tool_run((const char *const[]){ "/no/such", NULL }, NULL, NULL, &err) < 0);
	assert_non_null(strstr(nomad_error_message(err), "'/no/such'"));
	nomad_error_free(err);
}

static void test_version(void **state)
{
	(void)state;
	assert_int_equal(nspawn_parse_version("systemd 252 (252.39-1~deb12u2)\n+PAM"), 252);
	assert_int_equal(nspawn_parse_version("systemd 257~rc1"), 257);
	assert_int_equal(nspawn_parse_version("nspawn"), 0);
}

/* Written once, whole, and executable. */
static void test_init(void **state)
{
	char dir[] = "/tmp/nspawn-embed-XXXXXX", *path = NULL, *again = NULL;
	struct stat st, st2;

	(void)state;
	assert_non_null(mkdtemp(dir));
	assert_int_equal(nspawn_init_write(dir, &path, NULL), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0755);
	/* By hand it says what it is. */
	assert_int_equal(nspawn_tool_run((const char *const[]){ path, NULL },
					 &(struct nspawn_tool){ .status_only = true }, NULL, NULL),
			 64);
	assert_int_equal(nspawn_init_write(dir, &again, NULL), 0);
	assert_string_equal(path, again);
	assert_int_equal(stat(again, &st2), 0);
	assert_int_equal(st.st_ino, st2.st_ino);
	/* A file that was cut is replaced. */
	assert_int_equal(truncate(path, 5), 0);
	free(again);
	assert_int_equal(nspawn_init_write(dir, &again, NULL), 0);
	assert_int_equal(stat(again, &st2), 0);
	assert_int_equal(st.st_size, st2.st_size);
	unlink(path);
	rmdir(dir);
	free(path);
	free(again);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_output),
		cmocka_unit_test(test_failure),
		cmocka_unit_test(test_version),
		cmocka_unit_test(test_init),
	};

	return cmocka_run_group_tests_name("nspawn tools", tests, NULL, NULL);
}
