/* SPDX-License-Identifier: MPL-2.0 */
#ifndef NOMADINIT_RESCUE_H
#define NOMADINIT_RESCUE_H

#include <sys/types.h>

/* A shell on the console if the kernel arguments ask for one; returns its process id, 0 if there is none, -1 if it
 * cannot be started. */
pid_t rescue_open(void);

#endif
