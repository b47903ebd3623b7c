/* SPDX-License-Identifier: MPL-2.0 */
/* The links that we configure; for net.c and net_names.c only. */
#ifndef NOMADINIT_NET_LINKS_H
#define NOMADINIT_NET_LINKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config.h"
#include "dhcp.h"
#include "dhcp6.h"

#define NET_MAX_LINKS 16

struct net_iface {
	int index; /* 0: free */
	char name[16];
	uint8_t mac[6];
	const struct config_interface *config;
	bool has_carrier, has_address, told_bad;
	uint64_t carrier_ms; /* since when */
	int packet_fd;
	struct dhcp_client dhcp;
	struct dhcp_lease applied;
	int fd6; /* of DHCPv6 */
	struct dhcp6_client dhcp6;
	struct dhcp6_lease applied6;
	uint8_t rdnss[3][16];
	size_t n_rdnss;
	unsigned int metric;
};

extern struct net_iface net_links[NET_MAX_LINKS]; /* index 0: free */
extern const struct config *net_config;

/* An IPv4 address as text, in one of four buffers that are used in turn. */
const char *net_v4(uint32_t ip);

#endif
