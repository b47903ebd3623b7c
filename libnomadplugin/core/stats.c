/* SPDX-License-Identifier: MPL-2.0
 *
 * Statistics: one timer for all tasks and all subscribers.  Samples of
 * supervised tasks are a few preads and are taken on the loop thread; a
 * driver's own stats() may block and runs on a worker, one at a time for
 * each subscription: a slow one skips ticks, it does not pile up. */
#include "core/parts.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "core/options.h"
#include "core/plugin.h"
#include "core/sub.h"
#include "core/table.h"
#include "core/task_progress.h"

#define MIN_INTERVAL_NS INT64_C(100000000)
#define MAX_INTERVAL_NS INT64_C(3600000000000)

#define GRID_NS INT64_C(100000000)

struct ticker { /* `extra` of a subscription */
	struct nomad_task *task;
	int64_t interval_ns, due_ns; /* loop thread */
	bool sampling;		     /* loop thread sets, worker clears by posting */
	bool warned;
	struct nomad__stats_cache cache; /* loop thread */
};

struct nomad__samples {
	struct nomad__sub_list subscribers;
	struct nomad__timer *timer; /* loop thread */
};

static void ticker_free(void *extra)
{
	struct ticker *ticker = extra;

	nomad__stats_cache_done(&ticker->cache);
	nomad__task_unref(ticker->task);
	free(ticker);
}

static void emit_one(struct nomad__sub *sub, void *arg)
{
	void (*emit)(void *, const struct nomad__stats_view *) =
		(void (*)(void *, const struct nomad__stats_view *))sub->fn;

	emit(sub->ud, arg);
}

static void emit_sample(struct nomad__sub *sub, const struct nomad_stats *stats)
{
	struct ticker *ticker = sub->extra;
	struct nomad__stats_view view = {
		.task_id = ticker->task->info.id,
		.time_ns = nomad_wall_ns(),
		.stats = stats,
	};
	struct nomad__node node;

	if (nomad__options_node(ticker->task->plugin, &node) && node.cores)
		view.ticks_per_percent = (double)node.total_compute_mhz / node.cores / 100.0;
	nomad__sub_call(sub, emit_one, &view);
}

int nomad_stats_add_pid(struct nomad_stats *stats, const struct nomad_pid_stats *pid)
{
	struct nomad_pid_stats *pids = reallocarray(stats->pids, stats->n_pids + 1, sizeof(*pids));

	if (!pids)
		return -ENOMEM;
	stats->pids = pids;
	pids[stats->n_pids++] = *pid;
	return 0;
}

static void sampled(void *ud)
{
	struct nomad__sub *sub = ud;

	((struct ticker *)sub->extra)->sampling = false;
	nomad__sub_unref(sub);
}

static void sample_job(void *ud)
{
	struct nomad__sub *sub = ud;
	struct ticker *ticker = sub->extra;
	struct nomad_task *task = ticker->task;
	NOMAD_AUTO_ERROR struct nomad_error *err = NULL;
	struct nomad_stats stats = { 0 };
	int r = -ESRCH;

	pthread_mutex_lock(&task->busy);
	if (nomad__task_phase(task) == NOMAD__RUNNING)
		r = task->plugin->driver->stats(task, &stats, &err);
	pthread_mutex_unlock(&task->busy);
	if (r >= 0) {
		emit_sample(sub, &stats);
	} else if (err && !ticker->warned) {
		ticker->warned = true;
		nomad_log_kv(NOMAD_LOG_WARN, "no statistics for the task", "task_id", task->info.id, "error",
			     nomad_error_message(err), NULL);
	}
	free(stats.pids);
	if (nomad__loop_post(task->plugin->loop, sampled, sub) < 0)
		nomad__sub_unref(sub); /* never sampled again: no memory to say so */
}

static void sample(struct nomad__sub *sub)
{
	struct ticker *ticker = sub->extra;
	struct nomad_task *task = ticker->task;
	struct nomad_stats stats = { 0 };
	int r = -ENOENT;

	if (task->plugin->driver->stats) {
		if (ticker->sampling)
			return;
		ticker->sampling = true;
		if (nomad__pool_run(task->plugin->pool, sample_job, nomad__sub_ref(sub)) < 0) {
			ticker->sampling = false;
			nomad__sub_unref(sub);
		}
		return;
	}
	pthread_mutex_lock(&task->progress->lock);
	if (task->progress->phase == NOMAD__RUNNING && task->progress->supervisor)
		r = nomad__supervisor_stats(task->progress->supervisor, &ticker->cache, &stats, NULL);
	pthread_mutex_unlock(&task->progress->lock);
	if (r >= 0)
		emit_sample(sub, &stats);
}

