/* SPDX-License-Identifier: MPL-2.0 */
#include "core/gc.h"

#include <errno.h>
#include <pthread.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/tree.h"
#include "core/agent.h"
#include "core/destroy.h"
#include "core/options.h"
#include "core/parts.h"
#include "core/plugin.h"
#include "core/rounds.h"
#include "core/table.h"
#include "core/task.h"
#include "supervisor/client.h"

/* A directory without a journal may be a start that just makes it. */
#define BIRTH_NS INT64_C(10000000000)

struct nomad__gc {
	pthread_mutex_t lock;	  /* one gc at a time */
	struct nomad_map orphans; /* what ran unclaimed at the last one: slug -> since when */
	struct nomad__rounds rounds;
};

/* ---- Unclaimed tasks ---- */

/* The node of this plugin's agent had it; or one that has lost its files, and never comes back as that node. */
static bool is_ours(struct nomad_plugin *plugin, const struct nomad__disk_task *task)
{
	const char *node = nomad_map_get(&task->record, "node"), *dir = nomad_map_get(&task->record, "dir");

	return (node && nomad__agent_is_node(plugin, node)) ||
	       (dir && *dir && access(dir, F_OK) < 0 && errno == ENOENT);
}

/* What lived unclaimed at an earlier look, a grace time ago or more, and does
 * so again.  `seen` becomes what the next look compares with. */
static bool is_orphan(struct nomad_plugin *plugin, const struct nomad__disk_task *task, struct nomad_map *seen)
{
	const char *before = nomad_map_get(&plugin->gc->orphans, task->slug);
	int64_t now = nomad_monotonic_ns(), since = now, made = 0, there = nomad__agent_there_ns(plugin);
	const int64_t grace = nomad__library_config(plugin)->gc_grace_s * 1000000000;
	char text[64];

	/* An agent that has just come may still ask for it. */
	if (!there || !is_ours(plugin, task))
		return false;
	/* Another run of the same id is another task. */
	if (before && sscanf(before, "%" SCNd64 " %" SCNd64, &since, &made) == 2 && made != task->since_ns)
		since = now;
	snprintf(text, sizeof(text), "%" PRId64 " %" PRId64, since, task->since_ns);
	if (nomad_map_set(seen, task->slug, text) < 0)
		return false;
	return before && made == task->since_ns && now - since >= grace && there >= grace;
}

/* Why it is garbage; NULL: it is not. */
static const char *why_garbage(struct nomad_plugin *plugin, const struct nomad__disk_task *task, unsigned flags,
			       struct nomad_map *seen)
{
	const char *id = nomad_map_get(&task->record, "id"), *boot = nomad_map_get(&task->record, "boot");
	const bool by_hand = flags & NOMAD__GC_BY_HAND, early = flags & NOMAD__GC_EARLY;
	struct nomad_task *known = id ? nomad__task_find(plugin, id) : NULL;

	nomad__task_unref(known);
	if (known || task->claimed || task->foreign)
		return NULL;
	if (task->state == NOMAD__DISK_DESTROYING)
		return "the plugin died while it destroyed the task";
	if (id && !nomad_map_get(&task->record, "started"))
		return "the plugin died while it started the task";
	if ((flags & NOMAD__GC_RUNNING) && task->state == NOMAD__DISK_RUNNING)
		return "no plugin claims this running task";
	if (task->state == NOMAD__DISK_RUNNING || task->state == NOMAD__DISK_REMOTE)
		return !by_hand && is_orphan(plugin, task, seen) ? "no agent has claimed this running task" : NULL;
	if (task->alive)
		return NULL;
	if (!id)
		return nomad_wall_ns() - task->since_ns > BIRTH_NS ? "no record of the task" : NULL;
	if (boot && strcmp(boot, plugin->boot_id) != 0)
		return "the host was restarted";
	if (task->state == NOMAD__DISK_LOST && !early)
		return "its supervisor died, and no plugin claims it";
	if (task->state == NOMAD__DISK_EXITED && (by_hand || (!early && is_ours(plugin, task))))
		return "no plugin claims this ended task";
	return NULL;
}

static int remove_one(struct nomad_plugin *plugin, const struct nomad__disk_task *task,
		      struct nomad__journal *take_record, struct nomad_error **err)
{
	NOMAD_AUTO_FREE char *dir = nomad_strdupf("%s/tasks/%s", nomad_plugin_state_dir(plugin), task->slug);
	const char *id = nomad_map_get(&task->record, "id");
	NOMAD_AUTO_FREE char *slug = id ? nomad__slug(id) : NULL;
	int r;

