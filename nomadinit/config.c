/* SPDX-License-Identifier: MPL-2.0 */
/* Configuration.
 *
 * One table row is the whole truth about an option: its name, type, bounds, default,
 * where its value lands and its help.  Decoding, `nomadinit check`, and
 * `nomadinit options` (from which the manual is checked) all read the tables.
 * What is not in a table is an error, so that a typing mistake is found on the
 * workstation and not by a node that does not come up.
 *
 * Nomad's own part of the configuration is not judged here: the agent does that and
 * says so in its log, which we show.  A few of its keys get a default that this
 * image needs (data_dir, plugin_dir, draining when told to end). */
#include "config.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "util.h"

enum type { T_STRING, T_BOOL, T_INT, T_LIST, T_PAIRS, T_MAX };
static const char *const type_names[T_MAX] = { "string", "true or false", "number", "list of strings",
					       "object of strings" };

struct option {
	const char *name;
	enum type type;
	size_t offset;
	long min, max;
	const char *def; /* as JSON, or NULL */
	bool (*is_valid)(const char *value);
	const char *want; /* what is_valid wants */
	const char *help;
};

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

static bool is_host_or_ip(const char *s)
{
	return is_ip(s) || util_is_hostname(s);
}

static bool is_label(const char *s)
{
	return *s && strlen(s) < 36 && !strchr(s, '/');
}

static bool is_module(const char *s)
{
	return *s && strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") == strlen(s);
}

#define AT(field) offsetof(struct config, field)
static const struct option options[] = {
	{ "hostname", T_STRING, AT(hostname), .is_valid = util_is_hostname, .want = "a host name",
	  .help = "Name of the node. Default: kernel argument, DHCP, else nomad- and the start of the machine id." },
	{ "dns", T_LIST, AT(dns), .is_valid = is_ip, .want = "IP addresses",
	  .help = "Name servers, asked before those learned by DHCP or router advertisement." },
	{ "search", T_LIST, AT(search), .is_valid = util_is_hostname, .want = "domain names",
	  .help = "Search domains." },
	{ "ntp", T_LIST, AT(ntp), .is_valid = is_host_or_ip, .want = "host names or IP addresses",
	  .help = "Time servers, asked beside those learned by DHCP." },
	{ "modules", T_LIST, AT(modules), .is_valid = is_module, .want = "module names",
	  .help = "Kernel modules to load beside those the hardware asks for." },
	{ "sysctl", T_PAIRS, AT(sysctl), .help = "Kernel settings, as in \"net.ipv4.ip_forward\": \"1\"." },
	{ "wait_network_seconds", T_INT, AT(wait_network_seconds), 0, 600, "15",
	  .help = "How long the agent's start waits for an address (and for the time, if the clock is plainly "
		  "wrong)." },
	{ "watchdog_seconds", T_INT, AT(watchdog_seconds), 0, 3600, "60",
	  .help = "Time-out of the hardware watchdog; 0 leaves it alone." },
	{ "log_bytes", T_INT, AT(log_bytes), 0, 1 << 30, "4194304",
	  .help = "Most bytes of log kept on the state partition; 0 keeps none." },
	{ NULL },
};
static const struct option agent_options[] = {
	{ "command", T_LIST, AT(agent.command),
	  .def = "[\"/opt/nomad/nomad\", \"agent\", \"-config=/run/nomad/agent.json\"]",
	  .help = "Program and arguments of the agent." },
	{ "environment", T_PAIRS, AT(agent.environment),
	  .help = "Environment variables for the agent, beside PATH and HOME." },
	{ "restart_min_seconds", T_INT, AT(agent.restart_min_seconds), 1, 3600, "1",
	  .help = "Wait before the agent's first restart; doubled each time it fails again soon." },
	{ "restart_max_seconds", T_INT, AT(agent.restart_max_seconds), 1, 3600, "60", .help = "Longest such wait." },
	{ "healthy_seconds", T_INT, AT(agent.healthy_seconds), 1, 3600, "30",
	  .help = "An agent that ran this long is healthy: the wait starts anew, an update on trial is kept." },
	{ "stop_seconds", T_INT, AT(agent.stop_seconds), 1, 86400, "90",
	  .help = "How long the agent may take to drain and end at shutdown before it is killed." },
	{ NULL },
};
static const struct option state_options[] = {
	{ "label", T_STRING, AT(state.label), .def = "\"nomadstate\"", .is_valid = is_label,
	  .want = "a label below 36 characters", .help = "GPT name or file system label of the state partition." },
	{ "grow", T_BOOL, AT(state.grow), .def = "true", .help = "Grow it to the end of its disk." },
	{ "check", T_BOOL, AT(state.check), .def = "true", .help = "Check it before it is mounted." },
	{ "tmpfs_if_missing", T_BOOL, AT(state.tmpfs_if_missing), .def = "true",
	  .help = "Without a state partition keep the state in memory. If false, wait for one." },
	{ NULL },
};
#undef AT
#define AT(field) offsetof(struct config_interface, field)
static const struct option interface_options[] = {
	{ "dhcp", T_BOOL, AT(dhcp), .help = "Ask for an IPv4 address. Default: true unless there are addresses." },
	{ "accept_ra", T_BOOL, AT(accept_ra), .def = "true",
	  .help = "Take IPv6 addresses, routes and name servers from routers." },
	{ "addresses", T_LIST, AT(addresses), .is_valid = is_cidr, .want = "addresses as 192.0.2.7/24",
	  .help = "Fixed addresses, IPv4 or IPv6." },
	{ "gateways", T_LIST, AT(gateways), .is_valid = is_ip, .want = "IP addresses", .help = "Default routes." },
	{ "mtu", T_INT, AT(mtu), 0, 65535, "0", .help = "Largest packet; 0 keeps the driver's or DHCP's." },
	{ "metric", T_INT, AT(metric), 0, 100000, "0", .help = "Metric of its routes; 0 means 100 + interface index." },
	{ NULL },
};

