/* SPDX-License-Identifier: MPL-2.0
 *
 * core/logs.h: the log pipes of a task that writes nothing into them. */
#ifndef NOMAD_CORE_LOGS_H
#define NOMAD_CORE_LOGS_H

struct nomad_task_info;

/* Opens and closes them, so that Nomad's reader sees their end.  Does not block.  What is not a FIFO, or has no reader
 * or other writers, is not changed by that. */
void nomad__logs_end(const struct nomad_task_info *info);

#endif
