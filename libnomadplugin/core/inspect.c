/* SPDX-License-Identifier: MPL-2.0
 *
 * InspectTask: the library's facts about a task, and those of its driver. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/plugin.h"
#include "core/table.h"
#include "core/task_network.h"
#include "core/task_progress.h"

static int set_number(struct nomad_map *map, const char *key, int number)
{
	char text[16];

	snprintf(text, sizeof(text), "%d", number);
	return nomad_map_set(map, key, text);
}

static int look(struct nomad_task *task, struct nomad__inspect *ret)
{
	struct nomad__task_progress *progress = task->progress;
	int r = nomad__task_network_copy(task, &ret->network);

	ret->id = strdup(task->info.id);
	ret->name = strdup(task->info.name);
	if (!ret->id || !ret->name)
		r = -ENOMEM;
	pthread_mutex_lock(&progress->lock);
	ret->state = progress->phase == NOMAD__RUNNING	? NOMAD__TASK_RUNNING
		     : progress->phase == NOMAD__EXITED ? NOMAD__TASK_EXITED
							: NOMAD__TASK_UNKNOWN;
	ret->started_ns = progress->started_ns;
	ret->completed_ns = progress->ended_ns;
	if (progress->phase == NOMAD__EXITED) {
		ret->result = progress->result;
		ret->result.message = progress->result.message ? strdup(progress->result.message) : NULL;
		if (progress->result.message && !ret->result.message)
			r = -ENOMEM;
	}
	if (progress->supervisor && progress->phase == NOMAD__RUNNING) {
		if (r >= 0)
			r = set_number(&ret->attributes, "supervisor_pid", nomad__supervisor_pid(progress->supervisor));
		if (r >= 0)
			r = set_number(&ret->attributes, "pid", nomad__supervisor_leader(progress->supervisor));
	}
	pthread_mutex_unlock(&progress->lock);
	return r;
}

int nomad__task_inspect(struct nomad_plugin *plugin, const char *id, struct nomad__inspect *ret,
			struct nomad_error **err)
{
	struct nomad__inspect inspect = { 0 };
	struct nomad_task *task;
	int r;

	r = nomad__task_find_or(plugin, id, &task, err);
	if (r < 0)
		return r;
	r = look(task, &inspect);
	if (r < 0) {
		nomad_error_errno(err, -r, "inspect task '%s'", id);
	} else if (plugin->driver->inspect) {
		pthread_mutex_lock(&task->busy);
		r = plugin->driver->inspect(task, &inspect.attributes, err);
		pthread_mutex_unlock(&task->busy);
	}
	nomad__task_unref(task);
	if (r < 0)
		nomad__inspect_done(&inspect);
	else
		*ret = inspect;
	return r;
}
