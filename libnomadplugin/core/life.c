/* SPDX-License-Identifier: MPL-2.0
 *
 * Wait, stop, signal, destroy, inspect. */
#include "core/plugin.h"

#include <errno.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "supervisor/crash.h"
#include "core/exec.h"
#include "core/tidy.h"

/* How long what was killed may take to be dead, before we say so. */
#define KILL_PATIENCE_NS INT64_C(20000000000)

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
		     void (*done)(void *ud, int r, const struct nomad_exit *result, const struct nomad_error *err), void *ud,
		     struct nomad__sub **ret_sub, struct nomad_error **err)
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

struct stop {
	struct nomad_task *task;
	int signal;
	uint64_t timeout_ms;
	struct nomad__sub *sub;		/* borrowed from the list of stoppers; only compared */
	struct nomad__timer *timer;
	bool killed;
	struct stop *next;
};

static void stop_free(struct stop *stop)
{
	nomad__task_unref(stop->task);
	free(stop);
}

static void call_stopper_failed(struct nomad__sub *sub, void *arg)
{
	void (*done)(void *, int, const struct nomad_error *) = (void (*)(void *, int, const struct nomad_error *))sub->fn;
	const struct nomad_error *err = arg;

	done(sub->ud, -nomad_error_code(err), err);
}

/* The stop failed: tell who asked for it, unless the end has come first. */
static void stop_fail(struct nomad_plugin *plugin, const void *sub, struct nomad_error *take_err)
{
	struct nomad__sub *taken = nomad__sub_take(&plugin->stoppers, is_sub, sub);

	if (taken) {
		nomad__sub_call(taken, call_stopper_failed, take_err);
		nomad__sub_unref(taken);
		nomad__sub_unref(taken);
	}
	nomad_error_free(take_err);
}

static int kill_now(struct nomad_task *task, struct nomad_error **err)
{
	struct nomad__supervisor *supervisor;
	int r = 0;

	if (task->plugin->driver->kill) {
		pthread_mutex_lock(&task->busy);
		r = nomad__task_phase(task) < NOMAD__EXITED ? task->plugin->driver->kill(task, err) : 0;
		pthread_mutex_unlock(&task->busy);
		return r;
	}
	pthread_mutex_lock(&task->lock);
	supervisor = task->supervisor;
	if (task->phase < NOMAD__EXITED)
		r = supervisor ? nomad__supervisor_kill(supervisor, err) :
				 nomad_error_set(err, EOPNOTSUPP, "driver '%s' cannot kill this task", task->plugin->driver->name);
	pthread_mutex_unlock(&task->lock);
	return r;
}

static void kill_job(void *ud)
{
	struct nomad_task *task = ud;
	NOMAD_AUTO_ERROR struct nomad_error *err = NULL;

	if (kill_now(task, &err) < 0)
		nomad_log_kv(NOMAD_LOG_ERROR, "cannot kill the task", "task_id", task->info.id, "error", nomad_error_message(err),
			     NULL);
	nomad__task_unref(task);
}

/* Loop thread: out of the list, with its timer. */
static void stop_over(struct nomad_plugin *plugin, struct stop *stop)
{
	struct stop **p = &plugin->stops;

	while (*p && *p != stop)
		p = &(*p)->next;
	if (*p)
		*p = stop->next;
	nomad__timer_free(stop->timer);
	stop_free(stop);
}

static void forget_stops(void *ud)
{
	struct nomad_task *task = ud;
	struct nomad_plugin *plugin = task->plugin;
	struct stop *next;

	for (struct stop *stop = plugin->stops; stop; stop = next) {
		next = stop->next;
		if (stop->task == task)
			stop_over(plugin, stop);
	}
	nomad__task_unref(task);
}

void nomad__stops_task_ended(struct nomad_task *task)
{
	nomad__task_ref(task);
	if (nomad__loop_is_current(task->plugin->loop))
		forget_stops(task);
	else if (nomad__loop_post(task->plugin->loop, forget_stops, task) < 0)
		nomad__task_unref(task);	/* their time ends them */
}

struct teardown {
	struct nomad_plugin *plugin;
	sem_t done;
};

static void end_stops(void *ud)
{
	struct teardown *teardown = ud;

	while (teardown->plugin->stops)
		stop_over(teardown->plugin, teardown->plugin->stops);
	sem_post(&teardown->done);
}

/* On the loop, where their timers are, while there is one. */
void nomad__stops_teardown(struct nomad_plugin *plugin)
{
	struct teardown teardown = { .plugin = plugin };

	if (!plugin->loop || sem_init(&teardown.done, 0, 0) < 0)
		return;
	if (nomad__loop_post(plugin->loop, end_stops, &teardown) == 0)
		while (sem_wait(&teardown.done) < 0 && errno == EINTR)
			;
	sem_destroy(&teardown.done);
}

