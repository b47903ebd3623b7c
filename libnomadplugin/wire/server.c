/* SPDX-License-Identifier: MPL-2.0
 *
 * The gRPC server: one completion queue, one thread that empties it.
 *
 *	serve.c: accept() --fd--> grpc_server --completions--> this thread
 *	                                                         |
 *	                    receive.c: handlers, at once or on nomad__work()
 *
 * The thread never blocks in a handler, so thousands of open calls (one
 * WaitTask for each task) cost memory only.
 *
 * serve.c accepts connections and hands them over, so that it controls the
 * socket (its mode, its group, binding it again after somebody cleaned /tmp);
 * gRPC has no listener. */
#include "wire/server.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <grpc/grpc_posix.h>
#if __has_include(<grpc/credentials.h>)
#include <grpc/credentials.h> /* gRPC 1.56 and later */
#else
#include <grpc/grpc_security.h>
#endif

#include "wire/inner.h"

/* Polling interval for messages that are sent soon. */
#define POLL_MS INT64_C(50)

static void call_arrived(struct nomad__tag *tag, bool ok);

static void expect_call(struct nomad__server *server)
{
	grpc_call_error e;

	server->incoming = NULL;
	__atomic_store_n(&server->incoming_tag.fn, call_arrived, __ATOMIC_RELEASE);
	e = grpc_server_request_call(server->grpc, &server->incoming, &server->incoming_details,
				     &server->incoming_metadata, server->cq, server->cq, &server->incoming_tag);
	if (e != GRPC_CALL_OK)
		nomad_log(NOMAD_LOG_ERROR, "wait for the next call: grpc error %d", (int)e);
}

static void call_arrived(struct nomad__tag *tag, bool ok)
{
	struct nomad__server *server = NOMAD__OF_TAG(tag, struct nomad__server, incoming_tag);

	if (!ok)
		return; /* the server shuts down */
	nomad__call_begin(server, server->incoming, &server->incoming_details);
	grpc_call_details_destroy(&server->incoming_details);
	grpc_call_details_init(&server->incoming_details);
	grpc_metadata_array_destroy(&server->incoming_metadata);
	grpc_metadata_array_init(&server->incoming_metadata);
	expect_call(server);
}

static void grpc_stopped(struct nomad__tag *tag, bool ok)
{
	(void)ok;
	nomad__calls_stopped(NOMAD__OF_TAG(tag, struct nomad__server, stopped_tag));
}

/* Until when to wait for the next event. */
static gpr_timespec next_poll(struct nomad__server *server)
{
	return nomad__calls_polls_soon(server)
		       ? gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC), gpr_time_from_millis(POLL_MS, GPR_TIMESPAN))
		       : gpr_inf_future(GPR_CLOCK_REALTIME);
}

static void pump_all(struct nomad__server *server)
{
	struct nomad__call *call;

	while ((call = nomad__calls_take_soon(server))) {
		nomad__call_pump(call);
		nomad__call_unref(call);
	}
}

static void *queue_thread(void *ud)
{
	struct nomad__server *server = ud;
	int64_t polled_ns = 0;

	for (;;) {
		grpc_event event = grpc_completion_queue_next(server->cq, next_poll(server), NULL);
		int64_t now = nomad_monotonic_ns();

		if (event.type == GRPC_QUEUE_SHUTDOWN)
			break;
		if (event.type == GRPC_OP_COMPLETE) {
			struct nomad__tag *tag = event.tag;

			__atomic_load_n(&tag->fn, __ATOMIC_ACQUIRE)(tag, event.success);
		}
		/* pump_all() makes events itself: not after each of those. */
		if (event.type == GRPC_QUEUE_TIMEOUT || now - polled_ns >= POLL_MS * 1000000) {
			polled_ns = now;
			pump_all(server);
		}
	}
	pthread_mutex_lock(&server->lock);
	server->ended = true;
	pthread_cond_broadcast(&server->changed);
	pthread_mutex_unlock(&server->lock);
	return NULL;
}

static const char *code_name(unsigned code)
{
	return nomad__status_name((grpc_status_code)code);
}

static int count_calls(struct nomad_plugin *plugin, const struct nomad__method *methods, size_t n_methods)
{
	NOMAD_AUTO_FREE struct nomad__rpc *rpcs = calloc(n_methods, sizeof(*rpcs));

	if (!rpcs)
		return -ENOMEM;
	for (size_t i = 0; i < n_methods; i++) {
		rpcs[i].path = methods[i].path;
		rpcs[i].timed = methods[i].kind == NOMAD__UNARY && !methods[i].waits;
	}
	return nomad__metrics_calls(nomad__plugin_metrics(plugin), rpcs, n_methods, code_name);
}

