/* SPDX-License-Identifier: MPL-2.0
 *
 * For smoke_test.c: a gRPC client in C, and the plugin as a child process. */
#ifndef NOMAD_WIRE_SMOKE_CLIENT_H
#define NOMAD_WIRE_SMOKE_CLIENT_H

#include <assert.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <grpc/byte_buffer.h>
#include <grpc/byte_buffer_reader.h>
#include <grpc/grpc.h>
#include <grpc/grpc_security.h>
#include <grpc/support/alloc.h>
#include <grpc/support/time.h>

#include "wire/message.h"

#define BASE "/hashicorp.nomad.plugins.base.proto.BasePlugin/"
#define DRIVER "/hashicorp.nomad.plugins.drivers.proto.Driver/"

enum { TIMEOUT_S = 120 }; /* for a loaded machine; nothing waits for it if all is well */

/* ---- The plugin process ---- */

struct server {
	pid_t pid;
	int out; /* its stdout */
	char path[128];
	grpc_channel *channel;
};

static grpc_channel *client_connect(const char *path)
{
	grpc_channel_credentials *credentials = grpc_insecure_credentials_create();
	grpc_arg arg = { .type = GRPC_ARG_INTEGER,
			 .key = (char *)GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH,
			 .value.integer = -1 };
	grpc_channel_args args = { 1, &arg };
	char target[160];
	grpc_channel *channel;

	snprintf(target, sizeof(target), "unix:%s", path);
	channel = grpc_channel_create(target, credentials, &args);
	grpc_channel_credentials_release(credentials);
	return channel;
}

/* This program again, with SMOKE_SERVE in its environment. */
static void server_start(struct server *server)
{
	char line[256], network[16];
	ssize_t n;
	int out[2];

	assert(pipe(out) == 0);
	server->pid = fork();
	assert(server->pid >= 0);
	if (server->pid == 0) {
		dup2(out[1], 1);
		close(out[0]);
		close(out[1]);
		setenv("SMOKE_SERVE", "1", 1);
		execl("/proc/self/exe", "smoke", (char *)NULL);
		_exit(127);
	}
	close(out[1]);
	server->out = out[0];
	n = read(server->out, line, sizeof(line) - 1);
	assert(n > 0);
	line[n] = '\0';
	assert(sscanf(line, "1|2|%15[a-z]|%127[^|]|grpc|\n", network, server->path) == 2);
	assert(strcmp(network, "unix") == 0);
	server->channel = client_connect(server->path);
}

/* The wait status, after it has ended by itself. */
static int server_wait(struct server *server)
{
	int status;

	if (server->channel)
		grpc_channel_destroy(server->channel);
	assert(waitpid(server->pid, &status, 0) == server->pid);
	close(server->out);
	return status;
}

static unsigned server_threads(const struct server *server)
{
	char path[64];
	unsigned n = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/task", (int)server->pid);
	dir = opendir(path);
	assert(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n - 2;
}

/* ---- A call ---- */

enum { SENT = 1, RECEIVED = 2, STATUS = 4, INITIAL = 8 };

struct rpc {
	grpc_completion_queue *cq;
	grpc_call *call;
	unsigned done; /* tags that came */
	unsigned pending;
	grpc_metadata_array initial, trailing;
	grpc_byte_buffer *bytes;
	grpc_status_code status;
	grpc_slice message;
	char text[512]; /* the message, once the status came */
};

static gpr_timespec deadline_in(int64_t ms)
{
	return gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC), gpr_time_from_millis(ms, GPR_TIMESPAN));
}

/* Wait for one tag; false: it did not come in time. */
static bool rpc_wait(struct rpc *rpc, unsigned tag, int64_t ms)
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

static void rpc_batch(struct rpc *rpc, const grpc_op *ops, size_t n, unsigned tag)
{
	rpc->done &= ~tag;
	rpc->pending |= tag;
	assert(grpc_call_start_batch(rpc->call, ops, n, (void *)(uintptr_t)tag, NULL) == GRPC_CALL_OK);
}

