/* SPDX-License-Identifier: MPL-2.0 */
/* A DHCPv4 client (RFC 2131, 3442): packets and the state machine.  How packets travel is the caller's matter. */
#ifndef NOMADINIT_DHCP_H
#define NOMADINIT_DHCP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/dhcp_options.h"
#include "loop.h"

#define DHCP_PACKET_MAX 1472

/* Addresses are in network byte order, all 0 if not given. */
struct dhcp_lease {
	uint32_t address, server, wireserver;
	unsigned int prefix;
	uint32_t dns[4], ntp[4];
	size_t n_dns, n_ntp;
	struct {
		uint32_t to, via;
		unsigned int prefix;
	} routes[16];
	size_t n_routes;
	unsigned int mtu;
	char hostname[64], domain[254];
	uint32_t lease_s, t1_s, t2_s;
};

enum dhcp_state {
	DHCP_STOPPED,
	DHCP_SELECTING,
	DHCP_REQUESTING,
	DHCP_REBOOTING, /* asks for the address it had, after the cable came back */
	DHCP_BOUND,
	DHCP_RENEWING,
	DHCP_REBINDING,
	DHCP_STATE_MAX
};

struct dhcp_client {
	uint8_t mac[6];
	char hostname[64]; /* sent if not empty */
	/* to 0: broadcast */
	void (*send)(void *data, const void *packet, size_t len, uint32_t from, uint32_t to);
	/* NULL: the lease is lost */
	void (*changed)(void *data, const struct dhcp_lease *lease);
	void *data;

	enum dhcp_state state;
	bool has_lease;
	struct dhcp_lease lease, offer;
	uint64_t bound_ms, began_ms;
	uint32_t xid;
	unsigned int tries;
	struct loop_timer timer;
};

/* Check a packet that should answer ours.  Returns its type with *ret filled in; -EBADMSG if it is malformed or not
 * for us, -EINVAL if it offers what cannot be (an address of 127.0.0.1, a broken mask); *ret_why says what. */
int dhcp_parse(const uint8_t *packet, size_t len, uint32_t xid, const uint8_t mac[6], struct dhcp_lease *ret,
	       const char **ret_why);
/* Begin; with a lease held, try to keep its address. */
void dhcp_start(struct dhcp_client *c);
/* Stop without telling anyone. */
void dhcp_stop(struct dhcp_client *c);
/* A packet came in.  Returns 0, or why it was not used (as dhcp_parse()). */
int dhcp_input(struct dhcp_client *c, const uint8_t *packet, size_t len, const char **ret_why);

#endif
