/* SPDX-License-Identifier: MPL-2.0 */
/* Configuration.
 *
 * The tables are the library's (nomad/option.h): a row is the whole truth about an option.
 * Decoding, `nomadinit check`, and `nomadinit options` (from which the manual is checked)
 * all read them.  The library's decoder does not serve here: it turns JSON into msgpack and
 * decodes that, which is 58 KB of code (schema/ and msgpack-c) and a package more to build with.
 * What is not in a table is an error, so that a typing mistake is found on the
 * workstation and not by a node that does not come up.
 *
 * Nomad's own part of the configuration is not judged here: the agent does that and
 * says so in its log, which we show.  A few of its keys get a default that this
 * image needs (data_dir, plugin_dir, draining when told to end). */
#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "nomad/option.h"
#include "cluster.h"
#include "config_check.h"
#include "util.h"

static const struct nomad_option options[] = {
	NOMAD_OPTION(struct config, hostname, STRING, .check = config_check_hostname,
		     .help = "Name of the node. Default: kernel argument, DHCP, else nomad- and the start of the "
			     "machine id."),
	NOMAD_OPTION(struct config, dns, STRING_LIST, .check = config_check_ip,
		     .help = "Name servers, asked before those learned by DHCP or router advertisement."),
	NOMAD_OPTION(struct config, search, STRING_LIST, .check = config_check_hostname, .help = "Search domains."),
	NOMAD_OPTION(struct config, ntp, STRING_LIST, .check = config_check_host_or_ip,
		     .help = "Time servers, asked beside those learned by DHCP."),
	NOMAD_OPTION(struct config, modules, STRING_LIST, .check = config_check_module,
		     .help = "Kernel modules to load beside those the hardware asks for."),
	NOMAD_OPTION(struct config, sysctl, STRING_MAP,
		     .help = "Kernel settings, as in \"net.ipv4.ip_forward\": \"1\"."),
	NOMAD_OPTION(
		struct config, wait_network_seconds, INT, .max = 600, .def = "15",
		.help = "How long the agent's start waits for an address (and for the time, if the clock is plainly "
			"wrong)."),
	NOMAD_OPTION(struct config, watchdog_seconds, INT, .max = 3600, .def = "60",
		     .help = "Time-out of the hardware watchdog; 0 leaves it alone."),
	NOMAD_OPTION(struct config, log_bytes, INT, .max = 1 << 30, .def = "4194304",
		     .help = "Most bytes of log kept on the state partition; 0 keeps none."),
};
#define AGENT(field, ...) NOMAD_OPTION_AS(struct config, agent.field, #field, __VA_ARGS__)
static const struct nomad_option agent_options[] = {
	AGENT(command, STRING_LIST, .def = "[\"/opt/nomad/nomad\", \"agent\", \"-config=/run/nomad/agent.json\"]",
	      .help = "Program and arguments of the agent."),
	AGENT(environment, STRING_MAP, .help = "Environment variables for the agent, beside PATH and HOME."),
	AGENT(restart_min_seconds, INT, .min = 1, .max = 3600, .def = "1",
	      .help = "Wait before the agent's first restart; doubled each time it fails again soon."),
	AGENT(restart_max_seconds, INT, .min = 1, .max = 3600, .def = "60", .help = "Longest such wait."),
	AGENT(healthy_seconds, INT, .min = 1, .max = 3600, .def = "30",
	      .help = "An agent that ran this long and has registered with its servers is healthy: the wait starts "
		      "anew, an "
		      "update on trial is kept."),
	AGENT(health_command, STRING_LIST,
	      .help = "Program and arguments that must succeed, too, before the agent is healthy. A minute at most."),
	AGENT(drain_on_reboot, BOOL, .def = "false",
	      .help = "Drain the node before a restart, too. Default: only before power off, so that what it runs "
		      "comes back with it."),
	AGENT(stop_seconds, INT, .min = 1, .max = 86400, .def = "90",
	      .help = "How long the agent may take to drain and end at shutdown before it is killed."),
};
#define STATE(field, ...) NOMAD_OPTION_AS(struct config, state.field, #field, __VA_ARGS__)
static const struct nomad_option state_options[] = {
	STATE(label, STRING, .def = "\"nomadstate\"", .check = config_check_label,
	      .help = "GPT name or file system label of the state partition."),
	STATE(grow, BOOL, .def = "true", .help = "Grow it to the end of its disk."),
	STATE(check, BOOL, .def = "true", .help = "Check it before it is mounted."),
	STATE(replace_lost, BOOL, .def = "false",
	      .help = "Make a new file system where this node's state was and is damaged beyond repair. If false, the "
		      "node "
		      "waits for it."),
	STATE(tmpfs_if_missing, BOOL, .def = "true",
	      .help = "Without a state partition keep the state in memory. If false, wait for one."),
};
#define CLOUD(field, ...) NOMAD_OPTION_AS(struct config, cloud.field, #field, __VA_ARGS__)
static const struct nomad_option cloud_options[] = {
	CLOUD(provider, STRING, .def = "\"auto\"", .check = config_check_provider,
	      .help = "Whom to ask for metadata and user-data: auto (what the firmware says), none, or a name that "
		      "`nomadinit clouds` lists."),
	CLOUD(wait_seconds, INT, .min = 1, .max = 3600, .def = "120",
	      .help = "How long to ask. Then the answer of the last boot counts, if there is one."),
	CLOUD(report, BOOL, .def = "true",
	      .help = "Report to a cloud that waits for it (Azure) that the machine is up."),
};
#define CLUSTER(field, ...) NOMAD_OPTION_AS(struct config, cluster.field, #field, __VA_ARGS__)
static const struct nomad_option cluster_options[] = {
	CLUSTER(secret, STRING,
		.help = "Secret of 32 characters or more, the same on all nodes of a cluster. Turns on TLS, gossip "
			"encryption and ACLs with keys that derive from it."),
};
#define INTERFACE(field, ...) NOMAD_OPTION(struct config_interface, field, __VA_ARGS__)
static const struct nomad_option interface_options[] = {
	INTERFACE(dhcp, BOOL, .help = "Ask for an IPv4 address. Default: true unless there are addresses."),
	INTERFACE(accept_ra, BOOL, .def = "true", .help = "Take IPv6 addresses, routes and name servers from routers."),
	INTERFACE(addresses, STRING_LIST, .check = config_check_cidr, .help = "Fixed addresses, IPv4 or IPv6."),
	INTERFACE(gateways, STRING_LIST, .check = config_check_ip, .help = "Default routes."),
	INTERFACE(routes, STRING_LIST, .check = config_check_route,
		  .help = "More routes, as 10.0.0.0/8 via 192.0.2.1."),
	INTERFACE(vlan, INT, .max = 4094, .def = "0",
		  .help = "Make this interface as a VLAN with this number, on the interface that parent names."),
	INTERFACE(parent, STRING, .check = config_check_link,
		  .help = "Interface (name or MAC address) that carries the VLAN."),
	INTERFACE(bond, STRING_LIST, .check = config_check_link,
		  .help = "Make this interface as a bond of these interfaces (names or MAC addresses)."),
	INTERFACE(bond_mode, STRING, .check = config_check_bond_mode, .def = "\"802.3ad\"",
		  .help = "How the bond works."),
	INTERFACE(mtu, INT, .max = 65535, .def = "0", .help = "Largest packet; 0 keeps the driver's or DHCP's."),
	INTERFACE(metric, INT, .max = 100000, .def = "0",
		  .help = "Metric of its routes; 0 means 100 + interface index."),
};
static const struct nomad_schema whole = NOMAD_SCHEMA(struct config, options);
static const struct nomad_schema interface_schema = NOMAD_SCHEMA(struct config_interface, interface_options);

