/* SPDX-License-Identifier: MPL-2.0
 *
 * Port mappings.  With nftables: one table of ours, which all plugins of the
 * host share, in it a set of their pools and two maps from
 * protocol and port of the host, with its address or without, to address
 * and port of a container, so that a mapping is one element.  nft deletes
 * an element by its key, whatever its value: it is looked at first, so that
 * nobody takes away what has become a neighbour's.
 * IPv6 has a table of the same form, and takes nft.
 * Without nft, with iptables: rules that name port and address and are
 * deleted by the same words; deleting one that is not there is no error.
 *
 * What is sent to this host from elsewhere passes prerouting, what it sends
 * to itself passes output; what comes from 127.0.0.1 also needs another
 * source address and route_localnet on the link (network.c).  That would
 * let containers send to services that listen on 127.0.0.1 alone, or in
 * their name; both is dropped as it arrives.
 *
 * A port of one address of the host is led from there, and from 127.0.0.1
 * unless another container has that already. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "network.h"
#include "tool.h"

static const char loopback[] = "127.0.0.1";
static const char *const protocols[] = { "tcp", "udp" };

static const char nft_table[] =
	"table ip nomad_nspawn {\n"
	"	set pools { type ipv4_addr; flags interval; auto-merge; }\n"
	"	map ports { type inet_proto . inet_service : ipv4_addr . inet_service; }\n"
	"	map ports_at { type ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service; }\n"
	"	chain guard { type filter hook prerouting priority -300; }\n"
	"	chain prerouting { type nat hook prerouting priority -100; }\n"
	"	chain output { type nat hook output priority -100; }\n"
	"	chain postrouting { type nat hook postrouting priority 100; }\n"
	"}\n"
	"flush chain ip nomad_nspawn guard\n"
	"flush chain ip nomad_nspawn prerouting\n"
	"flush chain ip nomad_nspawn output\n"
	"flush chain ip nomad_nspawn postrouting\n"
	"add rule ip nomad_nspawn guard iifname { \"vn*\", \"nz-*\" } ip daddr 127.0.0.0/8 drop\n"
	"add rule ip nomad_nspawn guard iifname { \"vn*\", \"nz-*\" } ip saddr 127.0.0.0/8 drop\n"
	"add rule ip nomad_nspawn prerouting dnat ip to ip daddr . meta l4proto . th dport map @ports_at\n"
	"add rule ip nomad_nspawn prerouting fib daddr type local dnat ip to meta l4proto . th dport map @ports\n"
	"add rule ip nomad_nspawn output dnat ip to ip daddr . meta l4proto . th dport map @ports_at\n"
	"add rule ip nomad_nspawn output fib daddr type local dnat ip to meta l4proto . th dport map @ports\n"
	"add rule ip nomad_nspawn postrouting ip saddr @pools ip daddr != @pools masquerade\n"
	"add rule ip nomad_nspawn postrouting ip saddr @pools ct status dnat masquerade\n"
	"add rule ip nomad_nspawn postrouting ip saddr 127.0.0.0/8 ip daddr @pools masquerade\n";

/* The kernel drops what has ::1 and is not its own, and leads nothing there. A container must not configure the host.
 */
static const char nft_table6[] =
	"table ip6 nomad_nspawn {\n"
	"	set pools { type ipv6_addr; flags interval; auto-merge; }\n"
	"	set translated { type ipv6_addr; flags interval; auto-merge; }\n"
	"	map ports { type inet_proto . inet_service : ipv6_addr . inet_service; }\n"
	"	map ports_at { type ipv6_addr . inet_proto . inet_service : ipv6_addr . inet_service; }\n"
	"	chain guard { type filter hook prerouting priority -300; }\n"
	"	chain prerouting { type nat hook prerouting priority -100; }\n"
	"	chain output { type nat hook output priority -100; }\n"
	"	chain postrouting { type nat hook postrouting priority 100; }\n"
	"}\n"
	"flush chain ip6 nomad_nspawn guard\n"
	"flush chain ip6 nomad_nspawn prerouting\n"
	"flush chain ip6 nomad_nspawn output\n"
	"flush chain ip6 nomad_nspawn postrouting\n"
	"add rule ip6 nomad_nspawn guard iifname { \"vn*\", \"nz-*\" } icmpv6 type { nd-router-advert, nd-redirect } "
	"drop\n"
	"add rule ip6 nomad_nspawn prerouting dnat ip6 to ip6 daddr . meta l4proto . th dport map @ports_at\n"
	"add rule ip6 nomad_nspawn prerouting fib daddr type local dnat ip6 to meta l4proto . th dport map @ports\n"
	"add rule ip6 nomad_nspawn output dnat ip6 to ip6 daddr . meta l4proto . th dport map @ports_at\n"
	"add rule ip6 nomad_nspawn output ip6 daddr != ::1 fib daddr type local dnat ip6 to meta l4proto . th dport "
	"map "
	"@ports\n"
	"add rule ip6 nomad_nspawn postrouting ip6 saddr @translated ip6 daddr != @pools masquerade\n"
	"add rule ip6 nomad_nspawn postrouting ip6 saddr @pools ct status dnat masquerade\n";

