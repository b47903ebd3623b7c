/* SPDX-License-Identifier: MPL-2.0
 *
 * os/limits.h: what the system has to keep a task within its resources, and
 * what to write there.  Only plans; the supervisor program carries it out. */
#ifndef NOMAD_OS_LIMITS_H
#define NOMAD_OS_LIMITS_H

#include "nomad/error.h"
#include "supervisor/client.h"
#include "supervisor/spec.h"

/* Adds the keys cg=, set= and supercg= (see supervisor/PROTOCOL.md). */
int nomad__limits_plan(const struct nomad__supervise *what, struct nomad__spec *spec, struct nomad_error **err);

#endif