int nomad__server_new(struct nomad_plugin *plugin, const struct nomad__method *methods, size_t n_methods,
		      void (*shutdown)(void *ud), void *ud, struct nomad__server **ret, struct nomad_error **err)
{
	grpc_arg args[] = {
		{ .type = GRPC_ARG_INTEGER,
		  .key = (char *)GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH,
		  .value.integer = NOMAD__MESSAGE_MAX_SIZE },
		{ .type = GRPC_ARG_INTEGER, .key = (char *)GRPC_ARG_MAX_SEND_MESSAGE_LENGTH, .value.integer = -1 },
		{ .type = GRPC_ARG_INTEGER,
		  .key = (char *)GRPC_ARG_MAX_CONCURRENT_STREAMS,
		  .value.integer = INT32_MAX },
		{ .type = GRPC_ARG_INTEGER, .key = (char *)GRPC_ARG_ENABLE_CHANNELZ, .value.integer = 0 },
	};
	grpc_channel_args channel_args = { NOMAD_ARRAY_LEN(args), args };
	struct nomad__server *server = calloc(1, sizeof(*server));
	pthread_condattr_t attr;
	int r;

	if (!server)
		return nomad_error_errno(err, ENOMEM, "create the server");
	r = count_calls(plugin, methods, n_methods);
	if (r < 0) {
		free(server);
		return nomad_error_errno(err, -r, "create the server");
	}
	server->plugin = plugin;
	server->methods = methods;
	server->n_methods = n_methods;
	server->shutdown = shutdown;
	server->shutdown_ud = ud;
	server->soon_tail = &server->soon;
	server->idle_since_ns = nomad_monotonic_ns();
	pthread_mutex_init(&server->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&server->changed, &attr);
	pthread_condattr_destroy(&attr);

	grpc_init();
	server->grpc = grpc_server_create(&channel_args, NULL);
	server->cq = grpc_completion_queue_create_for_next(NULL);
	server->credentials = grpc_insecure_server_credentials_create();
	grpc_server_register_completion_queue(server->grpc, server->cq, NULL);
	grpc_server_start(server->grpc);
	grpc_call_details_init(&server->incoming_details);
	grpc_metadata_array_init(&server->incoming_metadata);
	expect_call(server);

	r = pthread_create(&server->thread, NULL, queue_thread, server);
	if (r != 0) /* the process is about to end: what grpc holds may stay */
		return nomad_error_errno(err, r, "start the thread of the server");
	*ret = server;
	return 0;
}

void nomad__server_accept(struct nomad__server *server, int take_fd)
{
	grpc_server_add_channel_from_fd(server->grpc, take_fd, server->credentials);
}

int64_t nomad__server_idle_ns(struct nomad__server *server)
{
	int64_t idle = 0;

	pthread_mutex_lock(&server->lock);
	if (server->n_calls == 0)
		idle = nomad_monotonic_ns() - server->idle_since_ns;
	pthread_mutex_unlock(&server->lock);
	return idle;
}

static bool wait_for_end(struct nomad__server *server, int64_t timeout_ns)
{
	int64_t deadline_ns = nomad_monotonic_ns() + timeout_ns;
	struct timespec deadline = { deadline_ns / 1000000000, deadline_ns % 1000000000 };
	bool ended;
	int r = 0;

	pthread_mutex_lock(&server->lock);
	while (!server->ended && r != ETIMEDOUT)
		r = pthread_cond_timedwait(&server->changed, &server->lock, &deadline);
	ended = server->ended;
	pthread_mutex_unlock(&server->lock);
	return ended;
}

bool nomad__server_stop(struct nomad__server *server, int64_t timeout_ns)
{
	struct nomad__call *call;
	bool ended;

	/* Each open call is ended with a status that says why;
	 * cancel_all_calls(), which closes the connections, is for the rest. */
	__atomic_store_n(&server->stopped_tag.fn, grpc_stopped, __ATOMIC_RELEASE);
	grpc_server_shutdown_and_notify(server->grpc, server->cq, &server->stopped_tag);
	while ((call = nomad__calls_next_to_end(server))) {
		nomad__call_end(call);
		nomad__call_unref(call);
	}
	ended = wait_for_end(server, timeout_ns / 2);
	if (!ended) {
		grpc_server_cancel_all_calls(server->grpc);
		ended = wait_for_end(server, timeout_ns / 2);
	}
	if (ended)
		pthread_join(server->thread, NULL);
	return ended;
}

void nomad__server_free(struct nomad__server *server)
{
	if (!server)
		return;
	grpc_call_details_destroy(&server->incoming_details);
	grpc_metadata_array_destroy(&server->incoming_metadata);
	grpc_server_destroy(server->grpc);
	grpc_completion_queue_destroy(server->cq);
	grpc_server_credentials_release(server->credentials);
	grpc_shutdown_blocking();
	pthread_mutex_destroy(&server->lock);
	pthread_cond_destroy(&server->changed);
	free(server);
}