static void rpc_open(struct rpc *rpc, grpc_channel *channel, const char *path, int64_t deadline_ms)
{
	grpc_op op = { .op = GRPC_OP_RECV_STATUS_ON_CLIENT };

	memset(rpc, 0, sizeof(*rpc));
	rpc->cq = grpc_completion_queue_create_for_next(NULL);
	rpc->call = grpc_channel_create_call(channel, NULL, GRPC_PROPAGATE_DEFAULTS, rpc->cq,
					     grpc_slice_from_static_string(path), NULL, deadline_in(deadline_ms), NULL);
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

static void rpc_send_bytes(struct rpc *rpc, const void *data, size_t size, bool last)
{
	grpc_op ops[2] = { { .op = GRPC_OP_SEND_MESSAGE }, { .op = GRPC_OP_SEND_CLOSE_FROM_CLIENT } };
	grpc_slice slice = grpc_slice_from_copied_buffer(data, size);
	grpc_byte_buffer *bytes = grpc_raw_byte_buffer_create(&slice, 1);

	assert(rpc_wait(rpc, SENT, TIMEOUT_S * 1000));
	ops[0].data.send_message.send_message = bytes;
	rpc_batch(rpc, ops, last ? 2 : 1, SENT);
	assert(rpc_wait(rpc, SENT, TIMEOUT_S * 1000));
	grpc_byte_buffer_destroy(bytes);
	grpc_slice_unref(slice);
}

static void rpc_send(struct rpc *rpc, const ProtobufCMessage *message, bool last)
{
	size_t size = protobuf_c_message_get_packed_size(message);
	uint8_t *data = malloc(size + 1);

	assert(data);
	protobuf_c_message_pack(message, data);
	rpc_send_bytes(rpc, data, size, last);
	free(data);
}

static void rpc_half_close(struct rpc *rpc)
{
	grpc_op op = { .op = GRPC_OP_SEND_CLOSE_FROM_CLIENT };

	assert(rpc_wait(rpc, SENT, TIMEOUT_S * 1000));
	rpc_batch(rpc, &op, 1, SENT);
}

/* The next message, or NULL at the end of the stream, or after `ms` without one. */
static ProtobufCMessage *rpc_receive_for(struct rpc *rpc, const ProtobufCMessageDescriptor *type, int64_t ms)
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
	assert(grpc_byte_buffer_reader_init(&reader, rpc->bytes));
	slice = grpc_byte_buffer_reader_readall(&reader);
	message = protobuf_c_message_unpack(type, NULL, GRPC_SLICE_LENGTH(slice), GRPC_SLICE_START_PTR(slice));
	assert(message);
	grpc_slice_unref(slice);
	grpc_byte_buffer_reader_destroy(&reader);
	grpc_byte_buffer_destroy(rpc->bytes);
	rpc->bytes = NULL;
	return message;
}

static void *rpc_receive(struct rpc *rpc, const ProtobufCMessageDescriptor *type)
{
	return rpc_receive_for(rpc, type, TIMEOUT_S * 1000);
}

static grpc_status_code rpc_status(struct rpc *rpc)
{
	size_t size;

	assert(rpc_wait(rpc, STATUS, TIMEOUT_S * 1000));
	size = GRPC_SLICE_LENGTH(rpc->message);
	if (size >= sizeof(rpc->text))
		size = sizeof(rpc->text) - 1;
	memcpy(rpc->text, GRPC_SLICE_START_PTR(rpc->message), size);
	rpc->text[size] = '\0';
	return rpc->status;
}

static void rpc_cancel(struct rpc *rpc)
{
	grpc_call_cancel(rpc->call, NULL);
}

/* Cancels what is still open. */
static void rpc_close(struct rpc *rpc)
{
	grpc_call_cancel(rpc->call, NULL);
	while (rpc->pending)
		assert(rpc_wait(rpc, rpc->pending & -rpc->pending, TIMEOUT_S * 1000));
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

/* A unary call; *ret_answer (may be NULL) to be freed if the status is OK. */
static grpc_status_code unary(struct server *server, struct rpc *rpc, const char *path, const void *request,
			      const ProtobufCMessageDescriptor *type, void *ret_answer)
{
	ProtobufCMessage *answer;

	rpc_open(rpc, server->channel, path, TIMEOUT_S * 1000);
	rpc_send(rpc, request, true);
	answer = rpc_receive(rpc, type);
	if (ret_answer)
		*(void **)ret_answer = answer;
	else
		nomad__message_free(answer);
	return rpc_status(rpc);
}

#endif
