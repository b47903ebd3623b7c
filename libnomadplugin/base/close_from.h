/* SPDX-License-Identifier: MPL-2.0
 *
 * base/close_from.h: a child without its parent's descriptors. */
#ifndef NOMAD_BASE_CLOSE_FROM_H
#define NOMAD_BASE_CLOSE_FROM_H

#include <spawn.h>

/* The child closes descriptor `from` and all above it.  0 or an errno.  Any thread. */
int nomad__spawn_close_from(posix_spawn_file_actions_t *actions, int from);

#endif
