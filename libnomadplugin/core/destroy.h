/* SPDX-License-Identifier: MPL-2.0 */
#ifndef NOMAD_CORE_DESTROY_H
#define NOMAD_CORE_DESTROY_H

#include "core/core.h"
#include "core/journal.h"

/* Destroys a task from a journal that the caller has opened and claimed (emptied).  `unless_known`: not if a call has
 * made it known to the plugin meanwhile. */
int nomad__task_destroy_recorded(struct nomad_plugin *plugin, const char *id, bool unless_known,
				 struct nomad__journal *take_record, struct nomad_error **err);

/* Destroys a task of the table.  A start that is not over is cancelled; its end is waited for. */
int nomad__task_destroy_known(struct nomad_task *task, bool force, struct nomad_error **err);

/* remove.c: kills what runs, lets the driver release what it made, removes
 * cgroups, records and the state directory.  `busy` is held.  Idempotent.  On
 * failure the records stay, so that a later call can go on. */
int nomad__task_remove(struct nomad_task *task, struct nomad_error **err);

#endif
