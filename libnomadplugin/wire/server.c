/* SPDX-License-Identifier: MPL-2.0
 *
 * The gRPC server: one completion queue, one thread that empties it.
 *
 *	serve.c: accept() --fd--> grpc_server --completions--> this thread
 *	                                                         |
 *	                       call.c: handlers, at once or on nomad__work()
 *
 * The thread never blocks in a handler, so thousands of open calls (one
 * WaitTask for each task) cost memory only.
 *
 * We accept connections ourselves and hand them over: that leaves the socket
 * (its mode, its group, binding it again when somebody cleaned /tmp) to
 * serve.c, and gRPC without a listener. */
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

#include "base/loop.h"
#include "wire/call.h"

/* How often what waits is looked for, and how long after the last of it. */
#define LOOK_MS INT64_C(50)
#define LOOK_ON_NS INT64_C(5000000000)

static void expect_call(struct nomad__server *server)
{
	grpc_call_error e;

	server->incoming = NULL;
	e = grpc_server_request_call(server->grpc, &server->incoming, &server->incoming_details,
				     &server->incoming_metadata, server->cq, server->cq, &server->incoming_tag);
	if (e != GRPC_CALL_OK)
		nomad_log(NOMAD_LOG_ERROR, "wait for the next call: grpc error %d", (int)e);
}

static void call_arrived(struct nomad__tag *tag, bool ok)
{
	struct nomad__server *server =
		(struct nomad__server *)((char *)tag - offsetof(struct nomad__server, incoming_tag));

	if (!ok)
		return; /* the server shuts down */
	nomad__call_begin(server, server->incoming, &server->incoming_details);
	grpc_call_details_destroy(&server->incoming_details);
	grpc_call_details_init(&server->incoming_details);
	grpc_metadata_array_destroy(&server->incoming_metadata);
	grpc_metadata_array_init(&server->incoming_metadata);
	expect_call(server);
}

/* The queue may end once grpc has stopped and the last call is gone. */
static void drain_if_done(struct nomad__server *server)
{
	if (server->stopped && server->n_calls == 0 && !server->draining) {
		server->draining = true;
		grpc_completion_queue_shutdown(server->cq);
	}
}

static void grpc_stopped(struct nomad__tag *tag, bool ok)
{
	struct nomad__server *server =
		(struct nomad__server *)((char *)tag - offsetof(struct nomad__server, stopped_tag));

	(void)ok;
	pthread_mutex_lock(&server->lock);
	server->stopped = true;
	drain_if_done(server);
	pthread_mutex_unlock(&server->lock);
}

void nomad__server_add_call(struct nomad__server *server, struct nomad__call *call)
{
	pthread_mutex_lock(&server->lock);
	call->next = server->calls;
	call->link = &server->calls;
	if (call->next)
		call->next->link = &call->next;
	server->calls = call;
	server->n_calls++;
	pthread_mutex_unlock(&server->lock);
}

void nomad__server_remove_call(struct nomad__server *server, struct nomad__call *call)
{
	pthread_mutex_lock(&server->lock);
	*call->link = call->next;
	if (call->next)
		call->next->link = call->link;
	pthread_mutex_unlock(&server->lock);
}

void nomad__server_call_ended(struct nomad__server *server)
{
	pthread_mutex_lock(&server->lock);
	server->n_calls--;
	server->idle_since_ns = nomad_monotonic_ns();
	drain_if_done(server);
	pthread_mutex_unlock(&server->lock);
}

/* ---- What is sent in a moment ----
 *
 * To send from another thread wakes this one each time, which costs more than
 * the message.  A thousand statistics a second come in groups: while there
 * are any, this thread looks for them by itself, now and then. */

/* Till when to wait for the next event. */
static gpr_timespec next_look(struct nomad__server *server)
{
	bool looks;

	pthread_mutex_lock(&server->lock);
	looks = server->soon || server->looks_until_ns > nomad_monotonic_ns();
	if (!looks)
		server->looks_until_ns = 0;
	pthread_mutex_unlock(&server->lock);
	return looks ? gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC), gpr_time_from_millis(LOOK_MS, GPR_TIMESPAN))
		     : gpr_inf_future(GPR_CLOCK_REALTIME);
}