static bool is_6(const char *address)
{
	return strchr(address, ':') != NULL;
}

/* Whether it is led to a container's address of this kind. */
static bool is_for(const struct nspawn_port *port, const char *address)
{
	return !port->at[0] || is_6(port->at) == is_6(address);
}

char *nspawn_ports_format(const struct nspawn_port *ports, size_t n)
{
	char *text = NULL;
	size_t size, i;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		return NULL;
	for (i = 0; i < n; i++)
		fprintf(out, "%s%d:%d%s%s", i ? "," : "", ports[i].host, ports[i].container, ports[i].at[0] ? "@" : "",
			ports[i].at);
	return fclose(out) ? NULL : text;
}

static bool is_port(int port)
{
	return port >= 1 && port <= 65535;
}

/* How many bytes of `text` one takes; 0 if it is none. */
static size_t port_parse(const char *text, struct nspawn_port *p)
{
	struct in6_addr any;
	int used = 0, more = 0;

	*p = (struct nspawn_port){ 0 };
	if (sscanf(text, "%5d:%5d%n", &p->host, &p->container, &used) != 2 || !is_port(p->host) ||
	    !is_port(p->container))
		return 0;
	if (text[used] == '@') {
		if (sscanf(text + used, "@%45[0-9a-fA-F:.]%n", p->at, &more) != 1 ||
		    inet_pton(is_6(p->at) ? AF_INET6 : AF_INET, p->at, &any) != 1)
			return 0;
		used += more;
	}
	return text[used] && text[used] != ',' ? 0 : (size_t)used;
}

int nspawn_ports_parse(const char *text, struct nspawn_port **ret_ports, size_t *ret_n)
{
	struct nspawn_port *ports = NULL, *more;
	size_t n = 0, used;

	while (*text) {
		struct nspawn_port p;

		used = port_parse(text, &p);
		if (!used) {
			free(ports);
			return -EINVAL;
		}
		more = realloc(ports, (n + 1) * sizeof(*ports));
		if (!more) {
			free(ports);
			return -ENOMEM;
		}
		ports = more;
		ports[n++] = p;
		text += used + (text[used] == ',');
	}
	*ret_ports = ports;
	*ret_n = n;
	return 0;
}

/* ---- nftables ---- */

static int nft(const char *path, const char *script, char **ret_output, struct nomad_error **err)
{
	return nspawn_tool_run((const char *const[]){ path, "-f", "-", NULL },
			       &(struct nspawn_tool){ .input = script, .what = "nft" }, ret_output, err);
}

/* "add element ip nomad_nspawn ports { tcp . 80 : 10.88.0.2 . 80 }", with that value if it is added. */
static void element(FILE *out, const char *act, const char *at, const char *protocol, const struct nspawn_port *port,
		    const char *address)
{
	fprintf(out, "%s element ip%s nomad_nspawn ports%s { %s%s%s . %d", act, is_6(address) ? "6" : "",
		*at ? "_at" : "", at, *at ? " . " : "", protocol, port->host);
	if (strcmp(act, "add") == 0)
		fprintf(out, " : %s . %d", address, port->container);
	fputs(" }\n", out);
}

static void elements(FILE *out, const char *act, const char *at, const struct nspawn_port *port, const char *address)
{
	size_t i;

	for (i = 0; i < NOMAD_ARRAY_LEN(protocols); i++)
		element(out, act, at, protocols[i], port, address);
}

/* Both protocols of one port in a transaction of its own. */
static int nft_elements(const char *path, const char *act, const char *at, const struct nspawn_port *port,
			const char *address, struct nomad_error **err)
{
	NOMAD_AUTO_FREE char *script = NULL;
	size_t size;
	FILE *out = open_memstream(&script, &size);

	if (out)
		elements(out, act, at, port, address);
	return !out || fclose(out) ? nomad_error_errno(err, ENOMEM, "map ports") : nft(path, script, NULL, err);
}

