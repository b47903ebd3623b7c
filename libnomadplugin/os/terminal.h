/* SPDX-License-Identifier: MPL-2.0
 *
 * os/terminal.h: a terminal for a command.  No allocation: the supervisor
 * program and nspawn-init use this too. */
#ifndef NOMAD_OS_TERMINAL_H
#define NOMAD_OS_TERMINAL_H

/* Opens a terminal of the file system that the caller is in: the master,
 * non-blocking, into ret[0], the command's end into ret[1].  0 or -errno. */
int nomad__terminal_open(int ret[2]);
/* Makes descriptor 0 the controlling terminal of the calling session.  0 or -errno. */
int nomad__terminal_take(void);

#endif
