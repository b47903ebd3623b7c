/* SPDX-License-Identifier: MPL-2.0 */
/* Networks as drives and OpenStack describe them: cloud-init's network-config in its two versions, and
 * network_data.json.  What is not known there (bridges, tunnels) is left out. */
#include "cloud.h"

#include <stdio.h>
#include <string.h>

#include "config_check.h"
#include "util.h"

static const char *text_of(const json_t *object, const char *key, char buf[96])
{
	return cloud_text(json_object_get(object, key), buf, 96);
}

static void set_int(json_t *section, const char *key, const json_t *value, long min, long max)
{
	char buf[96];
	long n;

	if (section && util_parse_long(cloud_text(value, buf, sizeof(buf)), min, max, &n) == 0)
		json_object_set_new(section, key, json_integer(n));
}

static void set_text(json_t *section, const char *key, const char *text)
{
	const char *wrong = strcmp(key, "parent") == 0 ? config_check_link(text) : config_check_bond_mode(text);

	if (section && *text && !wrong)
		json_object_set_new(section, key, json_string(text));
}

static void add_member(json_t *section, const char *name)
{
	if (section && !config_check_link(name))
		cloud_add_to(section, "bond", name);
}

static void set_dhcp(json_t *section, bool is_on)
{
	json_object_set_new(section, "dhcp", json_boolean(is_on));
}

static void add_dns(json_t *config, const json_t *servers)
{
	json_t *ours = json_object_get(config, "nomadinit"), *one;
	char buf[96];
	size_t i;

	if (!json_is_array(servers)) {
		cloud_text(servers, buf, sizeof(buf));
		if (buf[0])
			cloud_add_address(ours, "dns", buf, "");
		return;
	}
	json_array_foreach(servers, i, one)
	{
		add_dns(config, one);
	}
}

static void add_search(json_t *config, const json_t *domains)
{
	json_t *one;
	char buf[96];
	size_t i;

	json_array_foreach(domains, i, one)
	{
		if (util_is_hostname(cloud_text(one, buf, sizeof(buf))))
			cloud_add_to(json_object_get(config, "nomadinit"), "search", buf);
	}
}

static void set_bond(json_t *section, const json_t *members, const char *mode)
{
	json_t *one;
	char buf[96];
	size_t i;

	json_array_foreach(members, i, one)
	{
		cloud_text(one, buf, sizeof(buf));
		add_member(section, buf);
	}
	set_text(section, "bond_mode", mode);
}

/* ---- Version 1 -------------------------------------------------------------------- */

static void map_routes1(json_t *section, const json_t *routes)
{
	char to[96], mask[96], via[96];
	json_t *one;
	size_t i;

	json_array_foreach(routes, i, one)
	{
		text_of(one, "network", to);
		if (!to[0])
			text_of(one, "destination", to);
		text_of(one, "netmask", mask);
		if (!mask[0])
			text_of(one, "prefix", mask);
		text_of(one, json_object_get(one, "gateway") ? "gateway" : "via", via);
		cloud_add_route(section, to, mask, via);
	}
}

static void map_subnet1(json_t *section, const json_t *subnet, json_t *config)
{
	char type[96], a[96], mask[96];

	text_of(subnet, "type", type);
	if (strcmp(type, "dhcp") == 0 || strcmp(type, "dhcp4") == 0)
		set_dhcp(section, true);
	text_of(subnet, "address", a);
	if (!*text_of(subnet, "netmask", mask))
		text_of(subnet, "prefix", mask);
	if (a[0])
		cloud_add_address(section, "addresses", a, mask);
	text_of(subnet, "gateway", a);
	if (a[0])
		cloud_add_address(section, "gateways", a, "");
	map_routes1(section, json_object_get(subnet, "routes"));
	add_dns(config, json_object_get(subnet, "dns_nameservers"));
	add_search(config, json_object_get(subnet, "dns_search"));
}

