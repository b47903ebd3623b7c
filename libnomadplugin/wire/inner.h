/* SPDX-License-Identifier: MPL-2.0
 *
 * wire/inner.h: what the files of the server share, from the bottom up:
 * calls.c (the open calls), call.c (one of them), send.c (its answers),
 * receive.c (its requests), server.c (gRPC and the thread). */
#ifndef NOMAD_WIRE_INNER_H
#define NOMAD_WIRE_INNER_H

#include <pthread.h>

#include <grpc/grpc.h>

#include "metrics/metrics.h"
#include "wire/call.h"
#include "wire/status.h"

/* What a completion carries: gRPC's `void *tag` points to one.  `fn` is set
 * with each operation, by an atomic release that the queue's thread acquires:
 * the completion sees all that was written before. */
struct nomad__tag;
typedef void nomad__tag_fn(struct nomad__tag *tag, bool ok);
struct nomad__tag {
	nomad__tag_fn *fn;
};

#define NOMAD__OF_TAG(tag, type, member) ((type *)((char *)(tag)-offsetof(type, member)))

struct nomad__server {
	struct nomad_plugin *plugin;
	const struct nomad__method *methods;
	size_t n_methods;
	grpc_server *grpc;
	grpc_completion_queue *cq;
	grpc_server_credentials *credentials;
	pthread_t thread;
	void (*shutdown)(void *ud);
	void *shutdown_ud;

	/* The next call, until a client makes it. */
	struct nomad__tag incoming_tag;
	grpc_call *incoming;
	grpc_call_details incoming_details;
	grpc_metadata_array incoming_metadata;

	struct nomad__tag stopped_tag;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct nomad__call *calls; /* all open calls, linked by .next */
	size_t n_calls;
	int64_t idle_since_ns;	  /* monotonic; valid with n_calls 0 */
	int64_t polls_until_ns;	  /* until then the thread polls .soon; monotonic */
	struct nomad__call *soon; /* calls with something to send, linked by .next_soon; each has a reference */
	struct nomad__call **soon_tail;
	bool stopped;  /* gRPC's own shutdown is complete */
	bool draining; /* the queue is shutting down */
	bool ended;    /* the thread has left its loop */
};

struct nomad__packet {
	struct nomad__packet *next;
	grpc_byte_buffer *bytes;
	size_t size;
};

/* A call.  References: one for the pending RECV_CLOSE_ON_SERVER, one for
 * each other batch under way, one for a handler on a worker, and those that
 * handlers take.  `lock` guards all below it; grpc_call_start_batch() may
 * be called under it, since completions come by the queue only. */
struct nomad__call {
	struct nomad__server *server;
	const struct nomad__method *method;
	size_t rpc;	  /* its index in the metrics */
	int64_t begun_ns; /* monotonic */
	grpc_call *grpc;
	struct nomad__call *next, **link; /* in server->calls, under server->lock */
	struct nomad__call *next_soon;
	bool is_soon;  /* in server->soon, under server->lock */
	bool ending;   /* nomad__calls_next_to_end() gave it, under server->lock */
	unsigned refs; /* atomic */
	struct nomad__tag close_tag, receive_tag, send_tag;
	int cancelled; /* filled by RECV_CLOSE_ON_SERVER */
	grpc_byte_buffer *received;
	ProtobufCMessage *request;

	pthread_mutex_t lock;
	char *task_id;
	bool closed;   /* it has ended, for whatever reason */
	bool broken;   /* nothing can be sent any more */
	bool answered; /* reply, fail or finish was called */
	bool initial_sent, sending, status_sent;
	bool receiving, handled;
	bool then_shutdown;
	bool counted; /* its end is in the metrics */
	bool large;   /* its memory is given back to the system at its end */
	struct nomad__status status;
	grpc_slice status_slice;
	grpc_metadata trailer;
	struct nomad__packet *head, **tail;
	size_t queued_bytes, queued;
	size_t high; /* of on_drained */
	bool high_reached;
	void (*drained)(struct nomad__call *call);
	void (*drop)(struct nomad__call *call, void *data);
	void *data;
};

/* ---- calls.c ---- */

void nomad__calls_add(struct nomad__server *server, struct nomad__call *call);
void nomad__calls_remove(struct nomad__server *server, struct nomad__call *call);
/* The memory of a removed call was freed: from here on the server may go. */
void nomad__calls_freed(struct nomad__server *server);
/* gRPC's shutdown is complete: the queue ends with the last call. */
void nomad__calls_stopped(struct nomad__server *server);
/* Returns some call that has not been ended by us, with a reference, or NULL. */
struct nomad__call *nomad__calls_next_to_end(struct nomad__server *server);
/* Leaves `call` to the server's thread, which sends for it in a moment.
 * False: that thread sleeps, the caller has to send. */
bool nomad__calls_put_soon(struct nomad__server *server, struct nomad__call *call);
/* Returns the next of those, with its reference, or NULL. */
struct nomad__call *nomad__calls_take_soon(struct nomad__server *server);
/* Whether the thread has to look for them by itself. */
bool nomad__calls_polls_soon(struct nomad__server *server);

/* ---- call.c ---- */

/* Takes over the call that arrived; NULL: out of memory.  The caller has the first reference. */
struct nomad__call *nomad__call_new(struct nomad__server *server, grpc_call *take_grpc,
				    const struct nomad__method *method);
/* Starts a batch that holds a reference until fn(tag) runs.  False: it will not run. */
bool nomad__call_batch(struct nomad__call *call, const grpc_op *ops, size_t n, struct nomad__tag *tag,
		       nomad__tag_fn *fn);
/* Counts the end of the call once.  Lock held, or the last reference. */
void nomad__call_count_end(struct nomad__call *call, grpc_status_code code);
void nomad__packet_free(struct nomad__packet *packet);

/* ---- send.c ---- */

/* Sends what comes next, if nothing is under way. */
void nomad__call_pump(struct nomad__call *call);
/* Ends the call because the plugin does; nothing is logged. */
void nomad__call_end(struct nomad__call *call);

/* ---- receive.c ---- */

void nomad__call_begin(struct nomad__server *server, grpc_call *take_grpc, const grpc_call_details *details);

#endif
