/* SPDX-License-Identifier: MPL-2.0
 *
 * wire/testing.h: for the tests of this folder: a server on the real core in
 * this process; client.h is the other side. */
#ifndef NOMAD_WIRE_TESTING_H
#define NOMAD_WIRE_TESTING_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <grpc/grpc.h>

#define CLIENT_MUST(condition) assert_true(condition)
static grpc_channel *channel;

#include "wire/client.h"
#include "wire/server.h"

#define assert_status(expected, ...) assert_int_equal(GRPC_STATUS_##expected, (__VA_ARGS__))

/* ---- The server ---- */

static struct nomad_plugin *plugin;
static struct nomad__server *server;
static int shutdowns; /* atomic */

static inline void count_shutdown(void *ud)
{
	(void)ud;
	__atomic_add_fetch(&shutdowns, 1, __ATOMIC_SEQ_CST);
}

static inline void serve(const struct nomad_driver *driver, const struct nomad__method *methods, size_t n_methods)
{
	grpc_channel_credentials *credentials = grpc_insecure_credentials_create();
	grpc_arg arg = { .type = GRPC_ARG_INTEGER,
			 .key = (char *)GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH,
			 .value.integer = -1 };
	grpc_channel_args args = { 1, &arg };
	struct nomad_error *err = NULL;
	int fds[2];

	plugin = nomad__plugin_new(driver, &err);
	assert_non_null(plugin);
	assert_int_equal(nomad__server_new(plugin, methods, n_methods, count_shutdown, NULL, &server, &err), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds), 0);
	nomad__server_accept(server, fds[0]);
	channel = grpc_channel_create_from_fd("plugin", fds[1], credentials, &args);
	grpc_channel_credentials_release(credentials);
}

static inline void unserve_stopped(void)
{
	nomad__plugin_free(plugin);
	nomad__server_free(NOMAD_TAKE_PTR(server));
	grpc_channel_destroy(channel);
}

static inline void unserve(void)
{
	if (!server)
		return;
	assert_true(nomad__server_stop(server, INT64_C(10000000000)));
	unserve_stopped();
}

#endif