static json_t *section1(const json_t *item, const char *type, json_t *config)
{
	json_t *section, *params = json_object_get(item, "params");
	char name[96], mac[96], buf[96];

	text_of(item, "name", name);
	text_of(item, "mac_address", mac);
	section = cloud_interface(config, strcmp(type, "physical") == 0 && mac[0] ? mac : name);
	if (section && strcmp(type, "vlan") == 0) {
		set_int(section, "vlan", json_object_get(item, "vlan_id"), 1, 4094);
		set_text(section, "parent", text_of(item, "vlan_link", buf));
	} else if (section && strcmp(type, "bond") == 0) {
		set_bond(section, json_object_get(item, "bond_interfaces"), text_of(params, "bond-mode", buf));
	}
	set_int(section, "mtu", json_object_get(item, "mtu"), 68, 65535);
	return section;
}

static void map_version1(const json_t *network, json_t *config)
{
	json_t *item, *subnet, *section;
	char type[96];
	size_t i, j;

	json_array_foreach(json_object_get(network, "config"), i, item)
	{
		text_of(item, "type", type);
		if (strcmp(type, "nameserver") == 0) {
			add_dns(config, json_object_get(item, "address"));
			add_search(config, json_object_get(item, "search"));
			continue;
		}
		if (strcmp(type, "physical") != 0 && strcmp(type, "vlan") != 0 && strcmp(type, "bond") != 0)
			continue;
		section = section1(item, type, config);
		if (!section)
			continue;
		set_dhcp(section, false);
		json_array_foreach(json_object_get(item, "subnets"), j, subnet)
		{
			map_subnet1(section, subnet, config);
		}
	}
}

/* ---- Version 2 -------------------------------------------------------------------- */

static void map_routes2(json_t *section, const json_t *routes)
{
	char to[96], via[96];
	json_t *one;
	size_t i;

	json_array_foreach(routes, i, one)
	{
		cloud_add_route(section, text_of(one, "to", to), "", text_of(one, "via", via));
	}
}

static void map_device2(json_t *section, const json_t *d, json_t *config)
{
	static const char *const old[] = { "gateway4", "gateway6" };
	json_t *one, *v;
	char buf[96];
	size_t i;

	set_dhcp(section, json_is_true(json_object_get(d, "dhcp4")));
	v = json_object_get(d, "accept-ra");
	if (json_is_boolean(v))
		json_object_set(section, "accept_ra", v);
	json_array_foreach(json_object_get(d, "addresses"), i, one)
	{
		cloud_text(one, buf, sizeof(buf));
		if (strchr(buf, '/'))
			cloud_add_address(section, "addresses", buf, "");
	}
	for (i = 0; i < NOMAD_ARRAY_LEN(old); i++)
		if (*text_of(d, old[i], buf))
			cloud_add_address(section, "gateways", buf, "");
	map_routes2(section, json_object_get(d, "routes"));
	set_int(section, "mtu", json_object_get(d, "mtu"), 68, 65535);
	add_dns(config, cloud_at(d, "nameservers.addresses"));
	add_search(config, cloud_at(d, "nameservers.search"));
}

/* Members and parents are named by the file's ids, which may stand for a MAC address. */
static const char *resolve(const json_t *network, const char *id, char buf[96])
{
	const json_t *d = json_object_get(json_object_get(network, "ethernets"), id);

	cloud_text(cloud_at(d, "match.macaddress"), buf, 96);
	if (!buf[0])
		cloud_text(json_object_get(d, "set-name"), buf, 96);
	if (!buf[0])
		snprintf(buf, 96, "%.64s", id);
	return buf;
}

static void map_kind2(const json_t *network, const char *kind, json_t *config)
{
	json_t *d, *section, *one;
	const char *id;
	char name[96], buf[96], mode[96];
	size_t i;

	json_object_foreach(json_object_get(network, kind), id, d)
	{
		section = cloud_interface(config, strcmp(kind, "ethernets") == 0 ? resolve(network, id, name) : id);
		if (!section)
			continue;
		if (strcmp(kind, "vlans") == 0) {
			set_int(section, "vlan", json_object_get(d, "id"), 1, 4094);
			set_text(section, "parent", resolve(network, text_of(d, "link", buf), name));
		} else if (strcmp(kind, "bonds") == 0) {
			json_array_foreach(json_object_get(d, "interfaces"), i, one)
			{
				add_member(section, resolve(network, cloud_text(one, buf, sizeof(buf)), name));
			}
			set_text(section, "bond_mode", cloud_text(cloud_at(d, "parameters.mode"), mode, sizeof(mode)));
		}
		map_device2(section, d, config);
	}
}

