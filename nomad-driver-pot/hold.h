/* SPDX-License-Identifier: MPL-2.0
 *
 * hold.h: find the command again that a start was waiting for when the plugin died. */
#ifndef POT_HOLD_H
#define POT_HOLD_H

#include <sys/types.h>

struct nomad_error;

/* The hold of a start in the task's state directory: a descriptor for pot_hold_apply(). */
int pot_hold_new(const char *state_dir, struct nomad_error **err);
/* Makes `tool`, which this thread runs, keep the hold open and records its process group in it; 0: no hold. */
struct nomad_tool;
void pot_hold_apply(struct nomad_tool *tool, int fd);
/* Ends the command that this thread runs with a hold; to be called while it runs. */
void pot_hold_kill(void);
/* The start is through: take the file away and close it. */
void pot_hold_free(const char *state_dir, int fd);
/* End what another plugin's start has left running.  0 if there is nothing
 * (any more), -ETIMEDOUT if it does not die. */
int pot_hold_end(const char *state_dir, struct nomad_error **err);

#endif
