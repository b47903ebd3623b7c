/* SPDX-License-Identifier: MPL-2.0
 *
 * The open calls of a server, and which of them have something to send soon. */
#include <stdlib.h>

#include "wire/inner.h"

/* How long the thread polls after the last message that could wait. */
#define POLL_ON_NS INT64_C(5000000000)

/* Lock held.  The queue may end once gRPC has stopped and the last call is gone. */
static void drain_if_done(struct nomad__server *server)
{
	if (server->stopped && server->n_calls == 0 && !server->draining) {
		server->draining = true;
		grpc_completion_queue_shutdown(server->cq);
	}
}

void nomad__calls_add(struct nomad__server *server, struct nomad__call *call)
{
	pthread_mutex_lock(&server->lock);
	call->next = server->calls;
	call->link = &server->calls;
	if (call->next)
		call->next->link = &call->next;
	server->calls = call;
	server->n_calls++;
	pthread_mutex_unlock(&server->lock);
}

void nomad__calls_remove(struct nomad__server *server, struct nomad__call *call)
{
	pthread_mutex_lock(&server->lock);
	*call->link = call->next;
	if (call->next)
		call->next->link = call->link;
	pthread_mutex_unlock(&server->lock);
}

void nomad__calls_freed(struct nomad__server *server)
{
	pthread_mutex_lock(&server->lock);
	server->n_calls--;
	server->idle_since_ns = nomad_monotonic_ns();
	drain_if_done(server);
	pthread_mutex_unlock(&server->lock);
}

void nomad__calls_stopped(struct nomad__server *server)
{
	pthread_mutex_lock(&server->lock);
	server->stopped = true;
	drain_if_done(server);
	pthread_mutex_unlock(&server->lock);
}

struct nomad__call *nomad__calls_next_to_end(struct nomad__server *server)
{
	struct nomad__call *call;

	pthread_mutex_lock(&server->lock);
	for (call = server->calls; call; call = call->next) {
		unsigned refs = __atomic_load_n(&call->refs, __ATOMIC_RELAXED);

		if (call->ending)
			continue;
		call->ending = true;
		/* With no reference left it is about to leave the list. */
		while (refs > 0 && !__atomic_compare_exchange_n(&call->refs, &refs, refs + 1, false, __ATOMIC_ACQ_REL,
								__ATOMIC_RELAXED))
			;
		if (refs > 0)
			break;
	}
	pthread_mutex_unlock(&server->lock);
	return call;
}

/* ---- What is sent soon ----
 *
 * Sending from another thread wakes the server's thread each time, which
 * costs more than the message.  A thousand statistics a second come in groups:
 * while there are any, that thread polls for them instead. */

bool nomad__calls_put_soon(struct nomad__server *server, struct nomad__call *call)
{
	bool polls;

	pthread_mutex_lock(&server->lock);
	polls = server->polls_until_ns != 0;
	server->polls_until_ns = nomad_monotonic_ns() + POLL_ON_NS;
	if (polls && !call->is_soon) {
		call->is_soon = true;
		call->next_soon = NULL;
		__atomic_add_fetch(&call->refs, 1, __ATOMIC_RELAXED);
		*server->soon_tail = call;
		server->soon_tail = &call->next_soon;
	}
	pthread_mutex_unlock(&server->lock);
	return polls;
}

struct nomad__call *nomad__calls_take_soon(struct nomad__server *server)
{
	struct nomad__call *call;

	pthread_mutex_lock(&server->lock);
	call = server->soon;
	if (call) {
		server->soon = call->next_soon;
		call->is_soon = false;
	}
	if (!server->soon)
		server->soon_tail = &server->soon;
	pthread_mutex_unlock(&server->lock);
	return call;
}

bool nomad__calls_polls_soon(struct nomad__server *server)
{
	bool polls;

	pthread_mutex_lock(&server->lock);
	polls = server->soon || server->polls_until_ns > nomad_monotonic_ns();
	if (!polls)
		server->polls_until_ns = 0;
	pthread_mutex_unlock(&server->lock);
	return polls;
}