/* Not NOMAD_BLOCKs, which would be allocated. */
static const struct {
	const char *name;
	struct nomad_schema schema;
} sections[] = { { "agent", NOMAD_SCHEMA(struct config, agent_options) },
		 { "state", NOMAD_SCHEMA(struct config, state_options) },
		 { "cloud", NOMAD_SCHEMA(struct config, cloud_options) },
		 { "cluster", NOMAD_SCHEMA(struct config, cluster_options) } };

static const char *type_name(const struct nomad_option *o)
{
	switch (o->type) {
	case NOMAD_BOOL:
		return "true or false";
	case NOMAD_INT:
		return "number";
	case NOMAD_STRING_LIST:
		return "list of strings";
	case NOMAD_STRING_MAP:
		return "object of strings";
	default:
		return "string";
	}
}

static int fail(char *error, const char *fmt, ...) NOMAD_PRINTF(2, 3);
static int fail(char *error, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(error, CONFIG_ERROR_SIZE, fmt, ap);
	va_end(ap);
	return -EINVAL;
}

/* A string that passes the row's check, or NULL with error[] set. */
static const char *checked(char *error, const char *where, const struct nomad_option *o, json_t *value)
{
	const char *s = json_string_value(value), *want = s && o->check ? o->check(s) : NULL;

	if (!s)
		fail(error, "%s.%s must be a string", where, o->name);
	if (want)
		fail(error, "%s.%s: \"%.100s\" is not valid, want %s", where, o->name, s, want);
	return want ? NULL : s;
}

