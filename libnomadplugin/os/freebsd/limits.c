/* SPDX-License-Identifier: MPL-2.0
 *
 * os/limits.h: nothing to plan.  A jail's limits are set by its driver, with rctl. */
#include "os/limits.h"

#include <errno.h>

int nomad__limits_plan(const struct nomad__supervise *what, struct nomad__spec *spec, struct nomad_error **err)
{
	const struct nomad_command *command = what->command;

	(void)spec;
	if (command->no_limits)
		return 0;
	if (command->cpu_hard_limit || command->pids_max > 0 || command->device_policy != NOMAD_DEVICES_ANY)
		return nomad_error_set(err, EOPNOTSUPP,
				       "limits of CPU time, processes and devices are those of a jail here; the driver "
				       "has to set them");
	return 0;
}