	if (slug && strcmp(slug, task->slug) == 0)
		return nomad__task_destroy_recorded(plugin, id, true, take_record, err);
	/* No driver could find anything by it. */
	r = dir ? nomad__supervisor_clean(dir, err) : nomad_error_errno(err, ENOMEM, "remove '%s'", task->slug);
	if (r >= 0) {
		r = nomad__remove_tree(dir);
		if (r < 0)
			nomad_error_errno(err, -r, "remove '%s'", dir);
	}
	nomad__journal_close(take_record);
	return r;
}

int nomad__gc(struct nomad_plugin *plugin, unsigned flags,
	      void (*removed)(void *ud, const struct nomad__disk_task *task, const char *why,
			      const struct nomad_error *err),
	      void *ud, struct nomad_error **err)
{
	struct nomad__disk_task *tasks = NULL;
	struct nomad_map seen = { 0 };
	size_t count = 0;
	int r;

	pthread_mutex_lock(&plugin->gc->lock);
	r = nomad__tasks_on_disk(plugin, &tasks, &count, err);

	for (size_t i = 0; r >= 0 && i < count; i++) {
		NOMAD_AUTO_ERROR struct nomad_error *failure = NULL;
		struct nomad__journal record = NOMAD__JOURNAL_INIT;
		struct nomad__disk_task task;
		const char *why;

		/* Again, and this time with the claim in hand. */
		if (!why_garbage(plugin, &tasks[i], flags, &seen) ||
		    nomad__task_on_disk(plugin, tasks[i].slug, &task, &record) < 0)
			continue;
		why = why_garbage(plugin, &task, flags, &seen);
		if (why) {
			if (!(flags & NOMAD__GC_DRY_RUN))
				(void)remove_one(plugin, &task, &record, &failure);
			removed(ud, &task, why, failure);
		}
		nomad__journal_close(&record);
		nomad__disk_task_done(&task);
	}
	nomad__tasks_on_disk_free(tasks, count);
	if (!(flags & NOMAD__GC_BY_HAND)) {
		nomad_map_done(&plugin->gc->orphans);
		plugin->gc->orphans = seen;
	} else {
		nomad_map_done(&seen);
	}
	pthread_mutex_unlock(&plugin->gc->lock);
	return r;
}

/* ---- By itself ---- */

static void log_removed(void *ud, const struct nomad__disk_task *task, const char *why, const struct nomad_error *err)
{
	static const enum nomad__metric leaks[] = {
		[NOMAD__DISK_STARTING] = NOMAD__LEAKS_STARTING,	    [NOMAD__DISK_HALF_MADE] = NOMAD__LEAKS_HALF_MADE,
		[NOMAD__DISK_RUNNING] = NOMAD__LEAKS_RUNNING,	    [NOMAD__DISK_REMOTE] = NOMAD__LEAKS_REMOTE,
		[NOMAD__DISK_EXITED] = NOMAD__LEAKS_EXITED,	    [NOMAD__DISK_LOST] = NOMAD__LEAKS_LOST,
		[NOMAD__DISK_DESTROYING] = NOMAD__LEAKS_DESTROYING,
	};
	struct nomad__metrics *metrics = ud;

	nomad__metric_add(metrics, leaks[task->state], 1);
	nomad__metric_add(metrics, err ? NOMAD__LEAKS_LEFT : NOMAD__LEAKS_REMOVED, 1);
	nomad_log_kv(err ? NOMAD_LOG_WARN : NOMAD_LOG_INFO,
		     err ? "cannot remove an unclaimed task" : "removed an unclaimed task", "task_id",
		     nomad_map_get(&task->record, "id"), "state", nomad__disk_state_name(task->state), "directory",
		     task->slug, "why", why, err ? "error" : NULL, err ? nomad_error_message(err) : NULL, NULL);
}

static void gc_job(struct nomad_plugin *plugin)
{
	bool early = nomad__agent_there_ns(plugin) < nomad__library_config(plugin)->gc_grace_s * INT64_C(1000000000);
	NOMAD_AUTO_ERROR struct nomad_error *err = NULL;

	nomad__metric_add(plugin->metrics, NOMAD__GC_RUNS, 1);
	if (nomad__gc(plugin, early ? NOMAD__GC_EARLY : 0, log_removed, plugin->metrics, &err) < 0)
		nomad_log_kv(NOMAD_LOG_WARN, "cannot search for unclaimed tasks", "error", nomad_error_message(err),
			     NULL);
}

void nomad__gc_schedule(struct nomad_plugin *plugin)
{
	nomad__rounds_begin(&plugin->gc->rounds, plugin, gc_job);
}

static void tear_down(void *part)
{
	struct nomad__gc *gc = part;

	nomad__rounds_done(&gc->rounds);
	nomad_map_done(&gc->orphans);
}

const struct nomad__part nomad__gc_part = NOMAD__PART(struct nomad__gc, gc, .tear_down = tear_down);