static const struct {
	const char *name;
	const struct option *rows;
} sections[] = { { "agent", agent_options }, { "state", state_options } };

static int fail(char *error, const char *fmt, ...) NOMAD_PRINTF(2, 3);
static int fail(char *error, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(error, CONFIG_ERROR_SIZE, fmt, ap);
	va_end(ap);
	return -EINVAL;
}

static void list_free(char **list)
{
	size_t i;

	for (i = 0; list && list[i]; i++)
		free(list[i]);
	free(list);
}

static int take_string(char *error, const char *where, const struct option *o, json_t *value, char **ret)
{
	const char *s = json_string_value(value);

	if (!s)
		return fail(error, "%s.%s must be a %s", where, o->name, type_names[T_STRING]);
	if (o->is_valid && !o->is_valid(s))
		return fail(error, "%s.%s: \"%.100s\" is not valid, want %s", where, o->name, s, o->want);
	*ret = strdup(s);
	return *ret ? 0 : -ENOMEM;
}

static int decode_one(char *error, const char *where, const struct option *o, json_t *value, void *base)
{
	void *field = (char *)base + o->offset;
	char ***list = field;
	const char *key;
	json_t *item;
	size_t i;
	long n;

	switch (o->type) {
	case T_STRING:
		return take_string(error, where, o, value, field);
	case T_BOOL:
		if (!json_is_boolean(value))
			break;
		*(bool *)field = json_is_true(value);
		return 0;
	case T_INT:
		if (!json_is_integer(value))
			break;
		n = (long)json_integer_value(value);
		if (n < o->min || n > o->max)
			return fail(error, "%s.%s must be from %ld to %ld, not %ld", where, o->name, o->min, o->max, n);
		*(long *)field = n;
		return 0;
	case T_LIST:
		if (!json_is_array(value))
			break;
		*list = calloc(json_array_size(value) + 1, sizeof(char *));
		if (!*list)
			return -ENOMEM;
		json_array_foreach(value, i, item)
		{
			int r = take_string(error, where, o, item, &(*list)[i]);

			if (r < 0)
				return r;
		}
		return 0;
	case T_PAIRS:
		if (!json_is_object(value))
			break;
		*list = calloc(json_object_size(value) * 2 + 1, sizeof(char *));
		if (!*list)
			return -ENOMEM;
		i = 0;
		json_object_foreach(value, key, item)
		{
			if (!json_is_string(item))
				return fail(error, "%s.%s.%s must be a string, as in \"1\"", where, o->name, key);
			(*list)[i] = strdup(key);
			if (!(*list)[i++])
				return -ENOMEM;
			(*list)[i] = strdup(json_string_value(item));
			if (!(*list)[i++])
				return -ENOMEM;
		}
		return 0;
	default:
		break;
	}
	return fail(error, "%s.%s must be a %s", where, o->name, type_names[o->type]);
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
static int decode(char *error, const char *where, const struct option *rows, json_t *object, void *base,
		  bool has_sections)
{
	const struct option *o;
	const char *key;
	json_t *value;
	int r;

	if (object && !json_is_object(object))
		return fail(error, "%s must be an object", where);
	json_object_foreach(object, key, value)
	{
		for (o = rows; o->name && strcmp(o->name, key) != 0; o++)
			;
		if (!o->name && !(has_sections && is_section(key)))
			return fail(error, "%s has no option \"%.60s\"; `nomadinit options` lists them", where, key);
	}
	for (o = rows; o->name; o++) {
		value = json_object_get(object, o->name);
		if (value) {
			r = decode_one(error, where, o, value, base);
		} else if (o->def) {
			json_t *def = json_loads(o->def, JSON_DECODE_ANY, NULL);

			r = def ? decode_one(error, where, o, def, base) : -ENOMEM;
			json_decref(def);
		} else {
			r = 0;
		}
		if (r < 0)
			return r;
	}
	return 0;
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
		r = decode(error, where, interface_options, value, i, false);
		if (r < 0)
			return r;
		if (!json_object_get(value, "dhcp"))
			i->dhcp = !i->addresses || !i->addresses[0];
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
	/* A server that leaves when it ends leaves its raft cluster as well: drain clients only. */
	if (r == 0 && json_is_true(json_object_get(client, "enabled")) &&
	    !json_is_true(json_object_get(server, "enabled"))) {
		r = fill(root, NULL, "leave_on_terminate", json_true());
		drain = json_pack("{s:s, s:b}", "deadline", "60s", "ignore_system_jobs", 1);
		if (r == 0)
			r = fill(root, "client", "drain_on_shutdown", drain);
	}
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
	r = decode(error, "nomadinit", options, ours, c, true);
	for (i = 0; r == 0 && i < NOMAD_ARRAY_LEN(sections); i++) {
		snprintf(where, sizeof(where), "nomadinit.%s", sections[i].name);
		r = decode(error, where, sections[i].rows, json_object_get(ours, sections[i].name), c, false);
	}
	if (r == 0)
		r = decode_network(error, json_object_get(ours, "network"), c);
	if (r == 0 && (!c->agent.command || !c->agent.command[0] || c->agent.command[0][0] != '/'))
		r = fail(error, "nomadinit.agent.command must begin with the absolute path of a program");
	if (r == 0 && c->agent.restart_max_seconds < c->agent.restart_min_seconds)
		r = fail(error, "nomadinit.agent.restart_max_seconds is less than restart_min_seconds");
	if (r == 0 && c->log_bytes > 0 && c->log_bytes < 16384)
		r = fail(error, "nomadinit.log_bytes must be 0 or at least 16384");
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
	size_t i;
	int r = root ? 0 : -ENOMEM;

	error[0] = '\0';
	for (i = 0; r == 0 && i < n; i++) {
		if (strlen(texts[i]) > CONFIG_MAX_BYTES) {
			r = fail(error, "'%s' is larger than %d KiB", names[i], CONFIG_MAX_BYTES / 1024);
			break;
		}
		part = json_loads(texts[i], JSON_REJECT_DUPLICATES, &e);
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

int config_defaults(struct config *ret)
{
	char error[CONFIG_ERROR_SIZE];

	return config_parse(NULL, NULL, 0, ret, error);
}

static void done_by_table(const struct option *rows, void *base)
{
	const struct option *o;

	for (o = rows; o->name; o++) {
		void *field = (char *)base + o->offset;

		if (o->type == T_STRING)
			free(*(char **)field);
		else if (o->type == T_LIST || o->type == T_PAIRS)
			list_free(*(char ***)field);
	}
}

void config_done(struct config *c)
{
	size_t i;

	done_by_table(options, c);
	for (i = 0; i < NOMAD_ARRAY_LEN(sections); i++)
		done_by_table(sections[i].rows, c);
	for (i = 0; i < c->n_interfaces; i++) {
		done_by_table(interface_options, &c->interfaces[i]);
		free(c->interfaces[i].name);
	}
	free(c->agent_json);
	memset(c, 0, sizeof(*c));
}

const struct config_interface *config_interface_for(const struct config *c, const char *name, const char *mac)
{
	static const struct config_interface dhcp = { .dhcp = true, .accept_ra = true };
	const struct config_interface *any = NULL;
	size_t i;

	for (i = 0; i < c->n_interfaces; i++) {
		if (strcmp(c->interfaces[i].name, name) == 0 || (mac && strcasecmp(c->interfaces[i].name, mac) == 0))
			return &c->interfaces[i];
		if (strcmp(c->interfaces[i].name, "*") == 0)
			any = &c->interfaces[i];
	}
	/* No network section at all: DHCP wherever there is a cable. */
	return any || c->n_interfaces > 0 ? any : &dhcp;
}

static void help_rows(FILE *to, const char *prefix, const struct option *o)
{
	for (; o->name; o++) {
		fprintf(to, "%s%s: %s", prefix, o->name, type_names[o->type]);
		if (o->type == T_INT)
			fprintf(to, " from %ld to %ld", o->min, o->max);
		if (o->def)
			fprintf(to, ", default %s", o->def);
		fprintf(to, "\n    %s\n", o->help);
	}
}

void config_help(FILE *to)
{
	char prefix[64];
	size_t i;

	help_rows(to, "nomadinit.", options);
	for (i = 0; i < NOMAD_ARRAY_LEN(sections); i++) {
		snprintf(prefix, sizeof(prefix), "nomadinit.%s.", sections[i].name);
		help_rows(to, prefix, sections[i].rows);
	}
	help_rows(to, "nomadinit.network.INTERFACE.", interface_options);
}
