/* SPDX-License-Identifier: MPL-2.0
 *
 * An answer to DHCP clients in a container.  Its link has an address before
 * its first process runs, but images that were made for other hosts ask for
 * one all the same, and many do not go on until they are told.  They are
 * told what they have.
 *
 * A process of the task, on the host's side of the link, without rights.  It
 * dies with systemd-nspawn.  On the bridge of a zone there are several of
 * them, and each knows its client by the address of its link. */
#include <arpa/inet.h>
#include <errno.h>
#include <grp.h>
#include <net/if.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/dhcp_options.h"
#include "init.h"

enum {
	SERVER = 67,
	CLIENT = 68,
	NOBODY = 65534,
	LEASE_S = 86400,
	PACKET = 1500,
};

struct lease {
	unsigned char mac[6];
	uint32_t address, gateway; /* network order */
	int bits;
};

static const uint8_t *option(const uint8_t *m, size_t n, enum nomad__dhcp_option wanted, size_t size)
{
	const uint8_t *at = m + NOMAD__DHCP_OPTIONS, *data;
	size_t length;
	uint8_t code;

	while (nomad__dhcp_next(&at, m + n, &code, &data, &length) > 0)
		if (code == wanted)
			return length == size ? data : NULL;
	return NULL;
}

/* Size of the reply, which has room for PACKET; 0 for none. */
static size_t answer(const struct lease *l, const uint8_t *m, size_t n, uint8_t *reply)
{
	uint32_t mask = htonl(l->bits ? ~0u << (32 - l->bits) : 0), lease = htonl(LEASE_S);
	const uint8_t *type, *wanted, *server;
	uint8_t routes[14] = { 32 }, *p, kind;

	if (!nomad__dhcp_is_packet(m, n, 1) || memcmp(m + NOMAD__DHCP_CHADDR, l->mac, 6) != 0)
		return 0;
	type = option(m, n, NOMAD__DHCP_TYPE, 1);
	wanted = option(m, n, NOMAD__DHCP_REQUESTED, 4);
	server = option(m, n, NOMAD__DHCP_SERVER, 4);
	if (!type || (server && memcmp(server, &l->gateway, 4) != 0))
		return 0; /* for another server */
	if (!wanted && memcmp(m + NOMAD__DHCP_CIADDR, "\0\0\0\0", 4) != 0)
		wanted = m + NOMAD__DHCP_CIADDR;
	kind = *type == NOMAD__DHCP_DISCOVER		       ? NOMAD__DHCP_OFFER
	       : *type == NOMAD__DHCP_INFORM		       ? NOMAD__DHCP_ACK
	       : *type != NOMAD__DHCP_REQUEST		       ? 0
	       : wanted && memcmp(wanted, &l->address, 4) != 0 ? NOMAD__DHCP_NAK
							       : NOMAD__DHCP_ACK;
	if (!kind)
		return 0;
	p = nomad__dhcp_begin(reply, PACKET, 2);
	memcpy(reply + NOMAD__DHCP_OP + 1, m + NOMAD__DHCP_OP + 1, NOMAD__DHCP_COOKIE - 1);
	reply[NOMAD__DHCP_FLAGS] |= 0x80;
	memset(reply + NOMAD__DHCP_YIADDR, 0, NOMAD__DHCP_CHADDR - NOMAD__DHCP_YIADDR);
	if (kind != NOMAD__DHCP_NAK && *type != NOMAD__DHCP_INFORM)
		memcpy(reply + NOMAD__DHCP_YIADDR, &l->address, 4);
	p = nomad__dhcp_put(p, NOMAD__DHCP_TYPE, &kind, 1);
	p = nomad__dhcp_put(p, NOMAD__DHCP_SERVER, &l->gateway, 4);
	if (kind != NOMAD__DHCP_NAK) {
		if (*type != NOMAD__DHCP_INFORM)
			p = nomad__dhcp_put(p, NOMAD__DHCP_LEASE, &lease, 4);
		p = nomad__dhcp_put(p, NOMAD__DHCP_MASK, &mask, 4);
		p = nomad__dhcp_put(p, NOMAD__DHCP_ROUTER, &l->gateway, 4);
		if (l->bits == 32) { /* the router first, which no subnet leads to */
			memcpy(routes + 1, &l->gateway, 4);
			memcpy(routes + 10, &l->gateway, 4);
			p = nomad__dhcp_put(p, NOMAD__DHCP_ROUTES, routes, sizeof(routes));
		}
	}
	return nomad__dhcp_end(reply, p);
}

static int mac_of(const char *link, unsigned char mac[6])
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq request = { 0 };
	int r;

	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", link);
	r = fd < 0 ? -1 : ioctl(fd, SIOCGIFHWADDR, &request);
	if (fd >= 0)
		close(fd);
	memcpy(mac, request.ifr_hwaddr.sa_data, 6);
	return r;
}

static int server_open(const char *link)
{
	struct sockaddr_in any = { .sin_family = AF_INET, .sin_port = htons(SERVER) };
	int one = 1, fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_BROADCAST, &one, sizeof(one)) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, link, (socklen_t)strlen(link)) < 0 ||
	    bind(fd, (struct sockaddr *)&any, sizeof(any)) < 0)
		return -1;
	return fd;
}

static void serve(int fd, const struct lease *lease)
{
	struct sockaddr_in all = { .sin_family = AF_INET,
				   .sin_port = htons(CLIENT),
				   .sin_addr.s_addr = htonl(INADDR_BROADCAST) };
	unsigned char message[PACKET], reply[PACKET];

	for (;;) {
		ssize_t n = recv(fd, message, sizeof(message), 0);
		size_t size = n > 0 ? answer(lease, message, (size_t)n, reply) : 0;

		if (n < 0 && errno != EINTR)
			_exit(0); /* the link is gone */
		if (size && sendto(fd, reply, size, 0, (struct sockaddr *)&all, sizeof(all)) < 0)
			continue;
	}
}

/* Best effort: a container without an answer has its address all the same. */
int dhcp_start(const char *link, const char *peer, const char *address, const char *gateway, const char *bits)
{
	struct lease lease = { .bits = atoi(bits) };
	pid_t pid;
	int fd;

	if (inet_pton(AF_INET, address, &lease.address) != 1 || inet_pton(AF_INET, gateway, &lease.gateway) != 1 ||
	    lease.bits < 1 || lease.bits > 32) {
		errno = EINVAL;
		return -1;
	}
	if (mac_of(peer, lease.mac) < 0)
		return -1;
	pid = helper_fork("nspawn-dhcp");
	if (pid)
		return pid < 0 ? -1 : 0;
	fd = server_open(link);
	if (fd < 0 || setgroups(0, NULL) < 0 || setresgid(NOBODY, NOBODY, NOBODY) < 0 ||
	    setresuid(NOBODY, NOBODY, NOBODY) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		_exit(0);
	/* Changing who we are has taken this back. */
	die_with_parent();
	serve(fd, &lease);
	return 0;
}
