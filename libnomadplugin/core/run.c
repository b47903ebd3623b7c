/* SPDX-License-Identifier: MPL-2.0
 *
 * A task's process under a supervisor of its own, for a driver's start(). */
#include <errno.h>
#include <string.h>

#include "base/abi.h"
#include "core/end.h"
#include "core/options.h"
#include "core/plugin.h"
#include "core/task_journal.h"
#include "core/task_progress.h"
#include "supervisor/crash.h"

/* What the driver says, or what the job says where the driver is silent; "" is the plugin's own. */
static const char *chosen(const char *of_driver, const char *of_job)
{
	const char *value = of_driver ? of_driver : of_job;

	return value && *value ? value : NULL;
}

/* The job's user, network and directory are the task's unless the driver knows better: a driver cannot forget them. */
static struct nomad_command complete(const struct nomad_task *task, const struct nomad_command *command)
{
	const struct nomad_task_info *info = &task->info;
	struct nomad_command whole;

	nomad__abi_copy(&whole, sizeof(whole), command, nomad__abi.command);
	whole.user = chosen(whole.user, info->user);
	whole.netns = chosen(whole.netns, info->network.mode == NOMAD_NET_GROUP ? info->network.path : NULL);
	whole.cwd = chosen(whole.cwd, task->dir);
	return whole;
}

static bool is_cancelled(const void *task)
{
	return nomad_task_is_cancelled(task);
}

int nomad_task_run(struct nomad_task *task, const struct nomad_command *command, struct nomad_error **err)
{
	const struct nomad_command whole = complete(task, command);
	struct nomad_plugin *plugin = task->plugin;
	const struct nomad__library_config *config = nomad__library_config(plugin);
	const struct nomad_task_info *info = &task->info;
	NOMAD_AUTO_FREE char *title = nomad_strdupf("nomad-driver-%s: %s", plugin->driver->name, task->slug);
	NOMAD_AUTO_FREE char *log_dir = nomad_strdupf("%s/logs", task->shared_dir);
	struct nomad__supervisor *supervisor = NULL;
	struct nomad__supervise spec = {
		.dir = task->state_dir,
		.title = title,
		.command = &whole,
		.env = whole.env ? whole.env : &info->env,
		.stdout_path = info->stdout_path,
		.stderr_path = info->stderr_path,
		.alloc_id = info->alloc_id,
		.task_name = info->name,
		.resources = &info->resources,
		.devices = info->devices,
		.n_devices = info->n_devices,
		.is_cancelled = is_cancelled,
	};
	int r;

	if (!title || !log_dir)
		return nomad_error_errno(err, ENOMEM, "start the task's process");
	if (task->progress->supervisor)
		return nomad_error_set(err, EALREADY, "start the task's process: the task already has one");
	if (!whole.argv || !whole.argv[0] || whole.argv[0][0] != '/')
		return nomad_error_set(err, EINVAL, "start the task's process: '%s': not an absolute path",
				       whole.argv && whole.argv[0] ? whole.argv[0] : "");
	/* A path of /dev/null says that the job wants no logs at all. */
	if ((nomad__plugin_capabilities(plugin) & NOMAD_OWN_LOGS) && info->stdout_path &&
	    strcmp(info->stdout_path, "/dev/null") != 0) {
		spec.log_dir = log_dir;
		spec.log_name = info->name;
		spec.log_max_files = (unsigned)config->log_max_files;
		spec.log_max_bytes = (uint64_t)config->log_max_file_size_mb << 20;
	}
	r = nomad__task_record_supervised(task, err);
	if (r < 0)
		return r;
	nomad__crash_at("core-run-recorded");
	r = nomad__supervisor_start(plugin->loop, &spec, &nomad__task_supervisor_events, task, &supervisor, err);
	if (r < 0)
		return r;
	nomad__crash_at("core-run-started");
	nomad__task_set_supervisor(task, supervisor);
	return 0;
}
