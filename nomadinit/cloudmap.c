/* SPDX-License-Identifier: MPL-2.0 */
/* From a provider's document to a piece of configuration.  Each value is checked here, as one that the decoder of the
 * configuration would refuse must not keep the node from starting. */
#include "cloud.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "config.h"
#include "util.h"

json_t *cloud_at(const json_t *from, const char *path)
{
	json_t *v = (json_t *)(uintptr_t)from;
	char part[64];
	size_t n;
	long index;

	while (v && *path) {
		n = strcspn(path, ".");
		if (n >= sizeof(part))
			return NULL;
		memcpy(part, path, n);
		part[n] = '\0';
		path += n + (path[n] == '.');
		if (json_is_array(v))
			v = util_parse_long(part, 0, 1000, &index) < 0 ? NULL : json_array_get(v, (size_t)index);
		else
			v = json_object_get(v, part);
	}
	return v;
}

const char *cloud_text(const json_t *value, char *buf, size_t size)
{
	const char *s = json_string_value(value);
	size_t i;

	buf[0] = '\0';
	if (json_is_integer(value))
		snprintf(buf, size, "%lld", (long long)json_integer_value(value));
	if (!s || strlen(s) >= size)
		return buf;
	for (i = 0; isprint((unsigned char)s[i]); i++)
		;
	if (!s[i])
		memcpy(buf, s, i + 1);
	return buf;
}

static json_t *member(json_t *object, const char *key, json_t *take_new)
{
	json_t *v = json_object_get(object, key);

	if (v) {
		json_decref(take_new);
		return v;
	}
	return json_object_set_new(object, key, take_new) < 0 ? NULL : take_new;
}

void cloud_add_to(json_t *object, const char *list, const char *text)
{
	json_t *all = member(object, list, json_array()), *v;
	size_t i;

	json_array_foreach(all, i, v)
	{
		if (strcmp(json_string_value(v), text) == 0)
			return;
	}
	if (json_array_size(all) < 64)
		json_array_append_new(all, json_string(text));
}

/* "52-54-00-12-34-56", "525400123456" and the like in the form that we write. */
static bool normalize_mac(const char *text, char mac[18])
{
	char digits[13];
	size_t n = 0, i;

	for (; *text; text++) {
		if (isxdigit((unsigned char)*text)) {
			if (n == 12)
				return false;
			digits[n++] = (char)tolower((unsigned char)*text);
		} else if (*text != ':' && *text != '-') {
			return false;
		}
	}
	if (n != 12)
		return false;
	for (i = 0; i < 6; i++)
		snprintf(mac + i * 3, 18 - i * 3, "%.2s%s", digits + i * 2, i < 5 ? ":" : "");
	return true;
}

