/* SPDX-License-Identifier: MPL-2.0
 *
 * The answers of a call: a queue of messages, one of them under way, and the
 * status behind them. */
#include <stdlib.h>
#include <string.h>

#include <grpc/byte_buffer.h>
#include <grpc/slice.h>

#include "wire/inner.h"

static void sent(struct nomad__tag *tag, bool ok);

/* Lock held.  Send what comes next, if nothing is under way. */
static void pump(struct nomad__call *call)
{
	grpc_op ops[3] = { 0 }, *op = ops;
	bool last = call->answered && (!call->head || !call->head->next);

	if (call->sending || call->broken || call->closed || call->status_sent || (!call->head && !last))
		return;
	if (!call->initial_sent) {
		op->op = GRPC_OP_SEND_INITIAL_METADATA;
		op++;
		call->initial_sent = true;
	}
	if (call->head) {
		op->op = GRPC_OP_SEND_MESSAGE;
		op->data.send_message.send_message = call->head->bytes;
		op++;
	}
	if (last) {
		op->op = GRPC_OP_SEND_STATUS_FROM_SERVER;
		op->data.send_status_from_server.status = call->status.code;
		op->data.send_status_from_server.status_details = &call->status_slice;
		if (call->status.details) {
			op->data.send_status_from_server.trailing_metadata = &call->trailer;
			op->data.send_status_from_server.trailing_metadata_count = 1;
		}
		op++;
		call->status_sent = true;
	}
	call->sending = nomad__call_batch(call, ops, op - ops, &call->send_tag, sent);
	call->broken = !call->sending;
}

static void unqueue_head(struct nomad__call *call)
{
	struct nomad__packet *packet = call->head;

	call->head = packet->next;
	if (!call->head)
		call->tail = &call->head;
	call->queued--;
	call->queued_bytes -= packet->size;
	nomad__packet_free(packet);
}

static void sent(struct nomad__tag *tag, bool ok)
{
	struct nomad__call *call = NOMAD__OF_TAG(tag, struct nomad__call, send_tag);
	void (*drained)(struct nomad__call *) = NULL;
	bool shutdown;

	pthread_mutex_lock(&call->lock);
	call->sending = false;
	if (call->head)
		unqueue_head(call);
	if (!ok)
		call->broken = true;
	shutdown = call->then_shutdown && (call->status_sent || call->broken);
	pump(call);
	if (call->high_reached && call->queued_bytes <= call->high / 2) {
		call->high_reached = false;
		drained = call->drained;
	}
	pthread_mutex_unlock(&call->lock);
	if (drained)
		drained(call);
	if (shutdown)
		call->server->shutdown(call->server->shutdown_ud);
	nomad__call_unref(call);
}

static void *slice_alloc(void *ud, size_t size)
{
	grpc_slice *slice = ud;

	*slice = grpc_slice_malloc(size);
	return GRPC_SLICE_START_PTR(*slice);
}

static struct nomad__packet *packet_new(const ProtobufCMessage *message)
{
	struct nomad__packet *packet = calloc(1, sizeof(*packet));
	grpc_slice slice;

	if (!packet || nomad__message_pack(message, slice_alloc, &slice) < 0) {
		free(packet);
		return NULL;
	}
	packet->size = GRPC_SLICE_LENGTH(slice);
	packet->bytes = grpc_raw_byte_buffer_create(&slice, 1);
	grpc_slice_unref(slice);
	return packet;
}

/* Lock held. */
static void queue_packet(struct nomad__call *call, struct nomad__packet *packet, enum nomad__send how)
{
	size_t keep = how == NOMAD__SEND_LATEST || how == NOMAD__SEND_SOON ? 0
		      : how == NOMAD__SEND_BOUNDED			   ? NOMAD__SEND_BOUND - 1
									   : SIZE_MAX;
	size_t under_way = call->sending && call->head ? 1 : 0;
	struct nomad__packet **first = under_way ? &call->head->next : &call->head;

	while (*first && call->queued - under_way > keep) {
		struct nomad__packet *old = *first;

		*first = old->next;
		if (!*first)
			call->tail = first;
		call->queued--;
		call->queued_bytes -= old->size;
		nomad__packet_free(old);
		if (how == NOMAD__SEND_BOUNDED) /* only events are sent like this */
			nomad__metric_add(nomad__plugin_metrics(call->server->plugin), NOMAD__EVENTS_DROPPED, 1);
	}
	*call->tail = packet;
	call->tail = &packet->next;
	call->queued++;
	call->queued_bytes += packet->size;
}

