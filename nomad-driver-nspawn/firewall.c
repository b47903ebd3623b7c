/* SPDX-License-Identifier: MPL-2.0
 *
 * Port mappings.  With nftables: one table of ours, in it one map from
 * protocol and port of the host to address and port of a container, so that
 * a mapping is one element and taking it away cannot touch a neighbour's.
 * Without nft, with iptables: rules that name port and address and are
 * deleted by the same words; deleting one that is not there is no error.
 *
 * What is sent to this host from elsewhere passes prerouting, what it sends
 * to itself passes output; what comes from 127.0.0.1 also needs another
 * source address and route_localnet on the link (network.c). */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "network.h"
#include "tool.h"

static const char nft_table[] =
	"table ip nomad_nspawn {\n"
	"	map ports { type inet_proto . inet_service : ipv4_addr . inet_service; }\n"
	"	chain prerouting { type nat hook prerouting priority -100; }\n"
	"	chain output { type nat hook output priority -100; }\n"
	"	chain postrouting { type nat hook postrouting priority 100; }\n"
	"}\n"
	"flush chain ip nomad_nspawn prerouting\n"
	"flush chain ip nomad_nspawn output\n"
	"flush chain ip nomad_nspawn postrouting\n"
	"add rule ip nomad_nspawn prerouting fib daddr type local dnat ip to meta l4proto . th dport map @ports\n"
	"add rule ip nomad_nspawn output fib daddr type local dnat ip to meta l4proto . th dport map @ports\n";

char *nspawn_ports_format(const struct nspawn_port *ports, size_t n)
{
	char *text = NULL;
	size_t size, i;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		return NULL;
	for (i = 0; i < n; i++)
		fprintf(out, "%s%d:%d", i ? "," : "", ports[i].host, ports[i].container);
	return fclose(out) ? NULL : text;
}