static int take_string(char *error, const char *where, const struct nomad_option *o, json_t *value, void *field)
{
	const char *s = checked(error, where, o, value);

	if (!s)
		return -EINVAL;
	*(char **)field = strdup(s);
	return *(char **)field ? 0 : -ENOMEM;
}

static int take_int(char *error, const char *where, const struct nomad_option *o, json_t *value, void *field)
{
	long long n = json_integer_value(value);

	if (n < o->min || n > o->max)
		return fail(error, "%s.%s must be from %lld to %lld, not %lld", where, o->name, (long long)o->min,
			    (long long)o->max, n);
	*(int64_t *)field = n;
	return 0;
}

static int take_list(char *error, const char *where, const struct nomad_option *o, json_t *value, void *field)
{
	json_t *item;
	size_t i;
	int r = 0;

	json_array_foreach(value, i, item)
	{
		const char *s = checked(error, where, o, item);

		r = s ? nomad_strv_add(field, s) : -EINVAL;
		if (r < 0)
			break;
	}
	return r;
}

static int take_map(char *error, const char *where, const struct nomad_option *o, json_t *value, void *field)
{
	const char *key;
	json_t *item;
	int r;

	json_object_foreach(value, key, item)
	{
		if (!json_is_string(item))
			return fail(error, "%s.%s.%s must be a string, as in \"1\"", where, o->name, key);
		r = nomad_map_set(field, key, json_string_value(item));
		if (r < 0)
			return r;
	}
	return 0;
}

static int decode_one(char *error, const char *where, const struct nomad_option *o, json_t *value, void *base)
{
	void *field = (char *)base + o->offset;

	if (o->type == NOMAD_BOOL && json_is_boolean(value)) {
		*(bool *)field = json_is_true(value);
		return 0;
	}
	if (o->type == NOMAD_INT && json_is_integer(value))
		return take_int(error, where, o, value, field);
	if (o->type == NOMAD_STRING)
		return take_string(error, where, o, value, field);
	if (o->type == NOMAD_STRING_LIST && json_is_array(value))
		return take_list(error, where, o, value, field);
	if (o->type == NOMAD_STRING_MAP && json_is_object(value))
		return take_map(error, where, o, value, field);
	return fail(error, "%s.%s must be a %s", where, o->name, type_name(o));
}

static bool is_section(const char *key)
{
	size_t i;

	for (i = 0; i < NOMAD_ARRAY_LEN(sections); i++)
		if (strcmp(sections[i].name, key) == 0)
			return true;
	return strcmp(key, "network") == 0;
}

/* Decode an object by its table; sections within are somebody else's when `has_sections`. */
static int decode(char *error, const char *where, const struct nomad_schema *schema, json_t *object, void *base,
		  bool has_sections)
{
	const struct nomad_option *o, *end = schema->options + schema->count;
	const char *key;
	json_t *value;
	int r = 0;

	if (object && !json_is_object(object))
		return fail(error, "%s must be an object", where);
	json_object_foreach(object, key, value)
	{
		for (o = schema->options; o < end && strcmp(o->name, key) != 0; o++)
			;
		if (o == end && !(has_sections && is_section(key)))
			return fail(error, "%s has no option \"%.60s\"; `nomadinit options` lists them", where, key);
	}
	for (o = schema->options; o < end && r == 0; o++) {
		value = json_object_get(object, o->name);
		if (value) {
			r = decode_one(error, where, o, value, base);
		} else if (o->def) {
			json_t *def = json_loads(o->def, JSON_DECODE_ANY, NULL);

			r = def ? decode_one(error, where, o, def, base) : -ENOMEM;
			json_decref(def);
		}
	}
	return r;
}

static int decode_network(char *error, json_t *network, struct config *c)
{
	char where[64];
	const char *key;
	json_t *value;
	int r;

	if (network && !json_is_object(network))
		return fail(error, "nomadinit.network must be an object whose keys are interfaces");
	json_object_foreach(network, key, value)
	{
		struct config_interface *i = &c->interfaces[c->n_interfaces];

		if (c->n_interfaces == CONFIG_MAX_INTERFACES)
			return fail(error, "nomadinit.network has more than %d interfaces", CONFIG_MAX_INTERFACES);
		if (!*key || (strlen(key) >= 16 && strlen(key) != 17) || strchr(key, '/'))
			return fail(error, "nomadinit.network: \"%.60s\" is no interface name, MAC address or \"*\"",
				    key);
		snprintf(where, sizeof(where), "nomadinit.network.%s", key);
		c->n_interfaces++;
		i->name = strdup(key);
		if (!i->name)
			return -ENOMEM;
		r = decode(error, where, &interface_schema, value, i, false);
		if (r < 0)
			return r;
		if (!json_object_get(value, "dhcp"))
			i->dhcp = !i->addresses || !i->addresses[0];
		if (i->vlan && !i->parent)
			return fail(error, "%s.vlan needs a parent", where);
		if ((i->vlan || i->bond) && strlen(key) >= 16)
			return fail(error, "%s: what is made needs a name, not a MAC address", where);
	}
	return 0;
}