/* Lock held. */
static void answer_locked(struct nomad__call *call, struct nomad__status *take_status)
{
	call->answered = true;
	call->status = *take_status;
	nomad__call_count_end(call, call->status.code);
	call->status_slice = grpc_slice_from_copied_string(call->status.message ? call->status.message : "");
	if (call->status.details) {
		call->trailer.key = grpc_slice_from_static_string("grpc-status-details-bin");
		call->trailer.value = grpc_slice_from_copied_buffer(call->status.details, call->status.details_size);
	}
	pump(call);
}

void nomad__call_reply(struct nomad__call *call, const ProtobufCMessage *answer)
{
	struct nomad__status status = { .code = GRPC_STATUS_OK };
	struct nomad__packet *packet = packet_new(answer);

	if (!packet) {
		nomad__call_fail_memory(call);
		return;
	}
	pthread_mutex_lock(&call->lock);
	if (call->answered || call->closed) {
		nomad__packet_free(packet);
	} else {
		queue_packet(call, packet, NOMAD__SEND_ALL);
		answer_locked(call, &status);
	}
	pthread_mutex_unlock(&call->lock);
}

void nomad__call_finish(struct nomad__call *call)
{
	struct nomad__status status = { .code = GRPC_STATUS_OK };

	pthread_mutex_lock(&call->lock);
	if (!call->answered && !call->closed)
		answer_locked(call, &status);
	pthread_mutex_unlock(&call->lock);
}

static void fail(struct nomad__call *call, struct nomad__status *take_status)
{
	grpc_status_code code = take_status->code;
	const char *name = call->method ? strrchr(call->method->path, '/') + 1 : "(unknown)";
	NOMAD_AUTO_FREE char *message = strdup(take_status->message ? take_status->message : "out of memory");
	NOMAD_AUTO_FREE char *task = NULL;
	bool first;

	pthread_mutex_lock(&call->lock);
	first = !call->answered && !call->closed;
	if (call->task_id)
		task = strdup(call->task_id);
	if (first)
		answer_locked(call, take_status);
	pthread_mutex_unlock(&call->lock);
	if (!first) {
		nomad__status_done(take_status);
		return;
	}
	/* One line a failed call, and the only one: functions do not log what
	 * they return. */
	nomad_log_kv(code == GRPC_STATUS_INTERNAL ? NOMAD_LOG_ERROR : NOMAD_LOG_WARN, "call failed", "rpc", name,
		     "code", nomad__status_name(code), "error", message, task ? "task_id" : NULL, task, NULL);
}

void nomad__call_fail(struct nomad__call *call, const struct nomad_error *err)
{
	struct nomad__status status;

	nomad__status_of(err, &status);
	fail(call, &status);
}

void nomad__call_fail_status(struct nomad__call *call, grpc_status_code code, const char *message)
{
	struct nomad__status status;

	nomad__status_set(&status, code, message);
	fail(call, &status);
}

void nomad__call_fail_memory(struct nomad__call *call)
{
	nomad__call_fail_status(call, GRPC_STATUS_RESOURCE_EXHAUSTED, "out of memory");
}

void nomad__call_end(struct nomad__call *call)
{
	struct nomad__status status;

	nomad__status_set(&status, GRPC_STATUS_UNAVAILABLE, "the plugin is shutting down");
	pthread_mutex_lock(&call->lock);
	if (call->answered || call->closed)
		nomad__status_done(&status);
	else
		answer_locked(call, &status);
	pthread_mutex_unlock(&call->lock);
}

size_t nomad__call_send(struct nomad__call *call, const ProtobufCMessage *answer, enum nomad__send how)
{
	struct nomad__packet *packet = packet_new(answer);
	bool soon = false;
	size_t bytes;

	if (!packet) {
		nomad__call_fail_memory(call);
		return 0;
	}
	pthread_mutex_lock(&call->lock);
	if (call->answered || call->closed || call->broken) {
		nomad__packet_free(packet);
	} else {
		queue_packet(call, packet, how);
		soon = how == NOMAD__SEND_SOON;
		if (!soon)
			pump(call);
	}
	bytes = call->queued_bytes;
	if (call->drained && bytes >= call->high)
		call->high_reached = true;
	pthread_mutex_unlock(&call->lock);
	/* The completion of this one wakes the thread, which polls from then on. */
	if (soon && !nomad__calls_put_soon(call->server, call))
		nomad__call_pump(call);
	return bytes;
}

void nomad__call_pump(struct nomad__call *call)
{
	pthread_mutex_lock(&call->lock);
	pump(call);
	pthread_mutex_unlock(&call->lock);
}

void nomad__call_on_drained(struct nomad__call *call, size_t high, void (*drained)(struct nomad__call *call))
{
	pthread_mutex_lock(&call->lock);
	call->high = high;
	call->drained = drained;
	pthread_mutex_unlock(&call->lock);
}

void nomad__call_then_shutdown(struct nomad__call *call)
{
	pthread_mutex_lock(&call->lock);
	call->then_shutdown = true;
	pthread_mutex_unlock(&call->lock);
}
