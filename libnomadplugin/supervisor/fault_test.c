/* SPDX-License-Identifier: MPL-2.0
 *
 * What is not as it should be: strange messages, many clients, full disks,
 * a stopped supervisor, large and secret environments. */
#include "supervisor/testing.h"

#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "os/process.h"
#include "os/socket.h"
#include "base/fields.h"

static int connect_to(const struct task *t)
{
	int dir = open(t->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), fd;

	assert_true(dir >= 0);
	fd = nomad__unix_connect(dir, "ctl");
	close(dir);
	return fd;
}

/* Send and receive the answer to a greeting, or 0 if the connection was closed. */
static ssize_t greet(int fd, char *buf, size_t size)
{
	static const char hello[] = "v=7\0future=yes\0op=hello\0more=";
	int fds[NOMAD__MAX_FDS];

	assert_int_equal(fcntl(fd, F_SETFL, 0), 0);
	if (nomad__unix_send(fd, hello, sizeof(hello), NULL, 0, true) < 0)
		return 0;
	return nomad__unix_receive(fd, buf, size, fds, true);
}

static void test_strange_messages(void **state)
{
	static const char *const words[] = {
		"op=exec",
		"op=exec-signal",
		"op=signal",
		"op=hello",
		"op=start",
		"op=what",
		"id=1",
		"id=-9",
		"signal=0",
		"signal=-5",
		"signal=999999",
		"timeout_ms=99999999999999999999",
		"=",
		"",
		"op",
		"v=0",
		"op=",
		"\xff\xfe",
	};
	struct task t;
	char buf[9000];
	unsigned seed = 1;
	int fd, null = open("/dev/null", O_RDWR | O_CLOEXEC);

	(void)state;
	task_init(&t);
	assert_int_equal(task_start_argv(&t, "/bin/sleep", "1000", NULL, NULL), 0);
	fd = connect_to(&t);
	assert_true(fd >= 0);
	assert_int_equal(fcntl(fd, F_SETFL, 0), 0);
	for (int i = 0; i < 2000; i++) {
		size_t used = 0;
		int fds[NOMAD__MAX_FDS] = { null, null, null, null }, n = rand_r(&seed) % 5;

		for (int k = rand_r(&seed) % 6; k >= 0; k--) {
			const char *word = words[(size_t)rand_r(&seed) % NOMAD_ARRAY_LEN(words)];

			strcpy(buf + used, word);
			used += strlen(word) + (rand_r(&seed) % 8 != 0);
		}
		if (rand_r(&seed) % 50 == 0)
			used = sizeof(buf);
		memset(buf + (used > 200 ? 200 : used), 'x', used > 200 ? used - 200 : 0);
		if (used == 0 || nomad__unix_send(fd, buf, used, fds, n, true) < 0) {
			close(fd);
			fd = connect_to(&t);
			assert_true(fd >= 0);
			assert_int_equal(fcntl(fd, F_SETFL, 0), 0);
		}
		/* Answers must not pile up. */
		while (nomad__unix_receive(fd, buf, sizeof(buf), fds, false) > 0)
			;
	}
	close(fd);
	fd = connect_to(&t);
	assert_true(greet(fd, buf, sizeof(buf)) > 0);
	assert_int_equal(t.exits, 0);
	close(fd);
	close(null);
	nomad__supervisor_kill(t.s, NULL);
	task_wait(&t);
	task_done(&t);
}

static void test_stop_beyond_bounds(void **state)
{
	static const char stop[] = "op=stop\0signal=-5\0timeout_ms=-1\0";
	struct task t;
	int fd;

	(void)state;
	task_init(&t);
	assert_int_equal(task_start_argv(&t, "/bin/sh", "-c", "trap '' TERM; while :; do sleep 1; done", NULL), 0);
	fd = connect_to(&t);
	assert_true(fd >= 0);
	assert_int_equal(nomad__unix_send(fd, stop, sizeof(stop) - 1, NULL, 0, true), 0);
	task_wait(&t); /* a negative timeout counts as 0, and does not let the task run for ever */
	close(fd);
	assert_true(t.result.killed);
	task_done(&t);
}

