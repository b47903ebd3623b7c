/* SPDX-License-Identifier: MPL-2.0
 *
 * Of one allocation and task name at most one run lives.  Nomad makes a new id
 * for each start, and never speaks of a start whose answer it did not store:
 * after the death of an agent, only the allocation and the task's name tell
 * that two runs are of the same task.
 *
 * Of two starts at the same time the later one wins: a start ends only those
 * that came into the table before it, so two never wait for each other. */
#include "core/rivals.h"

#include <errno.h>
#include <dirent.h>
#include <poll.h>
#include <string.h>

#include "core/destroy.h"
#include "core/plugin.h"
#include "core/table.h"
#include "core/task.h"
#include "core/task_progress.h"
#include "core/tasks_on_disk.h"

/* How long another holder of a record may take: `ps` holds each one for a moment, an ending plugin for longer, and a
 * plugin that removes what a killed start left for as long as the driver's destroy() takes. */
enum { PATIENCE_MS = 15000, POLL_MS = 20 };

/* ---- Known to the plugin ---- */

struct search {
	const struct nomad_task *task;
	struct nomad_task *older; /* a reference */
	bool newer;
};

static bool look_at(struct nomad_task *other, void *arg)
{
	struct search *search = arg;
	const struct nomad_task *task = search->task;

	if (other == task || strcmp(other->info.alloc_id, task->info.alloc_id) != 0 ||
	    strcmp(other->info.name, task->info.name) != 0)
		return true;
	if (other->start_order > task->start_order)
		search->newer = true;
	else if (!search->older)
		search->older = nomad__task_ref(other);
	return true;
}

static int end_known(struct nomad_task *task, struct nomad_error **err)
{
	for (;;) {
		struct search search = { .task = task };
		int r;

		nomad__table_each(task->plugin, look_at, &search);
		if (search.newer) {
			nomad__task_unref(search.older);
			return nomad_error_set(err, ECANCELED, "a newer run of the same task was started");
		}
		if (!search.older)
			return 0;
		nomad_log_kv(NOMAD_LOG_WARN, "ending an earlier run of the same task", "task_id", task->info.id,
			     "earlier", search.older->info.id, NULL);
		nomad__task_cancel_start(search.older, "a newer run of the same task was started");
		r = nomad__task_destroy_known(search.older, true, err);
		nomad__task_unref(search.older);
		if (r < 0)
			return r;
	}
}

/* ---- Only on disk ---- */

static bool is_rival(const struct nomad_task *task, const struct nomad__disk_task *other)
{
	const char *id = nomad_map_get(&other->record, "id"), *alloc = nomad_map_get(&other->record, "alloc"),
		   *name = nomad_map_get(&other->record, "name");

	return id && alloc && name && !other->foreign && strcmp(id, task->info.id) != 0 &&
	       strcmp(alloc, task->info.alloc_id) == 0 && strcmp(name, task->info.name) == 0;
}

/* Ends the task that the directory `slug` records.  *ret_held: another living process holds the record. */
static int end_recorded(struct nomad_task *task, const char *slug, bool *ret_held, struct nomad_error **err)
{
	struct nomad__journal record = NOMAD__JOURNAL_INIT;
	struct nomad__disk_task other;
	const char *id;
	int r = nomad__task_on_disk(task->plugin, slug, &other, &record);

	if (r == -ENOENT) /* it went */
		return 0;
	if (r < 0)
		return nomad_error_errno(err, -r, "read the record of another run in '%s'", slug);
	if (!is_rival(task, &other)) {
		nomad__journal_close(&record);
	} else if (other.claimed) {
		*ret_held = true;
		nomad__journal_close(&record);
	} else {
		id = nomad_map_get(&other.record, "id");
		nomad_log_kv(NOMAD_LOG_WARN, "ending an earlier run of the same task", "task_id", task->info.id,
			     "earlier", id, "state", nomad__disk_state_name(other.state), NULL);
		r = nomad__task_destroy_recorded(task->plugin, id, false, &record, err);
	}
	nomad__disk_task_done(&other);
	return r;
}

/* A slug ends with a hash of the whole id; before it, those of one allocation and task are equal. */
static int end_all_recorded(struct nomad_task *task, bool *ret_held, struct nomad_error **err)
{
	NOMAD_AUTO_FREE char *path = nomad_strdupf("%s/tasks", nomad_plugin_state_dir(task->plugin));
	size_t common = (size_t)(strrchr(task->slug, '-') - task->slug) + 1;
	DIR *dir = path ? opendir(path) : NULL;
	const struct dirent *entry;
	int r = 0;

	if (!dir && (!path || errno != ENOENT))
		return nomad_error_errno(err, path ? errno : ENOMEM, "list the task's other runs");
	while (r >= 0 && dir && (entry = readdir(dir)))
		if (strncmp(entry->d_name, task->slug, common) == 0 && strcmp(entry->d_name, task->slug) != 0)
			r = end_recorded(task, entry->d_name, ret_held, err);
	if (dir)
		closedir(dir);
	return r;
}

int nomad__rivals_end(struct nomad_task *task, struct nomad_error **err)
{
	/* Nomad always names both. A task without a name has no other run. */
	if (!*task->info.alloc_id || !*task->info.name)
		return 0;
	for (int waited_ms = 0;; waited_ms += POLL_MS) {
		bool held = false;
		int r = end_known(task, err);

		if (r >= 0)
			r = end_all_recorded(task, &held, err);
		if (r >= 0 && !held)
			return 0;
		if (r >= 0 && nomad__task_cancelled(task))
			return nomad_error_set(err, ECANCELED, "%s", nomad__task_cancelled(task));
		if (r >= 0 && waited_ms >= PATIENCE_MS)
			r = nomad_error_set(err, EBUSY,
					    "another running instance of this driver holds it; end that process");
		if (r == -ECANCELED)
			return r;
		if (r < 0) {
			(void)nomad_error_wrap(err, "end an earlier run of the same task");
			return nomad_error_retryable(err);
		}
		(void)poll(NULL, 0, POLL_MS);
	}
}
