/* SPDX-License-Identifier: MPL-2.0 */
#include "net6.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "log.h"
#include "loop.h"
#include "netlink.h"
#include "util.h"

#define CLIENT_PORT 546
#define SERVER_PORT 547

static void (*on_change)(void);

static void send_all(void *data, const void *packet, size_t len)
{
	struct net_iface *l = data;
	struct sockaddr_in6 to = { .sin6_family = AF_INET6,
				   .sin6_port = htons(SERVER_PORT),
				   .sin6_scope_id = (uint32_t)l->index };

	inet_pton(AF_INET6, "ff02::1:2", &to.sin6_addr);
	/* Before the link-local address has passed its test this fails; it is sent again. */
	if (sendto(l->fd6, packet, len, MSG_DONTWAIT, (struct sockaddr *)&to, sizeof(to)) < 0 &&
	    errno != EADDRNOTAVAIL && errno != ENETUNREACH && errno != ENETDOWN)
		log_warn("'%s': cannot send to the DHCPv6 server: %s", l->name, strerror(errno));
}

static void drop(struct net_iface *l)
{
	struct net_address a = { .family = AF_INET6, .prefix = 128 };

	if (!l->applied6.has_address)
		return;
	memcpy(a.bytes, l->applied6.address, 16);
	netlink_del_address(l->index, &a);
	l->applied6.has_address = false;
}

static void changed(void *data, const struct dhcp6_lease *lease)
{
	struct net_iface *l = data;
	struct net_address a = { .family = AF_INET6, .prefix = 128 };
	char text[INET6_ADDRSTRLEN];
	bool is_new;
	int r;

	if (!lease) {
		log_warn("'%s': lost its DHCPv6 lease", l->name);
		drop(l);
		memset(&l->applied6, 0, sizeof(l->applied6));
		on_change();
		return;
	}
	is_new = lease->has_address &&
		 (!l->applied6.has_address || memcmp(l->applied6.address, lease->address, 16) != 0);
	if (is_new)
		drop(l);
	if (lease->has_address) {
		memcpy(a.bytes, lease->address, 16);
		inet_ntop(AF_INET6, a.bytes, text, sizeof(text));
		r = netlink_add_address(l->index, &a, lease->valid_s == 0xffffffff ? 0 : lease->valid_s + 30);
		if (r < 0)
			log_error("'%s': cannot set address %s: %s", l->name, text, strerror(-r));
		else if (is_new)
			log_info("'%s': %s by DHCPv6, for %u s", l->name, text, lease->valid_s);
		l->has_address = true;
	}
	l->applied6 = *lease;
	on_change();
}

static void on_message(void *data)
{
	struct net_iface *l = data;
	struct sockaddr_in6 from;
	socklen_t size = sizeof(from);
	uint8_t buf[2048];
	ssize_t n;

	while ((n = recvfrom(l->fd6, buf, sizeof(buf), MSG_DONTWAIT, (struct sockaddr *)&from, &size)) > 0) {
		/* Servers and relays of this link only. */
		if (IN6_IS_ADDR_LINKLOCAL(&from.sin6_addr) && from.sin6_port == htons(SERVER_PORT))
			dhcp6_input(&l->dhcp6, buf, (size_t)n);
		size = sizeof(from);
	}
}

static int open_socket(struct net_iface *l)
{
	struct sockaddr_in6 me = { .sin6_family = AF_INET6, .sin6_port = htons(CLIENT_PORT) };
	int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), on = 1, r;

	if (fd < 0)
		return -errno;
	if (setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, l->name, (socklen_t)strlen(l->name)) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
	    bind(fd, (struct sockaddr *)&me, sizeof(me)) < 0)
		r = -errno;
	else
		r = loop_watch(fd, on_message, l);
	if (r < 0) {
		close(fd);
		return r;
	}
	return fd;
}

void net6_routers(struct net_iface *l, bool managed, bool other, void (*to)(void))
{
	if (!l->config->accept_ra || (!managed && !other))
		return;
	on_change = to;
	if (l->fd6 < 0)
		l->fd6 = open_socket(l);
	if (l->fd6 < 0) {
		log_error("'%s': cannot listen for DHCPv6: %s", l->name, strerror(-l->fd6));
		return;
	}
	memcpy(l->dhcp6.mac, l->mac, sizeof(l->mac));
	l->dhcp6.send = send_all;
	l->dhcp6.changed = changed;
	l->dhcp6.data = l;
	dhcp6_start(&l->dhcp6, managed);
}

void net6_stop(struct net_iface *l)
{
	dhcp6_stop(&l->dhcp6);
	if (l->fd6 >= 0) {
		loop_unwatch(l->fd6);
		close(l->fd6);
	}
	l->fd6 = -1;
	drop(l);
	memset(&l->applied6, 0, sizeof(l->applied6));
}
