/* SPDX-License-Identifier: MPL-2.0
 *
 * hold.h: a process that keeps Nomad's log pipes open while the plugin is away. */
#ifndef TRITON_HOLD_H
#define TRITON_HOLD_H

#include "nomad/base.h"
#include "nomad/error.h"

#define TRITON_HOLD_WORD "log-hold"

/* Note the pipes of a task in `folder` (made if need be) and see that a holder
 * runs.  `name`: a file name of the task's own. */
int triton_hold_add(const char *folder, const char *name, const char *stdout_path, const char *stderr_path,
		    struct nomad_error **err);
/* The task is over: its pipes may close. */
void triton_hold_remove(const char *folder, const char *name);

/* The holder: "log-hold FOLDER". */
int triton_hold_main(int argc, char **argv);

#endif