static void test_versions(void **state)
{
	struct task t;
	char buf[9000];
	ssize_t n;
	int fd;

	(void)state;
	task_init(&t);
	assert_int_equal(task_start_argv(&t, "/bin/sleep", "1000", NULL, NULL), 0);
	fd = connect_to(&t);
	n = greet(fd, buf, sizeof(buf));
	assert_true(n > 0);
	assert_string_equal(nomad__fields_get(buf, (size_t)n, "op"), "state");
	assert_string_equal(nomad__fields_get(buf, (size_t)n, "state"), "running");
	assert_int_equal(nomad__fields_get_num(buf, (size_t)n, "leader_pid", 0), nomad__supervisor_leader(t.s));
	close(fd);
	task_done(&t);
}

static void test_many_clients(void **state)
{
	struct task t;
	char buf[9000];
	int fds[40];

	(void)state;
	task_init(&t);
	assert_int_equal(task_start_argv(&t, "/bin/sleep", "1000", NULL, NULL), 0);
	for (int i = 0; i < 40; i++)
		fds[i] = connect_to(&t);
	for (int i = 0; i < 40; i++)
		(void)greet(fds[i], buf, sizeof(buf));
	for (int i = 0; i < 40; i++)
		close(fds[i]);
	/* There is room again, and the first one was never in danger. */
	wait_until(({
		int fd = connect_to(&t);
		ssize_t n = greet(fd, buf, sizeof(buf));

		close(fd);
		n > 0;
	}));
	assert_int_equal(nomad__supervisor_stop(t.s, 0, 10000, NULL), 0);
	task_wait(&t);
	assert_int_equal(t.result.signal, SIGTERM);
	task_done(&t);
}

static void test_stands_still(void **state)
{
	struct nomad_error *err = NULL;
	struct nomad__supervisor *other = NULL;
	struct task t;
	int64_t begin;

	(void)state;
	task_init(&t);
	assert_int_equal(task_start_argv(&t, "/bin/sleep", "1000", NULL, NULL), 0);
	assert_int_equal(kill(nomad__supervisor_pid(t.s), SIGSTOP), 0);
	begin = nomad_monotonic_ns();
	assert_int_equal(nomad__supervisor_attach(t.loop, t.dir, &test_events, &t, &other, &err), -ETIMEDOUT);
	assert_true(nomad_monotonic_ns() - begin < 20ll * 1000000000);
	nomad_error_free(err);
	/* Orders do not wait, and are obeyed later. */
	assert_int_equal(nomad__supervisor_stop(t.s, 0, 10000, NULL), 0);
	assert_int_equal(kill(nomad__supervisor_pid(t.s), SIGCONT), 0);
	task_wait(&t);
	assert_int_equal(t.result.signal, SIGTERM);
	/* And cleaning does not need its help. */
	nomad__supervisor_free(t.s);
	assert_int_equal(nomad__supervisor_clean(t.dir, NULL), 0);
	t.exits = 0;
	assert_int_equal(task_start_argv(&t, "/bin/sleep", "1000", NULL, NULL), 0);
	assert_int_equal(kill(nomad__supervisor_pid(t.s), SIGSTOP), 0);
	nomad__supervisor_free(t.s);
	t.s = NULL;
	task_done(&t);
}

