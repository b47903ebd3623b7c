/* SPDX-License-Identifier: MPL-2.0
 *
 * What a start that is repeated and a recovery have in common: a task that an
 * earlier process started, by its records. */
#include "core/adopt.h"

#include <errno.h>
#include <string.h>

#include "core/end.h"
#include "core/plugin.h"
#include "core/task_journal.h"
#include "core/task_network.h"
#include "core/task_progress.h"
#include "schema/schema.h"
#include "supervisor/unread.h"

int nomad__task_check_name(const struct nomad_task *task, struct nomad_error **err)
{
	const char *name = task->info.name;

	if (strchr(name, '/') || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return nomad_error_set(err, EINVAL, "task '%s': invalid task name '%s': cannot be a directory name",
				       task->info.id, name);
	return 0;
}

int nomad__task_decode_config(struct nomad_task *task, const void *config, size_t size, unsigned flags,
			      struct nomad_error **err)
{
	const struct nomad_schema *schema = task->plugin->driver->task_schema;
	int r = nomad__config_decode(schema, "task config", config, size, flags, &task->config, err);

	if (r < 0)
		return r;
	if (size)
		return nomad__config_redact(schema, config, size, &task->stored_config, &task->stored_config_size, err);
	return 0;
}

/* A lost task cannot be recovered, nor can its unread output.  Report the loss now: Nomad does not ask again. */
static void end_lost(struct nomad_task *task)
{
	char *const paths[2] = { task->info.stdout_path, task->info.stderr_path };
	NOMAD_AUTO_ERROR struct nomad_error *err = NULL;
	struct nomad__unread unread;

	nomad__unread_hold(&unread, paths);
	if (nomad__supervisor_clean(task->state_dir, &err) < 0)
		nomad_log_kv(NOMAD_LOG_WARN, "cannot end a task that is lost", "task_id", task->info.id, "error",
			     nomad_error_message(err), NULL);
	nomad__unread_tell(&unread, paths, nomad__task_supervisor_events.notice, task);
}

int nomad__task_adopt(struct nomad_task *task, struct nomad_error **err)
{
	struct nomad_plugin *plugin = task->plugin;
	struct nomad__supervisor *supervisor = NULL;
	bool supervised = nomad__task_fact(task, "supervised");
	const char *boot = nomad__task_fact(task, "boot");
	int r;

	if (!nomad__task_is_remote(task) && (!boot || strcmp(boot, plugin->boot_id) != 0))
		return nomad_error_set(err, ENOENT, "the task is lost: this host was restarted");
	if (nomad__task_fact(task, "destroying"))
		return nomad_error_set(err, ENOENT, "the task is lost: it was partly destroyed");
	r = nomad__task_network_restore(task);
	if (r < 0)
		return nomad_error_errno(err, -r, "restore the task's network");
	if (supervised) {
		/* attach() may report the end of the task: the phase must be set before. */
		r = nomad__supervisor_attach(plugin->loop, task->state_dir, &nomad__task_supervisor_events, task,
					     &supervisor, err);
		if (r == -ENOENT) {
			if (nomad__task_fact(task, "started"))
				end_lost(task);
			if (err)
				nomad_error_free(NOMAD_TAKE_PTR(*err));
			nomad__metric_add(plugin->metrics, NOMAD__SUPERVISORS_DEAD, 1);
			return nomad_error_set(err, ENOENT,
					       "the task is lost: its supervisor died without an exit record");
		}
		if (r < 0)
			return r;
		nomad__task_set_supervisor(task, supervisor);
	} else if (!plugin->driver->recover) {
		return nomad_error_set(err, ENOENT, "the task is lost: it was never started");
	}
	if (!plugin->driver->recover)
		return 0;
	r = plugin->driver->recover(task, err);
	if (r < 0)
		nomad__supervisor_free(nomad__task_take_supervisor(task));
	return r;
}