/* Addresses of fc00::/7 mean nothing to other hosts. */
static void write_table6(FILE *out, const char *pool)
{
	struct in6_addr in6 = { 0 };
	NOMAD_AUTO_FREE char *network = strndup(pool, strcspn(pool, "/"));

	(void)(network && inet_pton(AF_INET6, network, &in6));
	fprintf(out, "%sadd element ip6 nomad_nspawn pools { %s }\n", nft_table6, pool);
	if ((in6.s6_addr[0] & 0xfe) == 0xfc)
		fprintf(out, "add element ip6 nomad_nspawn translated { %s }\n", pool);
}

/* A port of one address is also led from the loopback address. */
static bool is_also_local(const struct nspawn_port *port, const char *address)
{
	return port->at[0] && !is_6(port->at) && !is_6(address) && strcmp(port->at, loopback) != 0;
}

static int nft_open(const char *path, const char *pool, const char *address, const struct nspawn_port *ports, size_t n,
		    struct nomad_error **err)
{
	NOMAD_AUTO_FREE char *script = NULL;
	size_t size, i;
	FILE *out = open_memstream(&script, &size);
	int r;

	if (!out)
		return nomad_error_errno(err, errno, "map ports");
	if (is_6(address))
		write_table6(out, pool);
	else
		fprintf(out, "%sadd element ip nomad_nspawn pools { %s }\n", nft_table, pool);
	for (i = 0; i < n; i++)
		if (is_for(&ports[i], address))
			elements(out, "add", ports[i].at, &ports[i], address);
	if (fclose(out))
		return nomad_error_errno(err, ENOMEM, "map ports");
	r = nft(path, script, NULL, err);
	for (i = 0; i < n && r >= 0; i++)
		if (is_also_local(&ports[i], address) &&
		    nft_elements(path, "add", loopback, &ports[i], address, NULL) < 0)
			nomad_log(NOMAD_LOG_INFO, "port %d of %s leads to another container already", ports[i].host,
				  loopback);
	return r;
}

static void nft_drop(const char *path, const char *at, const struct nspawn_port *port, const char *address)
{
	NOMAD_AUTO_FREE char *script = NULL, *found = NULL, *ours = nomad_strdupf(" : %s . ", address);
	size_t size;
	FILE *out = open_memstream(&script, &size);

	if (out)
		element(out, "get", at, protocols[0], port, address);
	if (!out || fclose(out) || !ours || nft(path, script, &found, NULL) < 0 || !strstr(found, ours))
		return;
	(void)nft_elements(path, "delete", at, port, address, NULL);
}

static void nft_close(const char *path, const char *address, const struct nspawn_port *ports, size_t n, bool last)
{
	size_t i;

	for (i = 0; i < n; i++) {
		if (is_for(&ports[i], address))
			nft_drop(path, ports[i].at, &ports[i], address);
		if (is_also_local(&ports[i], address))
			nft_drop(path, loopback, &ports[i], address);
	}
	if (last)
		(void)nft(path,
			  is_6(address) ? "table ip6 nomad_nspawn\ndelete table ip6 nomad_nspawn\n"
					: "table ip nomad_nspawn\ndelete table ip nomad_nspawn\n",
			  NULL, NULL);
}

/* ---- iptables ---- */

static int iptables(const char *path, const char *act, const char *const *rule, struct nomad_error **err)
{
	char **argv = NULL;
	const char *const head[] = { path, "-w", "-t", rule[0], act };
	size_t i;
	int r = 0;

	for (i = 0; i < NOMAD_ARRAY_LEN(head) && r >= 0; i++)
		r = nomad_strv_add(&argv, head[i]);
	for (i = 1; rule[i] && r >= 0; i++)
		r = nomad_strv_add(&argv, rule[i]);
	if (r < 0)
		r = nomad_error_errno(err, ENOMEM, "run iptables");
	else
		r = nspawn_tool_run((const char *const *)argv, &(struct nspawn_tool){ .what = "iptables" }, NULL, err);
	nomad_strv_free(argv);
	return r;
}

#define RULE(...) ((const char *const[]){ __VA_ARGS__, NULL })
#define OURS "-m", "comment", "--comment", "nomad-nspawn", "-j"

