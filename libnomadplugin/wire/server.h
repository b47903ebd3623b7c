/* SPDX-License-Identifier: MPL-2.0
 *
 * wire/server.h: the gRPC server, and the calls on it.
 *
 * A method is a row of the table in methods.c.  Its handler runs on the
 * completion-queue thread and must not block, or, with .blocks, on a worker.
 * It answers with reply(), or fail(), now or later, from any thread; the
 * first answer counts. */
#ifndef NOMAD_WIRE_SERVER_H
#define NOMAD_WIRE_SERVER_H

#include <stdbool.h>
#include <stdint.h>

#include <grpc/status.h>

#include "core/core.h"
#include "wire/message.h"

struct nomad__call;
struct nomad__server;

enum nomad__call_kind {
	NOMAD__UNARY,  /* one request, one answer */
	NOMAD__STREAM, /* one request, many answers */
	NOMAD__BIDI,   /* many of both */
};

struct nomad__method {
	const char *path;
	enum nomad__call_kind kind;
	bool blocks; /* handle() may block */
	const ProtobufCMessageDescriptor *request;
	/* The (first) request, valid until the call is answered or, in a
	 * stream, until handle() returns. */
	void (*handle)(struct nomad__call *call, const ProtobufCMessage *request);
	/* BIDI: each further one, on the completion-queue thread; NULL: the
	 * client will send no more.  False pauses the input until
	 * nomad__call_receive(). */
	bool (*more)(struct nomad__call *call, const ProtobufCMessage *request);
	bool may_be_empty; /* a stream that ends without any message is fine */
	bool waits;	   /* for something that may take days: how long tells nothing about us */
};

extern const struct nomad__method nomad__methods[];
extern const size_t nomad__n_methods;

/* ---- The server ---- */

/* `shutdown` runs (any thread) when GRPCController.Shutdown was answered. */
int nomad__server_new(struct nomad_plugin *plugin, void (*shutdown)(void *ud), void *ud, struct nomad__server **ret,
		      struct nomad_error **err) NOMAD_MUST_CHECK;
/* Serve a connected socket. */
void nomad__server_accept(struct nomad__server *server, int take_fd);
/* For how long no call has been open; 0 while one is. */
int64_t nomad__server_idle_ns(const struct nomad__server *server);
/* Cancel all calls and wait for their end, at most so long.  True: nothing
 * of the server runs any more, and it can be freed. */
bool nomad__server_stop(struct nomad__server *server, int64_t timeout_ns);
void nomad__server_free(struct nomad__server *server);

/* ---- A call ---- */

struct nomad__call *nomad__call_ref(struct nomad__call *call);
void nomad__call_unref(struct nomad__call *call);
struct nomad_plugin *nomad__call_plugin(const struct nomad__call *call);
/* For the log line of a failed call. */
void nomad__call_set_task(struct nomad__call *call, const char *id);

/* Give the call data of the handler's.  When the call has ended, whoever
 * ended it, drop(call, data) runs once on the completion-queue thread.
 * False: it has ended already; then drop does not run. */
bool nomad__call_attach(struct nomad__call *call, void (*drop)(struct nomad__call *call, void *data),
			void *data) NOMAD_MUST_CHECK;
void *nomad__call_data(struct nomad__call *call);

/* Send the one answer and end the call. */
void nomad__call_reply(struct nomad__call *call, const ProtobufCMessage *answer);
/* End the call with an error, and log it. */
void nomad__call_fail(struct nomad__call *call, const struct nomad_error *err);
/* The same, with a status of our own choice. */
void nomad__call_fail_status(struct nomad__call *call, grpc_status_code code, const char *message);

enum nomad__send {
	NOMAD__SEND_ALL,     /* keep all that wait; the sender watches the queue */
	NOMAD__SEND_LATEST,  /* it replaces what still waits */
	NOMAD__SEND_SOON,    /* the same, but not at once: the queue's thread sends it with those of other calls */
	NOMAD__SEND_BOUNDED, /* the oldest waiting ones are dropped beyond a bound */
};

/* Send one of many.  Returns the bytes that wait in the queue. */
size_t nomad__call_send(struct nomad__call *call, const ProtobufCMessage *answer, enum nomad__send how);
/* End a stream well, after all that was sent. */
void nomad__call_finish(struct nomad__call *call);
/* SEND_ALL: called (completion-queue thread) when the queue, having been at
 * `high` bytes or above, falls to half of that. */
void nomad__call_on_drained(struct nomad__call *call, size_t high, void (*drained)(struct nomad__call *call));
/* BIDI: go on with input after more() paused it. */
void nomad__call_receive(struct nomad__call *call);
/* Tell the process to end once this call is answered. */
void nomad__call_then_shutdown(struct nomad__call *call);

#endif
