/* SPDX-License-Identifier: MPL-2.0
 *
 * The requests of a call: from its arrival to its handler. */
#include <errno.h>
#include <stdlib.h>

#include <grpc/byte_buffer.h>
#include <grpc/byte_buffer_reader.h>
#include <grpc/slice.h>

#include "wire/inner.h"

/* Nomad's own requests are far below. */
enum { LARGE = 1 << 20 };

static void received(struct nomad__tag *tag, bool ok);

void nomad__call_receive(struct nomad__call *call)
{
	grpc_op op = { .op = GRPC_OP_RECV_MESSAGE };

	pthread_mutex_lock(&call->lock);
	if (!call->receiving && !call->closed && !call->answered) {
		op.data.recv_message.recv_message = &call->received;
		call->receiving = nomad__call_batch(call, &op, 1, &call->receive_tag, received);
	}
	pthread_mutex_unlock(&call->lock);
}

/* *ret stays NULL where the client sent no (more) message. */
static int decode(struct nomad__call *call, grpc_byte_buffer *bytes, ProtobufCMessage **ret, struct nomad_error **err)
{
	grpc_byte_buffer_reader reader;
	grpc_slice slice;
	int r;

	if (!bytes)
		return 0;
	if (!grpc_byte_buffer_reader_init(&reader, bytes))
		return nomad_error_set(err, EINVAL, "decompress a %s: malformed", call->method->request->short_name);
	slice = grpc_byte_buffer_reader_readall(&reader);
	r = nomad__message_unpack(call->method->request, GRPC_SLICE_START_PTR(slice), GRPC_SLICE_LENGTH(slice), ret,
				  err);
	grpc_slice_unref(slice);
	grpc_byte_buffer_reader_destroy(&reader);
	return r;
}

static void run_handler(void *ud)
{
	struct nomad__call *call = ud;
	ProtobufCMessage *request = call->request;

	call->method->handle(call, request);
	if (call->method->kind == NOMAD__BIDI)
		nomad__call_receive(call);
	nomad__call_unref(call);
}

/* The first message of the call: run_handler() has a reference. */
static void dispatch(struct nomad__call *call)
{
	int r;

	nomad__call_ref(call);
	if (!call->method->blocks) {
		run_handler(call);
		return;
	}
	r = nomad__work(call->server->plugin, run_handler, call);
	if (r >= 0)
		return;
	if (r == -ESHUTDOWN) /* the one case that is UNAVAILABLE */
		nomad__call_fail_status(call, GRPC_STATUS_UNAVAILABLE, "the plugin is shutting down");
	else
		nomad__call_fail_status(call, GRPC_STATUS_RESOURCE_EXHAUSTED, "no worker for the call");
	nomad__call_unref(call);
}

static void received(struct nomad__tag *tag, bool ok)
{
	struct nomad__call *call = NOMAD__OF_TAG(tag, struct nomad__call, receive_tag);
	NOMAD_AUTO_ERROR struct nomad_error *err = NULL;
	ProtobufCMessage *message = NULL;
	grpc_byte_buffer *bytes;
	bool first, open;
	int r;

	pthread_mutex_lock(&call->lock);
	bytes = NOMAD_TAKE_PTR(call->received);
	call->receiving = false;
	first = !call->handled;
	call->handled = true;
	open = ok && !call->closed && !call->answered;
	/* gRPC refuses one that is too large before we see it. */
	call->large |= !ok || (bytes && grpc_byte_buffer_length(bytes) >= LARGE);
	pthread_mutex_unlock(&call->lock);

	r = open ? decode(call, bytes, &message, &err) : 0;
	if (bytes)
		grpc_byte_buffer_destroy(bytes);
	if (r < 0) {
		nomad__call_fail(call, err);
	} else if (open && first && !message && call->method->may_be_empty) {
		nomad__call_finish(call);
	} else if (open && first && !message) {
		nomad__call_fail_status(call, GRPC_STATUS_INVALID_ARGUMENT, "the call has no request message");
	} else if (open && first) {
		call->request = message;
		dispatch(call);
	} else if (open) {
		bool go_on = call->method->more(call, message) && message;

		nomad__message_free(message);
		if (go_on)
			nomad__call_receive(call);
	}
	nomad__call_unref(call);
}

void nomad__call_begin(struct nomad__server *server, grpc_call *take_grpc, const grpc_call_details *details)
{
	const struct nomad__method *method = NULL;
	struct nomad__call *call;

	for (size_t i = 0; i < server->n_methods && !method; i++)
		if (grpc_slice_str_cmp(details->method, server->methods[i].path) == 0)
			method = &server->methods[i];
	call = nomad__call_new(server, take_grpc, method);
	if (!call)
		return;
	if (method && !call->broken)
		nomad__call_receive(call);
	else if (!method)
		nomad__call_fail_status(call, GRPC_STATUS_UNIMPLEMENTED, "unknown method");
	nomad__call_unref(call);
}
