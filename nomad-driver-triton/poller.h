/* SPDX-License-Identifier: MPL-2.0
 *
 * poller.h: one thread that watches all tasks. */
#ifndef TRITON_POLLER_H
#define TRITON_POLLER_H

#include "logs.h"
#include "site.h"

struct nomad_exit;
struct triton_poller;

struct triton_watch {
	const char *task_id;
	const char *machine;   /* UUID */
	const char *container; /* Docker's id; NULL for a machine */
	bool ends_deleted;     /* exit_strategy */
	bool owned;	       /* it has the tag nomad_owner of this plugin */
};

/* Both are called from the thread of the poller. */
struct triton_poller_calls {
	/* Once for each task that ended; it is forgotten then. */
	void (*ended)(void *ud, const char *task_id, const struct nomad_exit *result);
	/* What a task's owner should know. */
	void (*event)(void *ud, const char *task_id, const char *message);
};

int triton_poller_new(struct triton_site *site, struct triton_logs *logs, const struct triton_poller_calls *calls,
		      void *ud, struct triton_poller **ret, struct nomad_error **err);
/* Ends the thread.  Calls from others are harmless until it is freed. */
void triton_poller_stop(struct triton_poller *poller);
void triton_poller_free(struct triton_poller *poller);

int triton_poller_add(struct triton_poller *poller, const struct triton_watch *watch, struct nomad_error **err);
void triton_poller_remove(struct triton_poller *poller, const char *task_id);
/* Look at it soon. */
void triton_poller_poke(struct triton_poller *poller, const char *task_id);
/* The driver has asked for its end: whatever way it ends is fine.  `killed`:
 * it ends by force. */
void triton_poller_expect_end(struct triton_poller *poller, const char *task_id, bool killed);
/* Wait until it is no longer watched: 0, or -ETIMEDOUT, -ESHUTDOWN. */
int triton_poller_wait(struct triton_poller *poller, const char *task_id, int64_t ms);
/* The UUID of the instance number `n` (counted round) among those that run, malloc()ed; NULL if there is none. */
char *triton_poller_pick(struct triton_poller *poller, unsigned n);
/* How many tasks it watches. */
size_t triton_poller_count(struct triton_poller *poller);
/* The last state seen. */
enum triton_state triton_poller_state(struct triton_poller *poller, const char *task_id);

#endif
