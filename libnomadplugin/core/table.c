/* SPDX-License-Identifier: MPL-2.0
 *
 * A hash table with chains. */
#include "core/table.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "core/parts.h"
#include "core/plugin.h"
#include "core/task.h"

enum { BUCKETS = 256 };

struct nomad__table {
	pthread_mutex_t lock;
	bool closed;
	uint64_t starts; /* so many were inserted */
	struct nomad_task *tasks[BUCKETS];
};

const struct nomad__part nomad__table_part = NOMAD__PART(struct nomad__table, table);

/* With the lock held: the link to the task, or the end of its chain. */
static struct nomad_task **lookup(struct nomad__table *table, const char *id)
{
	struct nomad_task **p = &table->tasks[nomad_hash32(id, strlen(id)) % BUCKETS];

	while (*p && strcmp((*p)->info.id, id) != 0)
		p = &(*p)->next;
	return p;
}

struct nomad_task *nomad__task_find(struct nomad_plugin *plugin, const char *id)
{
	struct nomad_task *task;

	pthread_mutex_lock(&plugin->table->lock);
	task = *lookup(plugin->table, id);
	if (task)
		nomad__task_ref(task);
	pthread_mutex_unlock(&plugin->table->lock);
	return task;
}

int nomad__task_find_or(struct nomad_plugin *plugin, const char *id, struct nomad_task **ret, struct nomad_error **err)
{
	struct nomad_task *task = nomad__task_find(plugin, id);

	if (!task)
		return nomad_error_set(err, ENOENT, "task not found for given id '%s'", id);
	*ret = task;
	return 0;
}

static int insert(struct nomad_plugin *plugin, struct nomad_task *task, bool is_start, struct nomad_task **ret_other)
{
	struct nomad__table *table = plugin->table;
	struct nomad_task **p;
	int r = 0;

	pthread_mutex_lock(&table->lock);
	p = lookup(table, task->info.id);
	if (table->closed) {
		r = -ESHUTDOWN;
	} else if (*p) {
		*ret_other = nomad__task_ref(*p);
		r = -EEXIST;
	} else {
		task->next = NULL;
		if (is_start)
			task->start_order = ++table->starts;
		*p = nomad__task_ref(task);
	}
	pthread_mutex_unlock(&table->lock);
	return r;
}

int nomad__table_insert(struct nomad_plugin *plugin, struct nomad_task *task, struct nomad_task **ret_other)
{
	return insert(plugin, task, false, ret_other);
}

int nomad__table_insert_start(struct nomad_plugin *plugin, struct nomad_task *task, struct nomad_task **ret_other)
{
	return insert(plugin, task, true, ret_other);
}

void nomad__table_remove(struct nomad_plugin *plugin, struct nomad_task *task)
{
	struct nomad_task **p;
	bool found;

	pthread_mutex_lock(&plugin->table->lock);
	p = lookup(plugin->table, task->info.id);
	found = *p == task;
	if (found)
		*p = task->next;
	pthread_mutex_unlock(&plugin->table->lock);
	if (found)
		nomad__task_unref(task);
}

struct nomad_task *nomad__table_take(struct nomad_plugin *plugin)
{
	struct nomad_task *task = NULL;

	pthread_mutex_lock(&plugin->table->lock);
	for (size_t i = 0; !task && i < BUCKETS; i++)
		if ((task = plugin->table->tasks[i]))
			plugin->table->tasks[i] = task->next;
	pthread_mutex_unlock(&plugin->table->lock);
	return task;
}

void nomad__table_each(struct nomad_plugin *plugin, bool (*fn)(struct nomad_task *task, void *arg), void *arg)
{
	bool more = true;

	pthread_mutex_lock(&plugin->table->lock);
	for (size_t i = 0; more && i < BUCKETS; i++)
		for (struct nomad_task *task = plugin->table->tasks[i]; task && more; task = task->next)
			more = fn(task, arg);
	pthread_mutex_unlock(&plugin->table->lock);
}

void nomad__plugin_shutdown(struct nomad_plugin *plugin)
{
	pthread_mutex_lock(&plugin->table->lock);
	plugin->table->closed = true;
	pthread_mutex_unlock(&plugin->table->lock);
}

bool nomad__table_is_closed(struct nomad_plugin *plugin)
{
	bool closed;

	pthread_mutex_lock(&plugin->table->lock);
	closed = plugin->table->closed;
	pthread_mutex_unlock(&plugin->table->lock);
	return closed;
}
