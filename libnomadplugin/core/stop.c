/* SPDX-License-Identifier: MPL-2.0
 *
 * StopTask.  A stop is in the plugin's list from the order to the answer, and
 * on its way through a worker to the loop, where it waits with a timer: one
 * reference each.  Whoever takes it off the list answers it. */
#include "core/stop.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/signals.h"
#include "core/parts.h"
#include "core/plugin.h"
#include "core/table.h"
#include "core/task_progress.h"

struct stop {
	int refs;
	struct stop *next; /* under the lock of the list */
	struct nomad_task *task;
	void (*done)(void *ud, int r, const struct nomad_error *err);
	void *ud;
	int signal;
	uint64_t timeout_ms;
	struct nomad__timer *timer; /* loop thread, as the next two */
	bool killed, over;
};

struct nomad__stops {
	pthread_mutex_t lock;
	struct stop *first;
};

const struct nomad__part nomad__stops_part = NOMAD__PART(struct nomad__stops, stops);

static void stop_unref(struct stop *stop)
{
	if (__atomic_sub_fetch(&stop->refs, 1, __ATOMIC_ACQ_REL))
		return;
	nomad__task_unref(stop->task);
	free(stop);
}

/* ---- The answer ---- */

/* Takes this stop, or one of this task, or any, off the list, with the list's reference. */
static struct stop *take(struct nomad__stops *stops, const struct stop *stop, const struct nomad_task *task)
{
	struct stop *found;

	pthread_mutex_lock(&stops->lock);
	for (struct stop **p = &stops->first; (found = *p); p = &found->next)
		if ((!stop || found == stop) && (!task || found->task == task)) {
			*p = found->next;
			break;
		}
	pthread_mutex_unlock(&stops->lock);
	return found;
}

static void disarm(struct stop *stop)
{
	if (!stop->timer)
		return;
	nomad__timer_free(stop->timer);
	stop->timer = NULL;
	stop_unref(stop);
}

/* Loop thread. */
static void over(void *ud)
{
	struct stop *stop = ud;

	stop->over = true;
	disarm(stop);
	stop_unref(stop);
}

static void answer(struct stop *taken, int r, const struct nomad_error *err)
{
	taken->done(taken->ud, r, err);
	if (nomad__loop_post(taken->task->plugin->loop, over, taken) < 0)
		stop_unref(taken); /* the timer finds out by itself */
}

void nomad__stops_task_ended(struct nomad_task *task)
{
	struct stop *taken;

	while ((taken = take(task->plugin->stops, NULL, task)))
		answer(taken, 0, NULL);
}

void nomad__stops_cancel(struct nomad_plugin *plugin)
{
	NOMAD_AUTO_ERROR struct nomad_error *err = NULL;
	struct stop *taken;

	nomad_error_set(&err, ECANCELED, "the plugin ends; the stop continues without it");
	while ((taken = take(plugin->stops, NULL, NULL)))
		answer(taken, -ECANCELED, err);
}

/* The stop failed, unless the end has come first. */
static void fail(struct stop *stop, struct nomad_error *take_err)
{
	struct stop *taken = take(stop->task->plugin->stops, stop, NULL);

	if (taken) {
		taken->done(taken->ud, -nomad_error_code(take_err), take_err);
		stop_unref(taken);
	}
	nomad_error_free(take_err);
}

/* ---- Kill ---- */

int nomad__task_kill(struct nomad_task *task, struct nomad_error **err)
{
	const struct nomad_driver *driver = task->plugin->driver;
	struct nomad__task_progress *progress = task->progress;
	int r = 0;

	if (driver->kill)
		return nomad__task_phase(task) < NOMAD__EXITED ? driver->kill(task, err) : 0;
	pthread_mutex_lock(&progress->lock);
	if (progress->phase < NOMAD__EXITED)
		r = progress->supervisor ? nomad__supervisor_kill(progress->supervisor, err)
					 : nomad_error_set(err, EOPNOTSUPP,
							   "kill the task: not supported by driver '%s'", driver->name);
	pthread_mutex_unlock(&progress->lock);
	return r;
}

