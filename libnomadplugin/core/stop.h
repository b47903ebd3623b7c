/* SPDX-License-Identifier: MPL-2.0 */
#ifndef NOMAD_CORE_STOP_H
#define NOMAD_CORE_STOP_H

#include "core/core.h"

/* How long what was killed may take to be dead, before we say so. */
#define NOMAD__KILL_PATIENCE_NS INT64_C(20000000000)

/* Kills the task if it has not ended.  `busy` is held. */
int nomad__task_kill(struct nomad_task *task, struct nomad_error **err);

#endif