/* Set object.key unless the user did; creates the object. */
static int fill(json_t *root, const char *section, const char *key, json_t *take_value)
{
	json_t *object = root;

	if (section) {
		object = json_object_get(root, section);
		if (!object) {
			object = json_object();
			if (json_object_set_new(root, section, object) < 0)
				object = NULL;
		}
		/* HCL habit allows a list of one block; leave that to the agent. */
		if (!json_is_object(object)) {
			json_decref(take_value);
			return 0;
		}
	}
	if (json_object_get(object, key)) {
		json_decref(take_value);
		return 0;
	}
	return json_object_set_new(object, key, take_value) < 0 ? -ENOMEM : 0;
}

/* Nomad loads no plugin that its configuration does not name. */
static int fill_plugins(json_t *root)
{
	const char *path = json_string_value(json_object_get(root, "plugin_dir"));
	DIR *dir = path ? opendir(path) : NULL;
	struct dirent *d;
	int r = 0;

	while (r == 0 && dir && (d = readdir(dir)))
		if (d->d_name[0] != '.')
			r = fill(root, "plugin", d->d_name, json_object());
	if (dir)
		closedir(dir);
	return r;
}

static int make_agent_json(json_t *root, struct config *c)
{
	json_t *server = json_object_get(root, "server"), *client = json_object_get(root, "client");
	json_t *drain;
	int r;

	r = fill(root, NULL, "data_dir", json_string("/state/nomad"));
	if (r == 0)
		r = fill(root, NULL, "plugin_dir", json_string("/opt/nomad/plugins"));
	if (r == 0)
		r = fill_plugins(root);
	/* What is not for tasks: the agent, this program and the kernel's share of both. */
	if (r == 0 && json_is_true(json_object_get(client, "enabled")))
		r = fill(root, "client", "reserved", json_pack("{s:i}", "memory", 96));
	/* A server that leaves when it ends leaves its raft cluster as well: drain clients only. */
	if (r == 0 && json_is_true(json_object_get(client, "enabled")) &&
	    !json_is_true(json_object_get(server, "enabled"))) {
		r = fill(root, NULL, "leave_on_terminate", json_true());
		drain = json_pack("{s:s, s:b}", "deadline", "60s", "ignore_system_jobs", 1);
		if (r == 0)
			r = fill(root, "client", "drain_on_shutdown", drain);
	}
	if (r == 0 && c->cluster.secret)
		r = cluster_fill(root);
	if (r < 0)
		return r;
	c->agent_json = json_dumps(root, JSON_INDENT(2) | JSON_SORT_KEYS);
	return c->agent_json ? 0 : -ENOMEM;
}

static int decode_all(json_t *root, struct config *c, char *error)
{
	json_t *ours = json_object_get(root, "nomadinit");
	char where[64];
	size_t i;
	int r;

	json_incref(ours);
	json_object_del(root, "nomadinit");
	r = decode(error, "nomadinit", &whole, ours, c, true);
	for (i = 0; r == 0 && i < NOMAD_ARRAY_LEN(sections); i++) {
		snprintf(where, sizeof(where), "nomadinit.%s", sections[i].name);
		r = decode(error, where, &sections[i].schema, json_object_get(ours, sections[i].name), c, false);
	}
	if (r == 0)
		r = decode_network(error, json_object_get(ours, "network"), c);
	if (r == 0 && (!c->agent.command || !c->agent.command[0] || c->agent.command[0][0] != '/'))
		r = fail(error, "nomadinit.agent.command must begin with the absolute path of a program");
	if (r == 0 && c->agent.health_command && c->agent.health_command[0][0] != '/')
		r = fail(error, "nomadinit.agent.health_command must begin with the absolute path of a program");
	if (r == 0 && c->agent.restart_max_seconds < c->agent.restart_min_seconds)
		r = fail(error, "nomadinit.agent.restart_max_seconds is less than restart_min_seconds");
	if (r == 0 && c->log_bytes > 0 && c->log_bytes < 16384)
		r = fail(error, "nomadinit.log_bytes must be 0 or at least 16384");
	if (r == 0 && c->cluster.secret && strlen(c->cluster.secret) < CLUSTER_MIN_SECRET)
		r = fail(error,
			 "nomadinit.cluster.secret has less than %d characters; openssl rand -base64 32 makes one",
			 CLUSTER_MIN_SECRET);
	if (r == 0)
		r = make_agent_json(root, c);
	json_decref(ours);
	return r;
}

