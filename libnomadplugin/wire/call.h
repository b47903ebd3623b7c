/* SPDX-License-Identifier: MPL-2.0
 *
 * wire/call.h: a call, as a handler sees it.
 *
 * A method is a row of a table (methods.c).  Its handler runs on the
 * completion-queue thread and must not block; with .blocks it runs on a
 * worker.  It answers with reply() or fail(), now or later, from any thread;
 * only the first answer counts. */
#ifndef NOMAD_WIRE_CALL_H
#define NOMAD_WIRE_CALL_H

#include <stdbool.h>
#include <stdint.h>

#include <grpc/status.h>

#include "core/core.h"
#include "wire/message.h"

struct nomad__call;

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
	/* The (first) request is valid until the call is answered or, in a
	 * stream, until handle() returns. */
	void (*handle)(struct nomad__call *call, const ProtobufCMessage *request);
	/* BIDI: each further request, on the completion-queue thread; NULL: the
	 * client has half-closed.  False pauses the input until
	 * nomad__call_receive(). */
	bool (*more)(struct nomad__call *call, const ProtobufCMessage *request);
	bool may_be_empty; /* a stream without any message ends well */
	bool waits;	   /* may take days by design, so its duration is not measured */
};

struct nomad__call *nomad__call_ref(struct nomad__call *call);
void nomad__call_unref(struct nomad__call *call);
struct nomad_plugin *nomad__call_plugin(const struct nomad__call *call);
/* When it came; monotonic. */
int64_t nomad__call_begun_ns(const struct nomad__call *call);
/* Adds the task's id to the log line of a failed call. */
void nomad__call_set_task(struct nomad__call *call, const char *id);

/* Gives the call data of the handler's.  When the call has ended, for
 * whatever reason, drop(call, data) runs once on the completion-queue thread.
 * False: the call has ended already, and drop does not run. */
bool nomad__call_attach(struct nomad__call *call, void (*drop)(struct nomad__call *call, void *data),
			void *data) NOMAD_MUST_CHECK;
void *nomad__call_data(struct nomad__call *call);
/* Cancels `sub` when the call has ended: the call's data and drop(). */
void nomad__call_keep(struct nomad__call *call, struct nomad__sub *sub);

/* Sends the one answer and ends the call. */
void nomad__call_reply(struct nomad__call *call, const ProtobufCMessage *answer);
/* Ends the call with an error, and logs it. */
void nomad__call_fail(struct nomad__call *call, const struct nomad_error *err);
void nomad__call_fail_status(struct nomad__call *call, grpc_status_code code, const char *message);
void nomad__call_fail_memory(struct nomad__call *call); /* RESOURCE_EXHAUSTED */

enum nomad__send {
	NOMAD__SEND_ALL,     /* keeps all that wait; the sender watches the queue */
	NOMAD__SEND_LATEST,  /* replaces those that wait */
	NOMAD__SEND_SOON,    /* the same, but sent by the queue's thread together with those of other calls */
	NOMAD__SEND_BOUNDED, /* drops the oldest that wait beyond NOMAD__SEND_BOUND */
};
enum { NOMAD__SEND_BOUND = 1024 };

/* Sends one of many answers.  Returns the bytes that wait in the queue. */
size_t nomad__call_send(struct nomad__call *call, const ProtobufCMessage *answer, enum nomad__send how);
/* Ends a stream with OK, after all that was sent. */
void nomad__call_finish(struct nomad__call *call);
/* SEND_ALL: runs `drained` (completion-queue thread) when the queue, having
 * been at `high` bytes or above, falls to half of that. */
void nomad__call_on_drained(struct nomad__call *call, size_t high, void (*drained)(struct nomad__call *call));
/* BIDI: continues with input after more() paused it. */
void nomad__call_receive(struct nomad__call *call);
/* Runs the server's shutdown callback once this call is answered. */
void nomad__call_then_shutdown(struct nomad__call *call);

#endif
