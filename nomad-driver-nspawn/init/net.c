/* SPDX-License-Identifier: MPL-2.0
 *
 * The link of a container.  systemd-nspawn makes the network namespace, as
 * only one that is made in there belongs to the container's own users: in
 * any other its root may neither open a raw socket nor change an address.
 * So the link, which the driver has made on the host, can only be moved
 * once the container is there.
 *
 *	host: nspawn-init launch	 container: nspawn-init, PID 1
 *	net step: listen, fork
 *	  |    \--> exec systemd-nspawn --clone--> connect to NSPAWN_NET_PATH
 *	accept <-----------------------------------   |
 *	move the link, configure it in there	      | wait
 *	answer, end --------------------------------> read; the payload
 *
 * Thus the network is complete before the payload lives, whatever
 * capabilities the job takes away, and no program of the image has to know
 * of it.  The helper ends with its one answer, or with systemd-nspawn. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "init.h"

enum { MESSAGE_MAX = 512, ANSWER_MAX = 256, WAIT_MS = 60000 };

/* ---- rtnetlink: one message, one acknowledgement ---- */

struct message {
	union {
		struct nlmsghdr head;
		char data[MESSAGE_MAX];
	};
};

/* The body is `size` bytes at `body`. */
static void begin(struct message *m, int type, int flags, const void *body, size_t size)
{
	memset(m, 0, sizeof(*m));
	m->head.nlmsg_type = (__u16)type;
	m->head.nlmsg_flags = (__u16)(NLM_F_REQUEST | NLM_F_ACK | flags);
	m->head.nlmsg_len = (__u32)NLMSG_LENGTH(size);
	memcpy(NLMSG_DATA(&m->head), body, size);
}

static void attribute(struct message *m, int type, const void *data, size_t size)
{
	struct rtattr *a = (struct rtattr *)(void *)(m->data + NLMSG_ALIGN(m->head.nlmsg_len));

	a->rta_type = (unsigned short)type;
	a->rta_len = (unsigned short)RTA_LENGTH(size);
	memcpy(RTA_DATA(a), data, size);
	m->head.nlmsg_len = NLMSG_ALIGN(m->head.nlmsg_len) + (__u32)RTA_SPACE(size);
}

/* 0, or -1 with errno. */
static int say(int fd, struct message *m)
{
	struct {
		struct nlmsghdr head;
		struct nlmsgerr error;
		char rest[MESSAGE_MAX];
	} answer;
	ssize_t n;

	if (send(fd, m, m->head.nlmsg_len, 0) < 0)
		return -1;
	n = recv(fd, &answer, sizeof(answer), 0);
	if (n < 0)
		return -1;
	errno = n < (ssize_t)NLMSG_LENGTH(sizeof(answer.error)) || answer.head.nlmsg_type != NLMSG_ERROR
			? EPROTO
			: -answer.error.error;
	return errno ? -1 : 0;
}

static int link_move(int fd, const char *name, int netns)
{
	struct ifinfomsg body = { .ifi_index = (int)if_nametoindex(name) };
	struct message m;

	if (!body.ifi_index)
		return -1;
	begin(&m, RTM_SETLINK, 0, &body, sizeof(body));
	attribute(&m, IFLA_NET_NS_FD, &netns, sizeof(netns));
	return say(fd, &m);
}

static int link_up(int fd, int index, const char *name)
{
	struct ifinfomsg body = { .ifi_index = index, .ifi_flags = IFF_UP, .ifi_change = IFF_UP };
	struct message m;

	begin(&m, RTM_SETLINK, 0, &body, sizeof(body));
	attribute(&m, IFLA_IFNAME, name, strlen(name) + 1);
	return say(fd, &m);
}

/* What the link has of one kind of IP. */
struct end {
	int family; /* AF_INET, AF_INET6 */
	unsigned char address[16], gateway[16];
	int bits; /* 0: none */
};

static size_t size_of(const struct end *e)
{
	return e->family == AF_INET ? sizeof(struct in_addr) : sizeof(struct in6_addr);
}

