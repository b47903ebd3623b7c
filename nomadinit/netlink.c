/* SPDX-License-Identifier: MPL-2.0 */
#include "netlink.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_addr.h>
#include <linux/if_arp.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "util.h"

struct request {
	struct nlmsghdr h;
	union {
		struct ifinfomsg link;
		struct ifaddrmsg address;
		struct rtmsg route;
	};
	char attributes[256];
};

/* The kernel's header struct nduseroptmsg, with names of our own as not all libc kernel headers carry it. */
struct user_option {
	uint8_t family, pad;
	uint16_t length;
	int index;
	uint8_t type, code;
	uint16_t pad2;
	uint32_t pad3;
};

int net_address_parse(const char *text, struct net_address *ret)
{
	struct net_address a = { 0 };
	const char *slash = strchrnul(text, '/');
	char ip[64];
	long bits;

	if ((size_t)(slash - text) >= sizeof(ip))
		return -EINVAL;
	memcpy(ip, text, (size_t)(slash - text));
	ip[slash - text] = '\0';
	if (inet_pton(AF_INET, ip, a.bytes) == 1)
		a.family = AF_INET;
	else if (inet_pton(AF_INET6, ip, a.bytes) == 1)
		a.family = AF_INET6;
	else
		return -EINVAL;
	bits = a.family == AF_INET ? 32 : 128;
	if (*slash && util_parse_long(slash + 1, 0, bits, &bits) < 0)
		return -EINVAL;
	a.prefix = (unsigned int)bits;
	*ret = a;
	return 0;
}

static void begin(struct request *q, uint16_t type, uint16_t flags, size_t body)
{
	memset(q, 0, sizeof(*q));
	q->h.nlmsg_len = NLMSG_LENGTH(body);
	q->h.nlmsg_type = type;
	q->h.nlmsg_flags = (uint16_t)(NLM_F_REQUEST | NLM_F_ACK | flags);
}

static void put(struct request *q, uint16_t type, const void *data, size_t len)
{
	struct rtattr *a = (struct rtattr *)(void *)((char *)q + NLMSG_ALIGN(q->h.nlmsg_len));

	a->rta_type = type;
	a->rta_len = (uint16_t)RTA_LENGTH(len);
	memcpy(RTA_DATA(a), data, len);
	q->h.nlmsg_len = (uint32_t)(NLMSG_ALIGN(q->h.nlmsg_len) + RTA_ALIGN(a->rta_len));
}

static int ask(struct request *q)
{
	struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
	struct timeval limit = { .tv_sec = 5 };
	NOMAD_AUTO_FD int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	union {
		struct nlmsghdr h;
		char bytes[4096];
	} answer;
	ssize_t n;

	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	if (sendto(fd, q, q->h.nlmsg_len, 0, (struct sockaddr *)&kernel, sizeof(kernel)) < 0)
		return -errno;
	n = recv(fd, &answer, sizeof(answer), 0);
	if (n < 0)
		return -errno;
	if (!NLMSG_OK(&answer.h, (size_t)n) || answer.h.nlmsg_type != NLMSG_ERROR)
		return -EPROTO;
	return ((struct nlmsgerr *)NLMSG_DATA(&answer.h))->error;
}

int netlink_set_up(int index)
{
	struct request q;

	begin(&q, RTM_NEWLINK, 0, sizeof(q.link));
	q.link.ifi_index = index;
	q.link.ifi_flags = IFF_UP;
	q.link.ifi_change = IFF_UP;
	return ask(&q);
}

int netlink_set_mtu(int index, unsigned int mtu)
{
	struct request q;

	begin(&q, RTM_NEWLINK, 0, sizeof(q.link));
	q.link.ifi_index = index;
	put(&q, IFLA_MTU, &mtu, sizeof(mtu));
	return ask(&q);
}

