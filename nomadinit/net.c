/* SPDX-License-Identifier: MPL-2.0 */
/* The network.
 *
 * rtnetlink tells of links; a link that has a section in the configuration is brought up
 * and given its fixed addresses; when its cable is in, DHCP begins.  Without a section of
 * its own, "*" (or the built-in DHCP default) governs, but only links that are hardware:
 * the bridges and veth pairs that Nomad makes for its tasks are none of our business.
 *
 * IPv6 addresses and routes from router advertisements are the kernel's work; the name
 * servers in them are ours (RFC 8106 options arrive over the same socket).
 *
 * The results go to /run/nomadinit/resolv.conf, to which /etc/resolv.conf points. */
#include "net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "dhcp.h"
#include "log.h"
#include "loop.h"
#include "net_links.h"
#include "net6.h"
#include "netlink.h"
#include "packet.h"
#include "base/tree.h"
#include "util.h"
#include "virtual.h"

#define DHCP_GRACE_MS 5000
#define RESOLV_CONF "/run/nomadinit/resolv.conf"

static struct net_hooks hooks;
static int monitor = -1;
static struct loop_timer reopen_timer;

static void from_v4(struct net_address *a, uint32_t ip, unsigned int prefix)
{
	memset(a, 0, sizeof(*a));
	a->family = AF_INET;
	a->prefix = prefix;
	memcpy(a->bytes, &ip, 4);
}

/* ---- What came of it ---------------------------------------------------------- */

static void publish(void)
{
	const char *domains[NET_MAX_LINKS + 1];
	char text[4096];
	size_t i, n = 0;
	int len, r;

	for (i = 0; i < NET_MAX_LINKS; i++)
		if (net_links[i].index && net_links[i].dhcp.has_lease && net_links[i].applied.domain[0])
			domains[n++] = net_links[i].applied.domain;
	domains[n] = NULL;
	len = net_format_resolv(text, sizeof(text), net_name_servers(NULL), net_config->search, domains);
	r = len < 0 ? len : util_replace_file(RESOLV_CONF, text, (size_t)len, 0644);
	if (r < 0)
		log_warn("cannot write '%s': %s", RESOLV_CONF, strerror(-r));
	if (hooks.changed)
		hooks.changed(hooks.data);
}

bool net_is_online(void)
{
	size_t i;

	for (i = 0; i < NET_MAX_LINKS; i++)
		if (net_links[i].index && net_links[i].has_address)
			return true;
	return false;
}

bool net_is_settled(void)
{
	uint64_t now = util_now_ms();
	size_t i;

	/* IPv6 is often there first; what DHCP has to say (our name, for one) is worth a moment. */
	for (i = 0; i < NET_MAX_LINKS; i++)
		if (net_links[i].index && net_links[i].config->dhcp && net_links[i].has_carrier &&
		    !net_links[i].dhcp.has_lease && now < net_links[i].carrier_ms + DHCP_GRACE_MS)
			return false;
	return net_is_online();
}

static const char *router_of(const struct dhcp_lease *lease)
{
	size_t i;

	for (i = 0; i < lease->n_routes; i++)
		if (lease->routes[i].prefix == 0)
			return net_v4(lease->routes[i].via);
	return "none";
}

/* ---- DHCP of one link --------------------------------------------------------- */

static void dhcp_send(void *data, const void *packet, size_t len, uint32_t from, uint32_t to)
{
	struct net_iface *l = data;
	int r;

	r = to ? packet_unicast(l->name, packet, len, from, to)
	       : packet_broadcast(l->packet_fd, l->index, packet, len, from);
	if (r < 0 && r != -ENETDOWN)
		log_warn("'%s': cannot send to the DHCP server: %s", l->name, strerror(-r));
}

static void drop_lease(struct net_iface *l)
{
	struct net_address a;

	from_v4(&a, l->applied.address, l->applied.prefix);
	netlink_del_address(l->index, &a);
	memset(&l->applied, 0, sizeof(l->applied));
	l->has_address = l->config->addresses && l->config->addresses[0];
}

static void add_lease_routes(struct net_iface *l, const struct dhcp_lease *lease)
{
	struct net_address to, via;
	size_t i;
	int r;

	for (i = 0; i < lease->n_routes; i++) {
		from_v4(&to, lease->routes[i].to, lease->routes[i].prefix);
		from_v4(&via, lease->routes[i].via, 32);
		r = netlink_add_route(l->index, &to, lease->routes[i].via ? &via : NULL, l->metric);
		if (r < 0)
			log_warn("'%s': cannot add the route to %s/%u via %s: %s", l->name, net_v4(lease->routes[i].to),
				 lease->routes[i].prefix, net_v4(lease->routes[i].via), strerror(-r));
	}
}

