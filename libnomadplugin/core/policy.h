/* SPDX-License-Identifier: MPL-2.0
 *
 * core/policy.h: what the operator lets jobs do. */
#ifndef NOMAD_CORE_POLICY_H
#define NOMAD_CORE_POLICY_H

#include <stdio.h>

#include "core/core.h"

/* Checks all options of a task that starts, but those that its driver checks.  The error has all refusals. */
int nomad__policy_check(const struct nomad_task *task, struct nomad_error **err);
/* The rules in force for a namespace, as a policy block with a comment on each line; false if the driver has none. */
bool nomad__policy_print(const struct nomad_plugin *plugin, const char *namespace_name, FILE *out);

#endif
