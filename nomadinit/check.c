/* SPDX-License-Identifier: MPL-2.0 */
/* For the workstation: what a machine would do with these files, in words.  A file may be an init.json or user-data in
 * any form that a cloud hands on. */
#include "check.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agentjson.h"
#include "config.h"
#include "userdata.h"
#include "util.h"

#define MAX_FILES 16

static json_t *at(const json_t *object, const char *section, const char *key)
{
	return json_object_get(section ? agent_section(object, section) : object, key);
}

static const char *text(const json_t *value, const char *otherwise)
{
	return json_is_string(value) ? json_string_value(value) : otherwise;
}

static void print_list(const char *title, char *const *list)
{
	if (!list || !list[0])
		return;
	printf("%s", title);
	for (; *list; list++)
		printf(" %s", *list);
	printf("\n");
}

static void explain_interface(const struct config_interface *i)
{
	printf("network: '%s':", strcmp(i->name, "*") == 0 ? "any other interface" : i->name);
	if (i->vlan)
		printf(" VLAN %lld on '%s',", (long long)i->vlan, i->parent);
	if (i->bond && i->bond[0])
		printf(" bond (%s) of %zu interfaces,", i->bond_mode, nomad_strv_count((const char *const *)i->bond));
	printf(" %s%s", i->dhcp ? "IPv4 by DHCP" : "no DHCP", i->accept_ra ? ", IPv6 by routers" : "");
	if (i->mtu)
		printf(", MTU %lld", (long long)i->mtu);
	printf("\n");
	print_list("    addresses:", i->addresses);
	print_list("    gateways:", i->gateways);
	print_list("    routes:", i->routes);
}

static void explain_network(const struct config *c)
{
	size_t i;

	if (c->n_interfaces == 0)
		printf("network: DHCP and router advertisements on every interface\n");
	for (i = 0; i < c->n_interfaces; i++)
		explain_interface(&c->interfaces[i]);
	print_list("name servers:", c->dns);
	print_list("time servers:", c->ntp);
	if (!c->ntp || !c->ntp[0])
		printf("time servers: those of DHCP or the cloud only\n");
}

static void explain_agent(const json_t *agent)
{
	bool server = json_is_true(at(agent, "server", "enabled")),
	     client = json_is_true(at(agent, "client", "enabled"));
	const char *bind = text(at(agent, NULL, "bind_addr"), "0.0.0.0"),
		   *http = text(at(agent, "addresses", "http"), bind);
	bool is_local = strncmp(http, "127.", 4) == 0 || strcmp(http, "::1") == 0 || strcmp(http, "localhost") == 0;
	bool is_open = !is_local && !json_is_true(at(agent, "acl", "enabled")) &&
		       !json_is_true(at(agent, "tls", "verify_https_client"));
	json_t *join = at(agent, "client", "servers");

	printf("agent: %s, region '%s', datacenter '%s'\n",
	       server && client ? "server and client"
	       : server		? "server only"
	       : client		? "client only"
				: "neither server nor client: it will not start",
	       text(at(agent, NULL, "region"), "global"), text(at(agent, NULL, "datacenter"), "dc1"));
	if (client && !server && !join && !at(agent, "client", "server_join"))
		printf("warning: the client knows no server: neither client.servers nor client.server_join\n");
	printf("HTTP API: on %s%s, %s TLS\n", http, is_local ? " (this machine only)" : "",
	       json_is_true(at(agent, "tls", "http")) ? "with" : "without");
	if (is_open)
		printf("warning: whoever reaches the API may run jobs%s: acl.enabled is not set\n",
		       json_object_get(json_object_get(agent, "plugin"), "raw_exec") ? ", with raw_exec as root" : "");
	if (client && !server)
		printf("power off: the node drains first, and takes work again after the next boot\n");
}

static void explain(const struct config *c)
{
	json_t *agent = json_loads(c->agent_json, 0, NULL);

	printf("host name: %s\n", c->hostname ? c->hostname : "from the cloud, DHCP or the machine id");
	explain_agent(agent);
	if (c->cluster.secret)
		printf("cluster: TLS, gossip encryption and ACLs by keys that derive from the secret\n");
	explain_network(c);
	printf("cloud: %s\n", strcmp(c->cloud.provider, "auto") == 0   ? "asked where the firmware says so"
			      : strcmp(c->cloud.provider, "none") == 0 ? "never asked"
								       : c->cloud.provider);
	printf("state: partition '%s'%s; %s\n", c->state.label, c->state.grow ? ", grown to the end of its disk" : "",
	       c->state.tmpfs_if_missing ? "without one in memory" : "without one the node waits");
	print_list("kernel modules:", c->modules);
	json_decref(agent);
}

/* The text of a file as configuration; NULL with a message printed if it is none. */
static char *load(const char *path)
{
	struct userdata u;
	char *raw;
	size_t len;
	int r = util_read_alloc(path, CONFIG_MAX_BYTES, &raw, &len);

	if (r < 0) {
		fprintf(stderr, "cannot read '%s': %s\n", path, strerror(-r));
		return NULL;
	}
	/* What begins like JSON, or is empty, is judged as JSON, with lines and columns. */
	if (!strchr("{[\"", raw[strspn(raw, " \t\r\n")])) {
		userdata_find(raw, len, &u);
		if (u.json || strstr(u.note, "not used") || u.hostname[0] || raw[0] == '#') {
			fprintf(u.json ? stdout : stderr, "'%s' is user-data: %s\n", path, u.note);
			if (u.hostname[0])
				fprintf(stderr, "host name: %s\n", u.hostname);
			free(raw);
			raw = u.json ? strdup(userdata_body(u.json)) : NULL;
			free(u.json);
			return raw;
		}
	}
	return raw;
}

int check_main(int argc, char **argv)
{
	const char *names[MAX_FILES];
	char *texts[MAX_FILES] = { 0 }, error[CONFIG_ERROR_SIZE];
	bool show = false, ok = true;
	struct config c;
	size_t n = 0;
	int i;

	for (i = 1; i < argc && ok && n < MAX_FILES; i++) {
		if (strcmp(argv[i], "--show") == 0) {
			show = true;
			continue;
		}
		names[n] = argv[i];
		texts[n] = load(argv[i]);
		ok = texts[n] != NULL;
		n += ok;
	}
	if (ok && n == 0) {
		fprintf(stderr, "usage: nomadinit check [--show] FILE...\n");
		return 2;
	}
	if (ok && config_parse((const char *const *)texts, names, n, &c, error) < 0) {
		fprintf(stderr, "%s\n", error);
		ok = false;
	} else if (ok) {
		if (show) {
			printf("%s\n", c.agent_json);
		} else {
			explain(&c);
			printf("the nomadinit section is right (the agent judges the rest)\n");
		}
		config_done(&c);
	}
	while (n > 0)
		free(texts[--n]);
	return !ok;
}
