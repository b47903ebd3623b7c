/* SPDX-License-Identifier: MPL-2.0
 *
 * wire/client.h: a gRPC client in C, for tests of this folder and for
 * nomad-plugin-test.  Who includes it declares `grpc_channel *channel` and
 * defines CLIENT_MUST(condition): what to do if gRPC itself fails. */
#ifndef NOMAD_WIRE_CLIENT_H
#define NOMAD_WIRE_CLIENT_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <grpc/byte_buffer.h>
#include <grpc/byte_buffer_reader.h>
#include <grpc/grpc.h>
#include <grpc/grpc_posix.h>
#if __has_include(<grpc/credentials.h>)
#include <grpc/credentials.h> /* gRPC 1.56 and later */
#else
#include <grpc/grpc_security.h>
#endif
#include <grpc/support/time.h>

#include "wire/message.h"

enum { PATIENCE_MS = 120000 }; /* for a loaded machine; nothing waits that long if all is well */

/* ---- A call ---- */

enum { SENT = 1, RECEIVED = 2, STATUS = 4, INITIAL = 8 };

struct rpc {
	grpc_completion_queue *cq;
	grpc_call *call;
	unsigned done, pending; /* tags */
	grpc_metadata_array initial, trailing;
	grpc_byte_buffer *bytes;
	grpc_status_code status;
	grpc_slice message;
	char text[512]; /* the message, once the status came */
};

static inline gpr_timespec deadline_in(int64_t ms)
{
	return gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC), gpr_time_from_millis(ms, GPR_TIMESPAN));
}

/* Waits for one tag; false: it did not come in time. */
static inline bool rpc_wait(struct rpc *rpc, unsigned tag, int64_t ms)
{
	while (!(rpc->done & tag)) {
		grpc_event event = grpc_completion_queue_next(rpc->cq, deadline_in(ms), NULL);

		if (event.type != GRPC_OP_COMPLETE)
			return false;
		rpc->done |= (unsigned)(uintptr_t)event.tag;
		rpc->pending &= ~(unsigned)(uintptr_t)event.tag;
	}
	return true;
}

static inline void rpc_batch(struct rpc *rpc, const grpc_op *ops, size_t n, unsigned tag)
{
	rpc->done &= ~tag;
	rpc->pending |= tag;
	CLIENT_MUST(grpc_call_start_batch(rpc->call, ops, n, (void *)(uintptr_t)tag, NULL) == GRPC_CALL_OK);
}

static inline void rpc_open(struct rpc *rpc, const char *path)
{
	grpc_op op = { .op = GRPC_OP_RECV_STATUS_ON_CLIENT };

	memset(rpc, 0, sizeof(*rpc));
	rpc->cq = grpc_completion_queue_create_for_next(NULL);
	rpc->call = grpc_channel_create_call(channel, NULL, GRPC_PROPAGATE_DEFAULTS, rpc->cq,
					     grpc_slice_from_static_string(path), NULL, deadline_in(PATIENCE_MS), NULL);
	grpc_metadata_array_init(&rpc->initial);
	grpc_metadata_array_init(&rpc->trailing);
	op.data.recv_status_on_client.trailing_metadata = &rpc->trailing;
	op.data.recv_status_on_client.status = &rpc->status;
	op.data.recv_status_on_client.status_details = &rpc->message;
	rpc_batch(rpc, &op, 1, STATUS);
	op = (grpc_op){ .op = GRPC_OP_RECV_INITIAL_METADATA };
	op.data.recv_initial_metadata.recv_initial_metadata = &rpc->initial;
	rpc_batch(rpc, &op, 1, INITIAL);
	op = (grpc_op){ .op = GRPC_OP_SEND_INITIAL_METADATA };
	rpc_batch(rpc, &op, 1, SENT);
}

/* False: the message is not taken within `ms`. */
static inline bool rpc_send_for(struct rpc *rpc, const void *data, size_t size, bool last, int64_t ms)
{
	grpc_op ops[2] = { { .op = GRPC_OP_SEND_MESSAGE }, { .op = GRPC_OP_SEND_CLOSE_FROM_CLIENT } };
	grpc_slice slice = grpc_slice_from_copied_buffer(data, size);
	grpc_byte_buffer *bytes = grpc_raw_byte_buffer_create(&slice, 1);
	bool taken;

	CLIENT_MUST(rpc_wait(rpc, SENT, PATIENCE_MS));
	ops[0].data.send_message.send_message = bytes;
	rpc_batch(rpc, ops, last ? 2 : 1, SENT);
	taken = rpc_wait(rpc, SENT, ms);
	grpc_byte_buffer_destroy(bytes); /* gRPC has its own reference */
	grpc_slice_unref(slice);
	return taken;
}