/* A supervisor that is stopped obeys nothing: the plugin kills the task, with what it knows of it. */
static void silent(bool cgroups, bool kill_now)
{
	struct task t;
	char path[300], aside[300];
	int supervisor;

	task_init(&t);
	snprintf(path, sizeof(path), "%s/cgroups", t.dir);
	snprintf(aside, sizeof(aside), "%s/aside", t.base);
	task_sh(&t, "trap '' TERM; setsid sh -c 'sleep #31 & exec sleep #32' & while :; do sleep 0.2; done");
	wait_until(sleeps("sleep #31") && sleeps("sleep #32"));
	supervisor = nomad__supervisor_pid(t.s);
	assert_int_equal(kill(supervisor, SIGSTOP), 0);
	if (!cgroups)
		assert_int_equal(rename(path, aside), 0);
	if (kill_now)
		assert_int_equal(nomad__supervisor_kill(t.s, NULL), 0);
	else
		assert_int_equal(nomad__supervisor_stop(t.s, 0, 100, NULL), 0);
	task_wait(&t);
	assert_false(t.result.lost);
	assert_true(t.result.killed);
	assert_int_equal(t.result.signal, SIGKILL);
	assert_int_equal(t.result.exit_code, 128 + SIGKILL);
	assert_true(t.result.ended_ns >= t.result.started_ns && t.result.started_ns > 0);
	assert_non_null(strstr(t.notices, "does not answer"));
	assert_false(process_with(t.title));
	assert_false(sleeps("sleep #31") || sleeps("sleep #32"));
	if (!cgroups)
		assert_int_equal(rename(aside, path), 0);
	task_done(&t);
}

/* Who runs the task cannot be read: it is not taken for dead. */
static void test_unreadable(void **state)
{
	char path[300], aside[300];
	struct task t;

	(void)state;
	task_init(&t);
	assert_int_equal(task_start_argv(&t, "/bin/sleep", "1000", NULL, NULL), 0);
	snprintf(path, sizeof(path), "%s/supervisor", t.dir);
	snprintf(aside, sizeof(aside), "%s/aside", t.dir);
	assert_int_equal(rename(path, aside), 0);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(nomad__supervisor_clean(t.dir, NULL), -EISDIR);
	assert_int_equal(kill(nomad__supervisor_pid(t.s), 0), 0);
	assert_int_equal(rmdir(path), 0);
	assert_int_equal(rename(aside, path), 0);
	nomad__supervisor_free(t.s);
	t.s = NULL;
	assert_int_equal(nomad__supervisor_clean(t.dir, NULL), 0);
	task_done(&t);
}

static void test_silent(void **state)
{
	(void)state;
	silent(true, false);
	silent(true, true);
	silent(false, false);
}

/* Until a stop's time is over, a supervisor may come back. */
static void test_silent_for_a_while(void **state)
{
	struct nomad_error *err = NULL;
	struct task t;
	int supervisor;

	(void)state;
	task_init(&t);
	task_sh(&t, "trap 'exit 7' TERM; while :; do sleep 0.1; done");
	supervisor = nomad__supervisor_pid(t.s);
	assert_int_equal(kill(supervisor, SIGSTOP), 0);
	assert_int_equal(nomad__supervisor_stop(t.s, 0, 3600000, NULL), 0);
	assert_int_equal(nomad__supervisor_signal(t.s, SIGUSR1, &err), -ETIMEDOUT);
	assert_non_null(strstr(nomad_error_message(err), "does not answer"));
	nomad_error_free(err);
	assert_int_equal(t.exits, 0);
	assert_int_equal(kill(supervisor, SIGCONT), 0);
	task_wait(&t);
	task_done(&t);
}

/* It has recorded the end and is stopped before it unlocks the directory. */
static void test_silent_at_the_end(void **state)
{
	static const char record[] = "v=1\0exit_code=3";
	struct task t;
	char path[300];
	int fd;

	(void)state;
	task_init(&t);
	assert_int_equal(task_start_argv(&t, "/bin/sleep", "1000", NULL, NULL), 0);
	assert_int_equal(kill(nomad__supervisor_pid(t.s), SIGSTOP), 0);
	snprintf(path, sizeof(path), "%s/exit", t.dir);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(write(fd, record, sizeof(record)), sizeof(record));
	close(fd);
	task_done(&t);
}

