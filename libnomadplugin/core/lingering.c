/* SPDX-License-Identifier: MPL-2.0
 *
 * Supervisors whose task has ended, and may already be destroyed, but that still
 * wait for readers of its logs.  The plugin listens to them until they exit, so
 * that it can report unread bytes.  The code that removes one from the list
 * frees it. */
#include "core/lingering.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "core/parts.h"
#include "core/plugin.h"
#include "core/task.h"

struct entry {
	struct nomad__supervisor *supervisor;
	struct nomad_task *task;
	struct entry *next;
};

struct nomad__lingering {
	pthread_mutex_t lock;
	struct entry *first;
};

const struct nomad__part nomad__lingering_part = NOMAD__PART(struct nomad__lingering, lingering);

/* Take one (NULL: any) off the list; who gets it frees it. */
static struct entry *take(struct nomad_plugin *plugin, const struct nomad__supervisor *supervisor)
{
	struct entry *found;

	pthread_mutex_lock(&plugin->lingering->lock);
	for (struct entry **p = &plugin->lingering->first; (found = *p); p = &found->next)
		if (!supervisor || found->supervisor == supervisor) {
			*p = found->next;
			break;
		}
	pthread_mutex_unlock(&plugin->lingering->lock);
	return found;
}

static void entry_free(struct entry *l)
{
	if (!l)
		return;
	nomad__supervisor_free(l->supervisor);
	nomad__task_unref(l->task);
	free(l);
}

void nomad__lingering_add(struct nomad_task *task, struct nomad__supervisor *take_supervisor)
{
	struct nomad_plugin *plugin = task->plugin;
	struct entry *l;
	bool over;

	if (!take_supervisor)
		return;
	l = nomad__supervisor_lingers(take_supervisor) ? malloc(sizeof(*l)) : NULL;
	if (!l) {
		nomad__supervisor_free(take_supervisor);
		return;
	}
	*l = (struct entry){ .supervisor = take_supervisor, .task = nomad__task_ref(task) };
	pthread_mutex_lock(&plugin->lingering->lock);
	/* It may have exited by now, without a listener.  Once it is in the list and the lock is open, another
	 * thread may free it. */
	over = !nomad__supervisor_lingers(take_supervisor);
	if (!over) {
		l->next = plugin->lingering->first;
		plugin->lingering->first = l;
	}
	pthread_mutex_unlock(&plugin->lingering->lock);
	if (over)
		entry_free(l);
}

void nomad__lingering_drop(struct nomad_plugin *plugin)
{
	struct entry *l;

	while ((l = take(plugin, NULL)))
		entry_free(l);
}

void nomad__lingering_closed(struct nomad_plugin *plugin, struct nomad__supervisor *supervisor)
{
	entry_free(take(plugin, supervisor));
}
