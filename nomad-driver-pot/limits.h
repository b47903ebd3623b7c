/* SPDX-License-Identifier: MPL-2.0
 *
 * limits.h: the limits of a task's jail. */
#ifndef POT_LIMITS_H
#define POT_LIMITS_H

#include "config.h"
#include "nomad/task.h"

struct nomad_error;

/* Sets all limits of the task's pot, which has not started. */
int pot_make_limits(const struct pot_config *site, struct nomad_task *task, const char *name, struct nomad_error **err);

#endif
