/* SPDX-License-Identifier: MPL-2.0
 *
 * run.h: pot-run, the program that the driver puts into a jail to start the task's command (run/run.c). */
#ifndef POT_RUN_H
#define POT_RUN_H

struct nomad_error;

/* Where the jail has it, and the directory that is mounted for it. */
#define POT_RUN_MOUNT "/.nomad"
#define POT_RUN POT_RUN_MOUNT "/run"
/* The task's stdout: a descriptor that pot passes on without knowing it. */
#define POT_STDOUT_FD 5
/* The first line that it writes to pot's own stdout: the jail is there. */
#define POT_RUN_MARK "nomad: the jail is up"

/* Writes it into a new directory of `state_dir` and returns the directory's path, which the caller frees, in *ret_dir.
 * Returns 0 or a negative errno. */
int pot_run_write(const char *state_dir, char **ret_dir, struct nomad_error **err);

#endif
