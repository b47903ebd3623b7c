/* SPDX-License-Identifier: MPL-2.0
 *
 * A plugin that dies in the middle of a call is played by a child. */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "hold.h"
#include "nomad/error.h"
#include "nomad/tool.h"

static char dir[64], mark[96];

static int setup(void **state)
{
	(void)state;
	snprintf(dir, sizeof(dir), "/tmp/pot-hold-test.XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	snprintf(mark, sizeof(mark), "%s/mark", dir);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	unlink(mark);
	return rmdir(dir);
}

static bool exists(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0;
}

/* A plugin that dies before it has recorded the number leaves an orphan that is waited for, not killed. */
static bool is_recorded(void)
{
	char path[96];
	struct stat st;

	snprintf(path, sizeof(path), "%s/pot-call", dir);
	return stat(path, &st) == 0 && st.st_size > 0;
}

/* Runs the script with a hold, and dies once the script has made its mark. */
static void die_in(const char *script)
{
	const char *argv[] = { "/bin/sh", "-c", script, "sh", mark, NULL };
	pid_t pid;
	int status;

	unlink(mark);
	pid = fork();
	if (pid == 0) {
		struct nomad_tool run = { .argv = argv, .path = "/usr/bin:/bin", .timeout_ms = 600000 };
		int fd = pot_hold_new(dir, NULL);

		pot_hold_apply(&run, fd);
		if (fd > 0)
			exit(nomad_tool_run(&run, NULL) < 0);
		_exit(1);
	}
	for (int i = 0; i < 3000 && !(exists(mark) && is_recorded()); i++)
		nanosleep(&(struct timespec){ .tv_nsec = 10000000 }, NULL);
	assert_true(exists(mark));
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, &status, 0), pid);
}

static void test_nothing(void **state)
{
	(void)state;
	assert_int_equal(pot_hold_end(dir, NULL), 0);
	assert_int_equal(pot_hold_end("/nonexistent", NULL), 0);
}

static void test_regular(void **state)
{
	int fd = pot_hold_new(dir, NULL);

	(void)state;
	assert_true(fd > 0);
	pot_hold_free(dir, fd);
	assert_int_equal(pot_hold_end(dir, NULL), 0);
}

static void test_orphan_is_ended(void **state)
{
	(void)state;
	/* A child of the child holds it, too; the mark tells the group. */
	die_in("echo $$ >\"$1\"; sleep 1000 & wait");
	assert_int_equal(pot_hold_end(dir, NULL), 0);
	assert_int_equal(pot_hold_end(dir, NULL), 0);
}

static void test_stubborn_orphan_is_ended(void **state)
{
	(void)state;
	die_in("trap '' TERM; echo $$ >\"$1\"; while :; do sleep 1; done");
	assert_int_equal(pot_hold_end(dir, NULL), 0);
}

static void test_stale_number_is_not_killed(void **state)
{
	pid_t innocent = fork();
	char path[96];
	int status;
	FILE *f;

	(void)state;
	if (innocent == 0) {
		setpgid(0, 0);
		pause();
		_exit(0);
	}
	setpgid(innocent, innocent);
	snprintf(path, sizeof(path), "%s/pot-call", dir);
	f = fopen(path, "w");
	assert_non_null(f);
	fprintf(f, "%ld\n", (long)innocent);
	fclose(f);
	/* Nobody holds it. */
	assert_int_equal(pot_hold_end(dir, NULL), 0);
	assert_int_equal(waitpid(innocent, &status, WNOHANG), 0);
	kill(innocent, SIGKILL);
	waitpid(innocent, &status, 0);
	assert_false(exists(path));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing),
		cmocka_unit_test(test_regular),
		cmocka_unit_test(test_orphan_is_ended),
		cmocka_unit_test(test_stubborn_orphan_is_ended),
		cmocka_unit_test(test_stale_number_is_not_killed),
	};

	return cmocka_run_group_tests_name("pot holds", tests, setup, teardown);
}
