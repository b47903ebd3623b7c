/* SPDX-License-Identifier: MPL-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "nomad/error.h"
#include "nomad/tool.h"

#define PATH_VALUE "/usr/bin:/bin"

static struct nomad_tool shell(const char *script, const char *argv[4])
{
	argv[0] = "/bin/sh";
	argv[1] = "-c";
	argv[2] = script;
	argv[3] = NULL;
	return (struct nomad_tool){ .argv = argv, .path = PATH_VALUE, .timeout_ms = 60000 };
}

static void test_output(void **state)
{
	const char *argv[4];
	struct nomad_tool run = shell("echo out; echo err >&2", argv);

	(void)state;
	assert_int_equal(nomad_tool_run(&run, NULL), 0);
	assert_int_equal(run.status, 0);
	assert_string_equal(run.output, "out\n");
	free(run.output);
}

static void test_failure_tells_what_was_said(void **state)
{
	const char *argv[4];
	struct nomad_tool run = shell("echo lost; echo one; echo '###>  A tag\tis mandatory'; echo '===>  done'; "
				      "printf 'no\\033 end'; exit 7",
				      argv);
	struct nomad_error *err = NULL;

	(void)state;
	assert_int_equal(nomad_tool_run(&run, &err), -EIO);
	assert_int_equal(run.status, 7);
	assert_string_equal(nomad_error_message(err),
			    "'sh -c' ended with 7: one; ###>  A tag is mandatory; ===>  done; no  end");
	nomad_error_free(err);
	free(run.output);

	err = NULL;
	run = shell("echo secret; exit 1", argv);
	run.quiet = true;
	assert_int_equal(nomad_tool_run(&run, &err), -EIO);
	assert_null(strstr(nomad_error_message(err), "secret"));
	nomad_error_free(err);
	free(run.output);
}

static void test_death_by_signal(void **state)
{
	const char *argv[4];
	struct nomad_tool run = shell("kill -9 $$", argv);

	(void)state;
	assert_int_equal(nomad_tool_run(&run, NULL), -EIO);
	assert_int_equal(run.status, 137);
	free(run.output);
}

static void test_missing(void **state)
{
	const char *argv[] = { "/nonexistent/pot", "start", NULL };
	const char *argv2[] = { "no-such-tool", NULL };
	struct nomad_tool run = { .argv = argv, .path = PATH_VALUE, .timeout_ms = 1000 };
	struct nomad_error *err = NULL;

	(void)state;
	assert_int_equal(nomad_tool_run(&run, &err), -ENOENT);
	assert_int_equal(run.status, -1);
	assert_non_null(strstr(nomad_error_message(err), "/nonexistent/pot"));
	nomad_error_free(err);
	free(run.output);
	run = (struct nomad_tool){ .argv = argv2, .path = PATH_VALUE, .timeout_ms = 1000 };
	assert_int_equal(nomad_tool_run(&run, NULL), -ENOENT);
	free(run.output);
}

static void test_environment_is_small(void **state)
{
	const char *argv[] = { "env", NULL };
	struct nomad_tool run = { .argv = argv, .path = PATH_VALUE, .timeout_ms = 60000 };

	(void)state;
	setenv("NOMAD_TOKEN", "canary", 1);
	assert_int_equal(nomad_tool_run(&run, NULL), 0);
	assert_string_equal(run.output, "PATH=" PATH_VALUE "\nHOME=/root\nLC_ALL=C.UTF-8\n");
	free(run.output);
}

static void test_no_descriptor_is_inherited(void **state)
{
	const char *argv[4];
	struct nomad_tool run = shell("ls -l /dev/fd/ | grep -c canary; :", argv);
	char name[] = "/tmp/nomad-canary.XXXXXX";
	int fd = mkstemp(name); /* without O_CLOEXEC */

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(nomad_tool_run(&run, NULL), 0);
	assert_string_equal(run.output, "0\n");
	free(run.output);
	close(fd);
	unlink(name);
}

/* The one that is named is number 3, and no other. */
static void test_one_descriptor_is_kept(void **state)
{
	const char *argv[4];
	struct nomad_tool run = shell("cat <&3; for i in 4 5 6 7; do [ ! -e /proc/$$/fd/$i ] || echo $i; done", argv);
	char name[] = "/tmp/nomad-kept.XXXXXX";
	int fd = mkstemp(name), other = dup(fd);

	(void)state;
	assert_true(fd >= 0 && other >= 0);
	assert_int_equal(write(fd, "kept\n", 5), 5);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	run.keep_fd = fd;
	assert_int_equal(nomad_tool_run(&run, NULL), 0);
	assert_string_equal(run.output, "kept\n");
	free(run.output);
	close(fd);
	close(other);
	unlink(name);
}

