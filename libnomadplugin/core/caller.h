/* SPDX-License-Identifier: MPL-2.0
 *
 * core/caller.h: the other side of nomad__caller_leave(), for start.c. */
#ifndef NOMAD_CORE_CALLER_H
#define NOMAD_CORE_CALLER_H

#include "core/core.h"

/* The caller waits for the start of `task` until _done().  NULL: a caller that never leaves. */
void nomad__caller_waits(struct nomad__caller *caller, struct nomad_task *task);
void nomad__caller_done(struct nomad__caller *caller);

#endif
