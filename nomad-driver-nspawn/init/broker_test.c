/* SPDX-License-Identifier: MPL-2.0
 *
 * The exec broker as the supervisor sees it, in a process of its own. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "broker.c"
#include "relay.c"

static int supervisor; /* its end of the socket */

static const char *become(void *ud, char **argv, int tty, const char **ret_object)
{
	(void)ud;
	(void)tty;
	*ret_object = argv[0];
	if (strcmp(argv[0], "refuse") == 0) {
		*ret_object = "/gone";
		errno = ENOENT;
		return "enter working directory";
	}
	execvp(argv[0], argv);
	return "run";
}

static int set_up(void **state)
{
	int pair[2];

	(void)state;
	assert_int_equal(nomad__unix_pair(pair), 0);
	supervisor = pair[0];
	assert_int_equal(broker_start(pair[1], become, NULL), 0);
	return 0;
}

static int tear_down(void **state)
{
	int status;

	(void)state;
	close(supervisor);
	assert_true(waitpid(-1, &status, 0) > 0);
	assert_true(WIFEXITED(status));
	return 0;
}

static void send_run(int64_t id, int tty, const int stdio[3], const char *const *argv)
{
	int fds[4] = { memfd_create("arguments", MFD_CLOEXEC), -1, -1, -1 }, n = 1;
	char buf[4096];
	struct nomad__fields m;

	nomad__fields_init(&m, buf, sizeof(buf));
	for (; *argv; argv++)
		nomad__fields_add(&m, "arg", *argv);
	assert_int_equal(write(fds[0], m.buf, m.used), (ssize_t)m.used);
	for (; stdio && n < 4; n++)
		fds[n] = stdio[n - 1];
	nomad__fields_init(&m, buf, sizeof(buf));
	nomad__fields_add(&m, "op", "run");
	nomad__fields_num(&m, "id", id);
	nomad__fields_num(&m, "tty", tty);
	assert_int_equal(nomad__unix_send(supervisor, m.buf, m.used, fds, n, true), 0);
	close(fds[0]);
}

/* The next message, which has to be `op` of `id`. */
static const char *expect(const char *op, int64_t id, size_t *ret_size)
{
	static char buf[MESSAGE_SIZE];
	int fds[NOMAD__MAX_FDS];
	ssize_t n = nomad__unix_receive(supervisor, buf, sizeof(buf), fds, true);

	assert_true(n > 0);
	assert_string_equal(nomad__fields_get(buf, (size_t)n, "op"), op);
	assert_int_equal(nomad__fields_get_num(buf, (size_t)n, "id", -1), id);
	*ret_size = (size_t)n;
	assert_int_equal(fds[0], -1);
	return buf;
}

static void expect_exit(int64_t id, int code, int signal)
{
	size_t size;
	const char *m = expect("exited", id, &size);

	assert_int_equal(nomad__fields_get_num(m, size, "code", -1), code);
	assert_int_equal(nomad__fields_get_num(m, size, "signal", -1), signal);
}

#define ARGV(...) ((const char *const[]){ __VA_ARGS__, NULL })

/* All until the end. */
static void read_text(int fd, char *buf, size_t size)
{
	size_t used = 0;
	ssize_t n;

	while (used < size - 1 && (n = read(fd, buf + used, size - 1 - used)) > 0)
		used += (size_t)n;
	buf[used] = 0;
}

static void test_command_gets_its_descriptors_and_status(void **state)
{
	char got[64];
	int out[2], null = open("/dev/null", O_RDWR | O_CLOEXEC);
	size_t size;

	(void)state;
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	send_run(7, 0, (int[]){ null, out[1], out[1] },
		 ARGV("sh", "-c", "echo out; echo err >&2; ls /proc/self/fd | wc -l; exit 3"));
	close(out[1]);
	expect("started", 7, &size);
	expect_exit(7, 3, 0);
	/* stdin, stdout, stderr, and what ls opened itself. */
	read_text(out[0], got, sizeof(got));
	assert_string_equal(got, "out\nerr\n4\n");
	close(out[0]);
	close(null);
}

/* Our ends of the pipes that a terminal is for us. */
static void send_terminal(int64_t id, const char *const *argv, int *ret_in, int *ret_out)
{
	int in[2], out[2];
	size_t size;

	assert_int_equal(pipe2(in, O_CLOEXEC), 0);
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	send_run(id, 1, (int[]){ in[0], out[1], out[1] }, argv);
	close(in[0]);
	close(out[1]);
	expect("started", id, &size);
	*ret_in = in[1];
	*ret_out = out[0];
}

static void test_terminal_belongs_to_the_command(void **state)
{
	char got[256], buf[256];
	struct nomad__fields m;
	int in, out;

	(void)state;
	send_terminal(8, ARGV("sh", "-c", "tty; read x; echo $(ps -o tty= -p $$) got $x; stty size; exit 4"), &in,
		      &out);
	nomad__fields_init(&m, buf, sizeof(buf));
	nomad__fields_add(&m, "op", "resize");
	nomad__fields_num(&m, "id", 8);
	nomad__fields_num(&m, "rows", 33);
	nomad__fields_num(&m, "columns", 99);
	assert_int_equal(nomad__unix_send(supervisor, m.buf, m.used, NULL, 0, true), 0);
	assert_int_equal(write(in, "abc\n", 4), 4);
	read_text(out, got, sizeof(got));
	assert_non_null(strstr(got, "/dev/pts/"));
	assert_non_null(strstr(got, "\r\npts/"));
	assert_non_null(strstr(got, " got abc\r\n33 99\r\n"));
	expect_exit(8, 4, 0);
	close(in);
	close(out);
}