static bool is_alone(const struct end *e)
{
	return e->bits == (int)size_of(e) * 8;
}

static int address_add(int fd, int index, const struct end *e)
{
	struct ifaddrmsg body = {
		.ifa_family = (unsigned char)e->family,
		.ifa_prefixlen = (unsigned char)e->bits,
		/* No other host can have it, and the task would wait for the answer. */
		.ifa_flags = e->family == AF_INET6 ? IFA_F_NODAD : 0,
		.ifa_index = (unsigned)index,
	};
	struct in_addr broadcast;
	struct message m;

	begin(&m, RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, &body, sizeof(body));
	attribute(&m, IFA_LOCAL, e->address, size_of(e));
	attribute(&m, IFA_ADDRESS, e->address, size_of(e));
	/* A systemd-networkd in the container tries for ever to add what it would have set. */
	if (e->family == AF_INET && e->bits < 31) {
		memcpy(&broadcast, e->address, sizeof(broadcast));
		broadcast.s_addr |= htonl(UINT32_MAX >> e->bits);
		attribute(&m, IFA_BROADCAST, &broadcast, sizeof(broadcast));
	}
	return say(fd, &m);
}

/* To the gateway itself on the link, or to everywhere through it. */
static int route_add(int fd, int index, const struct end *e, bool everywhere)
{
	struct rtmsg body = {
		.rtm_family = (unsigned char)e->family,
		.rtm_dst_len = everywhere ? 0 : (unsigned char)(8 * size_of(e)),
		.rtm_table = RT_TABLE_MAIN,
		.rtm_protocol = RTPROT_BOOT,
		.rtm_scope = everywhere ? RT_SCOPE_UNIVERSE : RT_SCOPE_LINK,
		.rtm_type = RTN_UNICAST,
	};
	struct message m;

	begin(&m, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, &body, sizeof(body));
	attribute(&m, everywhere ? RTA_GATEWAY : RTA_DST, e->gateway, size_of(e));
	attribute(&m, RTA_OIF, &index, sizeof(index));
	return say(fd, &m);
}

/* ---- On the host ---- */

/* The users of a container have no rights over a namespace that was made outside of theirs: without this
 * its root could neither listen on port 80 nor ping.  In one of its own, the other users may, too. */
static void netns_tune(void)
{
	(void)write_file("/proc/sys/net/ipv4/ip_unprivileged_port_start", "0");
	(void)write_file("/proc/sys/net/ipv4/ping_group_range", "0 2147483647");
}

int netns_open(const char *file)
{
	int fd = open(file, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || setns(fd, CLONE_NEWNET) < 0)
		init_fail(1, "enter network namespace", file);
	netns_tune();
	return 0;
}

struct plan {
	const char *peer;
	struct end ends[2]; /* IPv4, IPv6 */
};

/* What failed, or NULL. */
static const char *configure_end(int fd, int index, const struct end *e)
{
	if (!e->bits)
		return NULL;
	if (address_add(fd, index, e) < 0)
		return e->family == AF_INET ? "set the address" : "set the IPv6 address";
	if ((is_alone(e) && route_add(fd, index, e, false) < 0) || route_add(fd, index, e, true) < 0)
		return e->family == AF_INET ? "set the route" : "set the IPv6 route";
	return NULL;
}

static const char *configure(const struct plan *p)
{
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE), index;
	const char *failed = NULL;
	char path[80];

	if (fd < 0)
		return "open a netlink socket in the container";
	/* Whoever is in there must not take another way out. */
	snprintf(path, sizeof(path), "/proc/sys/net/ipv6/conf/%s/accept_ra", p->peer);
	if (p->ends[1].bits)
		(void)write_file(path, "0");
	index = (int)if_nametoindex(p->peer);
	if (!index || link_up(fd, index, NSPAWN_LINK) < 0)
		failed = "set up the link " NSPAWN_LINK;
	for (int i = 0; i < 2 && !failed; i++)
		failed = configure_end(fd, index, &p->ends[i]);
	close(fd);
	return failed;
}

