/* SPDX-License-Identifier: MPL-2.0
 *
 * core/end.h: the one moment in a task's life that others wait for. */
#ifndef NOMAD_CORE_END_H
#define NOMAD_CORE_END_H

#include "supervisor/client.h"

/* The task has ended: the first call counts.  Any thread, no lock held except `busy`. */
void nomad__task_ended(struct nomad_task *task, const struct nomad_exit *result, int64_t ended_ns);
/* The task is no more: out of the table.  If it has not ended, it never started. */
void nomad__task_gone(struct nomad_task *task);
/* What a task's supervisor reports; `ud` is the task. */
extern const struct nomad__supervisor_events nomad__task_supervisor_events;

#endif
