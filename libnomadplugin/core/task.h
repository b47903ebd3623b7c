/* SPDX-License-Identifier: MPL-2.0
 *
 * core/task.h: who a task is.  What becomes of it is in its parts. */
#ifndef NOMAD_CORE_TASK_H
#define NOMAD_CORE_TASK_H

#include <pthread.h>

#include "core/core.h"

struct nomad_task {
	int refs;
	struct nomad_task *next; /* table.c's */
	uint64_t start_order;	 /* table.c's: of two starts the later one has more; 0: not here by a start */
	struct nomad_plugin *plugin;

	/* These do not change once the task is in the table. */
	struct nomad_task_info info;
	char *slug, *dir, *local_dir, *secrets_dir, *shared_dir, *state_dir;

	pthread_mutex_t busy; /* one driver callback at a time */
	void *config;	      /* decoded, before the first callback; or NULL */
	void *stored_config;  /* msgpack without secrets, for the handle */
	size_t stored_config_size;

	struct nomad__task_journal *journal;
	struct nomad__task_network *network;
	struct nomad__task_progress *progress;
};

int nomad__task_new(struct nomad_plugin *plugin, struct nomad_task_info *take_info, struct nomad_task **ret,
		    struct nomad_error **err);
struct nomad_task *nomad__task_ref(struct nomad_task *task);
/* False if the last reference is gone: then another thread is freeing the task. */
bool nomad__task_ref_if_alive(struct nomad_task *task);
void nomad__task_unref(struct nomad_task *task);
/* The driver's start() or recover() has succeeded.  Frees the environment of a task that runs elsewhere: it takes
 * kilobytes, and nothing reads it again.  Now and then returns to the system what starts have freed. */
void nomad__task_settled(struct nomad_task *task);
char *nomad__slug(const char *id);

/* Output is lost: an event with the number of bytes as its annotation `lost_bytes` (-1: unknown).  While an agent
 * recovers the task, the event is delayed by seconds, until the agent listens.  In events.c. */
void nomad__task_event_loss(struct nomad_task *task, const char *message, int64_t lost_bytes);

#endif