static void dhcp_changed(void *data, const struct dhcp_lease *lease)
{
	struct net_iface *l = data;
	struct net_address a;
	bool is_new;
	int r;

	if (!lease) {
		log_warn("'%s': lost its DHCP lease of %s", l->name, net_v4(l->applied.address));
		drop_lease(l);
		publish();
		return;
	}
	is_new = lease->address != l->applied.address || lease->prefix != l->applied.prefix;
	if (is_new && l->applied.address)
		drop_lease(l);
	/* The kernel forgets the address by itself should we not be there to do it. */
	from_v4(&a, lease->address, lease->prefix);
	r = netlink_add_address(l->index, &a, lease->lease_s + 30);
	if (r < 0)
		log_error("'%s': cannot set address %s/%u: %s", l->name, net_v4(lease->address), lease->prefix,
			  strerror(-r));
	if (lease->mtu && !l->config->mtu && lease->mtu != l->applied.mtu)
		netlink_set_mtu(l->index, lease->mtu);
	add_lease_routes(l, lease);
	l->applied = *lease;
	l->has_address = true;
	if (is_new)
		log_info("'%s': %s/%u by DHCP from %s, router %s, for %u s", l->name, net_v4(lease->address),
			 lease->prefix, net_v4(lease->server), router_of(lease), lease->lease_s);
	if (lease->hostname[0] && hooks.hostname)
		hooks.hostname(hooks.data, lease->hostname);
	publish();
}

static void on_packet(void *data)
{
	struct net_iface *l = data;
	uint8_t buf[2048];
	size_t at, len;
	const char *why;
	int r;

	for (;;) {
		r = packet_receive(l->packet_fd, buf, sizeof(buf), &at, &len);
		if (r == -EBADMSG)
			continue;
		if (r < 0)
			return;
		r = dhcp_input(&l->dhcp, buf + at, len, &why);
		if (r == -EINVAL && !l->told_bad) {
			l->told_bad = true;
			log_warn("'%s': a DHCP answer is not used: %s", l->name, why);
		}
	}
}

static void link_dhcp(struct net_iface *l, const uint8_t mac[6])
{
	int r;

	if (l->packet_fd < 0) {
		l->packet_fd = packet_open(l->index);
		if (l->packet_fd < 0) {
			log_error("'%s': cannot listen for DHCP: %s; is the module af_packet there?", l->name,
				  strerror(-l->packet_fd));
			return;
		}
		r = loop_watch(l->packet_fd, on_packet, l);
		if (r < 0)
			log_error("'%s': cannot watch for DHCP: %s", l->name, strerror(-r));
	}
	memcpy(l->dhcp.mac, mac, 6);
	if (net_config->hostname)
		util_copy(l->dhcp.hostname, sizeof(l->dhcp.hostname), net_config->hostname);
	l->dhcp.send = dhcp_send;
	l->dhcp.changed = dhcp_changed;
	l->dhcp.data = l;
	dhcp_start(&l->dhcp);
}

/* ---- Links come and go -------------------------------------------------------- */

static struct net_iface *find_link(int index)
{
	size_t i;

	for (i = 0; i < NET_MAX_LINKS; i++)
		if (net_links[i].index == index)
			return &net_links[i];
	return NULL;
}

static bool is_hardware(const char *name)
{
	char path[64];
	struct stat st;

	snprintf(path, sizeof(path), "/sys/class/net/%s/device", name);
	return stat(path, &st) == 0;
}

static void set_ipv6(const char *name, const char *knob, const char *value)
{
	char path[96];

	snprintf(path, sizeof(path), "/proc/sys/net/ipv6/conf/%s/%s", name, knob);
	util_write_knob(path, value);
}

