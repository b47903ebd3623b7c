/* SPDX-License-Identifier: MPL-2.0
 *
 * init/channels.h: the two sockets that the supervisor hands to the program of
 * the task (nomad/task.h: exec_broker, exit_channel).  systemd-nspawn passes
 * them on to the container as it would pass sockets of a socket unit. */
#ifndef NSPAWN_CHANNELS_H
#define NSPAWN_CHANNELS_H

#include "nomad/task.h"

/* Before execve() of systemd-nspawn: has it pass both on.  0, or -1 with errno. */
int channels_pass(void);
/* In a helper process that stays on the host. */
void channels_close(void);
/* In the container: the payload inherits neither. */
void channels_close_on_exec(void);

#endif