struct round {
	int64_t now, next;
};

static void tick_one(struct nomad__sub *sub, struct round *round)
{
	struct ticker *ticker = sub->extra;

	if (ticker->due_ns <= round->now) {
		sample(sub);
		ticker->due_ns += ticker->interval_ns;
		/* The first, or fell behind: no burst.  Many tasks are due together rather than each for itself. */
		if (ticker->due_ns <= round->now)
			ticker->due_ns = (round->now + ticker->interval_ns + GRID_NS - 1) / GRID_NS * GRID_NS;
	}
	if (ticker->due_ns < round->next)
		round->next = ticker->due_ns;
}

static void tick(void *ud)
{
	struct nomad__samples *samples = ((struct nomad_plugin *)ud)->samples;
	struct round round = { .now = nomad_monotonic_ns(), .next = INT64_MAX };
	size_t n;
	struct nomad__sub **all = nomad__sub_all(&samples->subscribers, &n);

	for (size_t i = 0; all && i < n; i++) {
		tick_one(all[i], &round);
		nomad__sub_unref(all[i]);
	}
	if (n && !all)
		round.next = round.now + 1000000000; /* try again */
	free(all);
	if (round.next != INT64_MAX)
		nomad__timer_set(samples->timer, round.next - round.now);
}

static bool is_of_task(const struct nomad__sub *sub, const void *task)
{
	return ((const struct ticker *)sub->extra)->task == task;
}

void nomad__samples_task_ended(struct nomad_task *task)
{
	struct nomad__sub *sub;

	while ((sub = nomad__sub_take(&task->plugin->samples->subscribers, is_of_task, task))) {
		nomad__sub_call(sub, emit_one, NULL);
		nomad__sub_unref(sub);
	}
}

/* Loop thread: a new subscriber gets its first sample. */
static void begin(void *ud)
{
	struct nomad__sub *sub = ud;
	struct nomad_task *task = ((struct ticker *)sub->extra)->task;
	struct nomad_plugin *plugin = task->plugin;

	if (nomad__task_phase(task) >= NOMAD__EXITED) /* it ended while we came */
		nomad__samples_task_ended(task);
	nomad__sub_unref(sub);
	if (!plugin->samples->timer && nomad__timer_new(plugin->loop, tick, plugin, &plugin->samples->timer) < 0)
		return;
	tick(plugin);
}

int nomad__stats_subscribe(struct nomad_plugin *plugin, const char *id, int64_t interval_ns,
			   void (*emit)(void *ud, const struct nomad__stats_view *view), void *ud,
			   struct nomad__sub **ret_sub, struct nomad_error **err)
{
	struct ticker *ticker = calloc(1, sizeof(*ticker));
	struct nomad__sub *sub;
	int r;

	if (!ticker)
		return nomad_error_errno(err, ENOMEM, "take statistics of task '%s'", id);
	r = nomad__task_find_or(plugin, id, &ticker->task, err);
	if (r < 0) {
		free(ticker);
		return r;
	}
	ticker->interval_ns = interval_ns < MIN_INTERVAL_NS   ? MIN_INTERVAL_NS
			      : interval_ns > MAX_INTERVAL_NS ? MAX_INTERVAL_NS
							      : interval_ns;
	sub = nomad__sub_new_of(&plugin->samples->subscribers, (void (*)(void))emit, ud, ticker, ticker_free);
	if (!sub) {
		ticker_free(ticker);
		return nomad_error_errno(err, ENOMEM, "take statistics of task '%s'", id);
	}
	*ret_sub = sub;
	if (nomad__loop_post(plugin->loop, begin, nomad__sub_ref(sub)) < 0) {
		*ret_sub = NULL;
		nomad__sub_unref(sub);
		nomad__sub_cancel(sub);
		return nomad_error_errno(err, ENOMEM, "take statistics of task '%s'", id);
	}
	return 0;
}

static void tear_down(void *part)
{
	struct nomad__samples *samples = part;

	free(samples->timer);
	nomad__sub_list_clear(&samples->subscribers);
}

const struct nomad__part nomad__samples_part = NOMAD__PART(struct nomad__samples, samples, .tear_down = tear_down);
