/* SPDX-License-Identifier: MPL-2.0
 *
 * A task's life with the real supervisor program. */
#include "supervisor/testing.h"

static void test_exit_code(void **state)
{
	struct task t;

	(void)state;
	task_init(&t);
	task_sh(&t, "exit 43");
	task_wait(&t);
	assert_int_equal(t.result.exit_code, 43);
	assert_int_equal(t.result.signal, 0);
	assert_false(t.result.killed || t.result.lost || t.result.oom_killed);
	assert_true(t.result.started_ns > 0 && t.result.ended_ns >= t.result.started_ns);
	task_done(&t);
}

static void test_own_signal(void **state)
{
	struct task t;

	(void)state;
	task_init(&t);
	task_sh(&t, "kill -USR1 $$");
	task_wait(&t);
	assert_int_equal(t.result.exit_code, 128 + SIGUSR1);
	assert_int_equal(t.result.signal, SIGUSR1);
	assert_false(t.result.killed);
	task_done(&t);
}

static void test_signal_and_stop(void **state)
{
	struct task t;
	char path[PATH_MAX + 8];

	(void)state;
	task_init(&t);
	snprintf(path, sizeof(path), "%s/got", t.base);
	assert_int_equal(nomad_map_set(&t.env, "GOT", path), 0);
	task_sh(&t, "trap 'echo > $GOT' HUP; trap 'exit 7' TERM; echo > $GOT.up; while :; do sleep 0.01; done");
	strcat(path, ".up");
	wait_until(access(path, F_OK) == 0);
	path[strlen(path) - 3] = 0;
	assert_true(nomad__supervisor_leader(t.s) > 1);
	assert_int_equal(nomad__supervisor_signal(t.s, SIGHUP, NULL), 0);
	wait_until(access(path, F_OK) == 0);
	assert_int_equal(nomad__supervisor_stop(t.s, 0, 60000, NULL), 0);
	task_wait(&t);
	assert_int_equal(t.result.exit_code, 7);
	assert_false(t.result.killed);
	assert_int_equal(nomad__supervisor_leader(t.s), 0);
	/* Requests to an ended task succeed. */
	assert_int_equal(nomad__supervisor_stop(t.s, 0, 1000, NULL), 0);
	assert_int_equal(nomad__supervisor_signal(t.s, SIGHUP, NULL), 0);
	task_done(&t);
}

static void test_stop_late(void **state)
{
	struct task t;
	char path[PATH_MAX];
	int64_t begin;

	(void)state;
	task_init(&t);
	snprintf(path, sizeof(path), "%s/up", t.base);
	assert_int_equal(nomad_map_set(&t.env, "UP", path), 0);
	task_sh(&t, "trap '' TERM; sleep 1000 & echo >$UP; wait; sleep 1000");
	wait_until(access(path, F_OK) == 0);
	begin = nomad_monotonic_ns();
	assert_int_equal(nomad__supervisor_stop(t.s, SIGTERM, 300, NULL), 0);
	task_wait(&t);
	assert_true(nomad_monotonic_ns() - begin >= 300000000);
	assert_true(t.result.killed);
	assert_int_equal(t.result.signal, SIGKILL);
	assert_int_equal(t.result.exit_code, 137);
	task_done(&t);
}

static void test_kill(void **state)
{
	struct task t;

	(void)state;
	task_init(&t);
	assert_int_equal(task_start_argv(&t, "/bin/sleep", "1000", NULL, NULL), 0);
	assert_int_equal(nomad__supervisor_kill(t.s, NULL), 0);
	task_wait(&t);
	assert_true(t.result.killed);
	assert_int_equal(t.result.signal, SIGKILL);
	task_done(&t);
}

