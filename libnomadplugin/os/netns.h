/* SPDX-License-Identifier: MPL-2.0
 *
 * os/netns.h: network namespaces.  0 or -errno; -EOPNOTSUPP where the system
 * has none.  No allocation: the supervisor program uses this. */
#ifndef NOMAD_OS_NETNS_H
#define NOMAD_OS_NETNS_H

/* Enters the namespace of the file `fd`. */
int nomad__netns_enter(int fd);
/* Enters that of the process, if it is another one. */
int nomad__netns_enter_of(int pid);

#endif
