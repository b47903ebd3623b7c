/* SPDX-License-Identifier: MPL-2.0
 *
 * The poller: readiness, hang-up, timeout, wake. */
#include "base/poller.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <sys/socket.h>
#include <unistd.h>

static void test_pipe(void **state)
{
	struct nomad__poller *poller = NULL;
	struct nomad__poller_event ev[4];
	int fds[2], tag;
	char c;

	(void)state;
	assert_int_equal(pipe(fds), 0);
	assert_int_equal(nomad__poller_new(&poller), 0);
	assert_int_equal(nomad__poller_add(poller, fds[0], NOMAD__POLL_READ, &tag), 0);
	assert_int_equal(nomad__poller_wait(poller, 0, ev, 4), 0);
	assert_int_equal(write(fds[1], "x", 1), 1);
	assert_int_equal(nomad__poller_wait(poller, -1, ev, 4), 1);
	assert_ptr_equal(ev[0].ud, &tag);
	assert_int_equal(ev[0].events, NOMAD__POLL_READ);
	/* Level-triggered: it stays ready. */
	assert_int_equal(nomad__poller_wait(poller, -1, ev, 4), 1);
	/* Without an interest in reading, data is not an event; a hang-up is. */
	assert_int_equal(nomad__poller_mod(poller, fds[0], NOMAD__POLL_HANGUP, &tag), 0);
	assert_int_equal(nomad__poller_wait(poller, 1000000, ev, 4), 0);
	assert_int_equal(read(fds[0], &c, 1), 1);
	close(fds[1]);
	assert_int_equal(nomad__poller_wait(poller, -1, ev, 4), 1);
	assert_true(ev[0].events & NOMAD__POLL_HANGUP);
	nomad__poller_del(poller, fds[0]);
	assert_int_equal(nomad__poller_wait(poller, 0, ev, 4), 0);
	close(fds[0]);
	nomad__poller_free(poller);
}

/* The reader of a pipe closes it: the watcher of the other end gets an event, before and after. */
static void test_no_reader(void **state)
{
	static const unsigned events[] = { NOMAD__POLL_WRITE, NOMAD__POLL_HANGUP,
					   NOMAD__POLL_WRITE | NOMAD__POLL_READ };
	struct nomad__poller_event ev[4];

	(void)state;
	for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++) {
		for (int gone_before = 0; gone_before < 2; gone_before++) {
			struct nomad__poller *poller = NULL;
			int fds[2], tag, n;
			unsigned seen = 0;

			assert_int_equal(pipe(fds), 0);
			assert_int_equal(nomad__poller_new(&poller), 0);
			if (gone_before)
				close(fds[0]);
			assert_int_equal(nomad__poller_add(poller, fds[1], events[i], &tag), 0);
			if (!gone_before)
				close(fds[0]);
			n = nomad__poller_wait(poller, 1000000000, ev, 4);
			assert_true(n > 0);
			while (n-- > 0)
				seen |= ev[n].events;
			assert_true(seen & NOMAD__POLL_HANGUP);
			close(fds[1]);
			nomad__poller_free(poller);
		}
	}
}

/* A socket that is watched for its end alone. */
static void test_socket_end(void **state)
{
	struct nomad__poller *poller = NULL;
	struct nomad__poller_event ev[4];
	int fds[2], tag;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	assert_int_equal(nomad__poller_new(&poller), 0);
	assert_int_equal(nomad__poller_add(poller, fds[0], NOMAD__POLL_HANGUP, &tag), 0);
	assert_int_equal(write(fds[1], "xyz", 3), 3);
	assert_int_equal(nomad__poller_wait(poller, 10000000, ev, 4), 0);
	close(fds[1]);
	assert_int_equal(nomad__poller_wait(poller, 1000000000, ev, 4), 1);
	assert_true(ev[0].events & NOMAD__POLL_HANGUP);
	close(fds[0]);
	nomad__poller_free(poller);
}

static void test_wake(void **state)
{
	struct nomad__poller *poller = NULL;
	struct nomad__poller_event ev[4];

	(void)state;
	assert_int_equal(nomad__poller_new(&poller), 0);
	nomad__poller_wake(poller);
	nomad__poller_wake(poller);
	assert_int_equal(nomad__poller_wait(poller, -1, ev, 4), 0);
	assert_int_equal(nomad__poller_wait(poller, 1, ev, 4), 0);
	nomad__poller_free(poller);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pipe),
		cmocka_unit_test(test_no_reader),
		cmocka_unit_test(test_socket_end),
		cmocka_unit_test(test_wake),
	};

	return cmocka_run_group_tests_name("base/poller", tests, NULL, NULL);
}