/* All that a command wrote is there before its end is told, however slow the reader is. */
static void test_terminal_is_drained(void **state)
{
	static char got[300000];
	int in, out, null = open("/dev/null", O_RDWR | O_CLOEXEC);
	size_t size;

	(void)state;
	send_terminal(9, ARGV("sh", "-c", "head -c 250000 /dev/zero | tr '\\0' x; sleep 99 & exit 5"), &in, &out);
	/* Another command meanwhile. */
	send_run(10, 0, (int[]){ null, null, null }, ARGV("true"));
	expect("started", 10, &size);
	expect_exit(10, 0, 0);
	usleep(200000);
	read_text(out, got, sizeof(got));
	assert_int_equal(strspn(got, "x"), 250000);
	expect_exit(9, 5, 0);
	close(in);
	close(out);
	close(null);
}

/* Who closes the pipes hangs up. */
static void test_terminal_hangs_up(void **state)
{
	int in, out;
	char c;

	(void)state;
	send_terminal(11, ARGV("sh", "-c", "echo; exec sleep 99"), &in, &out);
	assert_int_equal(read(out, &c, 1), 1);
	close(in);
	close(out);
	expect_exit(11, 0, SIGHUP);
}

static void test_failure_names_act_and_object(void **state)
{
	size_t size;
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	const char *m;

	(void)state;
	send_run(1, 0, (int[]){ null, null, null }, ARGV("refuse"));
	expect("started", 1, &size);
	m = expect("failed", 1, &size);
	assert_int_equal(nomad__fields_get_num(m, size, "errno", 0), ENOENT);
	assert_string_equal(nomad__fields_get(m, size, "act"), "enter working directory '/gone'");
	expect_exit(1, 127, 0);
	send_run(2, 0, (int[]){ null, null, null }, ARGV("/no/such/program"));
	expect("started", 2, &size);
	m = expect("failed", 2, &size);
	assert_string_equal(nomad__fields_get(m, size, "act"), "run '/no/such/program'");
	expect_exit(2, 127, 0);
	/* Without its descriptors a command does not run on the broker's. */
	send_run(3, 0, NULL, ARGV("true"));
	expect("started", 3, &size);
	expect("failed", 3, &size);
	expect_exit(3, 127, 0);
	close(null);
}

static void test_signal_reaches_the_whole_command(void **state)
{
	char buf[256], c;
	int out[2], null = open("/dev/null", O_RDWR | O_CLOEXEC);
	struct nomad__fields m;
	size_t size;

	(void)state;
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	send_run(9, 0, (int[]){ null, out[1], null }, ARGV("sh", "-c", "sleep 99 & echo; wait"));
	close(out[1]);
	expect("started", 9, &size);
	assert_int_equal(read(out[0], &c, 1), 1);
	nomad__fields_init(&m, buf, sizeof(buf));
	nomad__fields_add(&m, "op", "signal");
	nomad__fields_num(&m, "id", 9);
	nomad__fields_num(&m, "signal", SIGKILL);
	assert_int_equal(nomad__unix_send(supervisor, m.buf, m.used, NULL, 0, true), 0);
	expect_exit(9, 0, SIGKILL);
	/* The background child had the pipe, too. */
	assert_int_equal(read(out[0], &c, 1), 0);
	close(out[0]);
	close(null);
}

static void test_requests_that_make_no_sense_change_nothing(void **state)
{
	static const char *const signals[] = { "0", "-1", "9999" };
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	char buf[256];
	struct nomad__fields m;
	size_t size;

	(void)state;
	assert_int_equal(nomad__unix_send(supervisor, "garbage", 7, NULL, 0, true), 0);
	send_run(4, 0, (int[]){ null, null, null }, ARGV("cat"));
	expect("started", 4, &size);
	expect_exit(4, 0, 0);
	for (size_t i = 0; i < 3; i++) {
		nomad__fields_init(&m, buf, sizeof(buf));
		nomad__fields_add(&m, "op", "signal");
		nomad__fields_num(&m, "id", i ? -1 : 4);
		nomad__fields_add(&m, "signal", signals[i]);
		assert_int_equal(nomad__unix_send(supervisor, m.buf, m.used, NULL, 0, true), 0);
	}
	send_run(5, 0, (int[]){ null, null, null }, ARGV("true"));
	expect("started", 5, &size);
	expect_exit(5, 0, 0);
	close(null);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_command_gets_its_descriptors_and_status, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_terminal_belongs_to_the_command, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_terminal_is_drained, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_terminal_hangs_up, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_failure_names_act_and_object, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_signal_reaches_the_whole_command, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_requests_that_make_no_sense_change_nothing, set_up, tear_down),
	};

	return cmocka_run_group_tests_name("nspawn/init/broker", tests, NULL, NULL);
}