static void test_signals_are_reset(void **state)
{
	const char *argv[4];
	struct nomad_tool run = shell("kill -PIPE $$; echo survived", argv);
	sigset_t mask, old;

	(void)state;
	signal(SIGPIPE, SIG_IGN);
	sigfillset(&mask);
	sigprocmask(SIG_BLOCK, &mask, &old);
	assert_int_equal(nomad_tool_run(&run, NULL), -EIO);
	sigprocmask(SIG_SETMASK, &old, NULL);
	assert_int_equal(run.status, 128 + SIGPIPE);
	free(run.output);
}

static void test_timeout_takes_all_of_it(void **state)
{
	const char *argv[4];
	/* A child of the child, which does not care for SIGTERM. */
	struct nomad_tool run =
		shell("echo $$; trap '' TERM; (trap '' TERM; while :; do sleep 1; done) & wait; wait; wait", argv);
	struct nomad_error *err = NULL;
	pid_t pid;
	int tries;

	(void)state;
	run.timeout_ms = 300;
	assert_int_equal(nomad_tool_run(&run, &err), -ETIMEDOUT);
	assert_non_null(strstr(nomad_error_message(err), "did not end within"));
	assert_int_equal(run.status, -1);
	pid = (pid_t)atoi(run.output);
	assert_true(pid > 1);
	for (tries = 0; kill(-pid, 0) == 0 && tries < 500; tries++)
		nanosleep(&(struct timespec){ .tv_nsec = 20000000 }, NULL);
	assert_int_equal(kill(-pid, 0), -1);
	nomad_error_free(err);
	free(run.output);
}

static void test_does_not_wait_for_what_is_left_behind(void **state)
{
	const char *argv[4];
	struct nomad_tool run = shell("sleep 300 & echo $!", argv);
	time_t began = time(NULL);

	(void)state;
	assert_int_equal(nomad_tool_run(&run, NULL), 0);
	assert_true(time(NULL) - began < 200);
	kill((pid_t)atoi(run.output), SIGKILL);
	free(run.output);
}

static const char *without_mark(const char *line)
{
	return line + strspn(line, "#=> ");
}

static void count_line(void *ud, const char *line)
{
	char *all = ud;

	strcat(all, line);
	strcat(all, "|");
}

static void test_lines(void **state)
{
	const char *argv[4];
	struct nomad_tool run =
		shell("echo '===>  importing a @ 1 as a_1'; echo; echo '=====>  more'; printf last", argv);
	char all[256] = "";

	(void)state;
	run.line = count_line;
	run.trim = without_mark;
	run.ud = all;
	assert_int_equal(nomad_tool_run(&run, NULL), 0);
	assert_string_equal(all, "importing a @ 1 as a_1|more|last|");
	free(run.output);
}

static void test_much_output(void **state)
{
	const char *argv[4];
	struct nomad_tool run = shell("i=0; while [ $i -lt 3000 ]; do echo "
				      "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa; i=$((i + 1)); done",
				      argv);

	(void)state;
	assert_int_equal(nomad_tool_run(&run, NULL), 0);
	assert_true(strlen(run.output) < 65536);
	free(run.output);
}

static void test_find(void **state)
{
	char *path = nomad_tool_find("sh");

	(void)state;
	assert_non_null(path);
	free(path);
	assert_null(nomad_tool_find("no-such-program"));
}

static void test_input_is_given(void **state)
{
	const char *argv[4];
	struct nomad_tool run = shell("cat", argv);

	(void)state;
	run.input = "hello\n";
	assert_int_equal(nomad_tool_run(&run, NULL), 0);
	assert_string_equal(run.output, "hello\n");
	free(run.output);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_output),
		cmocka_unit_test(test_find),
		cmocka_unit_test(test_input_is_given),
		cmocka_unit_test(test_failure_tells_what_was_said),
		cmocka_unit_test(test_death_by_signal),
		cmocka_unit_test(test_missing),
		cmocka_unit_test(test_environment_is_small),
		cmocka_unit_test(test_no_descriptor_is_inherited),
		cmocka_unit_test(test_one_descriptor_is_kept),
		cmocka_unit_test(test_signals_are_reset),
		cmocka_unit_test(test_timeout_takes_all_of_it),
		cmocka_unit_test(test_does_not_wait_for_what_is_left_behind),
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_much_output),
	};

	return cmocka_run_group_tests_name("tool", tests, NULL, NULL);
}
