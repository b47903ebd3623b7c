/* SPDX-License-Identifier: MPL-2.0
 *
 * RecoverTask: an agent gives back what it kept of a task that an earlier
 * process of this plugin started. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/adopt.h"
#include "core/agent.h"
#include "core/end.h"
#include "core/handle.h"
#include "core/plugin.h"
#include "core/table.h"
#include "core/task_journal.h"
#include "core/task_progress.h"
#include "schema/schema.h"
#include "supervisor/crash.h"

/* The option state_dir may have changed since the task was started.  The
 * handle is not trusted: only a directory of this very task is used. */
static int choose_state_dir(struct nomad_task *task, const char *recorded)
{
	NOMAD_AUTO_FREE char *tail = nomad_strdupf("/tasks/%s", task->slug);
	size_t size = strlen(recorded), tail_size = tail ? strlen(tail) : 0;
	struct stat st;
	char *copy;

	if (lstat(task->state_dir, &st) == 0 || errno != ENOENT)
		return 0;
	if (!tail)
		return -ENOMEM;
	if (*recorded != '/' || strstr(recorded, "/../") || size <= tail_size ||
	    strcmp(recorded + size - tail_size, tail) != 0)
		return 0;
	copy = strdup(recorded);
	if (!copy)
		return -ENOMEM;
	free(task->state_dir);
	task->state_dir = copy;
	return 0;
}

static int open_recorded(struct nomad_task *task, const char *boot_id, struct nomad_error **err)
{
	const char *id, *driver;
	struct stat st;
	int r;

	if (lstat(task->state_dir, &st) < 0 && errno == ENOENT)
		return nomad_error_set(err, ENOENT, "the task is lost: its state directory '%s' is missing",
				       task->state_dir);
	r = nomad__task_journal_open(task, false, err);
	if (r < 0)
		return r;
	id = nomad__task_fact(task, "id");
	driver = nomad__task_fact(task, "driver");
	if (!id || strcmp(id, task->info.id) != 0 || (driver && strcmp(driver, task->plugin->driver->name) != 0))
		return nomad_error_set(err, EINVAL, "recover task '%s': record '%s/task' belongs to another task",
				       task->info.id, task->state_dir);
	if (strcmp(boot_id, task->plugin->boot_id) != 0 && !nomad__task_is_remote(task))
		return nomad_error_set(err, ENOENT, "the task is lost: this host was restarted");
	return 0;
}

/* Another call is recovering it, or already has. */
static int recovered_already(struct nomad_task *other, int64_t asked_ns, struct nomad_error **err)
{
	int r = 0;

	nomad__task_join_start(other, asked_ns); /* for good: the agent has it now */
	if (nomad__task_phase(other) == NOMAD__RUNNING)
		return 0;
	pthread_mutex_lock(&other->busy);
	if (nomad__task_phase(other) == NOMAD__GONE)
		r = nomad_error_set(err, ENOENT, "recover task '%s': another call failed to recover it",
				    other->info.id);
	pthread_mutex_unlock(&other->busy);
	return r;
}

/* `busy` is held. */
static int recover_busy(struct nomad_task *task, const struct nomad__handle *handle, int64_t asked_ns,
			struct nomad_error **err)
{
	struct nomad_plugin *plugin = task->plugin;
	struct nomad_task *other = NULL;
	int r;

	if (strcmp(handle->driver, plugin->driver->name) != 0)
		return nomad_error_set(err, EINVAL, "recover task '%s': its handle belongs to driver '%s'",
				       task->info.id, handle->driver);
	r = nomad__task_decode_config(task, handle->config, handle->config_size, NOMAD__DECODE_STORED, err);
	if (r < 0)
		return r;
	r = choose_state_dir(task, handle->state_dir);
	/* Into the table first: of two at a time the second waits for the first. */
	if (r >= 0)
		r = nomad__table_insert(plugin, task, &other);
	if (r == -EEXIST) {
		r = recovered_already(other, asked_ns, err);
		nomad__task_unref(other);
		return r;
	}
	if (r < 0)
		return nomad_error_errno(err, -r, "recover task '%s'", task->info.id);
	__atomic_store_n(&task->progress->recovered_ns, nomad_monotonic_ns(), __ATOMIC_SEQ_CST);
	r = open_recorded(task, handle->boot_id, err);
	if (r >= 0)
		r = nomad__task_adopt(task, err);
	nomad__crash_at("core-recover-attached");
	nomad__metric_add(plugin->metrics,
			  r >= 0	 ? NOMAD__RECOVERS_RECOVERED
			  : r == -ENOENT ? NOMAD__RECOVERS_LOST
					 : NOMAD__RECOVERS_FAILED,
			  1);
	if (r >= 0) {
		nomad__task_settled(task);
		nomad__task_set_running(task, asked_ns);
		nomad_task_event(task, "Recovered after a restart of the driver");
	} else {
		nomad__task_gone(task);
	}
	return r;
}

int nomad__task_recover(struct nomad_plugin *plugin, struct nomad_task_info *take_info, const void *driver_state,
			size_t driver_state_size, int64_t asked_ns, struct nomad_error **err)
{
	struct nomad_task *task = NULL, *other = NULL;
	struct nomad__handle handle = { 0 };
	int r;

	r = nomad__plugin_init(plugin, err);
	if (r >= 0)
		other = nomad__task_find(plugin, take_info->id ? take_info->id : "");
	if (other) /* known: the agent reattached to this process */
		r = recovered_already(other, asked_ns, err);
	else if (r >= 0)
		r = nomad__handle_decode(driver_state, driver_state_size, &handle, err);
	if (r < 0 || other)
		nomad__task_info_done(take_info);
	else
		r = nomad__task_new(plugin, take_info, &task, err);
	if (task) {
		nomad__agent_is_of(plugin, task->info.node_id);
		pthread_mutex_lock(&task->busy);
		r = nomad__task_check_name(task, err);
		if (r >= 0)
			r = recover_busy(task, &handle, asked_ns, err);
		pthread_mutex_unlock(&task->busy);
	}
	nomad__task_unref(other);
	nomad__task_unref(task);
	nomad__handle_done(&handle);
	return r;
}
