/* SPDX-License-Identifier: MPL-2.0 */
/* Interfaces that the configuration makes of others: bonds and VLANs. */
#ifndef NOMADINIT_VIRTUAL_H
#define NOMADINIT_VIRTUAL_H

#include <stdbool.h>

#include "config.h"
#include "netlink.h"

/* Makes the bonds. */
void virtual_start(const struct config *c);
/* A link appeared: makes the VLANs on it; or, if it belongs to a bond, puts it there and returns true: then it gets no
 * addresses of its own. */
bool virtual_take(const struct config *c, const struct net_link *link);

#endif
