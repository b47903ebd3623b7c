/* SPDX-License-Identifier: MPL-2.0 */
/* What came of the network: name servers, time servers, resolv.conf. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "net.h"
#include "net_links.h"
#include "util.h"

struct net_iface net_links[NET_MAX_LINKS];
const struct config *net_config;

const char *net_v4(uint32_t ip)
{
	static char text[4][INET_ADDRSTRLEN];
	static unsigned int turn;

	return inet_ntop(AF_INET, &ip, text[++turn % 4], sizeof(text[0]));
}

#define MAX_SERVERS 16
static char server_text[MAX_SERVERS][INET6_ADDRSTRLEN + 17];
static const char *servers[MAX_SERVERS + 1];

static void add_server(size_t *n, const char *text)
{
	size_t i;

	for (i = 0; i < *n; i++)
		if (strcmp(servers[i], text) == 0)
			return;
	if (*n < MAX_SERVERS) {
		util_copy(server_text[*n], sizeof(server_text[0]), text);
		servers[*n] = server_text[*n];
		servers[++*n] = NULL;
	}
}

const char *const *net_name_servers(void *unused)
{
	char text[INET6_ADDRSTRLEN + 17];
	size_t i, j, n = 0;

	(void)unused;
	servers[0] = NULL;
	for (i = 0; net_config && net_config->dns && net_config->dns[i]; i++)
		add_server(&n, net_config->dns[i]);
	for (i = 0; i < NET_MAX_LINKS; i++) {
		for (j = 0; net_links[i].index && net_links[i].dhcp.has_lease && j < net_links[i].applied.n_dns; j++)
			add_server(&n, net_v4(net_links[i].applied.dns[j]));
		for (j = 0; net_links[i].index && j < net_links[i].applied6.n_dns; j++) {
			inet_ntop(AF_INET6, net_links[i].applied6.dns[j], text, INET6_ADDRSTRLEN);
			add_server(&n, text);
		}
		for (j = 0; net_links[i].index && j < net_links[i].n_rdnss; j++) {
			inet_ntop(AF_INET6, net_links[i].rdnss[j], text, INET6_ADDRSTRLEN);
			/* A link-local server is only reachable through its link. */
			if (net_links[i].rdnss[j][0] == 0xfe && (net_links[i].rdnss[j][1] & 0xc0) == 0x80) {
				strcat(text, "%");
				strcat(text, net_links[i].name);
			}
			add_server(&n, text);
		}
	}
	return servers;
}

const char *const *net_time_servers(void *unused)
{
	static char text[MAX_SERVERS][INET_ADDRSTRLEN];
	static const char *list[MAX_SERVERS + 1];
	size_t i, j, n = 0;

	(void)unused;
	for (i = 0; net_config && net_config->ntp && net_config->ntp[i] && n < MAX_SERVERS; i++)
		list[n++] = net_config->ntp[i];
	for (i = 0; i < NET_MAX_LINKS; i++) {
		for (j = 0; net_links[i].index && net_links[i].dhcp.has_lease && j < net_links[i].applied.n_ntp &&
			    n < MAX_SERVERS;
		     j++) {
			util_copy(text[n], sizeof(text[0]), net_v4(net_links[i].applied.ntp[j]));
			list[n] = text[n];
			n++;
		}
	}
	list[n] = NULL;
	return list;
}

int net_format_resolv(char *buf, int size, const char *const *list, char *const *search, const char *const *domains)
{
	int n = 0, i;

	if (search || (domains && domains[0])) {
		n += snprintf(buf + n, (size_t)(size - n), "search");
		for (i = 0; search && search[i] && n < size; i++)
			n += snprintf(buf + n, (size_t)(size - n), " %s", search[i]);
		for (i = 0; domains && domains[i] && n < size; i++)
			n += snprintf(buf + n, (size_t)(size - n), " %s", domains[i]);
		if (n < size)
			n += snprintf(buf + n, (size_t)(size - n), "\n");
	}
	/* The resolver reads three. */
	for (i = 0; i < 3 && list && list[i] && n < size; i++)
		n += snprintf(buf + n, (size_t)(size - n), "nameserver %s\n", list[i]);
	return n < size ? n : -ENOSPC;
}

const char *net_wireserver(void)
{
	size_t i;

	for (i = 0; i < NET_MAX_LINKS; i++)
		if (net_links[i].index && net_links[i].dhcp.has_lease && net_links[i].applied.wireserver)
			return net_v4(net_links[i].applied.wireserver);
	return NULL;
}
