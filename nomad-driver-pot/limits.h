/* SPDX-License-Identifier: MPL-2.0
 *
 * limits.h: the limits of a task's jail. */
#ifndef POT_LIMITS_H
#define POT_LIMITS_H

#include "config.h"
#include "nomad/task.h"

struct nomad_error;

/* Checks of option limits: NULL, or what a value has to be; 0, or -EINVAL for a resource that cannot be limited. */
const char *pot_check_limit(const char *value);
int pot_check_limits(const struct nomad_map *limits, struct nomad_error **err);
/* Sets all limits of the task's pot, which has not started. */
int pot_make_limits(const struct pot_config *site, struct nomad_task *task, const char *name, struct nomad_error **err);

#endif
