/* SPDX-License-Identifier: MPL-2.0
 *
 * base/dhcp_options.h: the fixed part and the options of a DHCPv4 packet
 * (RFC 2131, 2132), for nomadinit's client and nspawn's server. */
#ifndef NOMAD_BASE_DHCP_OPTIONS_H
#define NOMAD_BASE_DHCP_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Offsets. */
enum {
	NOMAD__DHCP_OP = 0, /* 1: from a client, 2: from a server */
	NOMAD__DHCP_XID = 4,
	NOMAD__DHCP_SECONDS = 8,
	NOMAD__DHCP_FLAGS = 10, /* the first bit: answer by broadcast */
	NOMAD__DHCP_CIADDR = 12,
	NOMAD__DHCP_YIADDR = 16,
	NOMAD__DHCP_CHADDR = 28,
	NOMAD__DHCP_SNAME = 44, /* may hold options, as FILE may */
	NOMAD__DHCP_FILE = 108,
	NOMAD__DHCP_COOKIE = 236,
	NOMAD__DHCP_OPTIONS = 240,
	NOMAD__DHCP_MIN = 300, /* old relays drop what is shorter than a BOOTP packet */
};

/* clang-format off */
enum nomad__dhcp_option {
	NOMAD__DHCP_MASK = 1, NOMAD__DHCP_ROUTER = 3, NOMAD__DHCP_DNS = 6, NOMAD__DHCP_HOSTNAME = 12,
	NOMAD__DHCP_DOMAIN = 15, NOMAD__DHCP_MTU = 26, NOMAD__DHCP_NTP = 42, NOMAD__DHCP_REQUESTED = 50,
	NOMAD__DHCP_LEASE = 51, NOMAD__DHCP_OVERLOAD = 52, NOMAD__DHCP_TYPE = 53, NOMAD__DHCP_SERVER = 54,
	NOMAD__DHCP_WANTED = 55, NOMAD__DHCP_MAX_SIZE = 57, NOMAD__DHCP_T1 = 58, NOMAD__DHCP_T2 = 59,
	NOMAD__DHCP_CLIENT_ID = 61, NOMAD__DHCP_ROUTES = 121, NOMAD__DHCP_END = 255,
};

enum nomad__dhcp_type {
	NOMAD__DHCP_DISCOVER = 1, NOMAD__DHCP_OFFER, NOMAD__DHCP_REQUEST, NOMAD__DHCP_DECLINE, NOMAD__DHCP_ACK,
	NOMAD__DHCP_NAK, NOMAD__DHCP_RELEASE, NOMAD__DHCP_INFORM,
};
/* clang-format on */

/* Is this a packet for or of an Ethernet client, with op 1 or 2 as given, and the cookie? */
bool nomad__dhcp_is_packet(const uint8_t *packet, size_t size, unsigned op);

/* Take the next option from *at, which must not be behind `end`.  1 with *ret_* set (borrowed from the packet), 0 at
 * the end, -EBADMSG for one that goes beyond it. */
int nomad__dhcp_next(const uint8_t **at, const uint8_t *end, uint8_t *ret_code, const uint8_t **ret_data,
		     size_t *ret_size);

/* Write a packet's fixed part: zeroes all but op, Ethernet and the cookie.  Returns where options begin. */
uint8_t *nomad__dhcp_begin(uint8_t *packet, size_t room, unsigned op);
/* Append an option of at most 255 bytes; returns where the next one goes.  The caller has checked the room. */
uint8_t *nomad__dhcp_put(uint8_t *at, enum nomad__dhcp_option code, const void *data, size_t size);
/* End the packet; returns its length, which is at least NOMAD__DHCP_MIN. */
size_t nomad__dhcp_end(uint8_t *packet, uint8_t *at);

#endif
