/* SPDX-License-Identifier: MPL-2.0
 *
 * core/tidy.h: making a task not to have been. */
#ifndef NOMAD_TIDY_H
#define NOMAD_TIDY_H

#include "core/plugin.h"

/* Kill what runs, let the driver release what it made, remove cgroups,
 * records and the state directory.  `busy` is held.  Idempotent.  On failure
 * the records stay, so that a later call can go on. */
int nomad__task_tidy(struct nomad_task *task, struct nomad_error **err);
bool nomad__task_is_of_this_boot(const struct nomad_task *task);

#endif
