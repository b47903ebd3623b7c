/* SPDX-License-Identifier: MPL-2.0
 *
 * Signals to a container that is processes of this test, and what a command
 * in one is run as.  The library's view of a task is told by the test. */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* life.c anew, with these instead of the library's. */
#define nspawn_images_dir test_images_dir
#define nspawn_signal test_signal
#define nspawn_stop test_stop
#define nspawn_destroy test_destroy
#define nspawn_inspect test_inspect
#define nspawn_recover test_recover
#define nomad_task_leader test_leader
#define nomad_task_config test_config
#define nomad_task_get test_get
#include "life.c"

static struct nspawn_config config;
static int leader;
static int looks; /* how often it is asked for before it is another */

int test_leader(const struct nomad_task *task)
{
	(void)task;
	return looks-- > 0 ? leader : 0;
}

static const char *stop_signal; /* of the image */

const char *test_get(const struct nomad_task *task, const char *key)
{
	(void)task;
	return strcmp(key, "stop_signal") == 0 ? stop_signal : NULL;
}

const void *test_config(const struct nomad_task *task)
{
	(void)task;
	return &config;
}

static int set_up(void **state)
{
	(void)state;
	config = (struct nspawn_config){ .init = true, .image = (char *)"/img" };
	leader = 0;
	looks = 1000;
	return 0;
}

/* A child that ends with the number of the signal that it gets; with another below it if `below`. */
static pid_t start(bool below)
{
	int ready[2];
	sigset_t all;
	pid_t pid;
	char c;

	assert_int_equal(pipe(ready), 0);
	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		sigfillset(&all);
		sigprocmask(SIG_SETMASK, &all, NULL);
		if (below && !fork()) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			if (write(ready[1], "x", 1) == 1)
				pause();
			_exit(0);
		}
		if (!below && write(ready[1], "x", 1) != 1)
			_exit(99);
		sigdelset(&all, SIGCHLD);
		if (below) {
			int status;

			_exit(wait(&status) > 0 && WIFSIGNALED(status) ? 100 + WTERMSIG(status) : 98);
		}
		_exit(sigwaitinfo(&all, NULL));
	}
	assert_int_equal(read(ready[0], &c, 1), 1);
	close(ready[0]);
	close(ready[1]);
	return pid;
}

static int end_of(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static void test_stops(void **state)
{
	static const struct {
		bool boot;
		int asked, wanted; /* -n: SIGRTMIN+n */
		const char *image;
	} rows[] = {
		{ false, 0, SIGUSR1, "10" },
		{ false, SIGINT, SIGINT, "10" },
		{ true, 0, -3, "10" },
		{ false, 0, SIGTERM },
		{ false, SIGINT, SIGINT },
		{ false, SIGUSR2, SIGUSR2 },
		{ true, 0, -3 },
		{ true, SIGTERM, -3 },
		{ true, SIGINT, -3 },
		{ true, SIGQUIT, -3 },
		{ true, SIGHUP, SIGHUP },
	};
	size_t i;

	(void)state;
	for (i = 0; i < NOMAD_ARRAY_LEN(rows); i++) {
		config.boot = rows[i].boot;
		stop_signal = rows[i].image;
		leader = start(false);
		assert_int_equal(test_stop(NULL, rows[i].asked, 1000, NULL), 0);
		assert_int_equal(end_of(leader), rows[i].wanted < 0 ? SIGRTMIN - rows[i].wanted : rows[i].wanted);
	}
}

/* Those that our init cannot pass on go to what is below it. */
static void test_payload(void **state)
{
	(void)state;
	leader = start(true);
	assert_true(payload_of(leader) > 0);
	assert_int_equal(test_signal(NULL, SIGKILL, NULL), 0);
	assert_int_equal(end_of(leader), 100 + SIGKILL);
	/* Without it the command is PID 1. */
	config.init = false;
	leader = start(false);
	assert_int_equal(payload_of(leader), 0);
	assert_int_equal(test_signal(NULL, SIGKILL, NULL), 0);
	assert_int_equal(end_of(leader), -SIGKILL);
}

static void test_ended(void **state)
{
	struct nomad_error *err = NULL;
	pid_t pid;

	(void)state;
	assert_int_equal(test_signal(NULL, SIGTERM, &err), -ESRCH);
	assert_string_equal(nomad_error_message(err), "the task has ended");
	nomad_error_free(err);
	assert_int_equal(test_stop(NULL, SIGTERM, 1, NULL), 0); /* which is what is wanted */
	/* It ends while we look: nobody else who has its number now gets the signal. */
	pid = start(false);
	leader = pid;
	looks = 1;
	assert_int_equal(test_signal(NULL, SIGTERM, NULL), -ESRCH);
	assert_int_equal(waitpid(pid, NULL, WNOHANG), 0);
	kill(pid, SIGUSR1);
	assert_int_equal(end_of(pid), SIGUSR1);
	assert_int_equal(payload_of(0x7ffffff0), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_stops, set_up),
		cmocka_unit_test_setup(test_payload, set_up),
		cmocka_unit_test_setup(test_ended, set_up),
	};

	return cmocka_run_group_tests_name("nspawn/life", tests, NULL, NULL);
}
