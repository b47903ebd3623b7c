/* SPDX-License-Identifier: MPL-2.0
 *
 * One call, from its arrival to its end.
 *
 *	arrived: RECV_CLOSE_ON_SERVER is asked for, which completes when the
 *	  |      call has ended, for whatever reason; and RECV_MESSAGE
 *	request: decoded, then handle(), here or on a worker
 *	  |      streams: send() fills the queue, one SEND_MESSAGE is under way
 *	answered: reply(), fail() or finish(): the status goes behind the queue
 *	  |
 *	closed:  drop() ends what the handler began (a subscription); then the
 *	         last reference goes
 *
 * The client may be gone at any point: sends then fail or are left out, and
 * the handler need not know. */
#include "wire/call.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <grpc/byte_buffer.h>
#include <grpc/byte_buffer_reader.h>
#include <grpc/slice.h>
#include <grpc/support/alloc.h>

#include "base/loop.h"

enum {
	BOUNDED_MAX = 1024, /* messages that wait, with SEND_BOUNDED */
};

#define CALL_OF(tag, member) ((struct nomad__call *)((char *)(tag)-offsetof(struct nomad__call, member)))

/* ---- Life ---- */

struct nomad__call *nomad__call_ref(struct nomad__call *call)
{
	__atomic_add_fetch(&call->refs, 1, __ATOMIC_RELAXED);
	return call;
}

static void packet_free(struct nomad__packet *packet)
{
	grpc_byte_buffer_destroy(packet->bytes);
	free(packet);
}

/* Lock held, or the last reference. */
static void count_end(struct nomad__call *call, grpc_status_code code)
{
	if (call->counted)
		return;
	call->counted = true;
	nomad__metrics_call_ends(nomad__plugin_metrics(call->server->plugin), call->rpc, (unsigned)code,
				 nomad_monotonic_ns() - call->begun_ns);
}

void nomad__call_unref(struct nomad__call *call)
{
	struct nomad__server *server = call->server;
	struct nomad__packet *next;

	if (__atomic_sub_fetch(&call->refs, 1, __ATOMIC_ACQ_REL) > 0)
		return;
	count_end(call, GRPC_STATUS_CANCELLED);
	nomad__server_remove_call(server, call);
	for (struct nomad__packet *packet = call->head; packet; packet = next) {
		next = packet->next;
		packet_free(packet);
	}
	nomad__message_free(call->request);
	if (call->received)
		grpc_byte_buffer_destroy(call->received);
	grpc_slice_unref(call->status_slice);
	grpc_slice_unref(call->trailer.value);
	nomad__status_done(&call->status);
	free(call->task_id);
	grpc_call_unref(call->grpc);
	pthread_mutex_destroy(&call->lock);
	free(call);
	nomad__server_call_ended(server);
}

struct nomad_plugin *nomad__call_plugin(const struct nomad__call *call)
{
	return call->server->plugin;
}

void nomad__call_set_task(struct nomad__call *call, const char *id)
{
	char *copy = strdup(id);

	pthread_mutex_lock(&call->lock);
	free(call->task_id);
	call->task_id = copy;
	pthread_mutex_unlock(&call->lock);
}

bool nomad__call_attach(struct nomad__call *call, void (*drop)(struct nomad__call *call, void *data), void *data)
{
	bool open;

	pthread_mutex_lock(&call->lock);
	open = !call->closed;
	if (open) {
		call->drop = drop;
		call->data = data;
	}
	pthread_mutex_unlock(&call->lock);
	return open;
}

void *nomad__call_data(struct nomad__call *call)
{
	void *data;

	pthread_mutex_lock(&call->lock);
	data = call->data;
	pthread_mutex_unlock(&call->lock);
	return data;
}

static void call_closed(struct nomad__tag *tag, bool ok)
{
	struct nomad__call *call = CALL_OF(tag, close_tag);
	void (*drop)(struct nomad__call *, void *);
	void *data;

	(void)ok;
	pthread_mutex_lock(&call->lock);
	call->closed = true;
	count_end(call, GRPC_STATUS_CANCELLED);
	drop = NOMAD_TAKE_PTR(call->drop);
	data = NOMAD_TAKE_PTR(call->data);
	pthread_mutex_unlock(&call->lock);
	if (drop)
		drop(call, data);
	nomad__call_unref(call);
}

/* Start a batch that holds a reference until its tag comes.  False: it will not. */
static bool start_batch(struct nomad__call *call, const grpc_op *ops, size_t n, struct nomad__tag *tag)
{
	grpc_call_error e;

	nomad__call_ref(call);
	e = grpc_call_start_batch(call->grpc, ops, n, tag, NULL);
	if (e == GRPC_CALL_OK)
		return true;
	nomad_log_kv(NOMAD_LOG_ERROR, "grpc refused a batch", "error", grpc_call_error_to_string(e), NULL);
	/* Not the last one: the caller has its own. */
	__atomic_sub_fetch(&call->refs, 1, __ATOMIC_RELEASE);
	return false;
}

