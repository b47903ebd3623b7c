/* SPDX-License-Identifier: MPL-2.0 */
/* How DHCP packets travel before there is an address: UDP by hand on a packet socket. */
#ifndef NOMADINIT_PACKET_H
#define NOMADINIT_PACKET_H

#include <stddef.h>
#include <stdint.h>

/* A non-blocking socket that sees only what comes to UDP port 68 of an interface. */
int packet_open(int index);
/* Broadcast from 0.0.0.0 or `from`, port 68 to 67. */
int packet_broadcast(int fd, int index, const void *data, size_t len, uint32_t from);
/* To one server through the interface, by ordinary UDP from our address. */
int packet_unicast(const char *interface, const void *data, size_t len, uint32_t from, uint32_t to);
/* One packet's payload; -EAGAIN if there is none, -EBADMSG if it is not sound. */
int packet_receive(int fd, uint8_t *buf, size_t size, size_t *ret_offset, size_t *ret_len);

/* Parts, for tests. */
size_t packet_wrap(uint8_t *out, const void *data, size_t len, uint32_t from);
int packet_unwrap(const uint8_t *buf, size_t len, int has_checksum, size_t *ret_offset, size_t *ret_len);

#endif
