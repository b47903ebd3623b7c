/* SPDX-License-Identifier: MPL-2.0
 *
 * core/sub.h: subscriptions: a callback with an owner who may leave at any
 * moment.  See the contract at struct nomad__sub in core/core.h. */
#ifndef NOMAD_SUB_H
#define NOMAD_SUB_H

#include <pthread.h>

#include "core/core.h"

/* The lists that a subscription can be in; `lock` guards it. */
struct nomad__sub_list {
	pthread_mutex_t lock;
	struct nomad__sub *first;
};

struct nomad__sub {
	struct nomad__sub_list *list;
	struct nomad__sub *next; /* in the list */
	void (*fn)(void);	 /* cast by who knows its type */
	void *ud;
	void *extra; /* of the list's owner, freed with the subscription */
	void (*extra_free)(void *extra);

	pthread_mutex_t lock;
	pthread_cond_t idle;
	pthread_t runner;
	bool running, dead;
	int refs;
};

void nomad__sub_list_init(struct nomad__sub_list *list);
void nomad__sub_list_clear(struct nomad__sub_list *list);
void nomad__sub_list_done(struct nomad__sub_list *list);
/* One reference for the subscriber, one for the list. */
struct nomad__sub *nomad__sub_new(struct nomad__sub_list *list, void (*fn)(void), void *ud);
/* With `extra` set before anybody can see it; freed by extra_free at last, but not on failure. */
struct nomad__sub *nomad__sub_new_of(struct nomad__sub_list *list, void (*fn)(void), void *ud, void *extra,
				     void (*extra_free)(void *extra));
/* The same, but `extra` is freed on failure too, and greet(sub), which drops a reference, is called on the loop's
 * thread. */
struct nomad__sub *nomad__sub_new_greeted(struct nomad__sub_list *list, void (*fn)(void), void *ud, void *extra,
					  void (*extra_free)(void *extra), struct nomad__loop *loop,
					  void (*greet)(void *sub));
struct nomad__sub *nomad__sub_ref(struct nomad__sub *sub);
void nomad__sub_unref(struct nomad__sub *sub);
/* Call `call(sub, arg)` unless the subscriber has left. */
void nomad__sub_call(struct nomad__sub *sub, void (*call)(struct nomad__sub *sub, void *arg), void *arg);
/* The same for all that are in the list now. */
void nomad__sub_call_all(struct nomad__sub_list *list, void (*call)(struct nomad__sub *sub, void *arg), void *arg);
/* References to all that are in the list now, the oldest first, in an array of malloc().  NULL: none, or out of memory.
 */
struct nomad__sub **nomad__sub_all(struct nomad__sub_list *list, size_t *ret_count);
/* Unlink the first that passes the filter, and hand the list's reference over; NULL if none. */
struct nomad__sub *nomad__sub_take(struct nomad__sub_list *list,
				   bool (*filter)(const struct nomad__sub *sub, const void *arg), const void *arg);
/* A filter: this very one. */
bool nomad__sub_is(const struct nomad__sub *sub, const void *arg);
/* Take it out of its list: it gets no further calls.  It stays valid for its subscriber. */
void nomad__sub_unlink(struct nomad__sub *sub);

#endif