json_t *cloud_interface(json_t *config, const char *name)
{
	json_t *network = member(member(config, "nomadinit", json_object()), "network", json_object());
	char mac[18];

	if (normalize_mac(name, mac))
		name = mac;
	else if (!*name || strlen(name) > 15 || strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789._-") != strlen(name))
		return NULL;
	if (!json_object_get(network, name) && json_object_size(network) >= CONFIG_MAX_INTERFACES - 1)
		return NULL;
	return member(network, name, json_object());
}

/* Bits of "24", "255.255.255.0" or "10.0.0.0/24"; -1 if it is none of them. */
static int prefix_of(const char *text)
{
	const char *slash = strchr(text, '/');
	struct in_addr mask;
	uint32_t bits;
	long n;

	if (util_parse_long(slash ? slash + 1 : text, 0, 128, &n) == 0)
		return (int)n;
	if (inet_pton(AF_INET, text, &mask) != 1)
		return -1;
	bits = ~ntohl(mask.s_addr);
	return bits & (bits + 1) ? -1 : 32 - __builtin_popcount(bits);
}

void cloud_add_address(json_t *section, const char *list, const char *address, const char *prefix)
{
	bool has_prefix = strcmp(list, "addresses") == 0;
	char text[96];
	struct net_address a;
	int bits = *prefix ? prefix_of(prefix) : -1;

	if (has_prefix && !strchr(address, '/')) {
		if (bits < 0)
			bits = strchr(address, ':') ? 128 : 32;
		snprintf(text, sizeof(text), "%.60s/%d", address, bits);
	} else {
		snprintf(text, sizeof(text), "%.64s", address);
	}
	if (net_address_parse(text, &a) == 0 && (!has_prefix || a.prefix > 0) && (has_prefix || !strchr(text, '/')))
		cloud_add_to(section, list, text);
}

void cloud_add_route(json_t *section, const char *to, const char *prefix, const char *via)
{
	struct net_address a, b;
	char text[160];
	int bits;

	if (net_address_parse(via, &b) < 0 || strchr(via, '/'))
		return;
	if (strcmp(to, "default") == 0)
		to = strchr(via, ':') ? "::/0" : "0.0.0.0/0";
	bits = *prefix ? prefix_of(prefix) : -1;
	if (strchr(to, '/'))
		snprintf(text, sizeof(text), "%.64s", to);
	else if (bits >= 0)
		snprintf(text, sizeof(text), "%.60s/%d", to, bits);
	else
		return;
	if (net_address_parse(text, &a) < 0 || a.family != b.family)
		return;
	if (a.prefix == 0) {
		cloud_add_address(section, "gateways", via, "");
		return;
	}
	snprintf(text + strlen(text), sizeof(text) - strlen(text), " via %.64s", via);
	cloud_add_to(section, "routes", text);
}

/* ---- The tables' words ------------------------------------------------------------ */

/* One address, or a list of them; Triton's words for "ask DHCP" and "ask routers". */
static void add_some(json_t *section, const char *list, const json_t *value, const char *prefix)
{
	char text[80];
	json_t *one;
	size_t i;

	if (json_is_array(value)) {
		json_array_foreach(value, i, one)
		{
			add_some(section, list, one, prefix);
		}
		return;
	}
	cloud_text(value, text, sizeof(text));
	if (strcmp(text, "dhcp") == 0)
		json_object_set_new(section, "dhcp", json_true());
	else if (text[0])
		cloud_add_address(section, list, text, prefix);
}

/* A path with a '*' for each member of an array. */
static void add_path(json_t *section, const char *list, const json_t *nic, const char *path, const char *prefix)
{
	const char *star = path ? strstr(path, ".*.") : NULL;
	char head[64];
	json_t *one;
	size_t i;

	if (!path)
		return;
	if (!star) {
		add_some(section, list, cloud_at(nic, path), prefix);
		return;
	}
	snprintf(head, sizeof(head), "%.*s", (int)(star - path), path);
	json_array_foreach(cloud_at(nic, head), i, one)
	{
		add_some(section, list, cloud_at(one, star + 3), prefix);
	}
}

static const char *text_at(const json_t *from, const char *path, char *buf, size_t size)
{
	return cloud_text(path ? cloud_at(from, path) : NULL, buf, size);
}

static void map_nic(const struct cloud_nics *n, const json_t *nic, bool is_static, json_t *config)
{
	char buf[80], prefix[80];
	json_t *section;
	long mtu;

	text_at(nic, n->mac, buf, sizeof(buf));
	section = strlen(buf) >= 12 ? cloud_interface(config, buf) : NULL;
	if (!section)
		return;
	if (util_parse_long(text_at(nic, n->mtu, buf, sizeof(buf)), 68, 65535, &mtu) == 0)
		json_object_set_new(section, "mtu", json_integer(mtu));
	if (is_static) {
		text_at(nic, n->prefix, prefix, sizeof(prefix));
		add_path(section, "addresses", nic, n->address, prefix);
		/* Not all of those that have an address have a gateway. */
		add_path(section, "gateways", nic, n->gateway, "");
	}
	if (!json_object_get(section, "dhcp"))
		json_object_set_new(section, "dhcp",
				    json_boolean(json_array_size(json_object_get(section, "addresses")) == 0));
	text_at(nic, n->prefix6, prefix, sizeof(prefix));
	add_path(section, "addresses", nic, n->address6, prefix);
	add_path(section, "gateways", nic, n->gateway6, "");
}

static void map_nics(const struct cloud_nics *n, const json_t *document, json_t *config)
{
	json_t *nic;
	size_t i;

	json_array_foreach(cloud_at(document, n->list), i, nic)
	{
		map_nic(n, nic, n->is_static || (i > 0 && n->address), config);
	}
}

static void find_fact(const struct cloud_provider *p, const json_t *document, const char *fact, char *buf, size_t size)
{
	size_t i, len = strlen(fact);

	cloud_text(json_object_get(document, fact), buf, size);
	for (i = 0; i < NOMAD_ARRAY_LEN(p->facts) && p->facts[i] && !buf[0]; i++)
		if (strncmp(p->facts[i], fact, len) == 0 && p->facts[i][len] == '=')
			cloud_text(cloud_at(document, p->facts[i] + len + 1), buf, size);
}

const char *cloud_instance_id(const struct cloud_provider *p, const json_t *document)
{
	static char id[256];

	find_fact(p, document, "instance_id", id, sizeof(id));
	return id;
}

static void map_names(const struct cloud_provider *p, const json_t *document, json_t *config)
{
	static const char *const facts[] = { "instance_id", "region", "zone", "type" };
	json_t *meta = member(member(config, "client", json_object()), "meta", json_object());
	char value[256], key[32];
	const char *last;
	size_t i;

	json_object_set_new(meta, "cloud_provider", json_string(p->name));
	for (i = 0; i < NOMAD_ARRAY_LEN(facts); i++) {
		find_fact(p, document, facts[i], value, sizeof(value));
		/* "projects/1/zones/Z" */
		last = strrchr(value, '/');
		last = last ? last + 1 : value;
		snprintf(key, sizeof(key), "cloud_%s", facts[i]);
		if (*last)
			json_object_set_new(meta, key, json_string(last));
	}
	find_fact(p, document, "hostname", value, sizeof(value));
	value[strcspn(value, " ")] = '\0';
	if (util_is_hostname(value))
		json_object_set_new(json_object_get(config, "nomadinit"), "hostname", json_string(value));
}

static void map_servers(const struct cloud_provider *p, const json_t *document, json_t *config)
{
	json_t *ours = json_object_get(config, "nomadinit"), *dns = json_object_get(document, "dns"), *one;
	char text[80];
	size_t i;

	for (i = 0; i < NOMAD_ARRAY_LEN(p->facts) && p->facts[i]; i++)
		if (strncmp(p->facts[i], "dns=", 4) == 0)
			dns = cloud_at(document, p->facts[i] + 4);
	json_array_foreach(dns, i, one)
	{
		cloud_text(one, text, sizeof(text));
		if (text[0])
			cloud_add_address(ours, "dns", text, "");
	}
	for (i = 0; i < NOMAD_ARRAY_LEN(p->ntp) && p->ntp[i]; i++)
		cloud_add_to(ours, "ntp", p->ntp[i]);
}

static bool any_dhcp(const json_t *network)
{
	const char *key;
	json_t *v;

	json_object_foreach((json_t *)(uintptr_t)network, key, v)
	{
		if (json_is_true(json_object_get(v, "dhcp")))
			return true;
	}
	return false;
}

/* A VLAN of nothing, or one that has a MAC address for a name, is none. */
static void drop_unfinished(json_t *network)
{
	const char *name;
	json_t *v;
	void *next;

	json_object_foreach_safe(network, next, name, v)
	{
		bool is_vlan = json_object_get(v, "vlan") != NULL, is_bond = json_object_get(v, "bond") != NULL;

		if ((is_vlan && !json_object_get(v, "parent")) || ((is_vlan || is_bond) && strlen(name) > 15))
			json_object_del(network, name);
	}
}

json_t *cloud_map(const struct cloud_provider *p, const json_t *document)
{
	json_t *config = json_object(), *network;
	size_t i;

	member(config, "nomadinit", json_object());
	map_names(p, document, config);
	map_servers(p, document, config);
	for (i = 0; i < NOMAD_ARRAY_LEN(p->nics) && p->nics[i].list; i++)
		map_nics(&p->nics[i], document, config);
	if (p->map)
		p->map(document, config);
	/* Where addresses come by DHCP, they do so for an interface of which the cloud says nothing as well. */
	network = json_object_get(json_object_get(config, "nomadinit"), "network");
	drop_unfinished(network);
	if (network && any_dhcp(network))
		json_object_set_new(member(network, "*", json_object()), "dhcp", json_true());
	return config;
}

void cloud_map_triton(const json_t *document, json_t *config)
{
	char to[80], via[80], mac[40];
	json_t *one, *section = NULL;
	size_t i;

	/* Routes have no interface: they belong to the primary one. */
	json_array_foreach(json_object_get(document, "nics"), i, one)
	{
		if (json_is_true(json_object_get(one, "primary")) || i == 0) {
			cloud_text(json_object_get(one, "mac"), mac, sizeof(mac));
			section = cloud_interface(config, mac);
		}
	}
	json_array_foreach(json_object_get(document, "routes"), i, one)
	{
		cloud_text(json_object_get(one, "dst"), to, sizeof(to));
		cloud_text(json_object_get(one, "gateway"), via, sizeof(via));
		if (section)
			cloud_add_route(section, to, strchr(to, ':') ? "128" : "32", via);
	}
}
