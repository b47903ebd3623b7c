/* SPDX-License-Identifier: MPL-2.0 */
/* Links, addresses and routes by rtnetlink.  Each call asks and waits for the kernel's answer. */
#ifndef NOMADINIT_NETLINK_H
#define NOMADINIT_NETLINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct net_address {
	int family; /* AF_INET, AF_INET6 */
	uint8_t bytes[16];
	unsigned int prefix;
};

struct net_link {
	int index;
	char name[16];
	uint8_t mac[6];
	bool is_ethernet, is_up, has_carrier, is_member; /* of a bond, or behind another one */
};

/* "192.0.2.7/24", or without a prefix (then the family's full length). */
int net_address_parse(const char *text, struct net_address *ret);

int netlink_set_up(int index);
int netlink_set_mtu(int index, unsigned int mtu);
/* lifetime_s 0: for ever */
int netlink_add_address(int index, const struct net_address *a, uint32_t lifetime_s);
int netlink_del_address(int index, const struct net_address *a);
/* to->prefix 0 is the default route; via may be NULL (on-link). */
int netlink_add_route(int index, const struct net_address *to, const struct net_address *via, unsigned int metric);

/* Makes a VLAN on a link, a bond; -EEXIST if the name is taken, -EOPNOTSUPP if the kernel lacks the module. */
int netlink_add_vlan(const char *name, int parent, unsigned int id);
int netlink_add_bond(const char *name, unsigned int mode);
/* Puts a link into a bond, which takes it down first. */
int netlink_set_master(int index, int master);

/* A socket that tells of links and of router advertisements' name servers, and a request for all links there are. */
int netlink_monitor_open(void);
struct netlink_events {
	void (*link)(void *data, const struct net_link *link, bool is_gone);
	/* name servers (16 bytes each) that a router gave for lifetime_s seconds */
	void (*rdnss)(void *data, int index, const uint8_t (*servers)[16], size_t n, uint32_t lifetime_s);
	/* What routers say: addresses (M) or other things (O) are to be asked of DHCPv6. */
	void (*routers)(void *data, int index, bool managed, bool other);
	/* An address is usable now. */
	void (*address)(void *data, int index, int family);
};
/* Read and hand out what is there.  0, or a negative errno (-ENOBUFS: some were lost, ask again). */
int netlink_monitor_read(int fd, const struct netlink_events *to, void *data);
/* One buffer of messages; for tests. */
void netlink_parse(const void *buf, size_t len, const struct netlink_events *to, void *data);

#endif