static const char *connect_container(const struct plan *p, pid_t pid)
{
	int fd, netns, r;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)pid);
	netns = open(path, O_RDONLY | O_CLOEXEC);
	fd = netns < 0 ? -1 : socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	if (fd < 0)
		return "open the network namespace of the container";
	r = link_move(fd, p->peer, netns);
	close(fd);
	if (r < 0)
		return "move the link into the container";
	if (setns(netns, CLONE_NEWNET) < 0)
		return "enter the network namespace of the container";
	close(netns);
	netns_tune();
	return configure(p);
}

static void serve(int listener, const struct plan *plan)
{
	struct ucred peer = { 0 };
	socklen_t size = sizeof(peer);
	char answer[ANSWER_MAX] = "ok";
	const char *failed;
	int fd;

	do
		fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	while (fd < 0 && errno == EINTR);
	close(listener);
	(void)unlink(NSPAWN_NET_NAME);
	if (fd < 0 || getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0 || peer.pid <= 0)
		_exit(1);
	failed = connect_container(plan, peer.pid);
	if (failed)
		snprintf(answer, sizeof(answer), "%s: %s", failed, strerror(errno));
	_exit(send(fd, answer, strlen(answer), MSG_NOSIGNAL) < 0);
}

static int end_parse(struct end *e, int family, const char *address, const char *gateway, int bits)
{
	*e = (struct end){ .family = family };
	errno = EINVAL;
	if (strcmp(address, "-") == 0)
		return 0;
	e->bits = bits;
	return inet_pton(family, address, e->address) == 1 && inet_pton(family, gateway, e->gateway) == 1 &&
			       bits >= 1 && bits <= 8 * (int)size_of(e)
		       ? 0
		       : -1;
}

/* PEER ADDRESS GATEWAY BITS ADDRESS6 GATEWAY6 */
static int plan_parse(struct plan *p, const char *const *a)
{
	const int bits = atoi(a[3]);

	p->peer = a[0];
	return end_parse(&p->ends[0], AF_INET, a[1], a[2], bits) < 0
		       ? -1
		       : end_parse(&p->ends[1], AF_INET6, a[4], a[5], bits + 96);
}

int net_start(char *const *args)
{
	struct sockaddr_un where = { .sun_family = AF_UNIX, .sun_path = NSPAWN_NET_NAME };
	struct plan plan;
	pid_t pid;
	int fd;

	if (plan_parse(&plan, (const char *const *)args) < 0)
		return -1;
	(void)unlink(NSPAWN_NET_NAME);
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	/* Root of the container is nobody here; the directory is closed to others. */
	if (fd < 0 || bind(fd, (struct sockaddr *)&where, sizeof(where)) < 0 || chmod(NSPAWN_NET_NAME, 0666) < 0 ||
	    listen(fd, 1) < 0)
		return -1;
	pid = helper_fork("nspawn-net");
	if (!pid)
		serve(fd, &plan);
	close(fd);
	return pid < 0 ? -1 : 0;
}

/* ---- In the container ---- */

void net_await(void)
{
	struct sockaddr_un where = { .sun_family = AF_UNIX, .sun_path = NSPAWN_NET_PATH };
	struct pollfd pfd = { .events = POLLIN };
	char answer[ANSWER_MAX + 1];
	ssize_t n;

	if (access(NSPAWN_NET_PATH, F_OK) < 0)
		return;
	pfd.fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (pfd.fd < 0 || connect(pfd.fd, (struct sockaddr *)&where, sizeof(where)) < 0)
		init_fail(125, "connect the container by", NSPAWN_NET_PATH);
	errno = ETIMEDOUT;
	n = poll(&pfd, 1, WAIT_MS) == 1 ? recv(pfd.fd, answer, ANSWER_MAX, 0) : -1;
	if (n <= 0) {
		errno = n ? errno : ECONNRESET;
		init_fail(125, "hear of the network by", NSPAWN_NET_PATH);
	}
	close(pfd.fd);
	answer[n] = 0;
	if (strcmp(answer, "ok") == 0)
		return;
	dprintf(2, "cannot %s\n", answer);
	_exit(125);
}
