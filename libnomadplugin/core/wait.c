/* SPDX-License-Identifier: MPL-2.0
 *
 * WaitTask: an entry in a list, not a thread.
 *
 * An agent shows no event of an allocation whose tasks have all ended.  So if a
 * task has ended with unread output, the answer waits some seconds for a reader,
 * so that the event comes first. */
#include "core/parts.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "core/plugin.h"
#include "core/sub.h"
#include "core/table.h"
#include "core/task_progress.h"

struct nomad__waits {
	struct nomad__sub_list waiters; /* their `extra` is the task */
};

static void waiter_gone(void *arg)
{
	struct nomad_task *task = arg;

	pthread_mutex_lock(&task->progress->lock);
	task->progress->waiters--;
	pthread_mutex_unlock(&task->progress->lock);
	nomad__task_unref(task);
}

/* The end is reported to the subscribers in the list.  Under the task's lock,
 * either the end has come already, or the subscription is in time. */
static struct nomad__sub *subscribe(struct nomad_task *task, void (*fn)(void), void *ud, bool *ret_ended)
{
	struct nomad__sub *sub;

	pthread_mutex_lock(&task->progress->lock);
	sub = nomad__sub_new_of(&task->plugin->waits->waiters, fn, ud, nomad__task_ref(task), waiter_gone);
	if (sub) {
		task->progress->waiters++;
		task->progress->asked_ns = nomad_monotonic_ns();
	}
	*ret_ended = task->progress->phase >= NOMAD__EXITED;
	pthread_mutex_unlock(&task->progress->lock);
	if (!sub)
		nomad__task_unref(task);
	return sub;
}

static void call_waiter(struct nomad__sub *sub, void *arg)
{
	struct nomad_task *task = sub->extra;
	void (*done)(void *, int, const struct nomad_exit *, const struct nomad_error *) =
		(void (*)(void *, int, const struct nomad_exit *, const struct nomad_error *))sub->fn;

	(void)arg;
	done(sub->ud, 0, &task->progress->result, NULL);
}

static bool is_of_task(const struct nomad__sub *sub, const void *task)
{
	return sub->extra == task;
}

static bool logs_settle(struct nomad_task *task)
{
	bool settle;

	pthread_mutex_lock(&task->progress->lock);
	settle = task->progress->supervisor && nomad__supervisor_settle(task->progress->supervisor);
	pthread_mutex_unlock(&task->progress->lock);
	return settle;
}

void nomad__waits_task_ended(struct nomad_task *task)
{
	bool waits;

	pthread_mutex_lock(&task->progress->lock);
	waits = task->progress->waiters > 0;
	pthread_mutex_unlock(&task->progress->lock);
	if (waits && !logs_settle(task))
		nomad__waits_settled(task);
}

void nomad__waits_settled(struct nomad_task *task)
{
	struct nomad__sub *sub;

	while ((sub = nomad__sub_take(&task->plugin->waits->waiters, is_of_task, task))) {
		nomad__sub_call(sub, call_waiter, NULL);
		nomad__sub_unref(sub);
	}
}

/* On the loop: the task had ended before. */
static void tell_late_waiter(void *ud)
{
	struct nomad__sub *sub = ud;
	struct nomad_task *task = sub->extra;
	struct nomad__sub *taken = NULL;

	if (!logs_settle(task))
		taken = nomad__sub_take(&task->plugin->waits->waiters, nomad__sub_is, sub);
	if (taken) {
		nomad__sub_call(taken, call_waiter, NULL);
		nomad__sub_unref(taken);
	}
	nomad__sub_unref(sub);
}

int nomad__task_wait(struct nomad_plugin *plugin, const char *id,
		     void (*done)(void *ud, int r, const struct nomad_exit *result, const struct nomad_error *err),
		     void *ud, struct nomad__sub **ret_sub, struct nomad_error **err)
{
	struct nomad_task *task;
	struct nomad__sub *sub;
	bool ended;
	int r;

	r = nomad__task_find_or(plugin, id, &task, err);
	if (r < 0)
		return r;
	nomad__events_flush(plugin);
	sub = subscribe(task, (void (*)(void))done, ud, &ended);
	nomad__task_unref(task);
	if (!sub)
		return nomad_error_errno(err, ENOMEM, "wait for task '%s'", id);
	*ret_sub = sub;
	if (ended && nomad__loop_post(plugin->loop, tell_late_waiter, nomad__sub_ref(sub)) < 0) {
		*ret_sub = NULL;
		nomad__sub_unref(sub);
		nomad__sub_cancel(sub);
		return nomad_error_errno(err, ENOMEM, "wait for task '%s'", id);
	}
	return 0;
}

static void tear_down(void *part)
{
	nomad__sub_list_clear(&((struct nomad__waits *)part)->waiters);
}

const struct nomad__part nomad__waits_part = NOMAD__PART(struct nomad__waits, waits, .tear_down = tear_down);
