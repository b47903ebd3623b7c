/* SPDX-License-Identifier: MPL-2.0 */
/* The network: every interface by its configuration, and what name servers and names come of it. */
#ifndef NOMADINIT_NET_H
#define NOMADINIT_NET_H

#include <stdbool.h>

#include "config.h"

struct net_hooks {
	/* Addresses or name servers changed. */
	void (*changed)(void *data);
	/* DHCP says what our name is. */
	void (*hostname)(void *data, const char *name);
	void *data;
};

/* Loopback up, watch links, configure them as they appear.  The configuration is borrowed for ever. */
int net_start(const struct config *config, const struct net_hooks *hooks);
bool net_is_started(void);
/* Take another configuration, which is borrowed for ever; the one before may go after this.  Does nothing if the
 * network was not started. */
void net_reconfigure(const struct config *config);
/* An address of 169.254.0.0/16 for the first interface, to ask a metadata service from; off removes it. */
void net_set_link_local(bool on);
/* Azure's wire server as DHCP gives it, or NULL. */
const char *net_wireserver(void);
/* Has some interface an address that others can reach? */
bool net_is_online(void);
/* And has DHCP, where it is asked, answered or been silent for a while? */
bool net_is_settled(void);
/* NULL-ended; valid until the next event. */
const char *const *net_name_servers(void *unused);
const char *const *net_time_servers(void *unused);
/* Write resolv.conf's text for the lists; returns its length.  For tests as well. */
int net_format_resolv(char *buf, int size, const char *const *servers, char *const *search, const char *const *domains);

#endif