/* Where nobody reaps (PID 1 of many containers), a dead supervisor stays as a
 * zombie: dead all the same, and told to be so at once. */
static void test_zombie(void **state)
{
	struct nomad_error *err = NULL;
	struct nomad__supervisor *other = NULL;
	int64_t begin;
	struct task t;
	siginfo_t info;
	int pid;

	(void)state;
	assert_int_equal(nomad__reaper_acquire(), 0);
	task_init(&t);
	assert_int_equal(task_start_argv(&t, "/bin/sleep", "1000", NULL, NULL), 0);
	pid = nomad__supervisor_pid(t.s);
	nomad__supervisor_free(t.s);
	t.s = NULL;
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
	assert_int_equal(kill(pid, 0), 0);
	begin = nomad_monotonic_ns();
	assert_int_equal(nomad__supervisor_attach(t.loop, t.dir, &test_events, &t, &other, &err), -ENOENT);
	assert_non_null(strstr(nomad_error_message(err), "is dead"));
	assert_true(nomad_monotonic_ns() - begin < INT64_C(1900000000)); /* less than what one that is stuck is given */
	nomad_error_free(err);
	task_done(&t);
	while (waitpid(-1, NULL, 0) > 0)
		;
	assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0), 0);
}

static void test_second_start(void **state)
{
	struct nomad_error *err = NULL;
	struct nomad__supervisor *other = NULL;
	struct task t;

	(void)state;
	task_init(&t);
	assert_int_equal(task_start_argv(&t, "/bin/sleep", "1000", NULL, NULL), 0);
	assert_int_equal(nomad__supervisor_start(t.loop, &t.what, &test_events, &t, &other, &err), -EEXIST);
	assert_non_null(strstr(nomad_error_message(err), "another supervisor"));
	nomad_error_free(err);
	assert_null(other);
	task_done(&t);
}

static void test_large_and_secret(void **state)
{
	static char big[120 << 10];
	enum { ARGS = 5000 };
	static const char *argv[ARGS + 4];
	struct task t;
	char path[600], buf[8192], name[16];
	DIR *d;
	struct dirent *e;
	ssize_t n;
	int fd;

	(void)state;
	task_init(&t);
	memset(big, 'b', sizeof(big) - 1);
	for (int i = 0; i < 8; i++) {
		snprintf(name, sizeof(name), "BIG%d", i);
		assert_int_equal(nomad_map_set(&t.env, name, big), 0);
	}
	assert_int_equal(nomad_map_set(&t.env, "TOKEN", "canary-5a5a"), 0);
	assert_int_equal(nomad_map_set(&t.env, "LINES", "a\nb=c\xff"), 0);
	argv[0] = "/bin/sh";
	argv[1] = "-c";
	argv[2] = "[ $# = 4999 ] && [ ${#BIG7} = 122879 ] && [ \"$TOKEN\" = canary-5a5a ] && [ \"$(printenv LINES | od "
		  "-An -tx1 | tr -d ' \\n')\" = 610a623d63ff0a ] && { [ \"$HOLD\" ] && sleep 1000; exit 12; }";
	for (int i = 0; i < ARGS; i++)
		argv[3 + i] = "argument";
	t.command.argv = argv;
	assert_int_equal(nomad__supervisor_start(t.loop, &t.what, &test_events, &t, &t.s, NULL), 0);
	task_wait(&t);
	assert_int_equal(t.result.exit_code, 12);
	nomad__supervisor_free(t.s);
	assert_int_equal(nomad__supervisor_clean(t.dir, NULL), 0);

	/* No secret in what the supervisor shows or writes. */
	t.exits = 0;
	argv[3] = NULL;
	argv[2] = "exec sleep 1000";
	assert_int_equal(nomad__supervisor_start(t.loop, &t.what, &test_events, &t, &t.s, NULL), 0);
	for (int i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "/proc/%d/%s", nomad__supervisor_pid(t.s), i ? "cmdline" : "environ");
		fd = open(path, O_RDONLY | O_CLOEXEC);
		n = read(fd, buf, sizeof(buf));
		close(fd);
		assert_true(n >= 0);
		assert_null(memmem(buf, (size_t)n, "canary", 6));
	}
	d = opendir(t.dir);
	while ((e = readdir(d))) {
		snprintf(path, sizeof(path), "%s/%s", t.dir, e->d_name);
		fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
		n = fd < 0 ? 0 : read(fd, buf, sizeof(buf));
		if (fd >= 0)
			close(fd);
		assert_null(n > 0 ? memmem(buf, (size_t)n, "canary", 6) : NULL);
	}
	closedir(d);
	/* Nor does it hold what is not its own. */
	snprintf(path, sizeof(path), "/proc/%d/fd", nomad__supervisor_pid(t.s));
	assert_true(count_entries(path) <= 8);
	task_done(&t);
}

