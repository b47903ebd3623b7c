/* SPDX-License-Identifier: MPL-2.0
 *
 * supervisor/limits.h: what the system has to keep a task within its
 * resources, and what to write there.  Only plans; the supervisor program
 * carries it out. */
#ifndef NOMAD_SUPERVISOR_LIMITS_H
#define NOMAD_SUPERVISOR_LIMITS_H

#include "os/hierarchy.h"
#include "supervisor/client.h"
#include "supervisor/spec.h"

/* Adds the keys cg=, set=, dev= and supercg= (see PROTOCOL.md) for the `count` hierarchies of a host; with
 * -EOPNOTSUPP for a system without cgroups. */
int nomad__limits_plan(const struct nomad__hierarchy *list, int count, const struct nomad__supervise *what,
		       struct nomad__keys *keys, struct nomad_error **err);

#endif