/* Loop thread: the time is over.  First kill, then give up. */
static void stop_late(void *ud)
{
	struct stop *stop = ud;
	struct nomad_task *task = stop->task;
	struct nomad_error *err = NULL;
	bool ended;

	ended = nomad__task_phase(task) >= NOMAD__EXITED;
	if (!ended && !stop->killed) {
		stop->killed = true;
		if (nomad__work(task->plugin, kill_job, nomad__task_ref(task)) < 0)
			nomad__task_unref(task);
		nomad__timer_set(stop->timer, KILL_PATIENCE_NS);
		return;
	}
	if (!ended) {
		nomad_error_set(&err, ETIMEDOUT, "stop task '%s': it was killed and is not dead after %d s; the kernel may be "
				"waiting for a device or a network file system", task->info.id, (int)(KILL_PATIENCE_NS / 1000000000));
		stop_fail(task->plugin, stop->sub, err);
	}
	stop_over(task->plugin, stop);
}

static void stop_arm(void *ud)
{
	struct stop *stop = ud;
	/* The supervisor keeps the time itself: here only in case that it is stuck. */
	int64_t grace = stop->task->plugin->driver->stop ? 0 : KILL_PATIENCE_NS;
	int64_t delay = stop->timeout_ms > 1000000000 ? INT64_C(1000000000) * 1000000 : (int64_t)stop->timeout_ms * 1000000;

	if (nomad__task_phase(stop->task) >= NOMAD__EXITED ||
	    nomad__timer_new(stop->task->plugin->loop, stop_late, stop, &stop->timer) < 0) {
		stop_free(stop);
		return;
	}
	stop->next = stop->task->plugin->stops;
	stop->task->plugin->stops = stop;
	nomad__timer_set(stop->timer, delay + grace);
}

static void stop_job(void *ud)
{
	struct stop *stop = ud;
	struct nomad_task *task = stop->task;
	const struct nomad_driver *driver = task->plugin->driver;
	struct nomad_error *err = NULL;
	int r = 0;

	if (driver->stop) {
		pthread_mutex_lock(&task->busy);
		if (nomad__task_phase(task) < NOMAD__EXITED)
			r = driver->stop(task, stop->signal, (unsigned)stop->timeout_ms, &err);
		pthread_mutex_unlock(&task->busy);
	} else {
		pthread_mutex_lock(&task->lock);
		if (task->phase < NOMAD__EXITED && !task->supervisor)
			r = nomad_error_set(&err, EOPNOTSUPP, "driver '%s' cannot stop this task", driver->name);
		else if (task->phase < NOMAD__EXITED)
			r = nomad__supervisor_stop(task->supervisor, stop->signal, stop->timeout_ms, &err);
		pthread_mutex_unlock(&task->lock);
	}
	if (r < 0) {
		stop_fail(task->plugin, stop->sub, err);
		stop_free(stop);
	} else if (nomad__loop_post(task->plugin->loop, stop_arm, stop) < 0) {
		stop_free(stop);
	}
}

