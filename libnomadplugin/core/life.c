/* SPDX-License-Identifier: MPL-2.0
 *
 * Wait, stop, signal, destroy. */
#include "core/plugin.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "supervisor/crash.h"
#include "base/signals.h"
#include "core/exec.h"
#include "core/tidy.h"

/* How long what was killed may take to be dead, before we say so. */
#define KILL_PATIENCE_NS INT64_C(20000000000)
enum { CLAIM_PATIENCE_MS = 500 };

/* ---- Wait ---- */

static void unref_task(void *task)
{
	nomad__task_unref(task);
}

/* Puts `fn` on the list of those who hear of the task's end.  Takes a
 * reference.  *ret_ended tells that there is nothing to wait for any more. */
static struct nomad__sub *await(struct nomad__sub_list *list, struct nomad_task *task, void (*fn)(void), void *ud,
				bool *ret_ended)
{
	struct nomad__sub *sub;

	/* The end is told to those who stand in the list when it comes: under
	 * the task's lock, either it has come, or we are in time. */
	pthread_mutex_lock(&task->lock);
	sub = nomad__sub_new_of(list, fn, ud, nomad__task_ref(task), unref_task);
	*ret_ended = task->phase >= NOMAD__EXITED;
	pthread_mutex_unlock(&task->lock);
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
	done(sub->ud, 0, &task->result, NULL);
}

static bool is_sub(const struct nomad__sub *sub, const void *arg)
{
	return sub == arg;
}

