/* SPDX-License-Identifier: MPL-2.0
 *
 * base/mount.h: mount points. */
#ifndef NOMAD_BASE_MOUNT_H
#define NOMAD_BASE_MOUNT_H

#include <stdbool.h>

/* Whether both descriptors are on one mount (a bind mount of the same file
 * system is another).  False if it is unknown. */
bool nomad__same_mount(int fd_a, int fd_b);

#endif
