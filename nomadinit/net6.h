/* SPDX-License-Identifier: MPL-2.0 */
/* DHCPv6 of one link, as its routers tell to use it. */
#ifndef NOMADINIT_NET6_H
#define NOMADINIT_NET6_H

#include "net_links.h"

/* A router said how addresses are had here (flags of netlink_events.routers).  `changed` is called when there are
 * addresses or name servers, or none any more. */
void net6_routers(struct net_iface *l, bool managed, bool other, void (*changed)(void));
/* Ends it: the link is down, or gone, or not ours. */
void net6_stop(struct net_iface *l);

#endif