/* An attribute that holds others: what is put between the two calls. */
static struct rtattr *begin_nest(struct request *q, uint16_t type)
{
	struct rtattr *a = (struct rtattr *)(void *)((char *)q + NLMSG_ALIGN(q->h.nlmsg_len));

	put(q, type, "", 0);
	return a;
}

static void end_nest(const struct request *q, struct rtattr *a)
{
	a->rta_len = (uint16_t)((const char *)q + NLMSG_ALIGN(q->h.nlmsg_len) - (const char *)a);
}

int netlink_add_vlan(const char *name, int parent, unsigned int id)
{
	struct rtattr *info, *data;
	uint16_t tag = (uint16_t)id;
	struct request q;

	begin(&q, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, sizeof(q.link));
	put(&q, IFLA_IFNAME, name, strlen(name) + 1);
	put(&q, IFLA_LINK, &parent, sizeof(parent));
	info = begin_nest(&q, IFLA_LINKINFO);
	put(&q, IFLA_INFO_KIND, "vlan", 5);
	data = begin_nest(&q, IFLA_INFO_DATA);
	put(&q, IFLA_VLAN_ID, &tag, sizeof(tag));
	end_nest(&q, data);
	end_nest(&q, info);
	return ask(&q);
}

int netlink_add_bond(const char *name, unsigned int mode)
{
	struct rtattr *info, *data;
	uint32_t watch_ms = 100;
	uint8_t m = (uint8_t)mode;
	struct request q;

	begin(&q, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, sizeof(q.link));
	put(&q, IFLA_IFNAME, name, strlen(name) + 1);
	info = begin_nest(&q, IFLA_LINKINFO);
	put(&q, IFLA_INFO_KIND, "bond", 5);
	data = begin_nest(&q, IFLA_INFO_DATA);
	put(&q, IFLA_BOND_MODE, &m, sizeof(m));
	put(&q, IFLA_BOND_MIIMON, &watch_ms, sizeof(watch_ms));
	end_nest(&q, data);
	end_nest(&q, info);
	return ask(&q);
}

int netlink_set_master(int index, int master)
{
	struct request q;
	int r;

	begin(&q, RTM_NEWLINK, 0, sizeof(q.link));
	q.link.ifi_index = index;
	q.link.ifi_change = IFF_UP;
	r = ask(&q);
	if (r < 0)
		return r;
	begin(&q, RTM_NEWLINK, 0, sizeof(q.link));
	q.link.ifi_index = index;
	put(&q, IFLA_MASTER, &master, sizeof(master));
	r = ask(&q);
	return r < 0 ? r : netlink_set_up(index);
}

static size_t size_of(int family)
{
	return family == AF_INET ? 4 : 16;
}

static int change_address(uint16_t type, uint16_t flags, int index, const struct net_address *a, uint32_t lifetime_s)
{
	struct request q;

	begin(&q, type, flags, sizeof(q.address));
	q.address.ifa_family = (uint8_t)a->family;
	q.address.ifa_prefixlen = (uint8_t)a->prefix;
	q.address.ifa_index = (unsigned int)index;
	if (a->family == AF_INET6)
		q.address.ifa_flags = IFA_F_NODAD; /* nobody waits for the test's end; the network is ours to plan */
	put(&q, IFA_LOCAL, a->bytes, size_of(a->family));
	put(&q, IFA_ADDRESS, a->bytes, size_of(a->family));
	if (a->family == AF_INET && a->prefix < 31) {
		uint32_t host;

		memcpy(&host, a->bytes, 4);
		host |= htonl(0xffffffffu >> a->prefix);
		put(&q, IFA_BROADCAST, &host, 4);
	}
	if (lifetime_s) {
		struct ifa_cacheinfo life = { .ifa_prefered = lifetime_s, .ifa_valid = lifetime_s };

		put(&q, IFA_CACHEINFO, &life, sizeof(life));
	}
	return ask(&q);
}

int netlink_add_address(int index, const struct net_address *a, uint32_t lifetime_s)
{
	return change_address(RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, index, a, lifetime_s);
}

