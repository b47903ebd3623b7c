/* SPDX-License-Identifier: MPL-2.0
 *
 * core/table.h: the tasks that the plugin knows, by id. */
#ifndef NOMAD_CORE_TABLE_H
#define NOMAD_CORE_TABLE_H

#include "core/core.h"

/* A reference, or NULL. */
struct nomad_task *nomad__task_find(struct nomad_plugin *plugin, const char *id);
/* The same, or -ENOENT. */
int nomad__task_find_or(struct nomad_plugin *plugin, const char *id, struct nomad_task **ret, struct nomad_error **err);
/* Takes a reference.  -EEXIST and the other one in *ret_other if the id is taken; -ESHUTDOWN. */
int nomad__table_insert(struct nomad_plugin *plugin, struct nomad_task *task, struct nomad_task **ret_other);
/* The same for a task that is started: sets its start_order. */
int nomad__table_insert_start(struct nomad_plugin *plugin, struct nomad_task *task, struct nomad_task **ret_other);
void nomad__table_remove(struct nomad_plugin *plugin, struct nomad_task *task);
/* Removes any task and hands its reference over; NULL if the table is empty. */
struct nomad_task *nomad__table_take(struct nomad_plugin *plugin);
/* Calls `fn` for each task, with the table locked, until it returns false. */
void nomad__table_each(struct nomad_plugin *plugin, bool (*fn)(struct nomad_task *task, void *arg), void *arg);
/* nomad__plugin_shutdown() was called. */
bool nomad__table_is_closed(struct nomad_plugin *plugin);

#endif
