/* SPDX-License-Identifier: MPL-2.0 */
/* A question to a name server, for PID 1's own needs (time servers).  A static libc's resolver would load
 * shared objects that the image does not have. */
#ifndef NOMADINIT_DNS_H
#define NOMADINIT_DNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "netlink.h"

#define DNS_QUERY_MAX 300

/* Write a query for the name's IPv4 (or IPv6) addresses; returns its length, 0 if the name cannot be asked for. */
size_t dns_build(uint8_t *out, uint16_t id, const char *name, bool ipv6);
/* Addresses of an answer to that query.  Returns how many, or -EBADMSG, -ENOENT (no such name), -EAGAIN (server
 * failed). */
int dns_parse(const uint8_t *in, size_t len, uint16_t id, const char *name, bool ipv6, struct net_address *ret,
	      size_t max);

#endif
