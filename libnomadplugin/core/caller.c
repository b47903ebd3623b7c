/* SPDX-License-Identifier: MPL-2.0
 *
 * Who called StartTask.  The connection's thread reports that the caller has
 * left, while a worker runs the start: they meet here. */
#include "core/caller.h"

#include <pthread.h>
#include <stdlib.h>

#include "core/task.h"
#include "core/task_progress.h"

struct nomad__caller {
	int refs;
	pthread_mutex_t lock;
	bool gone;
	struct nomad_task *task; /* whose start it waits for; or NULL */
};

struct nomad__caller *nomad__caller_new(void)
{
	struct nomad__caller *caller = calloc(1, sizeof(*caller));

	if (!caller)
		return NULL;
	caller->refs = 1;
	pthread_mutex_init(&caller->lock, NULL);
	return caller;
}

struct nomad__caller *nomad__caller_ref(struct nomad__caller *caller)
{
	__atomic_add_fetch(&caller->refs, 1, __ATOMIC_RELAXED);
	return caller;
}

void nomad__caller_unref(struct nomad__caller *caller)
{
	if (!caller || __atomic_sub_fetch(&caller->refs, 1, __ATOMIC_ACQ_REL))
		return;
	pthread_mutex_destroy(&caller->lock);
	free(caller);
}

void nomad__caller_leave(struct nomad__caller *caller)
{
	pthread_mutex_lock(&caller->lock);
	if (!caller->gone && caller->task)
		nomad__task_leave_start(caller->task);
	caller->gone = true;
	pthread_mutex_unlock(&caller->lock);
}

void nomad__caller_waits(struct nomad__caller *caller, struct nomad_task *task)
{
	nomad__task_join_start(task, nomad_monotonic_ns());
	if (!caller)
		return;
	pthread_mutex_lock(&caller->lock);
	caller->task = nomad__task_ref(task);
	if (caller->gone)
		nomad__task_leave_start(task);
	pthread_mutex_unlock(&caller->lock);
}

void nomad__caller_done(struct nomad__caller *caller)
{
	struct nomad_task *task;

	if (!caller)
		return;
	pthread_mutex_lock(&caller->lock);
	task = NOMAD_TAKE_PTR(caller->task);
	pthread_mutex_unlock(&caller->lock);
	nomad__task_unref(task);
}
