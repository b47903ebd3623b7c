/* SPDX-License-Identifier: MPL-2.0
 *
 * init/supervise.h: PID 1 of a container that is not booted. */
#ifndef NSPAWN_SUPERVISE_H
#define NSPAWN_SUPERVISE_H

#include "task.h"

/* Runs the command until it ends.  Returns the status for systemd-nspawn. */
int supervise(struct task *task, char **argv);
/* Tells systemd-nspawn that the payload runs, and waits until it has read that. */
void notify_ready(void);

#endif