static void test_start_errors(void **state)
{
	struct nomad_error *err = NULL;
	struct task t;

	(void)state;
	task_init(&t);
	assert_int_equal(task_start_argv(&t, "/x/y", NULL, NULL, &err), -ENOENT);
	assert_string_equal(nomad_error_message(err), "execute '/x/y': No such file or directory");
	nomad_error_free(err);
	err = NULL;
	t.command.cwd = "/nowhere";
	assert_int_equal(task_start_argv(&t, "/bin/true", NULL, NULL, &err), -ENOENT);
	assert_string_equal(nomad_error_message(err), "change to directory '/nowhere': No such file or directory");
	nomad_error_free(err);
	err = NULL;
	t.command.cwd = NULL;
	t.command.user = "nobody-at-all";
	assert_int_equal(task_start_argv(&t, "/bin/true", NULL, NULL, &err), -ENOENT);
	assert_string_equal(nomad_error_message(err), "user 'nobody-at-all': unknown on this host");
	nomad_error_free(err);
	err = NULL;
	t.command.user = NULL;
	t.what.stdout_path = "/nowhere/at/all/fifo";
	assert_int_equal(task_start_argv(&t, "/bin/true", NULL, NULL, &err), -ENOENT);
	assert_non_null(strstr(nomad_error_message(err), "/nowhere/at/all/fifo"));
	nomad_error_free(err);
	task_done(&t);
}

static void test_attach(void **state)
{
	struct nomad_error *err = NULL;
	struct task t;
	int pid;

	(void)state;
	task_init(&t);
	assert_int_equal(nomad__supervisor_attach(t.loop, t.dir, &test_events, &t, &t.s, &err), -ENOENT);
	nomad_error_free(err);
	task_sh(&t, "trap 'exit 3' TERM; while :; do sleep 0.01; done");
	pid = nomad__supervisor_pid(t.s);
	assert_true(pid > 1);
	nomad__supervisor_free(t.s);
	t.s = NULL;
	assert_int_equal(nomad__supervisor_attach(t.loop, t.dir, &test_events, &t, &t.s, NULL), 0);
	assert_int_equal(nomad__supervisor_pid(t.s), pid);
	assert_true(nomad__supervisor_leader(t.s) > 1);
	usleep(100000);
	assert_int_equal(nomad__supervisor_stop(t.s, 0, 60000, NULL), 0);
	task_wait(&t);
	assert_int_equal(t.result.exit_code, 3);
	/* Once more, after the end. */
	nomad__supervisor_free(t.s);
	t.exits = 0;
	assert_int_equal(nomad__supervisor_attach(t.loop, t.dir, &test_events, &t, &t.s, NULL), 0);
	task_wait(&t);
	assert_int_equal(t.result.exit_code, 3);
	task_done(&t);
}

static void test_lost(void **state)
{
	struct task t;

	(void)state;
	/* Without cgroups a daemon of a dead supervisor's is nobody's. */
	if (geteuid() != 0)
		skip();
	task_init(&t);
	task_sh(&t, "(setsid sleep #4242 &); sleep #4243");
	assert_int_equal(kill(nomad__supervisor_pid(t.s), SIGKILL), 0);
	task_wait(&t);
	assert_true(t.result.lost);
	assert_non_null(strstr(t.result.message, "died"));
	nomad__supervisor_free(t.s);
	t.s = NULL;
	assert_int_equal(nomad__supervisor_attach(t.loop, t.dir, &test_events, &t, &t.s, NULL), -ENOENT);
	assert_false(sleeps("#4242"));
	assert_false(sleeps("#4243"));
	task_done(&t);
}

static void test_fifo(void **state)
{
	char out[PATH_MAX + 8], buf[64];
	struct task t;
	int fd;

	(void)state;
	task_init(&t);
	snprintf(out, sizeof(out), "%s/out", t.base);
	assert_int_equal(mkfifo(out, 0600), 0);
	fd = open(out, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	assert_true(fd >= 0);
	t.what.stdout_path = out;
	t.what.stderr_path = "/dev/null";
	task_sh(&t, "echo hello");
	task_wait(&t);
	assert_int_equal(read(fd, buf, sizeof(buf)), 6);
	assert_memory_equal(buf, "hello\n", 6);
	/* The end of the file comes when the supervisor has gone. */
	assert_int_equal(fcntl(fd, F_SETFL, 0), 0);
	assert_int_equal(read(fd, buf, sizeof(buf)), 0);
	close(fd);
	task_done(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_exit_code),
		cmocka_unit_test(test_own_signal),
		cmocka_unit_test(test_signal_and_stop),
		cmocka_unit_test(test_stop_late),
		cmocka_unit_test(test_kill),
		cmocka_unit_test(test_start_errors),
		cmocka_unit_test(test_attach),
		cmocka_unit_test(test_lost),
		cmocka_unit_test(test_fifo),
	};

	return cmocka_run_group_tests_name("supervisor/client", tests, NULL, NULL);
}