/* A directory on a disk that is full: at the start, and at the end, which is recorded if there was time to make its
 * place. */
static void full_disk(bool prepared)
{
	struct nomad_error *err = NULL;
	struct task t;
	char path[300], place[300], *buf = calloc(1, 4096);
	struct stat st;
	int fd;

	task_init(&t);
	if (mount("none", t.dir, "tmpfs", 0, "size=64k,mode=700") < 0) {
		free(buf);
		task_done(&t);
		skip();
	}
	snprintf(path, sizeof(path), "%s/fill", t.dir);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	while (write(fd, buf, 4096) > 0)
		;
	assert_int_equal(task_start_argv(&t, "/bin/sleep", "1000", NULL, &err), -ENOSPC);
	assert_non_null(strstr(nomad_error_message(err), t.dir));
	nomad_error_free(err);
	assert_int_equal(count_entries(t.dir), 1);
	assert_int_equal(ftruncate(fd, 0), 0);
	task_sh(&t, "read x </dev/zero; sleep 0.3; exit 33");
	snprintf(place, sizeof(place), "%s/.exit.new", t.dir);
	wait_until(!prepared || (stat(place, &st) == 0 && st.st_size == 1024));
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	while (write(fd, buf, 4096) > 0)
		;
	close(fd);
	free(buf);
	assert_int_equal(nomad__supervisor_kill(t.s, NULL), 0);
	task_wait(&t);
	assert_false(t.result.lost);
	assert_int_equal(t.result.signal, SIGKILL);
	nomad__supervisor_free(t.s);
	t.s = NULL;
	if (prepared) {
		/* As a successor of the plugin hears it. */
		t.exits = 0;
		assert_int_equal(nomad__supervisor_attach(t.loop, t.dir, &test_events, &t, &t.s, NULL), 0);
		task_wait(&t);
		assert_int_equal(t.result.signal, SIGKILL);
		nomad__supervisor_free(t.s);
		t.s = NULL;
	}
	assert_int_equal(nomad__supervisor_clean(t.dir, NULL), 0);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(umount2(t.dir, MNT_DETACH), 0);
	task_done(&t);
}

static void test_full_disk(void **state)
{
	(void)state;
	full_disk(false);
	full_disk(true);
}

/* The plugin runs out of descriptors: a named error each time, nothing left. */
static void test_no_descriptors(void **state)
{
	struct rlimit limit, low;
	struct task t;
	int first, failures = 0;

	(void)state;
	task_init(&t);
	/* The program is in memory from now on. */
	task_sh(&t, "exit 0");
	task_wait(&t);
	nomad__supervisor_free(t.s);
	t.s = NULL;
	assert_int_equal(nomad__supervisor_clean(t.dir, NULL), 0);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	first = dup(0);
	close(first);
	for (int room = 0; room < 12; room++) {
		struct nomad_error *err = NULL;
		int r;

		low = limit;
		low.rlim_cur = (rlim_t)(first + room);
		assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
		r = task_start_argv(&t, "/bin/sleep", "1000", NULL, &err);
		assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
		if (r < 0) {
			assert_non_null(err);
			assert_true(strlen(nomad_error_message(err)) > 10);
			failures++;
		}
		nomad_error_free(err);
		nomad__supervisor_free(t.s);
		t.s = NULL;
		assert_int_equal(nomad__supervisor_clean(t.dir, NULL), 0);
		assert_int_equal(count_entries(t.dir), 0);
	}
	assert_true(failures > 0 && failures < 12);
	task_done(&t);
}