/* On the loop: the task had ended before. */
static void tell_late_waiter(void *ud)
{
	struct nomad__sub *sub = ud;
	struct nomad_task *task = sub->extra;
	struct nomad__sub *taken = nomad__sub_take(&task->plugin->waiters, is_sub, sub);

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
	sub = await(&plugin->waiters, task, (void (*)(void))done, ud, &ended);
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

/* ---- Stop ---- */

/* From the order to the task's end.  It is in the task's list, and on its way
 * through a worker to the loop, where it waits with a timer: one reference
 * each. */
struct nomad__stop {
	int refs;
	struct nomad__stop *next; /* of the task's, under the task's lock */
	struct nomad_task *task;
	struct nomad__sub *sub; /* the subscriber's reference: who told it has dropped but the list's */
	int signal;
	uint64_t timeout_ms;
	struct nomad__timer *timer; /* loop thread, as the next two */
	bool killed, over;
};

static struct nomad__stop *stop_ref(struct nomad__stop *stop)
{
	__atomic_add_fetch(&stop->refs, 1, __ATOMIC_RELAXED);
	return stop;
}

static void stop_unref(struct nomad__stop *stop)
{
	if (__atomic_sub_fetch(&stop->refs, 1, __ATOMIC_ACQ_REL))
		return;
	nomad__sub_unref(stop->sub);
	nomad__task_unref(stop->task);
	free(stop);
}

static void call_stopper_failed(struct nomad__sub *sub, void *arg)
{
	void (*done)(void *, int, const struct nomad_error *) =
		(void (*)(void *, int, const struct nomad_error *))sub->fn;
	const struct nomad_error *err = arg;

	done(sub->ud, -nomad_error_code(err), err);
}

static void tell_stopper(struct nomad__sub *taken, struct nomad_error *err)
{
	nomad__sub_call(taken, call_stopper_failed, err);
	nomad__sub_unref(taken);
}

/* The stop failed: tell who asked for it, unless the end has come first. */
static void stop_fail(struct nomad__stop *stop, struct nomad_error *take_err)
{
	struct nomad__sub *taken = nomad__sub_take(&stop->task->plugin->stoppers, is_sub, stop->sub);

	if (taken)
		tell_stopper(taken, take_err);
	nomad_error_free(take_err);
}

static void stop_disarm(struct nomad__stop *stop)
{
	if (!stop->timer)
		return;
	nomad__timer_free(stop->timer);
	stop->timer = NULL;
	stop_unref(stop);
}

/* Loop thread. */
static void stop_over(void *ud)
{
	struct nomad__stop *stop = ud;

	stop->over = true;
	stop_disarm(stop);
	stop_unref(stop);
}

void nomad__task_stops_over(struct nomad_task *task)
{
	struct nomad__stop *stop, *next;

	pthread_mutex_lock(&task->lock);
	stop = NOMAD_TAKE_PTR(task->stops);
	pthread_mutex_unlock(&task->lock);
	for (; stop; stop = next) {
		next = stop->next;
		if (nomad__loop_post(task->plugin->loop, stop_over, stop) < 0)
			stop_unref(stop); /* the timer finds out by itself */
	}
}

static bool is_any(const struct nomad__sub *sub, const void *arg)
{
	(void)sub;
	(void)arg;
	return true;
}

void nomad__stops_cancel(struct nomad_plugin *plugin)
{
	NOMAD_AUTO_ERROR struct nomad_error *err = NULL;
	struct nomad__sub *taken;

	nomad_error_set(&err, ECANCELED, "the plugin ends; the stop goes on");
	while ((taken = nomad__sub_take(&plugin->stoppers, is_any, NULL)))
		tell_stopper(taken, err);
}

/* `busy` is held. */
static int kill_busy(struct nomad_task *task, struct nomad_error **err)
{
	int r = 0;

	if (task->plugin->driver->kill)
		return nomad__task_phase(task) < NOMAD__EXITED ? task->plugin->driver->kill(task, err) : 0;
	pthread_mutex_lock(&task->lock);
	if (task->phase < NOMAD__EXITED)
		r = task->supervisor ? nomad__supervisor_kill(task->supervisor, err)
				     : nomad_error_set(err, EOPNOTSUPP, "driver '%s' cannot kill this task",
						       task->plugin->driver->name);
	pthread_mutex_unlock(&task->lock);
	return r;
}

static void kill_job(void *ud)
{
	struct nomad_task *task = ud;
	NOMAD_AUTO_ERROR struct nomad_error *err = NULL;
	int r;

	pthread_mutex_lock(&task->busy);
	r = kill_busy(task, &err);
	pthread_mutex_unlock(&task->busy);
	if (r < 0)
		nomad_log_kv(NOMAD_LOG_ERROR, "cannot kill the task", "task_id", task->info.id, "error",
			     nomad_error_message(err), NULL);
	nomad__task_unref(task);
}

/* Loop thread: the time is over.  First kill, then give up. */
static void stop_late(void *ud)
{
	struct nomad__stop *stop = ud;
	struct nomad_task *task = stop->task;
	struct nomad_error *err = NULL;
	bool ended = nomad__task_phase(task) >= NOMAD__EXITED;

	if (!ended && !stop->killed) {
		stop->killed = true;
		if (nomad__work(task->plugin, kill_job, nomad__task_ref(task)) < 0)
			nomad__task_unref(task);
		nomad__timer_set(stop->timer, KILL_PATIENCE_NS);
		return;
	}
	if (!ended) {
		nomad_error_set(&err, ETIMEDOUT,
				"stop task '%s': it was killed and is not dead after %d s; the kernel may be waiting "
				"for a device or a network file system",
				task->info.id, (int)(KILL_PATIENCE_NS / 1000000000));
		stop_fail(stop, err);
	}
	stop_disarm(stop);
}

static void stop_arm(void *ud)
{
	struct nomad__stop *stop = ud;
	const uint64_t longest = UINT64_C(1000000) * 3600; /* a thousand hours */
	/* The supervisor keeps the time itself: here only in case that it is stuck. */
	int64_t grace = stop->task->plugin->driver->stop ? 0 : KILL_PATIENCE_NS;
	uint64_t delay_ms = stop->timeout_ms < longest ? stop->timeout_ms : longest;
	struct nomad_error *err = NULL;

	if (!stop->over && nomad__timer_new(stop->task->plugin->loop, stop_late, stop, &stop->timer) == 0) {
		nomad__timer_set(stop->timer, (int64_t)delay_ms * 1000000 + grace);
		return; /* the reference is the timer's now */
	}
	if (!stop->over) {
		nomad_error_errno(&err, ENOMEM, "stop task '%s'", stop->task->info.id);
		stop_fail(stop, err);
	}
	stop_unref(stop);
}

/* Tell the task.  `busy` is held if the driver does it. */
static int stop_begin(struct nomad__stop *stop, struct nomad_error **err)
{
	struct nomad_task *task = stop->task;
	const struct nomad_driver *driver = task->plugin->driver;
	int r = 0;

	if (driver->stop)
		return nomad__task_phase(task) < NOMAD__EXITED
			       ? driver->stop(task, stop->signal, (unsigned)stop->timeout_ms, err)
			       : 0;
	pthread_mutex_lock(&task->lock);
	if (task->phase < NOMAD__EXITED && !task->supervisor)
		r = nomad_error_set(err, EOPNOTSUPP, "driver '%s' cannot stop this task", driver->name);
	else if (task->phase < NOMAD__EXITED)
		r = nomad__supervisor_stop(task->supervisor, stop->signal, stop->timeout_ms, err);
	pthread_mutex_unlock(&task->lock);
	return r;
}

static void stop_watch(struct nomad__stop *stop, int r, struct nomad_error *err)
{
	if (r >= 0) {
		r = nomad__loop_post(stop->task->plugin->loop, stop_arm, stop);
		if (r < 0)
			nomad_error_errno(&err, -r, "stop task '%s'", stop->task->info.id);
	}
	if (r < 0) {
		stop_fail(stop, err);
		stop_unref(stop);
	}
}

static void stop_job(void *ud)
{
	struct nomad__stop *stop = ud;
	struct nomad_error *err = NULL;
	int r;

	pthread_mutex_lock(&stop->task->busy);
	r = stop_begin(stop, &err);
	pthread_mutex_unlock(&stop->task->busy);
	stop_watch(stop, r, err);
}

int nomad__task_stop(struct nomad_plugin *plugin, const char *id, int64_t timeout_ns, const char *signal,
		     void (*done)(void *ud, int r, const struct nomad_error *err), void *ud, struct nomad_error **err)
{
	struct nomad_error *why = NULL;
	struct nomad_task *task;
	struct nomad__stop *stop;
	int number = 0, r;
	bool ended, starting;

	if (signal && *signal && nomad__signal_parse(signal, &number) < 0)
		return nomad_error_set(err, EINVAL, "stop task '%s': unknown signal '%s'", id, signal);
	task = nomad__task_find(plugin, id);
	if (!task) { /* Nomad would take any error for a reason to try again for minutes */
		done(ud, 0, NULL);
		return 0;
	}
	stop = calloc(1, sizeof(*stop));
	if (stop)
		*stop = (struct nomad__stop){
			.refs = 1,
			.task = task,
			.signal = number,
			.timeout_ms = timeout_ns < 0 ? 0 : (uint64_t)timeout_ns / 1000000 + (timeout_ns % 1000000 != 0),
			.sub = await(&plugin->stoppers, task, (void (*)(void))done, ud, &ended),
		};
	if (!stop || !stop->sub) {
		free(stop);
		nomad__task_unref(task);
		return nomad_error_errno(err, ENOMEM, "stop task '%s'", id);
	}
	if (!ended) {
		pthread_mutex_lock(&task->lock);
		ended = task->phase >= NOMAD__EXITED;
		starting = task->phase == NOMAD__STARTING;
		if (!ended) {
			task->stopping = true;
			stop->next = task->stops;
			task->stops = stop_ref(stop);
		}
		pthread_mutex_unlock(&task->lock);
	}
	if (ended) {
		struct nomad__sub *taken = nomad__sub_take(&plugin->stoppers, is_sub, stop->sub);

		if (taken) {
			nomad__sub_unref(taken);
			done(ud, 0, NULL);
		}
		stop_unref(stop);
		return 0;
	}
	/* Without a stop() of the driver it is but a message to the supervisor;
	 * one that is about to start is stopped when it has. */
	if (!plugin->driver->stop && !starting) {
		r = stop_begin(stop, &why);
		stop_watch(stop, r, why);
	} else if (nomad__work(plugin, stop_job, stop) < 0) {
		nomad_error_errno(&why, EAGAIN, "stop task '%s'", id);
		stop_fail(stop, why);
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
		r = nomad_error_set(err, ESRCH, "signal task '%s': it does not run", id);
	} else if (plugin->driver->signal) {
		r = plugin->driver->signal(task, number, err);
	} else if (task->supervisor) {
		r = nomad__supervisor_signal(task->supervisor, number, err);
	} else {
		r = nomad_error_set(err, EOPNOTSUPP, "driver '%s' cannot signal tasks", plugin->driver->name);
	}
	pthread_mutex_unlock(&task->busy);
	nomad__task_unref(task);
	return r;
}

/* ---- Destroy ---- */

/* Nobody may ask for it again if we die on the way: gc goes on then.  A disk
 * that is full must not keep it alive. */
static void mark_destroying(struct nomad_task *task)
{
	pthread_mutex_lock(&task->journal);
	if (task->record.fd >= 0 && !nomad_map_get(&task->record.map, "destroying")) {
		if (nomad_map_get(&task->record.map, "supervised"))
			(void)nomad__journal_note(&task->record, "destroying", "1", NULL);
		else
			(void)nomad__journal_put(&task->record, "destroying", "1", NULL);
	}
	pthread_mutex_unlock(&task->journal);
}

int nomad__task_tidy(struct nomad_task *task, struct nomad_error **err)
{
	const struct nomad_driver *driver = task->plugin->driver;
	struct nomad__supervisor *supervisor;
	int r;

	nomad__exec_end_all(task);
	/* Nobody is to hear of the end of this one any more. */
	pthread_mutex_lock(&task->lock);
	supervisor = NOMAD_TAKE_PTR(task->supervisor);
	pthread_mutex_unlock(&task->lock);
	nomad__task_let_supervisor_go(task, supervisor);
	mark_destroying(task);
	nomad__crash_at("core-tidy-begin");
	/* Whatever the journal says: it may be damaged, and the directory tells. */
	r = nomad__supervisor_clean(task->state_dir, err);
	if (r < 0)
		return r;
	nomad__crash_at("core-tidy-killed");
	if (driver->destroy) {
		r = driver->destroy(task, err);
		if (r < 0)
			return r;
	}
	nomad__crash_at("core-tidy-destroyed");
	r = nomad__remove_tree(task->state_dir);
	if (r < 0)
		return nomad_error_errno(err, -r, "remove the task's state directory '%s'", task->state_dir);
	nomad__crash_at("core-tidy-removed");
	/* The claim ends with what was claimed. */
	pthread_mutex_lock(&task->journal);
	nomad__journal_close(&task->record);
	pthread_mutex_unlock(&task->journal);
	return 0;
}

/* A task that this process never saw, from its record (which may be absent: fd
 * -1), or from its id alone. */
static int unknown_task(struct nomad_plugin *plugin, const char *id, struct nomad__journal *take_record,
			struct nomad_task **ret, struct nomad_error **err)
{
	struct nomad_task_info info = { .id = strdup(id) };
	struct nomad__journal record = *take_record;
	const struct {
		const char *key;
		char **field;
	} facts[] = {
		{ "alloc", &info.alloc_id },
		{ "name", &info.name },
		{ "node", &info.node_id },
		{ "job", &info.job_id },
		{ "namespace", &info.namespace_name },
		{ "dir", &info.alloc_dir },
	};
	const char *slash = strchr(id, '/'), *last = strrchr(id, '/'), *value;
	int r = info.id ? 0 : -ENOMEM;

	*take_record = (struct nomad__journal)NOMAD__JOURNAL_INIT;
	for (size_t i = 0; r >= 0 && i < NOMAD_ARRAY_LEN(facts); i++)
		if ((value = nomad_map_get(&record.map, facts[i].key)) && !(*facts[i].field = strdup(value)))
			r = -ENOMEM;
	if (r >= 0 && !info.alloc_id && slash) {
		info.alloc_id = strndup(id, (size_t)(slash - id));
		info.name = last > slash && !info.name ? strndup(slash + 1, (size_t)(last - slash - 1)) : info.name;
	}
	if (r < 0) {
		nomad__task_info_done(&info);
		nomad_error_errno(err, -r, "destroy task '%s'", id);
	} else {
		r = nomad__task_new(plugin, &info, ret, err);
	}
	if (r >= 0) {
		(*ret)->record = record;
		(*ret)->phase = NOMAD__EXITED;
	} else {
		nomad__journal_close(&record);
	}
	return r;
}

/* `busy` is held.  An `unknown` one is not kept for a next time: the records are. */
static int destroy_busy(struct nomad_task *task, bool unknown, struct nomad_error **err)
{
	const struct nomad_exit destroyed = { .exit_code = -1, .message = (char *)"the task was destroyed" };
	int r;

	if (nomad__task_phase(task) == NOMAD__GONE)
		return 0;
	nomad__task_ended(task, &destroyed, nomad_wall_ns());
	r = nomad__task_tidy(task, err);
	if (r >= 0 || unknown)
		nomad__task_gone(task);
	if (r < 0)
		(void)nomad_error_wrap(err, "destroy task '%s'", task->info.id);
	return r;
}

int nomad__task_destroy_recorded(struct nomad_plugin *plugin, const char *id, struct nomad__journal *take_record,
				 struct nomad_error **err)
{
	struct nomad_task *task, *other = NULL;
	int r;

	r = unknown_task(plugin, id, take_record, &task, err);
	if (r < 0)
		return r;
	pthread_mutex_lock(&task->busy);
	r = nomad__task_insert(plugin, task, &other); /* two at a time: the second waits for `busy` */
	if (r == -EEXIST) {
		pthread_mutex_unlock(&task->busy);
		nomad__task_unref(task);
		task = other;
		pthread_mutex_lock(&task->busy);
	}
	if (r < 0 && r != -EEXIST)
		nomad_error_errno(err, -r, "destroy task '%s'", id);
	else
		r = destroy_busy(task, r != -EEXIST, err);
	pthread_mutex_unlock(&task->busy);
	nomad__task_unref(task);
	return r;
}

static int destroy_unknown(struct nomad_plugin *plugin, const char *id, struct nomad_error **err)
{
	NOMAD_AUTO_FREE char *slug = nomad__slug(id);
	NOMAD_AUTO_FREE char *path = slug ? nomad_strdupf("%s/tasks/%s/task", plugin->state_dir, slug) : NULL;
	struct nomad__journal record = NOMAD__JOURNAL_INIT;

	if (!path)
		return nomad_error_errno(err, ENOMEM, "destroy task '%s'", id);
	/* Nomad's word counts more than a claim, which only keeps gc away. */
	if (nomad__journal_open(&record, path, false, NULL) == 0)
		(void)nomad__journal_claim(&record, CLAIM_PATIENCE_MS);
	return nomad__task_destroy_recorded(plugin, id, &record, err);
}

int nomad__task_destroy(struct nomad_plugin *plugin, const char *id, bool force, struct nomad_error **err)
{
	struct nomad_task *task;
	bool running;
	int r;

	r = nomad__plugin_ensure_init(plugin, err);
	if (r < 0)
		return r;
	task = nomad__task_find(plugin, id);
	if (!task)
		return destroy_unknown(plugin, id, err);
	pthread_mutex_lock(&task->busy); /* a start comes to its end first */
	running = nomad__task_phase(task) == NOMAD__RUNNING;
	if (running && !force) {
		r = nomad_error_set(err, EBUSY, "destroy task '%s': it still runs", id);
	} else if (running && kill_busy(task, NULL) >= 0) {
		/* A death that can be seen is told to those who wait for it. */
		pthread_mutex_unlock(&task->busy);
		(void)nomad__task_await_end(task, KILL_PATIENCE_NS);
		pthread_mutex_lock(&task->busy);
	}
	if (r >= 0)
		r = destroy_busy(task, false, err);
	pthread_mutex_unlock(&task->busy);
	nomad__task_unref(task);
	return r;
}
