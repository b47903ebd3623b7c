/* SPDX-License-Identifier: MPL-2.0
 *
 * os/limits.h: nothing to plan.  A jail's limits are set by its driver, with rctl. */
#include "os/limits.h"

int nomad__limits_plan(const struct nomad__supervise *what, struct nomad__spec *spec, struct nomad_error **err)
{
	(void) what;
	(void) spec;
	(void) err;
	return 0;
}