static void test_exit_channel(void **state)
{
	static const struct {
		const char *said;
		int code, signal;
		bool oom;
	} cases[] = {
		{ "137 9 1", 137, 9, true }, { "137 9 0", 137, 9 }, { "137 9", 137, 9 },
		{ "rubbish", 1, 0 },	     { "-1 0", 1, 0 },	    { "3", 1, 0 },
		{ "0 99999", 1, 0 },	     { "70000 0", 1, 0 },   { "0 0 0", 0, 0 },
	};
	struct task t;
	char script[96];

	(void)state;
	task_init(&t);
	t.command.exit_channel = true;
	for (size_t i = 0; i < NOMAD_ARRAY_LEN(cases); i++) {
		snprintf(script, sizeof(script), "echo '%s' >&4; echo 0 0 >&4; exit 1", cases[i].said);
		t.exits = 0;
		task_sh(&t, script);
		task_wait(&t);
		assert_int_equal(t.result.exit_code, cases[i].code);
		assert_int_equal(t.result.signal, cases[i].signal);
		assert_int_equal(t.result.oom_killed, cases[i].oom);
		nomad__supervisor_free(t.s);
		t.s = NULL;
		assert_int_equal(nomad__supervisor_clean(t.dir, NULL), 0);
	}
	/* Who did not ask for a channel has no descriptor. */
	t.command.exit_channel = false;
	t.exits = 0;
	task_sh(&t, "ls /proc/self/fd | tr '\\n' ' ' | grep -qx '0 1 2 3 '");
	task_wait(&t);
	assert_int_equal(t.result.exit_code, 0);
	task_done(&t);
}

static void test_user(void **state)
{
	struct task t;

	(void)state;
	if (geteuid() != 0)
		skip();
	task_init(&t);
	t.command.user = "daemon";
	task_sh(&t, "[ $(id -un) = daemon ] && [ $(id -u) != 0 ] && exit 44");
	task_wait(&t);
	assert_int_equal(t.result.exit_code, 44);
	nomad__supervisor_free(t.s);
	assert_int_equal(nomad__supervisor_clean(t.dir, NULL), 0);
	t.exits = 0;
	t.command.user = "nomad-81234";
	task_sh(&t, "[ $(id -u):$(id -g) = 81234:81234 ] && exit 45");
	task_wait(&t);
	assert_int_equal(t.result.exit_code, 45);
	task_done(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_strange_messages),
		cmocka_unit_test(test_stop_beyond_bounds),
		cmocka_unit_test(test_versions),
		cmocka_unit_test(test_many_clients),
		cmocka_unit_test(test_stands_still),
		cmocka_unit_test(test_unreadable),
		cmocka_unit_test(test_silent),
		cmocka_unit_test(test_silent_for_a_while),
		cmocka_unit_test(test_silent_at_the_end),
		cmocka_unit_test(test_zombie),
		cmocka_unit_test(test_second_start),
		cmocka_unit_test(test_large_and_secret),
		cmocka_unit_test(test_full_disk),
		cmocka_unit_test(test_no_descriptors),
		cmocka_unit_test(test_exit_channel),
		cmocka_unit_test(test_user),
	};

	return cmocka_run_group_tests_name("supervisor/fault", tests, NULL, NULL);
}