int netlink_del_address(int index, const struct net_address *a)
{
	return change_address(RTM_DELADDR, 0, index, a, 0);
}

static int change_route(uint16_t type, uint16_t flags, int index, const struct net_address *to,
			const struct net_address *via, unsigned int metric)
{
	struct request q;

	begin(&q, type, flags, sizeof(q.route));
	q.route.rtm_family = (uint8_t)to->family;
	q.route.rtm_dst_len = (uint8_t)to->prefix;
	q.route.rtm_table = RT_TABLE_MAIN;
	q.route.rtm_protocol = RTPROT_STATIC;
	q.route.rtm_type = RTN_UNICAST;
	q.route.rtm_scope = via ? RT_SCOPE_UNIVERSE : RT_SCOPE_LINK;
	if (via) {
		/* Clouds like gateways outside the subnet (a /32 address). */
		q.route.rtm_flags = RTNH_F_ONLINK;
		put(&q, RTA_GATEWAY, via->bytes, size_of(via->family));
	}
	if (to->prefix)
		put(&q, RTA_DST, to->bytes, size_of(to->family));
	put(&q, RTA_OIF, &index, sizeof(index));
	put(&q, RTA_PRIORITY, &metric, sizeof(metric));
	return ask(&q);
}

int netlink_add_route(int index, const struct net_address *to, const struct net_address *via, unsigned int metric)
{
	return change_route(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, index, to, via, metric);
}

int netlink_monitor_open(void)
{
	static const int groups[] = { RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR, RTNLGRP_ND_USEROPT,
				      RTNLGRP_IPV6_IFINFO };
	struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
	struct request q;
	size_t i;
	int fd;

	fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
	if (fd < 0)
		return -errno;
	if (bind(fd, (struct sockaddr *)&kernel, sizeof(kernel)) < 0) {
		close(fd);
		return -errno;
	}
	for (i = 0; i < NOMAD_ARRAY_LEN(groups); i++)
		setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &groups[i], sizeof(groups[i]));
	begin(&q, RTM_GETLINK, NLM_F_DUMP, sizeof(q.link));
	if (sendto(fd, &q, q.h.nlmsg_len, 0, (struct sockaddr *)&kernel, sizeof(kernel)) < 0) {
		close(fd);
		return -errno;
	}
	return fd;
}

static void parse_link(const struct nlmsghdr *h, const struct netlink_events *to, void *data)
{
	const struct ifinfomsg *info = NLMSG_DATA(h);
	struct net_link link = { 0 };
	const struct rtattr *a;
	int64_t len; /* below 0 behind a last one that is not padded */

	if (h->nlmsg_len < NLMSG_LENGTH(sizeof(*info)) || info->ifi_family != AF_UNSPEC)
		return;
	link.index = info->ifi_index;
	link.is_ethernet = info->ifi_type == ARPHRD_ETHER;
	link.is_up = info->ifi_flags & IFF_UP;
	link.is_member = info->ifi_flags & IFF_SLAVE;
	link.has_carrier = (info->ifi_flags & IFF_UP) && (info->ifi_flags & IFF_RUNNING);
	len = h->nlmsg_len - NLMSG_LENGTH(sizeof(*info));
	for (a = IFLA_RTA(info); RTA_OK(a, len); a = RTA_NEXT(a, len)) {
		if (a->rta_type == IFLA_IFNAME && RTA_PAYLOAD(a) <= sizeof(link.name))
			snprintf(link.name, sizeof(link.name), "%.*s", (int)RTA_PAYLOAD(a), (const char *)RTA_DATA(a));
		else if (a->rta_type == IFLA_ADDRESS && RTA_PAYLOAD(a) == sizeof(link.mac))
			memcpy(link.mac, RTA_DATA(a), sizeof(link.mac));
	}
	if (link.name[0] && to->link)
		to->link(data, &link, h->nlmsg_type == RTM_DELLINK);
}