int nomad__task_stop(struct nomad_plugin *plugin, const char *id, int64_t timeout_ns, const char *signal,
		     void (*done)(void *ud, int r, const struct nomad_error *err), void *ud, struct nomad_error **err)
{
	struct nomad_task *task;
	struct nomad__sub *sub;
	struct stop *stop;
	int number = 0;
	bool ended;

	if (signal && *signal && nomad__signal_parse(signal, &number) < 0)
		return nomad_error_set(err, EINVAL, "stop task '%s': unknown signal '%s'", id, signal);
	task = nomad__task_find(plugin, id);
	if (!task) {	/* Nomad would take any error for a reason to try again for minutes */
		done(ud, 0, NULL);
		return 0;
	}
	stop = calloc(1, sizeof(*stop));
	sub = stop ? await(&plugin->stoppers, task, (void (*)(void))done, ud, &ended) : NULL;
	if (!sub) {
		free(stop);
		nomad__task_unref(task);
		return nomad_error_errno(err, ENOMEM, "stop task '%s'", id);
	}
	if (ended) {
		struct nomad__sub *taken = nomad__sub_take(&plugin->stoppers, is_sub, sub);

		free(stop);
		if (taken) {
			nomad__sub_unref(taken);
			nomad__sub_unref(taken);
			done(ud, 0, NULL);
		}
		nomad__task_unref(task);
		return 0;
	}
	pthread_mutex_lock(&task->lock);
	task->stopping = true;
	pthread_mutex_unlock(&task->lock);
	*stop = (struct stop){
		.task = task,
		.signal = number,
		.timeout_ms = timeout_ns < 0 ? 0 : (uint64_t)(timeout_ns + 999999) / 1000000,
		.sub = sub,
	};
	if (!plugin->driver->stop) {
		stop_job(stop);	/* only a message to the supervisor */
	} else if (nomad__work(plugin, stop_job, stop) < 0) {
		struct nomad_error *why = NULL;

		nomad_error_errno(&why, EAGAIN, "stop task '%s'", id);
		stop_fail(plugin, sub, why);
		stop_free(stop);
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

int nomad__task_tidy(struct nomad_task *task, struct nomad_error **err)
{
	const struct nomad_driver *driver = task->plugin->driver;
	bool supervised = task->record.fd >= 0 && nomad_map_get(&task->record.map, "supervised");
	struct nomad__supervisor *supervisor = task->supervisor;
	int r;

	nomad__exec_end_all(task);
	/* Nobody is to hear of the end of this one any more. */
	pthread_mutex_lock(&task->lock);
	task->supervisor = NULL;
	pthread_mutex_unlock(&task->lock);
	nomad__supervisor_free(supervisor);
	nomad__crash_at("core-tidy-begin");
	if (supervised) {
		r = nomad__supervisor_clean(task->state_dir, err);
		if (r < 0)
			return r;
	}
	nomad__crash_at("core-tidy-killed");
	if (driver->destroy) {
		r = driver->destroy(task, err);
		if (r < 0)
			return r;
	}
	nomad__crash_at("core-tidy-destroyed");
	pthread_mutex_lock(&task->lock);
	nomad__record_close(&task->record);
	pthread_mutex_unlock(&task->lock);
	r = nomad__remove_tree(task->state_dir);
	if (r < 0)
		return nomad_error_errno(err, -r, "remove the task's state directory '%s'", task->state_dir);
	return 0;
}

/* A task that this process never saw, from its record, or from its id alone. */
static int unknown_task(struct nomad_plugin *plugin, const char *id, struct nomad_task **ret, struct nomad_error **err)
{
	struct nomad_task_info info = { .id = strdup(id) };
	NOMAD_AUTO_FREE char *slug = nomad__slug(id);
	NOMAD_AUTO_FREE char *path = slug ? nomad_strdupf("%s/tasks/%s/task", plugin->state_dir, slug) : NULL;
	struct nomad__record record = NOMAD__RECORD_INIT;
	const char *slash = strchr(id, '/'), *last = strrchr(id, '/'), *value;
	int r;

	if (!info.id || !path) {
		free(info.id);
		return nomad_error_errno(err, ENOMEM, "destroy task '%s'", id);
	}
	if (nomad__record_open(&record, path, false, NULL) == 0) {
		const struct {
			const char *key;
			char **field;
		} facts[] = {
			{ "alloc", &info.alloc_id }, { "name", &info.name },	     { "node", &info.node_id },
			{ "job", &info.job_id },     { "namespace", &info.namespace_name }, { "dir", &info.alloc_dir },
		};

		for (size_t i = 0; i < NOMAD_ARRAY_LEN(facts); i++)
			if ((value = nomad_map_get(&record.map, facts[i].key)))
				*facts[i].field = strdup(value);
	} else if (slash) {
		info.alloc_id = strndup(id, (size_t)(slash - id));
		info.name = last > slash ? strndup(slash + 1, (size_t)(last - slash - 1)) : NULL;
	}
	r = nomad__task_new(plugin, &info, ret, err);
	if (r >= 0)
		(*ret)->record = record;
	else
		nomad__record_close(&record);
	return r;
}

int nomad__task_destroy(struct nomad_plugin *plugin, const char *id, bool force, struct nomad_error **err)
{
	struct nomad_task *task = nomad__task_find(plugin, id), *other = NULL;
	const struct nomad_exit destroyed = { .exit_code = -1, .message = (char *)"the task was destroyed" };
	int r;

	r = nomad__plugin_ensure_init(plugin, err);
	if (r < 0) {
		nomad__task_unref(task);
		return r;
	}
	if (!task) {
		r = unknown_task(plugin, id, &task, err);
		if (r < 0)
			return r;
		task->phase = NOMAD__EXITED;
		pthread_mutex_lock(&task->busy);
		r = nomad__task_insert(plugin, task, &other);	/* two at a time: the second waits for `busy` */
		if (r == -EEXIST) {
			pthread_mutex_unlock(&task->busy);
			nomad__task_unref(task);
			task = other;
			pthread_mutex_lock(&task->busy);
		} else if (r < 0) {
			goto out;
		}
	} else {
		bool running = nomad__task_phase(task) == NOMAD__RUNNING;

		if (running && !force) {
			nomad__task_unref(task);
			return nomad_error_set(err, EBUSY, "destroy task '%s': it still runs", id);
		}
		/* A death that can be seen is told to those who wait for it. */
		if (running && kill_now(task, NULL) >= 0)
			(void)nomad__task_await_end(task, KILL_PATIENCE_NS);
		pthread_mutex_lock(&task->busy);
	}
	if (nomad__task_phase(task) == NOMAD__GONE) {
		r = 0;
		goto out;
	}
	nomad__task_ended(task, &destroyed, nomad__wall_ns());
	r = nomad__task_tidy(task, err);
	if (r >= 0) {
		nomad__task_gone(task);
	} else {
		(void)nomad_error_wrap(err, "destroy task '%s'", id);
	}
out:
	if (r < 0 && err && !*err)
		nomad_error_errno(err, -r, "destroy task '%s'", id);
	pthread_mutex_unlock(&task->busy);
	nomad__task_unref(task);
	return r;
}

/* ---- Inspect ---- */

int nomad__task_inspect(struct nomad_plugin *plugin, const char *id, struct nomad__inspect *ret, struct nomad_error **err)
{
	struct nomad__inspect inspect = { 0 };
	struct nomad_task *task;
	char number[32];
	int r;

	r = nomad__task_find_or(plugin, id, &task, err);
	if (r < 0)
		return r;
	pthread_mutex_lock(&task->lock);
	inspect.id = strdup(task->info.id);
	inspect.name = strdup(task->info.name);
	inspect.state = task->phase == NOMAD__RUNNING ? NOMAD__TASK_RUNNING :
			task->phase == NOMAD__EXITED ? NOMAD__TASK_EXITED : NOMAD__TASK_UNKNOWN;
	inspect.started_ns = task->started_ns;
	inspect.completed_ns = task->ended_ns;
	r = inspect.id && inspect.name ? 0 : -ENOMEM;
	if (task->phase == NOMAD__EXITED) {
		inspect.result = task->result;
		inspect.result.message = task->result.message ? strdup(task->result.message) : NULL;
	}
	if (task->has_network) {
		inspect.network.has_network = true;
		inspect.network.auto_advertise = task->auto_advertise;
		inspect.network.addr = task->addr ? strdup(task->addr) : NULL;
		for (size_t i = 0; r >= 0 && i < task->port_map.count; i++)
			r = nomad_int_map_set(&inspect.network.port_map, task->port_map.pairs[i].key,
					      task->port_map.pairs[i].value);
	}
	if (task->supervisor && task->phase == NOMAD__RUNNING) {
		snprintf(number, sizeof(number), "%d", nomad__supervisor_pid(task->supervisor));
		r = r < 0 ? r : nomad_map_set(&inspect.attributes, "supervisor_pid", number);
		snprintf(number, sizeof(number), "%d", nomad__supervisor_leader(task->supervisor));
		r = r < 0 ? r : nomad_map_set(&inspect.attributes, "pid", number);
	}
	pthread_mutex_unlock(&task->lock);
	if (r < 0) {
		nomad_error_errno(err, -r, "inspect task '%s'", id);
	} else if (plugin->driver->inspect) {
		pthread_mutex_lock(&task->busy);
		r = plugin->driver->inspect(task, &inspect.attributes, err);
		pthread_mutex_unlock(&task->busy);
	}
	nomad__task_unref(task);
	if (r < 0)
		nomad__inspect_done(&inspect);
	else
		*ret = inspect;
	return r;
}

/* ---- Networks ---- */

int nomad__create_network(struct nomad_plugin *plugin, const char *alloc_id, const char *hostname,
			  struct nomad_network_isolation *ret, bool *ret_created, struct nomad_error **err)
{
	int r;

	if (!plugin->driver->create_network)
		return nomad_error_set(err, EOPNOTSUPP, "CreateNetwork RPC not supported by driver");
	r = nomad__plugin_ensure_init(plugin, err);
	return r < 0 ? r : plugin->driver->create_network(plugin, alloc_id, hostname, ret, ret_created, err);
}

int nomad__destroy_network(struct nomad_plugin *plugin, const char *alloc_id, const struct nomad_network_isolation *spec,
			   struct nomad_error **err)
{
	int r;

	if (!plugin->driver->destroy_network)
		return nomad_error_set(err, EOPNOTSUPP, "DestroyNetwork RPC not supported by driver");
	r = nomad__plugin_ensure_init(plugin, err);
	return r < 0 ? r : plugin->driver->destroy_network(plugin, alloc_id, spec, err);
}
