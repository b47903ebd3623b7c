/* SPDX-License-Identifier: MPL-2.0
 *
 * core/exec.h: what task.c and life.c have to know of execs. */
#ifndef NOMAD_EXEC_H
#define NOMAD_EXEC_H

#include "core/plugin.h"

/* The task goes: end its execs; returns when none uses its supervisor any
 * more.  Not from the loop thread. */
void nomad__exec_end_all(struct nomad_task *task);

#endif
