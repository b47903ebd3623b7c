/* SPDX-License-Identifier: MPL-2.0
 *
 * The end of a task: known from its supervisor, from its driver, or since it
 * is destroyed.  Who waits for it is on the plugin's list on_end. */
#include "core/end.h"

#include <errno.h>

#include "base/abi.h"
#include "core/lingering.h"
#include "core/logs.h"
#include "core/parts.h"
#include "core/plugin.h"
#include "core/table.h"
#include "core/task.h"
#include "core/task_progress.h"

static void end(struct nomad_task *task, const struct nomad_exit *result, int64_t ended_ns, bool started)
{
	const struct nomad_plugin *plugin = task->plugin;
	bool held;

	if (!nomad__task_set_ended(task, result, ended_ns))
		return;
	/* A waiter may have the last reference, if the plugin is about to be freed.  Without any, the thread that
	 * frees the task waits in nomad__supervisor_free() until its supervisor's event, from which we come, is over.
	 */
	held = nomad__task_ref_if_alive(task);
	for (size_t i = 0; plugin->on_end[i]; i++)
		plugin->on_end[i](task);
	if (started)
		nomad__metric_end(plugin->metrics, result);
	if (held)
		nomad__task_unref(task);
}

void nomad__task_ended(struct nomad_task *task, const struct nomad_exit *result, int64_t ended_ns)
{
	end(task, result, ended_ns, true);
}

void nomad__task_gone(struct nomad_task *task)
{
	const struct nomad_exit never = { .exit_code = -1, .message = (char *)"the task was not started" };

	end(task, &never, nomad_wall_ns(), false);
	nomad__task_set_gone(task);
	nomad__table_remove(task->plugin, task);
}

static void supervisor_exited(void *ud, const struct nomad__supervisor_exit *end)
{
	struct nomad_task *task = ud;
	struct nomad_exit result = {
		.exit_code = end->exit_code,
		.signal = end->signal,
		.oom_killed = end->oom_killed,
	};
	bool stopping;

	if (end->lost) {
		result = (struct nomad_exit){ .exit_code = -1 };
		result.message = (char *)(end->message[0] ? end->message : "the supervisor of the task was killed");
		nomad__metric_add(task->plugin->metrics, NOMAD__SUPERVISORS_DEAD, 1);
	}
	pthread_mutex_lock(&task->progress->lock);
	stopping = task->progress->stopping;
	if (end->started_ns)
		task->progress->started_ns = end->started_ns;
	pthread_mutex_unlock(&task->progress->lock);
	if (end->oom_killed)
		nomad_task_event(task, "Killed: out of memory");
	else if (end->killed && stopping)
		nomad_task_event(task, "Killed: did not end within the kill timeout");
	nomad__task_ended(task, &result, end->ended_ns ? end->ended_ns : nomad_wall_ns());
}

static void supervisor_notice(void *ud, const char *message, int64_t lost_bytes)
{
	struct nomad_task *task = ud;

	if (lost_bytes > 0)
		nomad__metric_add(task->plugin->metrics, NOMAD__LOG_LOST_BYTES, (uint64_t)lost_bytes);
	if (lost_bytes)
		nomad__task_event_loss(task, message, lost_bytes);
	else
		nomad_task_event(task, "%s", message);
}

static void supervisor_oom(void *ud, uint64_t kills)
{
	struct nomad_task *task = ud;

	nomad__metric_add(task->plugin->metrics, NOMAD__OOM_KILLS, kills);
	nomad_task_event(task, "Out of memory: the kernel killed %llu process%s of the task", (unsigned long long)kills,
			 kills == 1 ? "" : "es");
}

static void supervisor_closed(void *ud, struct nomad__supervisor *supervisor)
{
	struct nomad_task *task = ud;

	nomad__waits_settled(task);
	nomad__lingering_closed(task->plugin, supervisor);
}

const struct nomad__supervisor_events nomad__task_supervisor_events = {
	.exited = supervisor_exited,
	.closed = supervisor_closed,
	.notice = supervisor_notice,
	.oom = supervisor_oom,
};

void nomad_task_exited(struct nomad_task *task, const struct nomad_exit *result)
{
	struct nomad_exit whole;

	nomad__abi_copy(&whole, sizeof(whole), result, nomad__abi.exit);
	nomad__logs_end(&task->info);
	nomad__task_ended(task, &whole, nomad_wall_ns());
}

int nomad_task_exited_by_id(struct nomad_plugin *plugin, const char *id, const struct nomad_exit *result)
{
	struct nomad_task *task = nomad__task_find(plugin, id);

	if (!task)
		return -ENOENT;
	nomad_task_exited(task, result);
	nomad__task_unref(task);
	return 0;
}
