/* SPDX-License-Identifier: MPL-2.0 */
/* A DHCPv6 client (RFC 9915) for one address and name servers: messages and the state machine.  When to ask is told by
 * router advertisements (M: an address, O: name servers only); routes are the router's matter. */
#ifndef NOMADINIT_DHCP6_H
#define NOMADINIT_DHCP6_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "loop.h"

#define DHCP6_PACKET_MAX 512
#define DHCP6_DUID_MAX 130

enum dhcp6_type {
	DHCP6_SOLICIT = 1,
	DHCP6_ADVERTISE,
	DHCP6_REQUEST,
	DHCP6_CONFIRM,
	DHCP6_RENEW,
	DHCP6_REBIND,
	DHCP6_REPLY,
	DHCP6_INFORMATION_REQUEST = 11,
};

struct dhcp6_lease {
	bool has_address;
	uint8_t address[16];
	uint32_t preferred_s, valid_s, t1_s, t2_s; /* seconds; 0xffffffff is for ever */
	uint8_t dns[3][16];
	size_t n_dns;
	uint8_t server[DHCP6_DUID_MAX];
	size_t server_len;
	uint16_t status; /* 0: success */
};

enum dhcp6_state {
	DHCP6_STOPPED,
	DHCP6_INFORMING,
	DHCP6_SOLICITING,
	DHCP6_REQUESTING,
	DHCP6_BOUND,
	DHCP6_RENEWING,
	DHCP6_REBINDING
};

struct dhcp6_client {
	uint8_t mac[6];
	/* To all servers of the link. */
	void (*send)(void *data, const void *packet, size_t len);
	/* NULL: the lease is lost */
	void (*changed)(void *data, const struct dhcp6_lease *lease);
	void *data;

	enum dhcp6_state state;
	bool has_lease;
	struct dhcp6_lease lease, offer;
	uint32_t xid; /* 24 bits */
	unsigned int tries;
	uint64_t began_ms, bound_ms;
	struct loop_timer timer;
};

/* Reads a message that should answer ours.  Returns its type with *ret filled in, or -EBADMSG if it is malformed or not
 * for us. */
int dhcp6_parse(const uint8_t *packet, size_t len, uint32_t xid, const uint8_t mac[6], struct dhcp6_lease *ret);
/* Begins: an address and name servers, or (not managed) name servers only.  Nothing happens if that is under way. */
void dhcp6_start(struct dhcp6_client *c, bool managed);
/* Stops without telling anyone. */
void dhcp6_stop(struct dhcp6_client *c);
/* A message came in.  Returns 0 or -EBADMSG. */
int dhcp6_input(struct dhcp6_client *c, const uint8_t *packet, size_t len);

#endif