void cloud_map_network_config(const json_t *network, json_t *config)
{
	json_t *inner = json_object_get(network, "network");
	char buf[96];

	if (json_is_object(inner))
		network = inner;
	text_of(network, "version", buf);
	if (strcmp(buf, "1") == 0) {
		map_version1(network, config);
	} else if (strcmp(buf, "2") == 0) {
		map_kind2(network, "ethernets", config);
		map_kind2(network, "bonds", config);
		map_kind2(network, "vlans", config);
	}
}

/* ---- OpenStack -------------------------------------------------------------------- */

static const json_t *link_by_id(const json_t *links, const char *id)
{
	json_t *one;
	char buf[96];
	size_t i;

	json_array_foreach(links, i, one)
	{
		if (strcmp(text_of(one, "id", buf), id) == 0)
			return one;
	}
	return NULL;
}

/* What a link is called in our configuration: hardware by its MAC address, what is made by its id. */
static const char *link_name(const json_t *link, char buf[96])
{
	char type[96];

	text_of(link, "type", type);
	if (strcmp(type, "bond") == 0 || strcmp(type, "vlan") == 0)
		return text_of(link, "id", buf);
	return text_of(link, "ethernet_mac_address", buf);
}

static void map_link(const json_t *links, const json_t *link, json_t *config)
{
	char name[96], type[96], buf[96], other[96];
	json_t *section = cloud_interface(config, link_name(link, name)), *one;
	size_t i;

	if (!section)
		return;
	set_dhcp(section, false);
	set_int(section, "mtu", json_object_get(link, "mtu"), 68, 65535);
	text_of(link, "type", type);
	if (strcmp(type, "vlan") == 0) {
		set_int(section, "vlan", json_object_get(link, "vlan_id"), 1, 4094);
		set_text(section, "parent", link_name(link_by_id(links, text_of(link, "vlan_link", buf)), other));
	} else if (strcmp(type, "bond") == 0) {
		json_array_foreach(json_object_get(link, "bond_links"), i, one)
		{
			link_name(link_by_id(links, cloud_text(one, buf, sizeof(buf))), other);
			add_member(section, other);
		}
		set_text(section, "bond_mode", text_of(link, "bond_mode", buf));
	}
}

static void map_openstack_network(const json_t *links, const json_t *n, json_t *config)
{
	char type[96], buf[96], mask[96], name[96];
	json_t *section, *one;
	size_t i;

	link_name(link_by_id(links, text_of(n, "link", buf)), name);
	section = name[0] ? cloud_interface(config, name) : NULL;
	if (!section)
		return;
	text_of(n, "type", type);
	if (strcmp(type, "ipv4_dhcp") == 0)
		set_dhcp(section, true);
	if (strcmp(type, "ipv4") == 0 || strcmp(type, "ipv6") == 0) {
		text_of(n, "ip_address", buf);
		if (buf[0])
			cloud_add_address(section, "addresses", buf, text_of(n, "netmask", mask));
		map_routes1(section, json_object_get(n, "routes"));
	}
	json_array_foreach(json_object_get(n, "services"), i, one)
	{
		if (strcmp(text_of(one, "type", buf), "dns") == 0)
			add_dns(config, json_object_get(one, "address"));
	}
}

void cloud_map_openstack(const json_t *document, json_t *config)
{
	const json_t *network = json_object_get(document, "network"), *links = json_object_get(network, "links");
	json_t *one;
	size_t i;

	json_array_foreach(links, i, one)
	{
		map_link(links, one, config);
	}
	json_array_foreach(json_object_get(network, "networks"), i, one)
	{
		map_openstack_network(links, one, config);
	}
	json_array_foreach(json_object_get(network, "services"), i, one)
	{
		char buf[96];

		if (strcmp(text_of(one, "type", buf), "dns") == 0)
			add_dns(config, json_object_get(one, "address"));
	}
}
