/* SPDX-License-Identifier: MPL-2.0
 *
 * Messages with descriptors, over sockets that keep messages apart and over streams, which do not. */
#include "os/socket.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

static const int types[] = { SOCK_SEQPACKET, SOCK_STREAM };

static void open_pair(int type, int pair[2])
{
	assert_int_equal(socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, pair), 0);
}

static void close_pair(int pair[2])
{
	close(pair[0]);
	close(pair[1]);
}

static void test_messages_stay_apart(void **state)
{
	char buf[64];
	int pair[2], fds[NOMAD__MAX_FDS];

	(void)state;
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		open_pair(types[i], pair);
		assert_int_equal(nomad__unix_receive(pair[1], buf, sizeof(buf), fds, false), -EAGAIN);
		assert_int_equal(nomad__unix_send(pair[0], "one", 3, NULL, 0, false), 0);
		assert_int_equal(nomad__unix_send(pair[0], "second", 6, NULL, 0, true), 0);
		assert_int_equal(nomad__unix_receive(pair[1], buf, sizeof(buf), fds, false), 3);
		assert_memory_equal(buf, "one", 3);
		assert_int_equal(nomad__unix_receive(pair[1], buf, sizeof(buf), fds, true), 6);
		assert_memory_equal(buf, "second", 6);
		assert_int_equal(nomad__unix_receive(pair[1], buf, sizeof(buf), fds, false), -EAGAIN);
		close(pair[0]);
		assert_int_equal(nomad__unix_receive(pair[1], buf, sizeof(buf), fds, false), 0);
		close(pair[1]);
	}
}

static void test_descriptors_stay_with_their_message(void **state)
{
	char buf[64], c;
	int pair[2], pipes[2], fds[NOMAD__MAX_FDS];

	(void)state;
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		open_pair(types[i], pair);
		assert_int_equal(pipe(pipes), 0);
		assert_int_equal(nomad__unix_send(pair[0], "none", 4, NULL, 0, true), 0);
		assert_int_equal(nomad__unix_send(pair[0], "two", 3, pipes, 2, true), 0);
		assert_int_equal(nomad__unix_send(pair[0], "last", 4, NULL, 0, true), 0);
		close_pair(pipes);
		assert_int_equal(nomad__unix_receive(pair[1], buf, sizeof(buf), fds, false), 4);
		assert_int_equal(fds[0], -1);
		assert_int_equal(nomad__unix_receive(pair[1], buf, sizeof(buf), fds, false), 3);
		assert_true(fds[0] >= 0 && fds[1] >= 0 && fds[2] == -1);
		assert_true(fcntl(fds[0], F_GETFD) & FD_CLOEXEC);
		assert_int_equal(write(fds[1], "x", 1), 1);
		assert_int_equal(read(fds[0], &c, 1), 1);
		close_pair(fds);
		assert_int_equal(nomad__unix_receive(pair[1], buf, sizeof(buf), fds, false), 4);
		assert_int_equal(fds[0], -1);
		close_pair(pair);
	}
}

static void test_a_message_that_is_too_long_is_dropped_whole(void **state)
{
	char big[3000], buf[16];
	int pair[2], fds[NOMAD__MAX_FDS];

	(void)state;
	memset(big, 'b', sizeof(big));
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		open_pair(types[i], pair);
		assert_int_equal(nomad__unix_send(pair[0], big, sizeof(big), &pair[0], 1, true), 0);
		assert_int_equal(nomad__unix_send(pair[0], "next", 4, NULL, 0, true), 0);
		assert_int_equal(nomad__unix_receive(pair[1], buf, sizeof(buf), fds, true), -EMSGSIZE);
		assert_int_equal(fds[0], -1);
		assert_int_equal(nomad__unix_receive(pair[1], buf, sizeof(buf), fds, true), 4);
		close_pair(pair);
	}
}

/* Reads until there is nothing left, and checks that message n is all of character n. */
static void *read_all(void *ud)
{
	char buf[8192];
	int *fd = ud, fds[NOMAD__MAX_FDS];
	intptr_t n = 0;

	for (;;) {
		ssize_t size = nomad__unix_receive(*fd, buf, sizeof(buf), fds, true);

		if (size != 8000 || buf[0] != (char)n || buf[7999] != (char)n)
			return (void *)(size == 0 ? n : -1);
		n++;
	}
}

/* The last send does not fit whole: a stream takes a part of it. */
static void test_a_full_socket_takes_messages_whole(void **state)
{
	char message[8000];
	int pair[2];

	(void)state;
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		int small = 4096, r;
		pthread_t reader;
		intptr_t sent = 0;
		void *got;

		open_pair(types[i], pair);
		(void)setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
		assert_int_equal(pthread_create(&reader, NULL, read_all, &pair[1]), 0);
		while (sent < 200) {
			memset(message, (char)sent, sizeof(message));
			r = nomad__unix_send(pair[0], message, sizeof(message), NULL, 0, false);
			assert_true(r == 0 || r == -EAGAIN);
			sent += r == 0;
		}
		close(pair[0]);
		assert_int_equal(pthread_join(reader, &got), 0);
		assert_int_equal((intptr_t)got, sent);
		close(pair[1]);
	}
}

/* Half a message must not hold the reader for ever, nor be taken for one. */
static void test_half_a_message_ends_the_connection(void **state)
{
	uint32_t header = htonl(100);
	char buf[200];
	int pair[2], fds[NOMAD__MAX_FDS];

	(void)state;
	open_pair(SOCK_STREAM, pair);
	assert_int_equal(write(pair[0], &header, 2), 2);
	assert_int_equal(nomad__unix_receive(pair[1], buf, sizeof(buf), fds, false), -EPROTO);
	close_pair(pair);
	open_pair(SOCK_STREAM, pair);
	assert_int_equal(write(pair[0], &header, 4), 4);
	assert_int_equal(write(pair[0], "half", 4), 4);
	close(pair[0]);
	assert_int_equal(nomad__unix_receive(pair[1], buf, sizeof(buf), fds, false), 0);
	close(pair[1]);
	open_pair(SOCK_STREAM, pair);
	header = htonl(UINT32_MAX);
	assert_int_equal(write(pair[0], &header, 4), 4);
	assert_int_equal(nomad__unix_receive(pair[1], buf, sizeof(buf), fds, false), -EPROTO);
	close_pair(pair);
}

/* Without a reader a started message is abandoned, and the reader finds no message in its part. */
static void test_a_stream_that_nobody_reads_is_given_up(void **state)
{
	char message[8000] = "", buf[8000];
	int pair[2], fds[NOMAD__MAX_FDS], r, small = 20000, sent = 0, got = 0;

	(void)state;
	open_pair(SOCK_STREAM, pair);
	(void)setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	while ((r = nomad__unix_send(pair[0], message, sizeof(message), NULL, 0, false)) == 0)
		sent++;
	assert_true(r == -EAGAIN || r == -EPIPE);
	if (r == -EAGAIN)
		assert_int_equal(shutdown(pair[0], SHUT_RDWR), 0);
	while (nomad__unix_receive(pair[1], buf, sizeof(buf), fds, false) == sizeof(message))
		got++;
	assert_int_equal(got, sent);
	close_pair(pair);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_messages_stay_apart),
		cmocka_unit_test(test_descriptors_stay_with_their_message),
		cmocka_unit_test(test_a_message_that_is_too_long_is_dropped_whole),
		cmocka_unit_test(test_a_full_socket_takes_messages_whole),
		cmocka_unit_test(test_half_a_message_ends_the_connection),
		cmocka_unit_test(test_a_stream_that_nobody_reads_is_given_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