static void pump_all(struct nomad__server *server)
{
	struct nomad__call *call;

	for (;;) {
		pthread_mutex_lock(&server->lock);
		call = server->soon;
		if (call) {
			server->soon = call->next_soon;
			call->is_soon = false;
		}
		if (!server->soon)
			server->soon_tail = &server->soon;
		pthread_mutex_unlock(&server->lock);
		if (!call)
			break;
		nomad__call_pump(call);
		nomad__call_unref(call);
	}
}

bool nomad__server_pump_soon(struct nomad__server *server, struct nomad__call *call)
{
	bool looks;

	pthread_mutex_lock(&server->lock);
	looks = server->looks_until_ns != 0;
	server->looks_until_ns = nomad_monotonic_ns() + LOOK_ON_NS;
	if (looks && !call->is_soon) {
		call->is_soon = true;
		call->next_soon = NULL;
		*server->soon_tail = nomad__call_ref(call);
		server->soon_tail = &call->next_soon;
	}
	pthread_mutex_unlock(&server->lock);
	return looks;
}

static void *queue_thread(void *ud)
{
	struct nomad__server *server = ud;
	int64_t looked_ns = 0;

	for (;;) {
		grpc_event event = grpc_completion_queue_next(server->cq, next_look(server), NULL);
		int64_t now = nomad_monotonic_ns();

		if (event.type == GRPC_QUEUE_SHUTDOWN)
			break;
		if (event.type == GRPC_OP_COMPLETE) {
			struct nomad__tag *tag = event.tag;

			tag->fn(tag, event.success);
		}
		/* Not after each of the events that this itself makes. */
		if (event.type == GRPC_QUEUE_TIMEOUT || now - looked_ns >= LOOK_MS * 1000000) {
			looked_ns = now;
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

static int count_calls(struct nomad_plugin *plugin)
{
	NOMAD_AUTO_FREE struct nomad__rpc *rpcs = calloc(nomad__n_methods, sizeof(*rpcs));

	if (!rpcs)
		return -ENOMEM;
	for (size_t i = 0; i < nomad__n_methods; i++) {
		rpcs[i].path = nomad__methods[i].path;
		rpcs[i].timed = nomad__methods[i].kind == NOMAD__UNARY && !nomad__methods[i].waits;
	}
	return nomad__metrics_calls(nomad__plugin_metrics(plugin), rpcs, nomad__n_methods, code_name);
}

int nomad__server_new(struct nomad_plugin *plugin, void (*shutdown)(void *ud), void *ud, struct nomad__server **ret,
		      struct nomad_error **err)
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
		return nomad_error_errno(err, ENOMEM, "make the server");
	r = count_calls(plugin);
	if (r < 0) {
		free(server);
		return nomad_error_errno(err, -r, "make the server");
	}
	server->plugin = plugin;
	server->shutdown = shutdown;
	server->shutdown_ud = ud;
	server->incoming_tag.fn = call_arrived;
	server->stopped_tag.fn = grpc_stopped;
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

int64_t nomad__server_idle_ns(const struct nomad__server *const_server)
{
	struct nomad__server *server = (struct nomad__server *)const_server;
	int64_t idle = 0;

	pthread_mutex_lock(&server->lock);
	if (server->n_calls == 0)
		idle = nomad_monotonic_ns() - server->idle_since_ns;
	pthread_mutex_unlock(&server->lock);
	return idle;
}

/* A reference to some call that has not been ended by us, or NULL. */
static struct nomad__call *next_to_end(struct nomad__server *server)
{
	struct nomad__call *call;

	pthread_mutex_lock(&server->lock);
	for (call = server->calls; call; call = call->next) {
		unsigned refs = __atomic_load_n(&call->refs, __ATOMIC_RELAXED);

		if (call->ending)
			continue;
		call->ending = true;
		/* With no reference left it is on its way out of the list. */
		while (refs > 0 && !__atomic_compare_exchange_n(&call->refs, &refs, refs + 1, false, __ATOMIC_ACQ_REL,
								__ATOMIC_RELAXED))
			;
		if (refs > 0)
			break;
	}
	pthread_mutex_unlock(&server->lock);
	return call;
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
	grpc_server_shutdown_and_notify(server->grpc, server->cq, &server->stopped_tag);
	while ((call = next_to_end(server))) {
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
