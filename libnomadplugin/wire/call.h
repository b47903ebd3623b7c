/* SPDX-License-Identifier: MPL-2.0
 *
 * wire/call.h: what server.c and call.c share. */
#ifndef NOMAD_WIRE_CALL_H
#define NOMAD_WIRE_CALL_H

#include <pthread.h>

#include <grpc/grpc.h>

#include "metrics/metrics.h"
#include "wire/server.h"
#include "wire/status.h"

/* What a completion carries: grpc's `void *tag` is one of these. */
struct nomad__tag {
	void (*fn)(struct nomad__tag *tag, bool ok);
};

struct nomad__server {
	struct nomad_plugin *plugin;
	grpc_server *grpc;
	grpc_completion_queue *cq;
	grpc_server_credentials *credentials;
	pthread_t thread;
	void (*shutdown)(void *ud);
	void *shutdown_ud;

	/* The next call, as long as nobody made it. */
	struct nomad__tag incoming_tag;
	grpc_call *incoming;
	grpc_call_details incoming_details;
	grpc_metadata_array incoming_metadata;

	struct nomad__tag stopped_tag;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct nomad__call *calls; /* all, linked by .next */
	size_t n_calls;
	int64_t idle_since_ns;	/* monotonic; valid with n_calls 0 */
	int64_t looks_until_ns; /* till then the thread looks after .soon by itself; monotonic */
	struct nomad__call *soon,
		**soon_tail; /* calls with something to send, linked by .next_soon; each has a reference */
	bool stopped;	     /* grpc's own shutdown is complete */
	bool draining;	     /* the queue was told to end */
	bool ended;	     /* the thread has left its loop */
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
	size_t rpc;	  /* of the metrics */
	int64_t begun_ns; /* monotonic */
	grpc_call *grpc;
	struct nomad__call *next, **link; /* in server->calls, under server->lock */
	struct nomad__call *next_soon;
	bool is_soon;  /* in server->soon, under server->lock */
	bool ending;   /* nomad__call_end() has it, under server->lock */
	unsigned refs; /* atomic */
	struct nomad__tag close_tag, receive_tag, send_tag;
	int cancelled; /* filled by RECV_CLOSE_ON_SERVER */
	grpc_byte_buffer *received;
	ProtobufCMessage *request;

	pthread_mutex_t lock;
	char *task_id;
	bool closed;   /* it has ended, whoever ended it */
	bool broken;   /* nothing can be sent any more */
	bool answered; /* reply, fail or finish was called */
	bool initial_sent, sending, status_sent;
	bool receiving, handled;
	bool then_shutdown;
	bool counted; /* its end is in the metrics */
	struct nomad__status status;
	grpc_slice status_slice;
	grpc_metadata trailer;
	struct nomad__packet *head, **tail;
	size_t queued_bytes, queued;
	size_t high; /* of on_drained; armed once it was reached */
	bool high_reached;
	void (*drained)(struct nomad__call *call);
	void (*drop)(struct nomad__call *call, void *data);
	void *data;
};

/* Take over the call that arrived; `details` stays the caller's. */
void nomad__call_begin(struct nomad__server *server, grpc_call *take_grpc, const grpc_call_details *details);
/* End it because the plugin does; nothing is logged. */
void nomad__call_end(struct nomad__call *call);
/* Go on sending. */
void nomad__call_pump(struct nomad__call *call);
/* Have nomad__call_pump() called on the queue's thread, in a moment; false: it sleeps, the caller has to. */
bool nomad__server_pump_soon(struct nomad__server *server, struct nomad__call *call);
/* Into the server's list of calls, and out of it. */
void nomad__server_add_call(struct nomad__server *server, struct nomad__call *call);
void nomad__server_remove_call(struct nomad__server *server, struct nomad__call *call);
/* The memory of a call was freed. */
void nomad__server_call_ended(struct nomad__server *server);

#endif
