/* SPDX-License-Identifier: MPL-2.0
 *
 * os/hierarchy.h: the cgroup hierarchies of this host. */
#ifndef NOMAD_OS_HIERARCHY_H
#define NOMAD_OS_HIERARCHY_H

#include <stdbool.h>

enum { NOMAD__MAX_HIERARCHIES = 20 };

struct nomad__hierarchy {
	char ctl[64]; /* as in /proc/PID/cgroup; "" for v2 */
	char mount[200];
	char controllers[160]; /* v2: "cpu,memory,pids"; "": none, as in the hybrid setup with v1 */
};

/* Those that can be written to.  Looked for once; the list stays.  -EOPNOTSUPP: this system has no cgroups. */
int nomad__hierarchies(const struct nomad__hierarchy **ret);
/* Is each of the comma list `names` in the comma list `options`? */
bool nomad__list_has(const char *options, const char *names);

#endif
