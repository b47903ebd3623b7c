/* SPDX-License-Identifier: MPL-2.0
 *
 * StartTask.
 *
 * Nomad repeats a StartTask with the same id when the plugin died under it;
 * and never mentions a failed one again.  So an intent record comes first.  A
 * start that finds the records of an earlier one takes over the running task, or
 * removes the incomplete one and starts again.  A start that fails leaves nothing
 * behind.  See 5.7, 5.11 and 7.2 of the protocol.
 *
 * A start fails if its caller has disconnected, if Nomad stops or destroys the
 * task, or if a newer run replaces it: no agent would get the result. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "core/adopt.h"
#include "core/agent.h"
#include "core/caller.h"
#include "core/end.h"
#include "core/handle.h"
#include "core/plugin.h"
#include "core/destroy.h"
#include "core/policy.h"
#include "core/rivals.h"
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
			nomad_error_errno(err, -r, "create the task's handle");
	}
	if (r < 0)
		nomad__started_done(&started);
	else
		*ret = started;
	return r;
}

static void undo(struct nomad_task *task)
{
	NOMAD_AUTO_ERROR struct nomad_error *why = NULL;

	if (nomad__task_remove(task, &why) < 0)
		nomad_log_kv(NOMAD_LOG_WARN, "a failed start left resources behind", "task_id", task->info.id, "error",
			     nomad_error_message(why), NULL);
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
			nomad_task_event(task, "Adopted: the task was already running");
			*ret_kind = NOMAD__STARTS_ADOPTED;
			return 0;
		}
		nomad_log_kv(NOMAD_LOG_WARN, "removing leftovers of an earlier start of this task", "task_id",
			     task->info.id, "why", why ? nomad_error_message(why) : "it was interrupted", NULL);
		nomad_error_free(NOMAD_TAKE_PTR(why));
		r = nomad__task_remove(task, err);
		if (r < 0) {
			(void)nomad_error_wrap(err, "remove leftovers of an earlier start");
			return r;
		}
		nomad__task_set_starting(task);
	}
	/* Not before: what runs already is not refused by a policy that is newer. */
	r = nomad__policy_check(task, err);
	if (r < 0)
		return r;
	nomad__crash_at("core-start-intent");
	r = nomad__task_journal_open(task, true, err);
	if (r >= 0)
		r = nomad__task_record_identity(task, err);
	if (r < 0)
		goto failed;
	nomad__crash_at("core-start-recorded");
	r = task->plugin->driver->start(task, err);
	if (r < 0)
		goto failed;
	nomad__crash_at("core-start-driver");
	r = nomad__task_record_started(task, err);
	nomad__crash_at("core-start-done");
	if (r >= 0)
		return 0;
failed:
	undo(task);
	return r;
}

/* The error of a cancelled start is the reason for it, not the error of start(). */
static int cancelled(struct nomad_task *task, struct nomad_error **err)
{
	const char *why = nomad__task_cancelled(task);

	if (err)
		nomad_error_free(NOMAD_TAKE_PTR(*err));
	return nomad_error_set(err, ECANCELED, "start task '%s': cancelled: %s", task->info.id, why ? why : "");
}

/* `busy` is held; the task is in the table, and goes from it on failure. */
static int start_busy(struct nomad_task *task, const void *config, size_t config_size, struct nomad__started *ret,
		      struct nomad_error **err)
{
	enum nomad__metric kind = NOMAD__STARTS_STARTED;
	int r = nomad__task_decode_config(task, config, config_size, 0, err);
	bool begun = false;

	if (r >= 0 && !nomad__task_cancelled(task))
		r = nomad__rivals_end(task, err);
	if (r >= 0 && !nomad__task_cancelled(task)) {
		begun = true;
		r = start_or_adopt(task, &kind, err);
	}
	if (r >= 0)
		nomad__task_settled(task);
	if (r >= 0 && !nomad__task_set_started(task)) {
		r = -ECANCELED;
		if (begun) {
			nomad_log_kv(NOMAD_LOG_WARN, "undoing a cancelled start", "task_id", task->info.id, "why",
				     nomad__task_cancelled(task), NULL);
			undo(task);
		}
	}
	if (r >= 0) {
		r = make_handle(task, ret, err);
		if (r < 0)
			undo(task);
	} else if (nomad__task_cancelled(task)) {
		r = cancelled(task, err);
	}
	if (r < 0)
		nomad__task_gone(task);
	nomad__metric_add(task->plugin->metrics, r < 0 ? NOMAD__STARTS_FAILED : kind, 1);
	return r;
}

/* The same call again on the same process: its answer was lost, or its caller has left.  1: that start has failed. */
static int join(struct nomad_task *other, struct nomad__caller *caller, struct nomad__started *ret,
		struct nomad_error **err)
{
	int r = 1;

	nomad__caller_waits(caller, other);
	pthread_mutex_lock(&other->busy);
	if (nomad__task_phase(other) != NOMAD__GONE)
		r = make_handle(other, ret, err);
	pthread_mutex_unlock(&other->busy);
	nomad__caller_done(caller);
	return r;
}

int nomad__task_start(struct nomad_plugin *plugin, struct nomad__caller *caller, struct nomad_task_info *take_info,
		      const void *config, size_t config_size, struct nomad__started *ret, struct nomad_error **err)
{
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
	nomad__agent_is_of(plugin, task->info.node_id);
	r = nomad__task_check_name(task, err);
	while (r >= 0) {
		pthread_mutex_lock(&task->busy);
		r = nomad__table_insert_start(plugin, task, &other);
		if (r >= 0) {
			nomad__caller_waits(caller, task);
			r = start_busy(task, config, config_size, ret, err);
			nomad__caller_done(caller);
		}
		pthread_mutex_unlock(&task->busy);
		if (r < 0 && !other && err && !*err)
			nomad_error_errno(err, -r, "start task '%s'", task->info.id);
		if (r != -EEXIST || !other)
			break;
		r = join(other, caller, ret, err);
		nomad__task_unref(other);
		other = NULL;
		if (r <= 0)
			break;
	}
	nomad__task_unref(task);
	return r;
}
