/* SPDX-License-Identifier: MPL-2.0
 *
 * os/linux/confine_process.h: what confine.c and confine_process.c share. */
#ifndef NOMAD_OS_LINUX_CONFINE_PROCESS_H
#define NOMAD_OS_LINUX_CONFINE_PROCESS_H

#include <stdbool.h>
#include <stddef.h>

/* Gives up all others, in every set.  False: not all of them could be. */
bool nomad__capabilities_keep(const int *kept, size_t count);
/* `starts`: also those that start a process, a program or a connection, or change the user. */
bool nomad__calls_forbid(bool starts);

#endif
