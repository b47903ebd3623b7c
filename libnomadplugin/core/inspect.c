/* SPDX-License-Identifier: MPL-2.0
 *
 * InspectTask: what is known of a task, and what its driver adds. */
#include "core/plugin.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

int nomad__task_inspect(struct nomad_plugin *plugin, const char *id, struct nomad__inspect *ret,
			struct nomad_error **err)
{
	struct nomad__inspect inspect = { 0 };
	struct nomad_task *task;
	char number[32];
	int r;

	r = nomad__task_find_or(plugin, id, &task, err);
	if (r < 0)
		return r;
	pthread_mutex_lock(&task->lock);
	inspect.id = strdup(task->info.id);
	inspect.name = strdup(task->info.name);
	inspect.state = task->phase == NOMAD__RUNNING  ? NOMAD__TASK_RUNNING
			: task->phase == NOMAD__EXITED ? NOMAD__TASK_EXITED
						       : NOMAD__TASK_UNKNOWN;
	inspect.started_ns = task->started_ns;
	inspect.completed_ns = task->ended_ns;
	r = inspect.id && inspect.name ? 0 : -ENOMEM;
	if (task->phase == NOMAD__EXITED) {
		inspect.result = task->result;
		inspect.result.message = task->result.message ? strdup(task->result.message) : NULL;
	}
	if (task->has_network) {
		inspect.network.has_network = true;
		inspect.network.auto_advertise = task->auto_advertise;
		inspect.network.addr = task->addr ? strdup(task->addr) : NULL;
		for (size_t i = 0; r >= 0 && i < task->port_map.count; i++)
			r = nomad_int_map_set(&inspect.network.port_map, task->port_map.pairs[i].key,
					      task->port_map.pairs[i].value);
	}
	if (task->supervisor && task->phase == NOMAD__RUNNING) {
		snprintf(number, sizeof(number), "%d", nomad__supervisor_pid(task->supervisor));
		r = r < 0 ? r : nomad_map_set(&inspect.attributes, "supervisor_pid", number);
		snprintf(number, sizeof(number), "%d", nomad__supervisor_leader(task->supervisor));
		r = r < 0 ? r : nomad_map_set(&inspect.attributes, "pid", number);
	}
	pthread_mutex_unlock(&task->lock);
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
