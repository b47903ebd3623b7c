/* SPDX-License-Identifier: MPL-2.0
 *
 * call.h: run pot with the site's PATH and time-out.  All take over the command line, NULL being one for which memory
 * ran out, and return 0 or a negative errno. */
#ifndef POT_CALL_H
#define POT_CALL_H

#include "config.h"

struct nomad_error;
struct nomad_task;
struct nomad_tool;

/* `run` may hold wishes, or is NULL. */
int pot_call(const struct pot_config *site, char **take_argv, struct nomad_tool *run, struct nomad_error **err);
/* The same; run->output stays, and the caller frees it. */
int pot_call_for_output(const struct pot_config *site, char **take_argv, struct nomad_tool *run,
			struct nomad_error **err);
/* Where a status of 1 is an answer, too: 1 for yes (0), 0 for no (1). */
int pot_ask(const struct pot_config *site, char **take_argv, struct nomad_error **err);
/* From now on the calls of this thread belong to the start of `task`: their commands hold `fd` (hold.h).  Once the
 * start is cancelled, one that runs is ended within a second, and the others fail with -ECANCELED.  NULL, 0: no more.
 */
void pot_call_for_start(const struct nomad_task *task, int fd);

#endif
