/* SPDX-License-Identifier: MPL-2.0 */
/* The state partition: found or created, checked, grown, mounted on /state; /var is a part of it. */
#ifndef NOMADINIT_STATE_H
#define NOMADINIT_STATE_H

#include <stdbool.h>

#include "config.h"

/* Returns 0 if /state is on a disk, 1 if it is in memory, or -EAGAIN if the configuration says to wait for the
 * partition and it is not there.  Says what it does. */
int state_mount(const struct config *c, bool in_container);
/* Bind /var, make the folders that the agent wants. */
void state_prepare(void);

#endif