/* ---- Out ---- */

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
	call->sending = start_batch(call, ops, op - ops, &call->send_tag);
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
	packet_free(packet);
}

static void sent(struct nomad__tag *tag, bool ok)
{
	struct nomad__call *call = CALL_OF(tag, send_tag);
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
		      : how == NOMAD__SEND_BOUNDED			   ? BOUNDED_MAX - 1
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
		packet_free(old);
		if (how == NOMAD__SEND_BOUNDED) /* only events are sent so */
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
	count_end(call, call->status.code);
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
		nomad__call_fail_status(call, GRPC_STATUS_RESOURCE_EXHAUSTED, "out of memory");
		return;
	}
	pthread_mutex_lock(&call->lock);
	if (call->answered || call->closed) {
		packet_free(packet);
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
		nomad__call_fail_status(call, GRPC_STATUS_RESOURCE_EXHAUSTED, "out of memory");
		return 0;
	}
	pthread_mutex_lock(&call->lock);
	if (call->answered || call->closed || call->broken) {
		packet_free(packet);
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
	/* What that completes wakes the thread, which will look by itself from then on. */
	if (soon && !nomad__server_pump_soon(call->server, call))
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

/* ---- In ---- */

void nomad__call_receive(struct nomad__call *call)
{
	grpc_op op = { .op = GRPC_OP_RECV_MESSAGE };

	pthread_mutex_lock(&call->lock);
	if (!call->receiving && !call->closed && !call->answered) {
		op.data.recv_message.recv_message = &call->received;
		call->receiving = start_batch(call, &op, 1, &call->receive_tag);
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

/* The first message of the call: a reference is with run_handler(). */
static void dispatch(struct nomad__call *call)
{
	int r = 0;

	nomad__call_ref(call);
	if (!call->method->blocks) {
		run_handler(call);
		return;
	}
	r = nomad__work(call->server->plugin, run_handler, call);
	if (r >= 0)
		return;
	if (r == -ESHUTDOWN) /* here it is the truth */
		nomad__call_fail_status(call, GRPC_STATUS_UNAVAILABLE, "the plugin is shutting down");
	else
		nomad__call_fail_status(call, GRPC_STATUS_RESOURCE_EXHAUSTED, "no worker for the call");
	nomad__call_unref(call);
}

static void received(struct nomad__tag *tag, bool ok)
{
	struct nomad__call *call = CALL_OF(tag, receive_tag);
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

/* ---- Arrival ---- */

static const struct nomad__method *find_method(grpc_slice path)
{
	for (size_t i = 0; i < nomad__n_methods; i++)
		if (grpc_slice_str_cmp(path, nomad__methods[i].path) == 0)
			return &nomad__methods[i];
	return NULL;
}

void nomad__call_begin(struct nomad__server *server, grpc_call *take_grpc, const grpc_call_details *details)
{
	struct nomad__call *call = calloc(1, sizeof(*call));
	grpc_op op = { .op = GRPC_OP_RECV_CLOSE_ON_SERVER };

	if (!call) {
		(void)grpc_call_cancel_with_status(take_grpc, GRPC_STATUS_RESOURCE_EXHAUSTED, "out of memory", NULL);
		grpc_call_unref(take_grpc);
		return;
	}
	call->server = server;
	call->grpc = take_grpc;
	call->refs = 1; /* of this function */
	call->tail = &call->head;
	call->close_tag.fn = call_closed;
	call->send_tag.fn = sent;
	call->receive_tag.fn = received;
	call->status_slice = grpc_empty_slice();
	call->trailer.value = grpc_empty_slice();
	call->method = find_method(details->method);
	call->rpc = call->method ? (size_t)(call->method - nomad__methods) : nomad__n_methods;
	call->begun_ns = nomad_monotonic_ns();
	nomad__metrics_call_begins(nomad__plugin_metrics(server->plugin), call->rpc);
	pthread_mutex_init(&call->lock, NULL);
	nomad__server_add_call(server, call);

	op.data.recv_close_on_server.cancelled = &call->cancelled;
	if (!start_batch(call, &op, 1, &call->close_tag))
		call->broken = true;
	else if (call->method)
		nomad__call_receive(call);
	else
		nomad__call_fail_status(call, GRPC_STATUS_UNIMPLEMENTED, "unknown method");
	nomad__call_unref(call);
}
