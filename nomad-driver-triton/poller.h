/* SPDX-License-Identifier: MPL-2.0
 *
 * poller.h: one thread that watches all tasks. */
#ifndef TRITON_POLLER_H
#define TRITON_POLLER_H

#include "cloudapi.h"
#include "docker.h"
#include "logs.h"

struct nomad_exit;
struct triton_poller;

/* What the poller needs of the rest; all are called from its thread. */
struct triton_poller_events {
	/* The APIs as they are now; an error while there are none. */
	int (*cloud)(void *ud, struct triton_cloud *ret, struct nomad_error **err);
	int (*docker)(void *ud, struct triton_docker *ret, struct nomad_error **err);
	/* A task has ended.  Once, and it is forgotten. */
	void (*ended)(void *ud, const char *task_id, const struct nomad_exit *result);
};

struct triton_watch {
	const char *task_id;
	const char *machine;   /* UUID */
	const char *container; /* Docker's id; NULL for a machine */
	bool ends_deleted;     /* exit_strategy */
};

int triton_poller_new(const struct triton_poller_events *events, void *ud, struct triton_budget *budget,
		      int64_t interval_ms, struct triton_poller **ret, struct nomad_error **err);
/* Where the logs are, once they are: their end comes before the task's. */
void triton_poller_set_logs(struct triton_poller *poller, struct triton_logs *logs);
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
/* The last state seen. */
enum triton_state triton_poller_state(struct triton_poller *poller, const char *task_id);

#endif
