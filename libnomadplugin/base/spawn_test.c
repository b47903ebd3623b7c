/* SPDX-License-Identifier: MPL-2.0 */
#include "base/spawn.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct nomad__loop *loop;
static struct end {
	int calls, r, exit_code, signal;
} end;

static int set_up(void **state)
{
	(void)state;
	end = (struct end){ 0 };
	return nomad__loop_new(&loop);
}

static int tear_down(void **state)
{
	(void)state;
	nomad__loop_free(loop);
	return 0;
}

static void exited(void *ud, int r, int exit_code, int sig, const char *message)
{
	struct end *e = ud;

	e->r = r;
	e->exit_code = exit_code;
	e->signal = sig;
	assert_null(message);
	__atomic_add_fetch(&e->calls, 1, __ATOMIC_SEQ_CST);
}

/* Runs a shell's command with the pipe's end as its stdout; the text that it wrote. */
static struct nomad__spawn *shell(const char *command, char *output, size_t size)
{
	char *argv[] = { (char *)"/bin/sh", (char *)"-c", (char *)command, NULL };
	struct nomad_pair pairs[] = { { (char *)"A", (char *)"1" }, { (char *)"PATH", (char *)"/usr/bin:/bin" } };
	struct nomad_exec exec = { .argv = argv, .env = { pairs, 2 } };
	int null = open("/dev/null", O_RDWR | O_CLOEXEC), fds[2];
	struct nomad__spawn *spawn = NULL;
	size_t used = 0;
	ssize_t n;

	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	assert_int_equal(nomad__spawn(loop, &exec, (const int[]){ null, fds[1], null }, exited, &end, &spawn, NULL), 0);
	close(fds[1]);
	close(null);
	while (output && (n = read(fds[0], output + used, size - 1 - used)) > 0)
		used += (size_t)n;
	if (output)
		output[used] = '\0';
	close(fds[0]);
	return spawn;
}

static void await_end(void)
{
	for (int i = 0; i < 3000 && !__atomic_load_n(&end.calls, __ATOMIC_SEQ_CST); i++)
		usleep(10000);
	assert_int_equal(end.calls, 1);
	assert_int_equal(end.r, 0);
}

static void the_exit_code_is_reported_once(void **state)
{
	struct nomad__spawn *spawn = shell("exit 3", NULL, 0);

	(void)state;
	await_end();
	assert_int_equal(end.exit_code, 3);
	assert_int_equal(end.signal, 0);
	nomad__spawn_free(spawn);
	nomad__spawn_free(NULL);
}

static void a_signal_is_reported(void **state)
{
	struct nomad__spawn *spawn = shell("kill -USR1 $$", NULL, 0);

	(void)state;
	await_end();
	assert_int_equal(end.exit_code, 0);
	assert_int_equal(end.signal, SIGUSR1);
	nomad__spawn_free(spawn);
}

static void the_command_has_its_environment_and_no_signal_is_blocked_or_ignored(void **state)
{
	struct nomad__spawn *spawn;
	unsigned long long blocked = 1, ignored = 1;
	char output[4096];
	sigset_t some, old;

	(void)state;
	sigemptyset(&some);
	sigaddset(&some, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &some, &old);
	signal(SIGUSR2, SIG_IGN);
	spawn = shell("echo \"A=$A HOME=$HOME\"; grep -E '^Sig(Blk|Ign)' /proc/self/status", output, sizeof(output));
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	signal(SIGUSR2, SIG_DFL);
	await_end();
	nomad__spawn_free(spawn);
	assert_ptr_equal(strstr(output, "A=1 HOME=\n"), output);
	if (access("/proc/self/status", R_OK) == 0) {
		/* The C library keeps signals 32 and 33 for itself. */
		assert_int_equal(sscanf(strstr(output, "SigBlk"), "SigBlk: %llx SigIgn: %llx", &blocked, &ignored), 2);
		assert_true(blocked == 0);
		assert_true((ignored & 0x7fffffff) == 0);
	}
}

static void a_program_that_is_not_there_is_an_error(void **state)
{
	char *argv[] = { (char *)"/nowhere", NULL };
	struct nomad_exec exec = { .argv = argv };
	struct nomad__spawn *spawn = NULL;
	struct nomad_error *err = NULL;

	(void)state;
	assert_int_equal(nomad__spawn(loop, &exec, (const int[]){ 0, 1, 2 }, exited, &end, &spawn, &err), -ENOENT);
	assert_string_equal(nomad_error_message(err), "run '/nowhere': no such file or directory");
	assert_null(spawn);
	nomad_error_free(err);
}

static void freed_early_the_command_is_killed_and_nothing_is_reported(void **state)
{
	char output[64];
	struct nomad__spawn *spawn = shell("echo $$; exec >&-; exec sleep 1000", output, sizeof(output));
	pid_t pid = (pid_t)strtol(output, NULL, 10);

	(void)state;
	assert_true(pid > 1);
	assert_int_equal(kill(pid, 0), 0);
	nomad__spawn_free(spawn);
	for (int i = 0; i < 3000 && kill(pid, 0) == 0; i++)
		usleep(10000);
	assert_int_equal(kill(pid, 0), -1);
	usleep(50000);
	assert_int_equal(end.calls, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_exit_code_is_reported_once, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_signal_is_reported, set_up, tear_down),
		cmocka_unit_test_setup_teardown(the_command_has_its_environment_and_no_signal_is_blocked_or_ignored,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_program_that_is_not_there_is_an_error, set_up, tear_down),
		cmocka_unit_test_setup_teardown(freed_early_the_command_is_killed_and_nothing_is_reported, set_up,
						tear_down),
	};

	return cmocka_run_group_tests_name("base/spawn", tests, NULL, NULL);
}
