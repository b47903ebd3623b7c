/* SPDX-License-Identifier: MPL-2.0
 *
 * init/broker.h: commands for `nomad alloc exec`, started from inside the
 * container, so that no process of the host ever joins it. */
#ifndef NSPAWN_BROKER_H
#define NSPAWN_BROKER_H

/* Runs argv[] as the task: same user, groups, directory and environment as the
 * task's own command.  `tty`: the standard descriptors are a terminal.  Returns
 * the act that failed, errno set, and its object; not at all on success. */
typedef const char *(*broker_become_fn)(void *ud, char **argv, int tty, const char **ret_object);

/* Forks the broker, which serves requests on `fd` until the supervisor closes
 * its end or the container ends.  Closes `fd` in the caller.  0, or -1 with errno. */
int broker_start(int fd, broker_become_fn become, void *ud);

#endif
