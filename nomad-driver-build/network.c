/* SPDX-License-Identifier: MPL-2.0
 *
 * The network of a build: a namespace of its own, whose way out is a process
 * of slirp4netns(1) on the node.  It makes each connection anew, as any
 * program of the node could.  So what it must not reach is closed:
 *
 *	the node's loopback	--disable-host-loopback; abstract sockets are not in the namespace
 *	the node's addresses	unreachable by routes, or listeners on 0.0.0.0 (an agent's API) would answer
 *	169.254.0.0/16		the same: a cloud's metadata
 *
 * Names are resolved by the process itself, at an address of its own.  No
 * step can change routes: that takes CAP_NET_ADMIN, which the jail drops for
 * the engine, too.  Addresses that the node gets later are not closed.  There
 * is no IPv6 in the namespace. */
#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <net/route.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <fcntl.h>
#include <unistd.h>

#include "network.h"

enum { WAIT_MS = 60000 };
/* Of slirp4netns, in the network that it makes. */
static const char name_server[] = "10.0.2.3";

static int find_own(struct build_network *network)
{
	struct ifaddrs *list = NULL, *i;
	int r = 0;

	if (getifaddrs(&list) < 0)
		return -errno;
	for (i = list; i && r >= 0; i = i->ifa_next) {
		struct in_addr *grown;

		if (!i->ifa_addr || i->ifa_addr->sa_family != AF_INET)
			continue;
		grown = reallocarray(network->own, network->n_own + 1, sizeof(*grown));
		if (!grown) {
			r = -ENOMEM;
			break;
		}
		network->own = grown;
		grown[network->n_own++] = ((const struct sockaddr_in *)(const void *)i->ifa_addr)->sin_addr;
	}
	freeifaddrs(list);
	return r;
}

/* Signals stay blocked: it serves until its parent is gone. */
static void __attribute__((noreturn)) serve(const char *slirp, pid_t parent, int go, int ready, int said)
{
	char pid[16], fd[16], c;
	const char *const argv[] = { slirp,
				     "--configure",
				     "--mtu=65520",
				     "--disable-host-loopback",
				     "--ready-fd",
				     fd,
				     "--enable-sandbox",
				     "--enable-seccomp",
				     pid,
				     "tap0",
				     NULL };
	char *const env[] = { NULL };
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	snprintf(pid, sizeof(pid), "%d", (int)parent);
	snprintf(fd, sizeof(fd), "%d", ready);
	/* If the parent died before prctl(), the pipe ends without a word. */
	if (read(go, &c, 1) != 1)
		_exit(1);
	if (null < 0 || dup2(null, 0) < 0 || dup2(null, 1) < 0 || dup2(said, 2) < 0 || fcntl(ready, F_SETFD, 0) < 0)
		_exit(1);
	execve(slirp, (char *const *)(uintptr_t)argv, env);
	dprintf(2, "%s\n", strerror(errno));
	_exit(1);
}

int build_network_begin(struct build_network *network, const char *slirp, struct nomad_error **err)
{
	int go[2], ready[2], said[2], r = find_own(network);
	pid_t parent = getpid(), pid;

	if (r < 0)
		return nomad_error_errno(err, -r, "network: list the addresses of the node");
	if (pipe2(go, O_CLOEXEC) < 0 || pipe2(ready, O_CLOEXEC) < 0 || pipe2(said, O_CLOEXEC | O_NONBLOCK) < 0)
		return nomad_error_errno(err, errno, "network: make a pipe");
	pid = fork();
	if (pid < 0)
		return nomad_error_errno(err, errno, "network: start a process");
	if (!pid) {
		close(go[1]);
		close(ready[0]);
		serve(slirp, parent, go[0], ready[1], said[1]);
	}
	close(go[0]);
	close(ready[1]);
	close(said[1]);
	network->go = go[1];
	network->ready = ready[0];
	network->said = said[0];
	return 0;
}

static int close_to(int fd, struct in_addr to, const char *mask)
{
	struct rtentry route = { .rt_flags = RTF_UP | RTF_REJECT };
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr = to };

	memcpy(&route.rt_dst, &address, sizeof(address));
	address.sin_addr.s_addr = inet_addr(mask);
	if (address.sin_addr.s_addr == INADDR_NONE)
		route.rt_flags |= RTF_HOST;
	memcpy(&route.rt_genmask, &address, sizeof(address));
	return ioctl(fd, SIOCADDRT, &route) < 0 && errno != EEXIST ? -1 : 0;
}

int build_network_enter(struct build_network *network, struct nomad_error **err)
{
	NOMAD_AUTO_FD int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct in_addr local = { .s_addr = inet_addr("169.254.0.0") };
	size_t i;
	int r = fd < 0 ? -1 : close_to(fd, local, "255.255.0.0");

	for (i = 0; i < network->n_own && r >= 0; i++)
		/* 127.0.0.0/8 is the namespace's own. */
		if (ntohl(network->own[i].s_addr) >> 24 != 127)
			r = close_to(fd, network->own[i], "255.255.255.255");
	free(network->own);
	network->own = NULL;
	if (r < 0 || write(network->go, "", 1) != 1)
		return nomad_error_errno(err, errno, "network: close what is the node's");
	close(network->go);
	return 0;
}

int build_network_wait(struct build_network *network, struct nomad_error **err)
{
	struct pollfd p = { network->ready, POLLIN, 0 };
	char c, said[512];
	const char *last;
	ssize_t n;
	int r;

	do
		r = poll(&p, 1, WAIT_MS);
	while (r < 0 && errno == EINTR);
	if (r > 0 && read(network->ready, &c, 1) == 1) {
		close(network->ready);
		close(network->said);
		return 0;
	}
	n = read(network->said, said, sizeof(said) - 1);
	for (said[n < 0 ? 0 : n] = 0; n > 0 && said[n - 1] == '\n'; n--)
		said[n - 1] = 0;
	last = strrchr(said, '\n');
	return nomad_error_set(err, ENETDOWN,
			       "network: slirp4netns made no network for the build%s%s; look for /dev/net/tun on the "
			       "node, or use network = \"none\"",
			       *said ? ": " : "", last ? last + 1 : said);
}

char *build_network_resolv_conf(const char *path)
{
	char *text = nomad_strdupf("nameserver %s\n", name_server), line[1024];
	FILE *in = fopen(path, "re");

	while (text && in && fgets(line, sizeof(line), in)) {
		char *more;

		if (strncmp(line, "search", 6) != 0 && strncmp(line, "options", 7) != 0 &&
		    strncmp(line, "domain", 6) != 0)
			continue;
		more = nomad_strdupf("%s%s%s", text, line, strchr(line, '\n') ? "" : "\n");
		free(text);
		text = more;
	}
	if (in)
		fclose(in);
	return text;
}
