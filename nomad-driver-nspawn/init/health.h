/* SPDX-License-Identifier: MPL-2.0
 *
 * init/health.h: the health check of a container image. */
#ifndef NSPAWN_HEALTH_H
#define NSPAWN_HEALTH_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "task.h"

/* Begins what PID 1 tells systemd-nspawn; which puts a few words before it. */
#define HEALTH_STATUS "STATUS=nomad health: "

/* Runs it from now on, as the task; does nothing without a command.  Both are borrowed for good. */
void health_start(const struct health *check, struct task *task);
/* A child has ended.  If it was the helper: true, the next one runs, and `ret` is what to tell. */
bool health_ended(pid_t pid, int status, char *ret, size_t size);

#endif
