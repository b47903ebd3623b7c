/* SPDX-License-Identifier: MPL-2.0
 *
 * Supervisors whose task is over and may be destroyed already, but that still
 * wait for the readers of its logs.  They are listened to until they go, so
 * that bytes which nobody has read are told of.  Who takes one off the list
 * frees it. */
#include "core/plugin.h"

#include <stdlib.h>

struct nomad__lingering {
	struct nomad__supervisor *supervisor;
	struct nomad_task *task;
	struct nomad__lingering *next;
};

/* Take one (NULL: any) off the list; who gets it frees it. */
static struct nomad__lingering *lingering_take(struct nomad_plugin *plugin, const struct nomad__supervisor *supervisor)
{
	struct nomad__lingering *found;

	pthread_mutex_lock(&plugin->lock);
	for (struct nomad__lingering **p = &plugin->lingering; (found = *p); p = &found->next)
		if (!supervisor || found->supervisor == supervisor) {
			*p = found->next;
			break;
		}
	pthread_mutex_unlock(&plugin->lock);
	return found;
}

static void lingering_free(struct nomad__lingering *l)
{
	if (!l)
		return;
	nomad__supervisor_free(l->supervisor);
	nomad__task_unref(l->task);
	free(l);
}

void nomad__task_let_supervisor_go(struct nomad_task *task, struct nomad__supervisor *take_supervisor)
{
	struct nomad_plugin *plugin = task->plugin;
	struct nomad__lingering *l;
	bool over;

	if (!take_supervisor)
		return;
	l = nomad__supervisor_lingers(take_supervisor) ? malloc(sizeof(*l)) : NULL;
	if (!l) {
		nomad__supervisor_free(take_supervisor);
		return;
	}
	*l = (struct nomad__lingering){ .supervisor = take_supervisor, .task = nomad__task_ref(task) };
	pthread_mutex_lock(&plugin->lock);
	/* It may be over by now, with nobody to be told; once it is in the list and the lock is open, it may be freed.
	 */
	over = !nomad__supervisor_lingers(take_supervisor);
	if (!over) {
		l->next = plugin->lingering;
		plugin->lingering = l;
	}
	pthread_mutex_unlock(&plugin->lock);
	if (over)
		lingering_free(l);
}

void nomad__lingering_drop(struct nomad_plugin *plugin)
{
	struct nomad__lingering *l;

	while ((l = lingering_take(plugin, NULL)))
		lingering_free(l);
}

void nomad__lingering_closed(struct nomad_plugin *plugin, struct nomad__supervisor *supervisor)
{
	lingering_free(lingering_take(plugin, supervisor));
}