static void kill_job(void *ud)
{
	struct nomad_task *task = ud;
	NOMAD_AUTO_ERROR struct nomad_error *err = NULL;
	int r;

	pthread_mutex_lock(&task->busy);
	r = nomad__task_kill(task, &err);
	pthread_mutex_unlock(&task->busy);
	if (r < 0)
		nomad_log_kv(NOMAD_LOG_ERROR, "cannot kill the task", "task_id", task->info.id, "error",
			     nomad_error_message(err), NULL);
	nomad__task_unref(task);
}

/* ---- The time ---- */

/* Loop thread: the time is over.  First kill, then give up. */
static void late(void *ud)
{
	struct stop *stop = ud;
	struct nomad_task *task = stop->task;
	struct nomad_error *err = NULL;
	bool ended = nomad__task_phase(task) >= NOMAD__EXITED;

	if (!ended && !stop->killed) {
		stop->killed = true;
		if (nomad__pool_run(task->plugin->pool, kill_job, nomad__task_ref(task)) < 0)
			nomad__task_unref(task);
		nomad__timer_set(stop->timer, NOMAD__KILL_PATIENCE_NS);
		return;
	}
	if (!ended) {
		nomad_error_set(&err, ETIMEDOUT,
				"stop task '%s': killed, but still alive after %d s; the kernel may be waiting for a "
				"device or a network file system",
				task->info.id, (int)(NOMAD__KILL_PATIENCE_NS / 1000000000));
		fail(stop, err);
	}
	disarm(stop);
}

/* Loop thread. */
static void arm(void *ud)
{
	struct stop *stop = ud;
	const struct nomad_plugin *plugin = stop->task->plugin;
	const uint64_t longest = UINT64_C(1000000) * 3600; /* a thousand hours */
	/* The supervisor keeps the time itself: here only in case that it is stuck. */
	int64_t grace = plugin->driver->stop ? 0 : NOMAD__KILL_PATIENCE_NS;
	uint64_t delay_ms = stop->timeout_ms < longest ? stop->timeout_ms : longest;
	struct nomad_error *err = NULL;

	if (!stop->over && nomad__timer_new(plugin->loop, late, stop, &stop->timer) == 0) {
		nomad__timer_set(stop->timer, (int64_t)delay_ms * 1000000 + grace);
		return; /* the reference is the timer's now */
	}
	if (!stop->over) {
		nomad_error_errno(&err, ENOMEM, "stop task '%s'", stop->task->info.id);
		fail(stop, err);
	}
	stop_unref(stop);
}

/* ---- The order ---- */

/* Tells the task.  `busy` is held if the driver does it. */
static int tell(struct stop *stop, struct nomad_error **err)
{
	struct nomad_task *task = stop->task;
	struct nomad__task_progress *progress = task->progress;
	const struct nomad_driver *driver = task->plugin->driver;
	const unsigned timeout_ms = stop->timeout_ms < UINT_MAX ? (unsigned)stop->timeout_ms : UINT_MAX;
	int r = 0;

	if (driver->stop)
		return nomad__task_phase(task) < NOMAD__EXITED ? driver->stop(task, stop->signal, timeout_ms, err) : 0;
	pthread_mutex_lock(&progress->lock);
	if (progress->phase < NOMAD__EXITED && !progress->supervisor)
		r = nomad_error_set(err, EOPNOTSUPP, "stop the task: not supported by driver '%s'", driver->name);
	else if (progress->phase < NOMAD__EXITED)
		r = nomad__supervisor_stop(progress->supervisor, stop->signal, stop->timeout_ms, err);
	pthread_mutex_unlock(&progress->lock);
	return r;
}

/* The stop request was sent, or failed. */
static void watch(struct stop *take_stop, int r, struct nomad_error *take_err)
{
	if (r >= 0) {
		r = nomad__loop_post(take_stop->task->plugin->loop, arm, take_stop);
		if (r < 0)
			nomad_error_errno(&take_err, -r, "stop task '%s'", take_stop->task->info.id);
	}
	if (r < 0) {
		fail(take_stop, take_err);
		stop_unref(take_stop);
	}
}

