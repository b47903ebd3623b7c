/* SPDX-License-Identifier: MPL-2.0
 *
 * Tasks that this plugin holds and that no agent has: the agent died before it
 * stored the handle, or its state was lost.
 *
 * An agent that comes back asks for each task whose handle it has (RecoverTask)
 * before it does anything else with it; it may wait for the task (WaitTask)
 * much later, because it runs its hooks again before, and these can hang for as
 * long as Consul or Vault is away.  So a task has an agent if a WaitTask is
 * open, or if it was asked for since the last agent left.  One whose DestroyTask
 * failed has none: Nomad does not repeat it.  A task without one is
 * ended when an agent has been there for the grace time.  Without an agent
 * nothing is ended. */
#include <pthread.h>

#include "core/agent.h"
#include "core/destroy.h"
#include "core/options.h"
#include "core/parts.h"
#include "core/plugin.h"
#include "core/rounds.h"
#include "core/table.h"
#include "core/task.h"
#include "core/task_progress.h"

enum { AT_ONCE = 64 };

struct nomad__orphans {
	pthread_mutex_t lock; /* one look at a time */
	struct nomad__rounds rounds;
};

struct search {
	int64_t left_ns;
	struct nomad_task *found[AT_ONCE]; /* the rest at the next look */
	size_t count;
};

static bool has_no_agent(struct nomad_task *task, int64_t left_ns)
{
	struct nomad__task_progress *progress = task->progress;
	bool none;

	pthread_mutex_lock(&progress->lock);
	none = (progress->phase == NOMAD__RUNNING || progress->phase == NOMAD__EXITED) && !progress->waiters &&
	       progress->asked_ns < left_ns;
	pthread_mutex_unlock(&progress->lock);
	return none;
}

static bool look_at(struct nomad_task *task, void *arg)
{
	struct search *search = arg;

	if (has_no_agent(task, search->left_ns))
		search->found[search->count++] = nomad__task_ref(task);
	return search->count < AT_ONCE;
}

static void end_one(struct nomad_plugin *plugin, struct nomad_task *task)
{
	NOMAD_AUTO_ERROR struct nomad_error *err = NULL;
	enum nomad__metric state =
		nomad__task_phase(task) == NOMAD__RUNNING ? NOMAD__LEAKS_RUNNING : NOMAD__LEAKS_EXITED;
	int r = nomad__task_destroy_known(task, true, &err);

	nomad__metric_add(plugin->metrics, state, 1);
	nomad__metric_add(plugin->metrics, r < 0 ? NOMAD__LEAKS_LEFT : NOMAD__LEAKS_REMOVED, 1);
	nomad_log_kv(NOMAD_LOG_WARN, r < 0 ? "cannot end an orphaned task" : "ended an orphaned task", "task_id",
		     task->info.id, r < 0 ? "error" : NULL, nomad_error_message(err), NULL);
}

static void end_all(struct nomad_plugin *plugin)
{
	const int64_t grace_ns = nomad__library_config(plugin)->gc_grace_s * 1000000000;
	struct search search = { .left_ns = nomad__agent_left_ns(plugin) };

	pthread_mutex_lock(&plugin->orphans->lock);
	if (nomad__agent_there_ns(plugin) >= grace_ns)
		nomad__table_each(plugin, look_at, &search);
	for (size_t i = 0; i < search.count; i++) {
		/* Others may have taken a while, and an agent may have come. */
		if (has_no_agent(search.found[i], search.left_ns) && nomad__agent_there_ns(plugin) >= grace_ns)
			end_one(plugin, search.found[i]);
		nomad__task_unref(search.found[i]);
	}
	pthread_mutex_unlock(&plugin->orphans->lock);
}

void nomad__orphans_schedule(struct nomad_plugin *plugin)
{
	nomad__rounds_begin(&plugin->orphans->rounds, plugin, end_all);
}

static void tear_down(void *part)
{
	nomad__rounds_done(&((struct nomad__orphans *)part)->rounds);
}

const struct nomad__part nomad__orphans_part = NOMAD__PART(struct nomad__orphans, orphans, .tear_down = tear_down);
