/* SPDX-License-Identifier: MPL-2.0 */
#include "config_check.h"

#include <arpa/inet.h>
#include <stdbool.h>
#include <string.h>

#include "config.h"
#include "util.h"

static bool is_ip(const char *s)
{
	unsigned char buf[16];

	return inet_pton(AF_INET, s, buf) == 1 || inet_pton(AF_INET6, s, buf) == 1;
}

static bool is_cidr(const char *s)
{
	unsigned char buf[16];
	char ip[64];
	const char *slash = strchr(s, '/');
	long bits;

	if (!slash || (size_t)(slash - s) >= sizeof(ip))
		return false;
	memcpy(ip, s, (size_t)(slash - s));
	ip[slash - s] = '\0';
	if (inet_pton(AF_INET, ip, buf) == 1)
		return util_parse_long(slash + 1, 1, 32, &bits) == 0;
	return inet_pton(AF_INET6, ip, buf) == 1 && util_parse_long(slash + 1, 1, 128, &bits) == 0;
}

const char *config_check_ip(const char *s)
{
	return is_ip(s) ? NULL : "IP addresses";
}

const char *config_check_cidr(const char *s)
{
	return is_cidr(s) ? NULL : "addresses as 192.0.2.7/24";
}

bool config_parse_route(const char *text, struct net_address *ret_to, struct net_address *ret_via)
{
	const char *via = strstr(text, " via ");
	char to[64];

	if (!via || (size_t)(via - text) >= sizeof(to))
		return false;
	memcpy(to, text, (size_t)(via - text));
	to[via - text] = '\0';
	return strchr(to, '/') && !strchr(via, '/') && net_address_parse(to, ret_to) == 0 &&
	       net_address_parse(via + 5, ret_via) == 0 && ret_to->family == ret_via->family;
}

const char *config_check_route(const char *s)
{
	struct net_address to, via;

	return config_parse_route(s, &to, &via) ? NULL : "routes as 10.0.0.0/8 via 192.0.2.1";
}

const char *config_check_link(const char *s)
{
	return *s && (strlen(s) < 16 || strlen(s) == 17) && !strchr(s, '/') ? NULL : "an interface name or MAC address";
}

const char *const config_bond_modes[] = { "balance-rr", "active-backup", "balance-xor", "broadcast",
					  "802.3ad",	"balance-tlb",	 "balance-alb", NULL };

const char *config_check_bond_mode(const char *s)
{
	size_t i;

	for (i = 0; config_bond_modes[i]; i++)
		if (strcmp(s, config_bond_modes[i]) == 0)
			return NULL;
	return "802.3ad, active-backup, balance-rr, balance-xor, balance-tlb, balance-alb or broadcast";
}

const char *config_check_provider(const char *s)
{
	return *s && strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789-") == strlen(s) ? NULL : "a provider's name";
}

const char *config_check_hostname(const char *s)
{
	return util_is_hostname(s) ? NULL : "a host name";
}

const char *config_check_host_or_ip(const char *s)
{
	return is_ip(s) || util_is_hostname(s) ? NULL : "host names or IP addresses";
}

const char *config_check_label(const char *s)
{
	return *s && strlen(s) < 36 && !strchr(s, '/') ? NULL : "a label below 36 characters";
}

const char *config_check_module(const char *s)
{
	static const char good[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";

	return *s && strspn(s, good) == strlen(s) ? NULL : "module names";
}