static void add_static(struct net_iface *l)
{
	struct net_address a, any = { 0 };
	size_t i;
	int r;

	for (i = 0; l->config->addresses && l->config->addresses[i]; i++) {
		r = net_address_parse(l->config->addresses[i], &a);
		if (r == 0)
			r = netlink_add_address(l->index, &a, 0);
		if (r < 0)
			log_error("'%s': cannot set address %s: %s", l->name, l->config->addresses[i], strerror(-r));
		else
			log_info("'%s': %s as configured", l->name, l->config->addresses[i]);
		l->has_address = true;
	}
	for (i = 0; l->config->gateways && l->config->gateways[i]; i++) {
		r = net_address_parse(l->config->gateways[i], &a);
		any.family = a.family;
		if (r == 0)
			r = netlink_add_route(l->index, &any, &a, l->metric);
		if (r < 0)
			log_error("'%s': cannot set the gateway %s: %s", l->name, l->config->gateways[i], strerror(-r));
	}
}

static const struct config_interface *section_for(const char *name, const uint8_t m[6])
{
	const struct config_interface *c;
	char mac[18];

	snprintf(mac, sizeof(mac), "%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2], m[3], m[4], m[5]);
	c = config_interface_for(net_config, name, mac);
	if (c && strcmp(c->name ? c->name : "*", "*") == 0 && !is_hardware(name))
		return NULL;
	return c;
}

static void add_routes(struct net_iface *l)
{
	struct net_address to, via;
	size_t i;
	int r;

	for (i = 0; l->config->routes && l->config->routes[i]; i++) {
		if (!config_parse_route(l->config->routes[i], &to, &via))
			continue;
		r = netlink_add_route(l->index, &to, &via, l->metric);
		if (r < 0)
			log_error("'%s': cannot add the route %s: %s", l->name, l->config->routes[i], strerror(-r));
	}
}

static void apply_section(struct net_iface *l)
{
	const struct config_interface *c = l->config;
	int r;

	set_ipv6(l->name, "accept_ra", c->accept_ra ? "2" : "0");
	set_ipv6(l->name, "autoconf", c->accept_ra ? "1" : "0");
	if (c->mtu) {
		r = netlink_set_mtu(l->index, (unsigned int)c->mtu);
		if (r < 0)
			log_warn("'%s': cannot set MTU %lld: %s", l->name, (long long)c->mtu, strerror(-r));
	}
	r = netlink_set_up(l->index);
	if (r < 0)
		log_error("'%s': cannot bring it up: %s", l->name, strerror(-r));
	add_static(l);
	add_routes(l);
	if (l->has_address)
		publish();
}

static struct net_iface *adopt(const struct net_link *new)
{
	const struct config_interface *c = new->is_ethernet ? section_for(new->name, new->mac) : NULL;
	struct net_iface *l = find_link(0);

	if (!c)
		return NULL;
	if (!l) {
		log_warn("'%s': more than %d interfaces, this one is left alone", new->name, NET_MAX_LINKS);
		return NULL;
	}
	memset(l, 0, sizeof(*l));
	l->index = new->index;
	l->packet_fd = -1;
	l->fd6 = -1;
	memcpy(l->mac, new->mac, sizeof(l->mac));
	util_copy(l->name, sizeof(l->name), new->name);
	l->config = c;
	l->metric = c->metric ? (unsigned int)c->metric : 100 + (unsigned int)new->index;
	apply_section(l);
	return l;
}

static void forget(struct net_iface *l)
{
	dhcp_stop(&l->dhcp);
	net6_stop(l);
	if (l->packet_fd >= 0) {
		loop_unwatch(l->packet_fd);
		close(l->packet_fd);
	}
	l->index = 0;
}

static void on_link(void *data, const struct net_link *new, bool is_gone)
{
	struct net_iface *l = find_link(new->index);

	(void)data;
	if (new->index <= 0)
		return;
	if (is_gone) {
		if (!l)
			return;
		log_info("'%s' is gone", l->name);
		forget(l);
		publish();
		return;
	}
	if (!l && !virtual_take(net_config, new))
		l = adopt(new);
	if (!l || l->has_carrier == new->has_carrier)
		return;
	l->has_carrier = new->has_carrier;
	l->carrier_ms = util_now_ms();
	log_info("'%s': %s", l->name, l->has_carrier ? "link is up" : "link is down");
	if (!l->has_carrier)
		net6_stop(l);
	if (l->config->dhcp) {
		if (l->has_carrier)
			link_dhcp(l, new->mac);
		else
			dhcp_stop(&l->dhcp);
	}
}

static void on_rdnss(void *data, int index, const uint8_t (*list)[16], size_t n, uint32_t lifetime_s)
{
	struct net_iface *l = find_link(index);

	(void)data;
	if (!l || !l->config->accept_ra)
		return;
	l->n_rdnss = lifetime_s == 0 ? 0 : n < NOMAD_ARRAY_LEN(l->rdnss) ? n : NOMAD_ARRAY_LEN(l->rdnss);
	memcpy(l->rdnss, list, l->n_rdnss * 16);
	publish();
}

static void on_routers(void *data, int index, bool managed, bool other)
{
	struct net_iface *l = find_link(index);

	(void)data;
	if (l && l->has_carrier)
		net6_routers(l, managed, other, publish);
}

static void on_address(void *data, int index, int family)
{
	struct net_iface *l = find_link(index);

	(void)data;
	if (l && family == AF_INET6 && !l->has_address) {
		l->has_address = true;
		log_info("'%s': has an IPv6 address", l->name);
		publish();
	}
}

static void on_monitor(void *data)
{
	static const struct netlink_events to = {
		.link = on_link, .rdnss = on_rdnss, .routers = on_routers, .address = on_address
	};

	(void)data;
	if (netlink_monitor_read(monitor, &to, NULL) < 0) {
		/* Messages were lost: begin again with a full list. */
		loop_unwatch(monitor);
		close(monitor);
		monitor = -1;
		loop_timer_set(&reopen_timer, 200);
	}
}

static void open_monitor(void *data)
{
	(void)data;
	monitor = netlink_monitor_open();
	if (monitor < 0 || loop_watch(monitor, on_monitor, NULL) < 0) {
		log_error("cannot watch the network's links; trying again");
		if (monitor >= 0)
			close(monitor);
		loop_timer_set(&reopen_timer, 5000);
	}
}

bool net_is_started(void)
{
	return reopen_timer.fn != NULL;
}

static bool is_in(char *const *list, const char *text)
{
	for (; list && *list; list++)
		if (strcmp(*list, text) == 0)
			return true;
	return false;
}

static void change_section(struct net_iface *l, const struct config_interface *new)
{
	const struct config_interface *old = l->config;
	struct net_address a;
	size_t i;

	l->config = new;
	l->has_address = l->dhcp.has_lease;
	for (i = 0; old->addresses && old->addresses[i]; i++)
		if (net_address_parse(old->addresses[i], &a) == 0 && !is_in(new->addresses, old->addresses[i]))
			netlink_del_address(l->index, &a);
	if (!new->dhcp && old->dhcp) {
		dhcp_stop(&l->dhcp);
		if (l->applied.address)
			drop_lease(l);
	}
	apply_section(l);
	if (new->dhcp && !old->dhcp && l->has_carrier)
		link_dhcp(l, l->mac);
}

void net_reconfigure(const struct config *c)
{
	const struct config_interface *section;
	size_t i;

	if (!net_is_started())
		return;
	net_config = c;
	for (i = 0; i < NET_MAX_LINKS; i++) {
		if (!net_links[i].index)
			continue;
		section = section_for(net_links[i].name, net_links[i].mac);
		if (section) {
			change_section(&net_links[i], section);
		} else {
			if (net_links[i].applied.address)
				drop_lease(&net_links[i]);
			forget(&net_links[i]);
		}
	}
	virtual_start(net_config);
	/* A full list once more: other interfaces may be ours now. */
	if (monitor >= 0) {
		loop_unwatch(monitor);
		close(monitor);
	}
	open_monitor(NULL);
	publish();
}

void net_set_link_local(bool on)
{
	static struct net_address a;
	static int index;
	uint8_t random[2];
	size_t i;

	if (!on && index)
		netlink_del_address(index, &a);
	index = 0;
	for (i = 0; on && i < NET_MAX_LINKS && !index; i++)
		if (net_links[i].index && net_links[i].has_carrier)
			index = net_links[i].index;
	if (!index)
		return;
	util_random(random, sizeof(random));
	/* RFC 3927: not the first and the last 256. */
	from_v4(&a, htonl(0xa9fe0000u | (uint32_t)(1 + random[0] % 253) << 8 | random[1]), 16);
	netlink_add_address(index, &a, 0);
}

int net_start(const struct config *c, const struct net_hooks *h)
{
	int r;

	net_config = c;
	hooks = *h;
	nomad__make_dirs("/run/nomadinit", 0755);
	r = netlink_set_up(1);
	if (r < 0)
		log_error("cannot bring up the loopback interface: %s", strerror(-r));
	reopen_timer.fn = open_monitor;
	virtual_start(net_config);
	open_monitor(NULL);
	publish();
	return r;
}