int nspawn_ports_parse(const char *text, struct nspawn_port **ret_ports, size_t *ret_n)
{
	struct nspawn_port *ports = NULL, *more;
	size_t n = 0;
	int used;

	while (*text) {
		struct nspawn_port p;

		used = 0;
		if (sscanf(text, "%5d:%5d%n", &p.host, &p.container, &used) != 2 || p.host < 1 || p.host > 65535 ||
		    p.container < 1 || p.container > 65535 || (text[used] && text[used] != ',')) {
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

static int nft(const char *path, const char *script, struct nomad_error **err)
{
	return nspawn_tool_run((const char *const []) { path, "-f", "-", NULL },
			       &(struct nspawn_tool) { .input = script, .what = "nft" }, NULL, err);
}

static int nft_open(const char *path, const char *pool, const char *address, const struct nspawn_port *ports, size_t n,
		    struct nomad_error **err)
{
	NOMAD_AUTO_FREE char *script = NULL;
	size_t size, i;
	FILE *out = open_memstream(&script, &size);

	if (!out)
		return nomad_error_errno(err, errno, "map ports");
	fputs(nft_table, out);
	fprintf(out, "add rule ip nomad_nspawn postrouting ip saddr %s ip daddr != %s masquerade\n", pool, pool);
	fprintf(out, "add rule ip nomad_nspawn postrouting ip saddr %s ct status dnat masquerade\n", pool);
	fprintf(out, "add rule ip nomad_nspawn postrouting ip saddr 127.0.0.0/8 ip daddr %s masquerade\n", pool);
	for (i = 0; i < n; i++)
		fprintf(out, "add element ip nomad_nspawn ports { tcp . %d : %s . %d, udp . %d : %s . %d }\n",
			ports[i].host, address, ports[i].container, ports[i].host, address, ports[i].container);
	if (fclose(out))
		return nomad_error_errno(err, ENOMEM, "map ports");
	return nft(path, script, err);
}

static int nft_close(const char *path, const char *address, const struct nspawn_port *ports, size_t n, bool last,
		     struct nomad_error **err)
{
	size_t i;
	int r = 0;

	for (i = 0; i < n; i++) {
		static const char *const protocols[] = { "tcp", "udp" };
		size_t p;

		/* One by one: where one is gone already the others still have to go. */
		for (p = 0; p < 2; p++) {
			NOMAD_AUTO_FREE char *script = nomad_strdupf(
				"delete element ip nomad_nspawn ports { %s . %d : %s . %d }\n",
				protocols[p], ports[i].host, address, ports[i].container);

			if (!script)
				return nomad_error_errno(err, ENOMEM, "unmap ports");
			(void)nft(path, script, NULL);
		}
	}
	if (last)
		(void)nft(path, "table ip nomad_nspawn\ndelete table ip nomad_nspawn\n", NULL);
	return r;
}

/* ---- iptables ---- */

static int iptables(const char *path, const char *act, const char *const *rule, struct nomad_error **err)
{
	char **argv = NULL;
	const char *const head[] = { path, "-w", "-t", "nat", act };
	size_t i;
	int r = 0;

	for (i = 0; i < NOMAD_ARRAY_LEN(head) && r >= 0; i++)
		r = nomad_strv_add(&argv, head[i]);
	for (i = 0; rule[i] && r >= 0; i++)
		r = nomad_strv_add(&argv, rule[i]);
	if (r < 0)
		r = nomad_error_errno(err, ENOMEM, "run iptables");
	else
		r = nspawn_tool_run((const char *const *)argv, &(struct nspawn_tool) { .what = "iptables" }, NULL, err);
	nomad_strv_free(argv);
	return r;
}

#define RULE(...) ((const char *const []) { __VA_ARGS__, NULL })

/* The rules of all of us. */
static int iptables_common(const char *path, const char *act, const char *pool, struct nomad_error **err)
{
	const char *const *rules[] = {
		RULE("POSTROUTING", "-s", pool, "!", "-d", pool, "-m", "comment", "--comment", "nomad-nspawn", "-j",
		     "MASQUERADE"),
		RULE("POSTROUTING", "-s", "127.0.0.0/8", "-d", pool, "-m", "comment", "--comment", "nomad-nspawn", "-j",
		     "MASQUERADE"),
		RULE("POSTROUTING", "-s", pool, "-m", "conntrack", "--ctstate", "DNAT", "-m", "comment", "--comment",
		     "nomad-nspawn", "-j", "MASQUERADE"),
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

static int iptables_ports(const char *path, const char *act, const char *address, const struct nspawn_port *ports,
			  size_t n,
			  struct nomad_error **err)
{
	static const char *const chains[] = { "PREROUTING", "OUTPUT" }, *const protocols[] = { "tcp", "udp" };
	char host[16], to[64];
	size_t i, j;
	int r = 0;

	for (i = 0; i < n && r >= 0; i++) {
		snprintf(host, sizeof(host), "%d", ports[i].host);
		snprintf(to, sizeof(to), "%s:%d", address, ports[i].container);
		for (j = 0; j < 4 && r >= 0; j++) {
			const char *const *rule = RULE(chains[j / 2], "-p", protocols[j % 2], "--dport", host, "-m",
						       "addrtype",
				"--dst-type", "LOCAL", "-m", "comment", "--comment", "nomad-nspawn", "-j", "DNAT",
				"--to-destination", to);

			if (act[1] == 'D')
				(void)iptables(path, act, rule, NULL);
			else
				r = iptables(path, act, rule, err);
		}
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
	if (!with_iptables)
		return n ? nomad_error_set(err, ENOENT,
					   "map ports: neither nft nor iptables is installed; install nftables") : 0;
	r = iptables_common(with_iptables, "-A", pool, err);
	return r < 0 ? r : iptables_ports(with_iptables, "-A", address, ports, n, err);
}

int nspawn_firewall_close(const char *pool, const char *address, const struct nspawn_port *ports, size_t n, bool last,
			  struct nomad_error **err)
{
	NOMAD_AUTO_FREE char *with_nft = nomad_tool_find("nft");
	NOMAD_AUTO_FREE char *with_iptables = with_nft ? NULL : nomad_tool_find("iptables");

	if (with_nft)
		return nft_close(with_nft, address, ports, n, last, err);
	if (!with_iptables)
		return 0;
	(void)iptables_ports(with_iptables, "-D", address, ports, n, NULL);
	if (last)
		(void)iptables_common(with_iptables, "-D", pool, NULL);
	return 0;
}
