/* SPDX-License-Identifier: MPL-2.0 */
/* The state partition: found or created, checked, grown, mounted on /state; /var is a part of it. */
#ifndef NOMADINIT_STATE_H
#define NOMADINIT_STATE_H

#include <stdbool.h>

#include "blockdev.h"
#include "config.h"

enum state_step {
	STATE_MOUNT,   /* as it is */
	STATE_CHECK,   /* e2fsck -p first */
	STATE_REPAIR,  /* its superblock is damaged, but there is another */
	STATE_MAKE,    /* a new file system */
	STATE_FOREIGN, /* somebody else's: leave it alone */
	STATE_LOST,    /* there was a state, and it cannot be found */
};

/* What to do with a partition: what it holds, whether it has a backup of an ext4 superblock, whether it is known to
 * have held a state, and whether a state that is lost may be replaced. */
enum state_step state_decide(const struct blockdev_label *l, bool has_backup, bool had_state, bool may_replace);

/* Get /state mounted; `done` is called when it is, in memory if need be.  All that takes time is done by other
 * processes. A state that was there once and cannot be had is waited for, for ever. */
void state_start(const struct config *c, bool in_container, void (*done)(void));
/* Bind /var, make the folders that the agent wants. */
void state_prepare(void);

#endif
