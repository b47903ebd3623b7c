/* SPDX-License-Identifier: MPL-2.0
 *
 * StartTask.
 *
 * Nomad repeats a StartTask with the same id when the plugin died under it;
 * and never speaks of a failed one again.  So: an intent record comes first;
 * a start that finds the records of an earlier one takes over what runs, or
 * removes what was half made and begins anew; a start that fails leaves
 * nothing.  See 5.7, 5.11 and 7.2 of the protocol. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "core/adopt.h"
#include "core/end.h"
#include "core/handle.h"
#include "core/plugin.h"
#include "core/destroy.h"
#include "core/table.h"
#include "core/task_journal.h"
#include "core/task_network.h"
#include "core/task_progress.h"
#include "supervisor/crash.h"

static int make_handle(struct nomad_task *task, struct nomad__started *ret, struct nomad_error **err)
{
	struct nomad__handle handle = {
		.version = NOMAD__HANDLE_VERSION,
		.driver = (char *)task->plugin->driver->name,
		.boot_id = task->plugin->boot_id,
		.state_dir = task->state_dir,
		.config = task->stored_config,
		.config_size = task->stored_config_size,
	};
	struct nomad__started started = { 0 };
	int r = nomad__handle_encode(&handle, &started.driver_state, &started.driver_state_size, err);

	if (r >= 0) {
		r = nomad__task_network_copy(task, &started);
		if (r < 0)
			nomad_error_errno(err, -r, "make the task's handle");
	}
	if (r < 0)
		nomad__started_done(&started);
	else
		*ret = started;
	return r;
}

/* `busy` is held.  Runs the driver's start(), or takes over what an earlier call with this id made. */
static int start_or_adopt(struct nomad_task *task, enum nomad__metric *ret_kind, struct nomad_error **err)
{
	NOMAD_AUTO_ERROR struct nomad_error *why = NULL;
	struct stat st;
	int r;

	if (lstat(task->state_dir, &st) == 0) {
		r = nomad__task_journal_open(task, true, err);
		if (r < 0)
			return r;
		if (nomad__task_fact(task, "started") && nomad__task_adopt(task, &why) == 0) {
			nomad_task_event(task, "Adopted: the task ran already");
			*ret_kind = NOMAD__STARTS_ADOPTED;
			return 0;
		}
		nomad_log_kv(NOMAD_LOG_WARN, "clearing away what an earlier start of this task left", "task_id",
			     task->info.id, "why", why ? nomad_error_message(why) : "it was not completed", NULL);
		nomad_error_free(NOMAD_TAKE_PTR(why));
		r = nomad__task_remove(task, err);
		if (r < 0) {
			(void)nomad_error_wrap(err, "clear away what an earlier start left");
			return r;
		}
		nomad__task_set_starting(task);
	}
	nomad__crash_at("core-start-intent");
	r = nomad__task_journal_open(task, true, err);
	if (r >= 0)
		r = nomad__task_record_identity(task, err);
	if (r < 0)
		goto undo;
	nomad__crash_at("core-start-recorded");
	r = task->plugin->driver->start(task, err);
	if (r < 0)
		goto undo;
	nomad__crash_at("core-start-driver");
	r = nomad__task_record_started(task, err);
	nomad__crash_at("core-start-done");
	if (r >= 0)
		return 0;
undo:
	if (nomad__task_remove(task, &why) < 0)
		nomad_log_kv(NOMAD_LOG_WARN, "a failed start left something behind", "task_id", task->info.id, "error",
			     nomad_error_message(why), NULL);
	return r;
}

int nomad__task_start(struct nomad_plugin *plugin, struct nomad_task_info *take_info, const void *config,
		      size_t config_size, struct nomad__started *ret, struct nomad_error **err)
{
	enum nomad__metric kind = NOMAD__STARTS_STARTED;
	struct nomad_task *task = NULL, *other = NULL;
	int r;

	r = nomad__plugin_init(plugin, err);
	if (r < 0) {
		nomad__task_info_done(take_info);
		return r;
	}
	r = nomad__task_new(plugin, take_info, &task, err);
	if (r < 0)
		return r;
	r = nomad__task_check_name(task, err);
	if (r < 0) {
		nomad__task_unref(task);
		return r;
	}
	pthread_mutex_lock(&task->busy);
	r = nomad__table_insert(plugin, task, &other);
	if (r == -EEXIST) {
		/* The same call again on the same process: its answer was lost. */
		pthread_mutex_unlock(&task->busy);
		nomad__task_unref(task);
		pthread_mutex_lock(&other->busy);
		if (nomad__task_phase(other) == NOMAD__RUNNING || nomad__task_phase(other) == NOMAD__EXITED)
			r = make_handle(other, ret, err);
		else
			r = nomad_error_set(err, EEXIST, "start task '%s': the task exists already", other->info.id);
		pthread_mutex_unlock(&other->busy);
		nomad__task_unref(other);
		return r;
	}
	if (r < 0) {
		nomad_error_errno(err, -r, "start task '%s'", task->info.id);
		goto out;
	}
	r = nomad__task_decode_config(task, config, config_size, 0, err);
	if (r >= 0)
		r = start_or_adopt(task, &kind, err);
	if (r >= 0) {
		nomad__task_set_running(task);
		r = make_handle(task, ret, err);
		if (r < 0)
			(void)nomad__task_remove(task, NULL);
	}
	if (r < 0)
		nomad__task_gone(task);
	nomad__metric_add(plugin->metrics, r < 0 ? NOMAD__STARTS_FAILED : kind, 1);
out:
	pthread_mutex_unlock(&task->busy);
	nomad__task_unref(task);
	return r;
}