static inline void rpc_send(struct rpc *rpc, const void *message, bool last)
{
	size_t size = protobuf_c_message_get_packed_size(message);
	uint8_t *data = malloc(size + 1);

	CLIENT_MUST(data);
	protobuf_c_message_pack(message, data);
	CLIENT_MUST(rpc_send_for(rpc, data, size, last, PATIENCE_MS));
	free(data);
}

static inline void rpc_half_close(struct rpc *rpc)
{
	grpc_op op = { .op = GRPC_OP_SEND_CLOSE_FROM_CLIENT };

	CLIENT_MUST(rpc_wait(rpc, SENT, PATIENCE_MS));
	rpc_batch(rpc, &op, 1, SENT);
}

/* The next message, or NULL at the end of the stream, or after `ms` without one. */
static inline void *rpc_receive_for(struct rpc *rpc, const ProtobufCMessageDescriptor *type, int64_t ms)
{
	grpc_op op = { .op = GRPC_OP_RECV_MESSAGE };
	grpc_byte_buffer_reader reader;
	ProtobufCMessage *message;
	grpc_slice slice;

	if (!((rpc->pending | rpc->done) & RECEIVED)) {
		op.data.recv_message.recv_message = &rpc->bytes;
		rpc_batch(rpc, &op, 1, RECEIVED);
	}
	if (!rpc_wait(rpc, RECEIVED, ms) || !rpc->bytes)
		return NULL;
	rpc->done &= ~RECEIVED;
	CLIENT_MUST(grpc_byte_buffer_reader_init(&reader, rpc->bytes));
	slice = grpc_byte_buffer_reader_readall(&reader);
	message = protobuf_c_message_unpack(type, NULL, GRPC_SLICE_LENGTH(slice), GRPC_SLICE_START_PTR(slice));
	CLIENT_MUST(message);
	grpc_slice_unref(slice);
	grpc_byte_buffer_reader_destroy(&reader);
	grpc_byte_buffer_destroy(rpc->bytes);
	rpc->bytes = NULL;
	return message;
}

static inline void *rpc_receive(struct rpc *rpc, const ProtobufCMessageDescriptor *type)
{
	return rpc_receive_for(rpc, type, PATIENCE_MS);
}

static inline grpc_status_code rpc_status(struct rpc *rpc)
{
	CLIENT_MUST(rpc_wait(rpc, STATUS, PATIENCE_MS));
	snprintf(rpc->text, sizeof(rpc->text), "%.*s", (int)GRPC_SLICE_LENGTH(rpc->message),
		 (const char *)GRPC_SLICE_START_PTR(rpc->message));
	return rpc->status;
}

/* Cancels what is still open. */
static inline void rpc_close(struct rpc *rpc)
{
	grpc_call_cancel(rpc->call, NULL);
	while (rpc->pending)
		CLIENT_MUST(rpc_wait(rpc, rpc->pending & -rpc->pending, PATIENCE_MS));
	if (rpc->bytes)
		grpc_byte_buffer_destroy(rpc->bytes);
	grpc_metadata_array_destroy(&rpc->initial);
	grpc_metadata_array_destroy(&rpc->trailing);
	grpc_slice_unref(rpc->message);
	grpc_call_unref(rpc->call);
	grpc_completion_queue_shutdown(rpc->cq);
	while (grpc_completion_queue_next(rpc->cq, gpr_inf_future(GPR_CLOCK_REALTIME), NULL).type !=
	       GRPC_QUEUE_SHUTDOWN)
		;
	grpc_completion_queue_destroy(rpc->cq);
}

static inline void stream_open(struct rpc *rpc, const char *path, const void *request)
{
	rpc_open(rpc, path);
	rpc_send(rpc, request, true);
}

/* A unary call.  *ret_answer (may be NULL) is freed by the caller; ret_text (may be NULL) has 512 bytes. */
static inline grpc_status_code unary(const char *path, const void *request, const ProtobufCMessageDescriptor *type,
				     void *ret_answer, char *ret_text)
{
	ProtobufCMessage *answer;
	grpc_status_code code;
	struct rpc rpc;

	stream_open(&rpc, path, request);
	answer = rpc_receive(&rpc, type);
	code = rpc_status(&rpc);
	if (ret_text)
		strcpy(ret_text, rpc.text);
	if (ret_answer)
		*(void **)ret_answer = answer;
	else
		nomad__message_free(answer);
	rpc_close(&rpc);
	return code;
}

#endif