static void stop_job(void *ud)
{
	struct stop *stop = ud;
	struct nomad_error *err = NULL;
	int r;

	pthread_mutex_lock(&stop->task->busy);
	r = tell(stop, &err);
	pthread_mutex_unlock(&stop->task->busy);
	watch(stop, r, err);
}

/* Puts it on the list, with a second reference, unless the task has ended. */
static enum nomad__phase enlist(struct stop *stop)
{
	struct nomad__stops *stops = stop->task->plugin->stops;
	struct nomad__task_progress *progress = stop->task->progress;
	enum nomad__phase phase;

	pthread_mutex_lock(&stops->lock);
	pthread_mutex_lock(&progress->lock);
	phase = progress->phase;
	if (phase < NOMAD__EXITED) {
		progress->stopping = true;
		stop->refs++;
		stop->next = stops->first;
		stops->first = stop;
	}
	pthread_mutex_unlock(&progress->lock);
	pthread_mutex_unlock(&stops->lock);
	return phase;
}

int nomad__task_stop(struct nomad_plugin *plugin, const char *id, int64_t timeout_ns, const char *signal,
		     void (*done)(void *ud, int r, const struct nomad_error *err), void *ud, struct nomad_error **err)
{
	struct nomad_error *why = NULL;
	struct nomad_task *task;
	enum nomad__phase phase;
	struct stop *stop;
	int number = 0, r;

	if (signal && *signal && nomad__signal_parse(signal, &number) < 0)
		return nomad_error_set(err, EINVAL, "stop task '%s': unknown signal '%s'", id, signal);
	task = nomad__task_find(plugin, id);
	if (!task) { /* any error makes Nomad retry for minutes */
		done(ud, 0, NULL);
		return 0;
	}
	stop = malloc(sizeof(*stop));
	if (!stop) {
		nomad__task_unref(task);
		return nomad_error_errno(err, ENOMEM, "stop task '%s'", id);
	}
	*stop = (struct stop){
		.refs = 1,
		.task = task,
		.done = done,
		.ud = ud,
		.signal = number,
		.timeout_ms = timeout_ns < 0 ? 0 : (uint64_t)timeout_ns / 1000000 + (timeout_ns % 1000000 != 0),
	};
	/* Nobody wants a task that is still starting. */
	nomad__task_cancel_start(task, "Nomad stops the task");
	phase = enlist(stop);
	if (phase >= NOMAD__EXITED) {
		done(ud, 0, NULL);
		stop_unref(stop);
	} else if (!plugin->driver->stop && phase == NOMAD__RUNNING) {
		/* Without a stop() of the driver, only a message to the supervisor; a task that is about to start is
		 * stopped when it has. */
		r = tell(stop, &why);
		watch(stop, r, why);
	} else if (nomad__pool_run(plugin->pool, stop_job, stop) < 0) {
		nomad_error_errno(&why, EAGAIN, "stop task '%s'", id);
		fail(stop, why);
		stop_unref(stop);
	}
	return 0;
}

/* ---- Signal ---- */

int nomad__task_signal(struct nomad_plugin *plugin, const char *id, const char *signal, struct nomad_error **err)
{
	struct nomad_task *task;
	int number, r;

	if (!signal || nomad__signal_parse(signal, &number) < 0)
		return nomad_error_set(err, EINVAL, "signal task '%s': unknown signal '%s'", id, signal ? signal : "");
	r = nomad__task_find_or(plugin, id, &task, err);
	if (r < 0)
		return r;
	pthread_mutex_lock(&task->busy);
	if (nomad__task_phase(task) != NOMAD__RUNNING) {
		r = nomad_error_set(err, ESRCH, "signal task '%s': not running", id);
	} else if (plugin->driver->signal) {
		r = plugin->driver->signal(task, number, err);
	} else if (task->progress->supervisor) {
		r = nomad__supervisor_signal(task->progress->supervisor, number, err);
	} else {
		r = nomad_error_set(err, EOPNOTSUPP, "signal the task: not supported by driver '%s'",
				    plugin->driver->name);
	}
	pthread_mutex_unlock(&task->busy);
	nomad__task_unref(task);
	return r;
}
