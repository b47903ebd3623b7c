/* SPDX-License-Identifier: MPL-2.0
 *
 * pot.h: what can be done with a pot, each within bounded time. */
#ifndef POT_POT_H
#define POT_POT_H

#include "config.h"
#include "nomad/task.h"

struct nomad_error;

/* Create pot `name` for the task, without starting it.  On failure the caller
 * calls pot_remove(). */
int pot_make(const struct pot_config *site, struct nomad_task *task, const char *name, struct nomad_error **err);

/* 1, 0, or a negative errno. */
int pot_exists(const struct pot_config *site, const char *name, struct nomad_error **err);
int pot_is_running(const struct pot_config *site, const char *name, struct nomad_error **err);
/* The address of a pot with a network of its own, malloc()ed; or NULL. */
char *pot_address(const struct pot_config *site, const char *name);

/* The file that takes what `pot start` says, what is in it (NULL: nothing), and a line of the log for each line of it.
 * The strings are malloc()ed. */
char *pot_start_file(const char *state_dir);
char *pot_start_output(const char *state_dir);
void pot_log_start(const char *name, const char *state_dir);

int pot_signal(const struct pot_config *site, const char *name, int signal, struct nomad_error **err);
/* Stop the jail, whatever state it is in, and wait until it is gone.
 * `is_starting` tells whether the task's `pot start` still lives. */
int pot_end(const struct pot_config *site, const char *name, bool (*is_starting)(void *ud), void *ud,
	    struct nomad_error **err);
/* Remove the pot of an ended task and the limits that outlive it, and end the
 * command of an interrupted start.  Returns 0 also if there is no pot. */
int pot_remove(const struct pot_config *site, const char *name, const char *state_dir, struct nomad_error **err);
/* Removes an incomplete image, as after an interrupted import.  True if there was one. */
bool pot_remove_half_image(const struct pot_config *site, const char *image);
/* Remove an image unless it has clones.  0: it is gone. */
int pot_remove_image(const struct pot_config *site, const char *image);

#endif