/* The rules of all of us. */
static int iptables_common(const char *path, const char *act, const char *pool, struct nomad_error **err)
{
	const char *const *rules[] = {
		RULE("raw", "PREROUTING", "-i", "vn+", "-d", "127.0.0.0/8", OURS, "DROP"),
		RULE("raw", "PREROUTING", "-i", "vn+", "-s", "127.0.0.0/8", OURS, "DROP"),
		RULE("raw", "PREROUTING", "-i", "nz-+", "-d", "127.0.0.0/8", OURS, "DROP"),
		RULE("raw", "PREROUTING", "-i", "nz-+", "-s", "127.0.0.0/8", OURS, "DROP"),
		RULE("nat", "POSTROUTING", "-s", pool, "!", "-d", pool, OURS, "MASQUERADE"),
		RULE("nat", "POSTROUTING", "-s", "127.0.0.0/8", "-d", pool, OURS, "MASQUERADE"),
		RULE("nat", "POSTROUTING", "-s", pool, "-m", "conntrack", "--ctstate", "DNAT", OURS, "MASQUERADE"),
	};
	size_t i;
	int r = 0;

	for (i = 0; i < NOMAD_ARRAY_LEN(rules) && r >= 0; i++) {
		bool there = iptables(path, "-C", rules[i], NULL) >= 0;

		if (there == (act[1] == 'D'))
			r = iptables(path, act, rules[i], err);
	}
	return r;
}

static int iptables_port(const char *path, const char *act, const char *at, const char *address,
			 const struct nspawn_port *port, struct nomad_error **err)
{
	static const char *const chains[] = { "PREROUTING", "OUTPUT" };
	char host[16], to[64];
	size_t i;
	int r = 0;

	snprintf(host, sizeof(host), "%d", port->host);
	snprintf(to, sizeof(to), "%s:%d", address, port->container);
	for (i = 0; i < 4 && r >= 0; i++) {
		const char *chain = chains[i / 2], *protocol = protocols[i % 2];
		const char *const *rule = *at ? RULE("nat", chain, "-p", protocol, "--dport", host, "-d", at, OURS,
						     "DNAT", "--to-destination", to)
					      : RULE("nat", chain, "-p", protocol, "--dport", host, "-m", "addrtype",
						     "--dst-type", "LOCAL", OURS, "DNAT", "--to-destination", to);

		if (act[1] == 'D')
			(void)iptables(path, act, rule, NULL);
		else
			r = iptables(path, act, rule, err);
	}
	return r;
}

static int iptables_ports(const char *path, const char *act, const char *address, const struct nspawn_port *ports,
			  size_t n, struct nomad_error **err)
{
	size_t i;
	int r = 0;

	for (i = 0; i < n && r >= 0; i++) {
		if (is_for(&ports[i], address))
			r = iptables_port(path, act, ports[i].at, address, &ports[i], err);
		/* Of two such rules the first one counts. */
		if (r >= 0 && is_also_local(&ports[i], address))
			r = iptables_port(path, act, loopback, address, &ports[i], err);
	}
	return r;
}

/* ---- Either ---- */

int nspawn_firewall_open(const char *pool, const char *address, const struct nspawn_port *ports, size_t n,
			 struct nomad_error **err)
{
	NOMAD_AUTO_FREE char *with_nft = nomad_tool_find("nft");
	NOMAD_AUTO_FREE char *with_iptables = with_nft ? NULL : nomad_tool_find("iptables");
	int r;

	if (with_nft)
		return nft_open(with_nft, pool, address, ports, n, err);
	if (is_6(address))
		return nomad_error_set(err, ENOENT,
				       "plugin option network_pool6: nft is not installed; install nftables");
	if (!with_iptables)
		return n ? nomad_error_set(err, ENOENT,
					   "map ports: neither nft nor iptables is installed; install nftables")
			 : 0;
	r = iptables_common(with_iptables, "-A", pool, err);
	return r < 0 ? r : iptables_ports(with_iptables, "-A", address, ports, n, err);
}

void nspawn_firewall_close(const char *pool, const char *address, const struct nspawn_port *ports, size_t n, bool last)
{
	NOMAD_AUTO_FREE char *with_nft = nomad_tool_find("nft");
	NOMAD_AUTO_FREE char *with_iptables = with_nft ? NULL : nomad_tool_find("iptables");

	if (with_nft)
		nft_close(with_nft, address, ports, n, last);
	if (!with_iptables || is_6(address))
		return;
	(void)iptables_ports(with_iptables, "-D", address, ports, n, NULL);
	if (last)
		(void)iptables_common(with_iptables, "-D", pool, NULL);
}
