/* SPDX-License-Identifier: MPL-2.0
 *
 * core/policy.h: what the operator lets jobs do. */
#ifndef NOMAD_CORE_POLICY_H
#define NOMAD_CORE_POLICY_H

#include <stdio.h>

#include "core/core.h"

/* Checks all options of a task that starts, but those that its driver checks.  The error has all refusals. */
int nomad__policy_check(const struct nomad_task *task, struct nomad_error **err);
/* The same away from the node: also what its driver would check, except for values that only the node knows. */
int nomad__policy_check_config(struct nomad_plugin *plugin, const char *namespace_name, void *config,
			       struct nomad_error **err);
/* "default" or "open", for namespaces without a block of their own; NULL if the driver has no policy. */
const char *nomad__policy_mode(const struct nomad_plugin *plugin);
/* The rules in force for a namespace, as a policy block with a comment on each line; false if the driver has none. */
bool nomad__policy_print(const struct nomad_plugin *plugin, const char *namespace_name, FILE *out);

#endif
