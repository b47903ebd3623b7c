/* SPDX-License-Identifier: MPL-2.0
 *
 * DestroyTask, also of a task that this process has never seen. */
#include "core/destroy.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/end.h"
#include "core/plugin.h"
#include "core/stop.h"
#include "core/table.h"
#include "core/task_journal.h"
#include "core/task_progress.h"

enum { CLAIM_PATIENCE_MS = 500 };

/* A task that this process never saw, from its record (which may be absent: fd
 * -1), or from its id alone. */
static int unknown_task(struct nomad_plugin *plugin, const char *id, struct nomad__journal *take_record,
			struct nomad_task **ret, struct nomad_error **err)
{
	struct nomad_task_info info = { .id = strdup(id) };
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

	for (size_t i = 0; r >= 0 && i < NOMAD_ARRAY_LEN(facts); i++)
		if ((value = nomad_map_get(&take_record->map, facts[i].key)) && !(*facts[i].field = strdup(value)))
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
		nomad__task_journal_adopt(*ret, take_record);
		(*ret)->progress->phase = NOMAD__EXITED;
	}
	nomad__journal_close(take_record);
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
	r = nomad__task_remove(task, err);
	if (r >= 0 || unknown)
		nomad__task_gone(task);
	if (r < 0) {
		nomad__task_give_up(task);
		(void)nomad_error_wrap(err, "destroy task '%s'", task->info.id);
	}
	return r;
}

int nomad__task_destroy_recorded(struct nomad_plugin *plugin, const char *id, bool unless_known,
				 struct nomad__journal *take_record, struct nomad_error **err)
{
	struct nomad_task *task, *other = NULL;
	int r;

	r = unknown_task(plugin, id, take_record, &task, err);
	if (r < 0)
		return r;
	pthread_mutex_lock(&task->busy);
	r = nomad__table_insert(plugin, task, &other); /* two at a time: the second waits for `busy` */
	if (r == -EEXIST) {
		pthread_mutex_unlock(&task->busy);
		nomad__task_unref(task);
		task = other;
		if (unless_known) {
			nomad__task_unref(task);
			return 0;
		}
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
	NOMAD_AUTO_FREE char *path =
		slug ? nomad_strdupf("%s/tasks/%s/task", nomad_plugin_state_dir(plugin), slug) : NULL;
	struct nomad__journal record = NOMAD__JOURNAL_INIT;

	if (!path)
		return nomad_error_errno(err, ENOMEM, "destroy task '%s'", id);
	/* Nomad's word counts more than a claim, which only keeps gc away. */
	if (nomad__journal_open(&record, path, false, NULL) == 0)
		(void)nomad__journal_claim(&record, CLAIM_PATIENCE_MS);
	return nomad__task_destroy_recorded(plugin, id, false, &record, err);
}

int nomad__task_destroy_known(struct nomad_task *task, bool force, struct nomad_error **err)
{
	bool running;
	int r = 0;

	if (force)
		nomad__task_cancel_start(task, "Nomad destroys the task");
	pthread_mutex_lock(&task->busy); /* a start comes to its end first */
	running = nomad__task_phase(task) == NOMAD__RUNNING;
	if (running && !force) {
		r = nomad_error_set(err, EBUSY, "destroy task '%s': still running", task->info.id);
	} else if (running && nomad__task_kill(task, NULL) >= 0) {
		/* Report the end to the waiting callers, if it comes in time. */
		pthread_mutex_unlock(&task->busy);
		(void)nomad__task_await_end(task, NOMAD__KILL_PATIENCE_NS);
		pthread_mutex_lock(&task->busy);
	}
	if (r >= 0)
		r = destroy_busy(task, false, err);
	pthread_mutex_unlock(&task->busy);
	return r;
}

int nomad__task_destroy(struct nomad_plugin *plugin, const char *id, bool force, struct nomad_error **err)
{
	struct nomad_task *task;
	int r;

	r = nomad__plugin_init(plugin, err);
	if (r < 0)
		return r;
	task = nomad__task_find(plugin, id);
	if (!task)
		return destroy_unknown(plugin, id, err);
	r = nomad__task_destroy_known(task, force, err);
	nomad__task_unref(task);
	return r;
}
