/* SPDX-License-Identifier: MPL-2.0
 *
 * os/linux/hierarchy.h: the cgroup hierarchies of this host, and the plan for
 * a given list of them (the tests give others). */
#ifndef NOMAD_OS_LINUX_HIERARCHY_H
#define NOMAD_OS_LINUX_HIERARCHY_H

#include "os/limits.h"

enum { NOMAD__MAX_HIERARCHIES = 20 };

struct nomad__hierarchy {
	char ctl[64]; /* as in /proc/PID/cgroup; "" for v2 */
	char mount[200];
	char controllers[160]; /* v2: "cpu,memory,pids"; "": none, as beside v1 */
};

/* Those that can be written to.  Looked for once; the list stays. */
int nomad__hierarchies(const struct nomad__hierarchy **ret);
/* Is each of the comma list `names` in the comma list `options`? */
bool nomad__list_has(const char *options, const char *names);
int nomad__limits_plan_for(const struct nomad__hierarchy *list, int count, const struct nomad__supervise *what,
			   struct nomad__spec *spec, struct nomad_error **err);

#endif
