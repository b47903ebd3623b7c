/* SPDX-License-Identifier: MPL-2.0
 *
 * One call, from its arrival to its end.
 *
 *	arrived: RECV_CLOSE_ON_SERVER is asked for, which completes when the
 *	  |      call has ended, for whatever reason; and RECV_MESSAGE
 *	request: decoded, then handle(), here or on a worker     (receive.c)
 *	  |      streams: send() fills the queue, one SEND_MESSAGE is under way
 *	answered: reply(), fail() or finish(): the status goes behind the queue
 *	  |                                                      (send.c)
 *	closed:  drop() ends what the handler began (a subscription); then the
 *	         last reference goes
 *
 * The client may be gone at any point: sends then fail or are left out, and
 * the handler need not know. */
#include <stdlib.h>
#include <string.h>

#include <grpc/byte_buffer.h>
#include <grpc/slice.h>

#include "base/memory.h"
#include "wire/inner.h"

struct nomad__call *nomad__call_ref(struct nomad__call *call)
{
	__atomic_add_fetch(&call->refs, 1, __ATOMIC_RELAXED);
	return call;
}

void nomad__packet_free(struct nomad__packet *packet)
{
	grpc_byte_buffer_destroy(packet->bytes);
	free(packet);
}

void nomad__call_count_end(struct nomad__call *call, grpc_status_code code)
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
	bool large;

	if (__atomic_sub_fetch(&call->refs, 1, __ATOMIC_ACQ_REL) > 0)
		return;
	nomad__call_count_end(call, GRPC_STATUS_CANCELLED);
	nomad__calls_remove(server, call);
	for (struct nomad__packet *packet = call->head; packet; packet = next) {
		next = packet->next;
		nomad__packet_free(packet);
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
	large = call->large;
	free(call);
	if (large)
		nomad__memory_trim();
	nomad__calls_freed(server);
}

struct nomad_plugin *nomad__call_plugin(const struct nomad__call *call)
{
	return call->server->plugin;
}

int64_t nomad__call_begun_ns(const struct nomad__call *call)
{
	return call->begun_ns;
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

static void cancel_sub(struct nomad__call *call, void *sub)
{
	(void)call;
	nomad__sub_cancel(sub);
}

void nomad__call_keep(struct nomad__call *call, struct nomad__sub *sub)
{
	if (!nomad__call_attach(call, cancel_sub, sub))
		nomad__sub_cancel(sub);
}

static void closed(struct nomad__tag *tag, bool ok)
{
	struct nomad__call *call = NOMAD__OF_TAG(tag, struct nomad__call, close_tag);
	void (*drop)(struct nomad__call *, void *);
	void *data;

	(void)ok;
	pthread_mutex_lock(&call->lock);
	call->closed = true;
	nomad__call_count_end(call, GRPC_STATUS_CANCELLED);
	drop = NOMAD_TAKE_PTR(call->drop);
	data = NOMAD_TAKE_PTR(call->data);
	pthread_mutex_unlock(&call->lock);
	if (drop)
		drop(call, data);
	nomad__call_unref(call);
}

bool nomad__call_batch(struct nomad__call *call, const grpc_op *ops, size_t n, struct nomad__tag *tag,
		       nomad__tag_fn *fn)
{
	grpc_call_error e;

	nomad__call_ref(call);
	__atomic_store_n(&tag->fn, fn, __ATOMIC_RELEASE);
	e = grpc_call_start_batch(call->grpc, ops, n, tag, NULL);
	if (e == GRPC_CALL_OK)
		return true;
	nomad_log_kv(NOMAD_LOG_ERROR, "grpc refused a batch", "error", grpc_call_error_to_string(e), NULL);
	/* Not the last one: the caller has its own. */
	__atomic_sub_fetch(&call->refs, 1, __ATOMIC_RELEASE);
	return false;
}

struct nomad__call *nomad__call_new(struct nomad__server *server, grpc_call *take_grpc,
				    const struct nomad__method *method)
{
	struct nomad__call *call = calloc(1, sizeof(*call));
	grpc_op op = { .op = GRPC_OP_RECV_CLOSE_ON_SERVER };

	if (!call) {
		(void)grpc_call_cancel_with_status(take_grpc, GRPC_STATUS_RESOURCE_EXHAUSTED, "out of memory", NULL);
		grpc_call_unref(take_grpc);
		return NULL;
	}
	call->server = server;
	call->method = method;
	call->rpc = method ? (size_t)(method - server->methods) : server->n_methods;
	call->grpc = take_grpc;
	call->refs = 1;
	call->tail = &call->head;
	call->status_slice = grpc_empty_slice();
	call->trailer.value = grpc_empty_slice();
	call->begun_ns = nomad_monotonic_ns();
	nomad__metrics_call_begins(nomad__plugin_metrics(server->plugin), call->rpc);
	pthread_mutex_init(&call->lock, NULL);
	nomad__calls_add(server, call);
	op.data.recv_close_on_server.cancelled = &call->cancelled;
	call->broken = !nomad__call_batch(call, &op, 1, &call->close_tag, closed);
	return call;
}