int config_parse(const char *const texts[], const char *const names[], size_t n, struct config *ret, char *error)
{
	json_t *root = json_object(), *part;
	struct config c = { 0 };
	json_error_t e;
	char *near;
	size_t i;
	int r = root ? 0 : -ENOMEM;

	error[0] = '\0';
	for (i = 0; r == 0 && i < n; i++) {
		if (strlen(texts[i]) > CONFIG_MAX_BYTES) {
			r = fail(error, "'%s' is larger than %d KiB", names[i], CONFIG_MAX_BYTES / 1024);
			break;
		}
		part = json_loads(texts[i], JSON_REJECT_DUPLICATES, &e);
		/* The text near the mistake may be a secret. */
		near = part ? NULL : strstr(e.text, " near ");
		if (near)
			*near = '\0';
		if (!part)
			r = fail(error, "'%s' line %d column %d: %s", names[i], e.line, e.column, e.text);
		else if (!json_is_object(part))
			r = fail(error, "'%s' is not a JSON object", names[i]);
		else if (json_object_update_recursive(root, part) < 0)
			r = -ENOMEM;
		json_decref(part);
	}
	if (r == 0)
		r = decode_all(root, &c, error);
	json_decref(root);
	if (r < 0) {
		config_done(&c);
		if (!error[0])
			fail(error, "out of memory");
		return r;
	}
	*ret = c;
	return 0;
}

static void done_by_table(const struct nomad_schema *schema, void *base)
{
	size_t i;

	for (i = 0; i < schema->count; i++) {
		void *field = (char *)base + schema->options[i].offset;

		if (schema->options[i].type == NOMAD_STRING)
			free(*(char **)field);
		else if (schema->options[i].type == NOMAD_STRING_LIST)
			nomad_strv_free(*(char ***)field);
		else if (schema->options[i].type == NOMAD_STRING_MAP)
			nomad_map_done(field);
	}
}

void config_done(struct config *c)
{
	size_t i;

	done_by_table(&whole, c);
	for (i = 0; i < NOMAD_ARRAY_LEN(sections); i++)
		done_by_table(&sections[i].schema, c);
	for (i = 0; i < c->n_interfaces; i++) {
		done_by_table(&interface_schema, &c->interfaces[i]);
		free(c->interfaces[i].name);
	}
	free(c->agent_json);
	memset(c, 0, sizeof(*c));
}

const struct config_interface *config_interface_for(const struct config *c, const char *name, const char *mac)
{
	static const struct config_interface dhcp = { .dhcp = true, .accept_ra = true };
	const char *const wanted[] = { name, mac, "*" };
	size_t i, j;

	for (j = 0; j < NOMAD_ARRAY_LEN(wanted); j++)
		for (i = 0; wanted[j] && i < c->n_interfaces; i++)
			if (strcasecmp(c->interfaces[i].name, wanted[j]) == 0)
				return &c->interfaces[i];
	/* No network section at all: DHCP wherever there is a cable. */
	return c->n_interfaces > 0 ? NULL : &dhcp;
}

static void help_rows(FILE *to, const char *prefix, const struct nomad_schema *schema)
{
	const struct nomad_option *o;

	for (o = schema->options; o < schema->options + schema->count; o++) {
		fprintf(to, "%s%s: %s", prefix, o->name, type_name(o));
		if (o->type == NOMAD_INT)
			fprintf(to, " from %lld to %lld", (long long)o->min, (long long)o->max);
		if (o->def)
			fprintf(to, ", default %s", o->def);
		fprintf(to, "\n    %s\n", o->help);
	}
}

void config_help(FILE *to)
{
	char prefix[64];
	size_t i;

	help_rows(to, "nomadinit.", &whole);
	for (i = 0; i < NOMAD_ARRAY_LEN(sections); i++) {
		snprintf(prefix, sizeof(prefix), "nomadinit.%s.", sections[i].name);
		help_rows(to, prefix, &sections[i].schema);
	}
	help_rows(to, "nomadinit.network.INTERFACE.", &interface_schema);
}