/* The kernel's IF_RA_OTHERCONF and IF_RA_MANAGED. */
#define RA_OTHER 0x80
#define RA_MANAGED 0x40

/* Of family AF_INET6 the same message has the flags of router advertisements, in an attribute within another. */
static void parse_routers(const struct nlmsghdr *h, const struct netlink_events *to, void *data)
{
	const struct ifinfomsg *info = NLMSG_DATA(h);
	int64_t len = (int64_t)h->nlmsg_len - (int64_t)NLMSG_LENGTH(sizeof(*info)), inner_len;
	const struct rtattr *a, *inner;
	uint32_t flags;

	if (len < 0 || info->ifi_family != AF_INET6 || h->nlmsg_type != RTM_NEWLINK || !to->routers)
		return;
	for (a = IFLA_RTA(info); RTA_OK(a, len); a = RTA_NEXT(a, len)) {
		if ((a->rta_type & NLA_TYPE_MASK) != IFLA_PROTINFO)
			continue;
		inner_len = (int64_t)RTA_PAYLOAD(a);
		for (inner = RTA_DATA(a); RTA_OK(inner, inner_len); inner = RTA_NEXT(inner, inner_len)) {
			if (inner->rta_type != IFLA_INET6_FLAGS || RTA_PAYLOAD(inner) != sizeof(flags))
				continue;
			memcpy(&flags, RTA_DATA(inner), sizeof(flags));
			to->routers(data, info->ifi_index, flags & RA_MANAGED, flags & RA_OTHER);
		}
	}
}

/* RFC 8106: type 25, length in 8 bytes, 2 reserved, lifetime, addresses. */
static void parse_user_option(const struct nlmsghdr *h, const struct netlink_events *to, void *data)
{
	const struct user_option *u = NLMSG_DATA(h);
	const uint8_t *o = (const uint8_t *)(u + 1);
	size_t have, len;
	uint32_t life;

	if (h->nlmsg_len < NLMSG_LENGTH(sizeof(*u) + 8) || u->family != AF_INET6)
		return;
	have = h->nlmsg_len - NLMSG_LENGTH(sizeof(*u));
	len = (size_t)o[1] * 8;
	if (o[0] != 25 || len < 24 || len > have || !to->rdnss)
		return;
	memcpy(&life, o + 4, 4);
	to->rdnss(data, u->index, (const uint8_t(*)[16])(o + 8), (len - 8) / 16, ntohl(life));
}

void netlink_parse(const void *buf, size_t len, const struct netlink_events *to, void *data)
{
	int64_t left = (int64_t)len; /* below 0 behind a last one that is not padded */
	const struct nlmsghdr *h;

	for (h = buf; NLMSG_OK(h, left); h = NLMSG_NEXT(h, left)) {
		if (h->nlmsg_type == RTM_NEWLINK || h->nlmsg_type == RTM_DELLINK) {
			parse_link(h, to, data);
			parse_routers(h, to, data);
		} else if (h->nlmsg_type == RTM_NEWNDUSEROPT) {
			parse_user_option(h, to, data);
		} else if (h->nlmsg_type == RTM_NEWADDR && h->nlmsg_len >= NLMSG_LENGTH(sizeof(struct ifaddrmsg))) {
			const struct ifaddrmsg *a = NLMSG_DATA(h);

			if (to->address && !(a->ifa_flags & IFA_F_TENTATIVE) && a->ifa_scope == RT_SCOPE_UNIVERSE)
				to->address(data, (int)a->ifa_index, a->ifa_family);
		}
	}
}

int netlink_monitor_read(int fd, const struct netlink_events *to, void *data)
{
	static union {
		struct nlmsghdr h;
		char bytes[16384];
	} buf;
	ssize_t n;

	for (;;) {
		n = recv(fd, &buf, sizeof(buf), MSG_DONTWAIT);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN ? 0 : -errno;
		netlink_parse(&buf, (size_t)n, to, data);
	}
}
