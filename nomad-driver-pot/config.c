/* SPDX-License-Identifier: MPL-2.0
 *
 * config.c: every option of nomad-driver-pot, and what is allowed in it.
 *
 * Everything that pot(8) would refuse or misinterpret later is refused here,
 * before anything is created: pot stores mounts, commands and attributes as
 * lines of text, which it splits at blanks.  Names
 * and meanings are those of the Go driver, so that its jobs run unchanged,
 * except for forms that it accepted and that never had the documented effect. */
#include "config.h"

#include <sys/socket.h>
#include <netinet/in.h>

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "nomad/error.h"
#include "powers.h"

bool pot_is_udp(const char *value, const char **ret_rest)
{
	bool udp = strncmp(value, "udp:", 4) == 0;

	if (ret_rest)
		*ret_rest = udp || strncmp(value, "tcp:", 4) == 0 ? value + 4 : value;
	return udp;
}

bool pot_has_own_network(const struct pot_task_config *config)
{
	const char *mode = config->network_mode;

	if (!mode)
		return config->port_map.count > 0 || nomad_strv_count((const char *const *)config->ports) > 0;
	return strcmp(mode, "public-bridge") == 0 || strcmp(mode, "private-bridge") == 0;
}

/* ---- One value ---- */

static bool has_blank(const char *s)
{
	return strpbrk(s, " \t\r\n") != NULL;
}

static bool has_newline(const char *s)
{
	return strpbrk(s, "\r\n") != NULL;
}

static const char *check_one_line(const char *value)
{
	return has_newline(value) ? "a value without line breaks (pot stores one line)" : NULL;
}

/* Parts of names that pot makes file names and data sets of. */
static const char *check_name(const char *value)
{
	if (*value == '\0' || *value == '-' ||
	    strspn(value, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") != strlen(value))
		return "letters, digits, '.', '_' and '-', not beginning with '-'";
	return NULL;
}

static const char *check_image(const char *value)
{
	if (*value == '\0' || *value == '-' || has_blank(value))
		return "a base URL (http://, https:// or file://) without blanks";
	return NULL;
}

static const char *check_copy(const char *value)
{
	const char *colon = strchr(value, ':');

	if (!colon || colon == value || colon[1] != '/' || has_newline(value) || *value == '-')
		return "SOURCE:DESTINATION, the destination an absolute path in the pot";
	return NULL;
}

static const char *check_mount(const char *value)
{
	const char *colon = strchr(value, ':');

	if (!colon || colon == value || colon[1] != '/' || colon[2] == '\0' || *value == '-' || has_blank(value))
		return "SOURCE:DESTINATION without blanks, the destination an absolute path in the pot other than /";
	if (strncmp(value, "/:", 2) == 0)
		return "another source than /, which pot cannot mount";
	if (strchr(colon + 1, ':'))
		return "SOURCE:DESTINATION and nothing after it (use mount_read_only for read-only mounts)";
	return NULL;
}

static const char *check_host(const char *value)
{
	const char *colon = strchr(value, ':');
	struct in6_addr addr;

	if (!colon || colon == value || has_blank(value) || *value == '-' ||
	    (inet_pton(AF_INET, colon + 1, &addr) != 1 && inet_pton(AF_INET6, colon + 1, &addr) != 1))
		return "HOST:IP";
	return NULL;
}

static const char *check_port_number(const char *value)
{
	const char *rest;
	char *end;
	long port;

	pot_is_udp(value, &rest);
	port = strtol(rest, &end, 10);
	if (*rest < '0' || *rest > '9' || *end != '\0' || port < 1 || port > 65535)
		return "a port in the pot, 1 to 65535, optionally with tcp: or udp: before it";
	return NULL;
}

static const char *check_port_label(const char *value)
{
	const char *rest;

	pot_is_udp(value, &rest);
	return *rest == '\0' ? "a port label, optionally with tcp: or udp: before it" : NULL;
}

static const char *check_ip(const char *value)
{
	if (*value == '\0' || *value == '-' || has_blank(value))
		return "an address, INTERFACE|ADDRESS, or auto";
	return NULL;
}

static const char *check_dns(const char *value)
{
	if (strcmp(value, "inherit") == 0 || strcmp(value, "pot") == 0 || strcmp(value, "off") == 0)
		return NULL;
	if (strncmp(value, "custom:/", 8) == 0 && !has_blank(value))
		return NULL;
	return "inherit, pot, off, or custom:/absolute/file";
}

/* ---- Attributes ---- */

enum attribute_type { BOOLEAN, UNSIGNED, SYSV, TEXT };

static const struct attribute {
	const char *name;
	enum attribute_type type;
} known_attributes[] = {
	{ "start-at-boot", BOOLEAN }, { "early-start-at-boot", BOOLEAN },
	{ "persistent", BOOLEAN },    { "no-rc-script", BOOLEAN },
	{ "prunable", BOOLEAN },      { "localhost-tunnel", BOOLEAN },
	{ "no-tmpfs", BOOLEAN },      { "no-etc-hosts", BOOLEAN },
	{ "mount", BOOLEAN },	      { "fdescfs", BOOLEAN },
	{ "linprocfs", BOOLEAN },     { "nullfs", BOOLEAN },
	{ "procfs", BOOLEAN },	      { "tmpfs", BOOLEAN },
	{ "zfs", BOOLEAN },	      { "raw_sockets", BOOLEAN },
	{ "mlock", BOOLEAN },	      { "enforce_statfs", UNSIGNED },
	{ "children", UNSIGNED },     { "devfs_ruleset", UNSIGNED },
	{ "stop_timeout", UNSIGNED }, { "sysvshm", SYSV },
	{ "sysvsem", SYSV },	      { "sysvmsg", SYSV },
	{ "exec_stop", TEXT },
};

static bool is_one_of(const char *value, const char *const *list, int (*compare)(const char *, const char *))
{
	for (; *list; list++) {
		if (compare(value, *list) == 0)
			return true;
	}
	return false;
}

static const char *const true_words[] = { "yes", "true", "on", NULL };
static const char *const false_words[] = { "no", "false", "off", NULL };
static const char *const sysv_words[] = { "new", "inherit", "disable", NULL };

/* Beyond these the kernel makes no jail. */
static const char *check_bounds(const char *name, int value)
{
	if (strcmp(name, "devfs_ruleset") == 0 && value > 65535)
		return "NAME:VALUE, for this name 0 to 65535";
	if (strcmp(name, "enforce_statfs") == 0 && value > 2)
		return "NAME:VALUE, for this name 0, 1 or 2";
	return NULL;
}

static const char *check_attribute(const char *value)
{
	const char *colon = strchr(value, ':'), *v;
	const struct attribute *a = NULL;

	if (!colon || colon[1] == '\0' || has_newline(value))
		return "NAME:VALUE";
	v = colon + 1;
	for (size_t i = 0; i < NOMAD_ARRAY_LEN(known_attributes) && !a; i++) {
		const char *name = known_attributes[i].name;

		if (strlen(name) == (size_t)(colon - value) && strncmp(value, name, strlen(name)) == 0)
			a = &known_attributes[i];
	}
	if (!a)
		return "NAME:VALUE with a name that pot set-attribute knows";
	switch (a->type) {
	case BOOLEAN:
		if (!is_one_of(v, true_words, strcasecmp) && !is_one_of(v, false_words, strcasecmp))
			return "NAME:VALUE, for this name yes or no";
		/* With these the jail outlives `pot start`, or the command is not run at all. */
		if (strcmp(a->name, "persistent") == 0 && is_one_of(v, true_words, strcasecmp))
			return "another attribute: a persistent pot would outlive its task";
		if (strcmp(a->name, "no-rc-script") == 0 && is_one_of(v, false_words, strcasecmp))
			return "another attribute: without no-rc-script the task's command does not run";
		break;
	case UNSIGNED:
		if (strspn(v, "0123456789") != strlen(v) || strlen(v) > 9)
			return "NAME:VALUE, for this name a number";
		return check_bounds(a->name, atoi(v));
	case SYSV:
		if (!is_one_of(v, sysv_words, strcmp))
			return "NAME:VALUE, for this name new, inherit or disable";
		break;
	case TEXT:
		if (strchr(v, '='))
			return "NAME:VALUE, for this name without '=', because pot would cut it there";
		break;
	}
	return NULL;
}

/* ---- Limits ---- */

/* What may be denied, and what is slowed down instead: the kernel refuses any other combination (EOPNOTSUPP,
 * rctl_rule_add() in sys/kern/kern_rctl.c).  Memory and CPU have options of their own. */
static const struct {
	const char *resource, *action;
} known_limits[] = {
	{ "maxproc", "deny" },	       { "nthr", "deny" },	   { "openfiles", "deny" },
	{ "swapuse", "deny" },	       { "vmemoryuse", "deny" },   { "nsem", "deny" },
	{ "nsemop", "deny" },	       { "nshm", "deny" },	   { "memorylocked", "deny" },
	{ "shmsize", "deny" },	       { "msgqqueued", "deny" },   { "msgqsize", "deny" },
	{ "pseudoterminals", "deny" }, { "nmsgq", "deny" },	   { "coredumpsize", "deny" },
	{ "readbps", "throttle" },     { "writebps", "throttle" }, { "readiops", "throttle" },
	{ "writeiops", "throttle" },
};

const char *pot_limit_action(const char *resource)
{
	for (size_t i = 0; i < NOMAD_ARRAY_LEN(known_limits); i++)
		if (strcmp(known_limits[i].resource, resource) == 0)
			return known_limits[i].action;
	return NULL;
}

static const char *check_limit(const char *value)
{
	size_t digits = strspn(value, "0123456789");

	if (digits == 0 || digits > 18 || strspn(value, "0") == digits ||
	    (value[digits] && (!strchr("kKmMgGtT", value[digits]) || value[digits + 1])))
		return "a number above 0, optionally with k, m, g or t behind it";
	return NULL;
}

static int check_limits(const struct nomad_map *limits, struct nomad_error **err)
{
	for (size_t i = 0; i < limits->count; i++)
		if (!pot_limit_action(limits->pairs[i].key))
			return nomad_error_set(err, EINVAL,
					       "option 'limits': '%s': not a resource that can be limited here; use "
					       "maxproc, nthr, openfiles, swapuse, vmemoryuse, readbps, writebps, "
					       "readiops, writeiops or another of rctl(8)",
					       limits->pairs[i].key);
	return 0;
}

/* ---- The plugin block ---- */

static const struct nomad_option config_options[] = {
	NOMAD_OPTION(struct pot_config, enabled, BOOL, .def = "true",
		     .help = "Enables the driver on this node.  If false, no new task starts; running tasks continue."),
	NOMAD_OPTION(struct pot_config, pot_path, STRING, .def = "\"/usr/local/bin/pot\"",
		     .check = nomad_check_absolute_path, .help = "Sets the path of the pot program."),
	NOMAD_OPTION(struct pot_config, path, STRING,
		     .def = "\"/sbin:/bin:/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin\"", .non_empty = true,
		     .help = "Sets PATH for pot, for the tools it calls, and for tasks.  None of them gets anything "
			     "else of the agent's environment."),
	NOMAD_OPTION(struct pot_config, env_files, BOOL, .def = "true",
		     .help = "Passes the values of the task's environment in files of its secrets directory.  If "
			     "false, pot's command lines contain them; ps shows those to every user, and pot writes "
			     "them to syslog."),
	NOMAD_OPTION(struct pot_config, prepare_timeout, INT, .def = "3600", .min = 1, .max = 86400, .unit = "seconds",
		     .help = "Limits the time of pot prepare, which includes the download of an image and the wait for "
			     "other downloads on this host: pot runs one at a time."),
	NOMAD_OPTION(struct pot_config, start_timeout, INT, .def = "120", .min = 1, .max = 3600, .unit = "seconds",
		     .help = "Limits the time from pot start until the jail runs."),
	NOMAD_OPTION(struct pot_config, command_timeout, INT, .def = "60", .min = 1, .max = 3600, .unit = "seconds",
		     .help = "Limits the time of each other pot command."),
	NOMAD_OPTION(
		struct pot_config, image_gc_hours, INT, .def = "0", .min = 0, .max = 876000, .unit = "hours",
		.help = "Removes an image that this driver fetched when no task has used it for this time; the driver "
			"checks it when it removes a task.  Images that were imported by hand are kept.  0 keeps all."),
};

const struct nomad_schema pot_config_schema = NOMAD_SCHEMA(struct pot_config, config_options);

/* ---- The task's config block ---- */

static const char *const network_modes[] = { "host", "inherit", "alias", "public-bridge", "private-bridge", NULL };
static const char *const network_stacks[] = { "ipv4", "ipv6", "dual", NULL };

static const struct nomad_option task_options[] = {
	NOMAD_OPTION(struct pot_task_config, image, STRING, .power = &pot_power_image, .required = true,
		     .check = check_image,
		     .help = "Sets the base URL of the image: pot fetches URL/POT_TAG.xz if the host does not have it.",
		     .example = "\"https://potluck.example.org/\""),
	NOMAD_OPTION(struct pot_task_config, pot, STRING, .harmless = "a name at the base URL of image",
		     .required = true, .check = check_name, .help = "Sets the name of the image.",
		     .example = "\"nginx-amd64-14_1\""),
	NOMAD_OPTION(struct pot_task_config, tag, STRING, .harmless = "a name at the base URL of image",
		     .required = true, .check = check_name, .help = "Sets the version of the image.",
		     .example = "\"1.2\""),
	NOMAD_OPTION(struct pot_task_config, command, STRING, .harmless = "runs in the jail", .non_empty = true,
		     .check = check_one_line,
		     .help = "Sets the command line for the jail, which its shell interprets.  Without it the image's "
			     "own command runs.",
		     .example = "\"nginx\""),
	NOMAD_OPTION(struct pot_task_config, args, STRING_LIST, .harmless = "runs in the jail", .check = check_one_line,
		     .help = "Adds arguments to command.  Each arrives as one word, whatever it contains.  An argument "
			     "in single quotes is passed unchanged.",
		     .example = "[\"-g\", \"daemon off;\"]"),
	NOMAD_OPTION(struct pot_task_config, network_mode, STRING, .power = &pot_power_network_mode,
		     .choices = network_modes,
		     .help = "Selects how the pot joins the network; host means inherit.  The default is public-bridge "
			     "if there are ports to map, otherwise the mode of the image."),
	NOMAD_OPTION(struct pot_task_config, port_map, STRING_MAP, .harmless = "ports that Nomad has given",
		     .check = check_port_number,
		     .help = "Maps each port label of the job to a port in the pot, tcp unless it begins with udp:.  "
			     "It has no effect in network modes without an own network.",
		     .example = "{ http = \"80\", dns = \"udp:53\" }"),
	NOMAD_OPTION(struct pot_task_config, ports, STRING_LIST, .harmless = "ports that Nomad has given",
		     .check = check_port_label,
		     .help = "Lists labels of the group's ports to map into the pot, to the port in the label's `to`; "
			     "tcp unless it begins with udp:.",
		     .example = "[\"http\", \"udp:dns\"]"),
	NOMAD_OPTION(struct pot_task_config, copy, STRING_LIST, .power = &pot_power_copy, .check = check_copy,
		     .help = "Lists files and directories to copy into the pot, as SOURCE:DESTINATION.  A relative "
			     "source begins at the task's directory.",
		     .example = "[\"local/nginx.conf:/usr/local/etc/nginx/nginx.conf\"]"),
	NOMAD_OPTION(struct pot_task_config, mount, STRING_LIST, .power = &pot_power_mount, .check = check_mount,
		     .help = "Lists directories to mount into the pot, as SOURCE:DESTINATION.  A relative source "
			     "begins at the task's directory.",
		     .example = "[\"/mnt/data:/data\"]"),
	NOMAD_OPTION(struct pot_task_config, mount_read_only, STRING_LIST, .power = &pot_power_mount_read_only,
		     .check = check_mount, .help = "Lists directories to mount read-only, as SOURCE:DESTINATION.",
		     .example = "[\"/usr/ports:/usr/ports\"]"),
	NOMAD_OPTION(struct pot_task_config, extra_hosts, STRING_LIST, .harmless = "in the jail", .check = check_host,
		     .help = "Adds lines to the pot's /etc/hosts, as HOST:IP.",
		     .example = "[\"artifactory:192.0.2.7\"]"),
	NOMAD_OPTION(struct pot_task_config, attributes, STRING_LIST, .power = &pot_power_attributes,
		     .check = check_attribute,
		     .help = "Sets attributes of the pot, as NAME:VALUE; see pot-set-attribute.",
		     .example = "[\"mlock:yes\"]"),
	NOMAD_OPTION(struct pot_task_config, ip, STRING_LIST, .power = &pot_power_ip, .check = check_ip,
		     .help = "Sets the addresses of the pot; required with network mode alias.  For bridges the "
			     "default is auto.",
		     .example = "[\"em0|192.0.2.10\"]"),
	NOMAD_OPTION(struct pot_task_config, bridge, STRING, .power = &pot_power_bridge, .check = check_name,
		     .help = "Sets the private bridge to join; required with network mode private-bridge.",
		     .example = "\"backend\""),
	NOMAD_OPTION(struct pot_task_config, network_stack, STRING, .harmless = "which addresses the jail gets",
		     .choices = network_stacks,
		     .help = "Selects the pot's addresses: ipv4, ipv6 or both.  The default is pot's configuration."),
	NOMAD_OPTION(struct pot_task_config, dns, STRING, .power = &pot_power_dns, .check = check_dns,
		     .help = "Selects the pot's resolv.conf: inherit (the host's), pot (the name server pot), off (the "
			     "image's), or custom:FILE.  A dns block of the job overrides it."),
	NOMAD_OPTION(struct pot_task_config, signature_key, STRING,
		     .harmless = "it only refuses images, and never shows the file", .check = nomad_check_absolute_path,
		     .help = "Sets a public key of signify(1); pot refuses images that it has not signed.",
		     .example = "\"/usr/local/etc/pot/site.pub\""),
	NOMAD_OPTION(struct pot_task_config, cpus, INT, .harmless = "takes processors away", .min = 1, .max = 4096,
		     .help = "Pins the pot to this number of CPUs (requires potcpu)."),
	NOMAD_OPTION(struct pot_task_config, cpu_hard_limit, BOOL, .harmless = "takes processor time away",
		     .def = "false", .help = "Makes the job's cpu a limit (rctl pcpu) instead of a share."),
	NOMAD_OPTION(struct pot_task_config, memory_kill, BOOL, .harmless = "kills in the jail alone", .def = "false",
		     .help = "Kills a process that exceeds the task's memory limit (rctl memoryuse:sigkill); Nomad "
			     "reports OOM if that ends the task.  By default the kernel pages such a task out.  The "
			     "kernel checks about once a second."),
	NOMAD_OPTION(struct pot_task_config, limits, STRING_MAP, .harmless = "takes something away",
		     .check = check_limit,
		     .help = "Limits resources of the jail, see rctl(8).  The kernel slows down readbps, writebps, "
			     "readiops and writeiops, and refuses others (maxproc, nthr, openfiles, swapuse, "
			     "vmemoryuse, ...) above their limit.",
		     .example = "{ maxproc = \"100\", swapuse = \"1g\", writebps = \"20m\" }"),
};

/* The length of SOURCE in SOURCE:DESTINATION, less slashes at its end, as pot cuts them. */
static size_t source_length(const char *entry)
{
	size_t n = strcspn(entry, ":");

	while (n > 1 && entry[n - 1] == '/')
		n--;
	return n;
}

/* pot takes each directory once, for reading or for writing, and each mount point once. */
static const char *mounted_twice(char *const *entries, size_t n)
{
	for (size_t i = 1; i < n; i++)
		for (size_t k = 0; k < i; k++) {
			size_t length = source_length(entries[i]);

			if ((length == source_length(entries[k]) && strncmp(entries[i], entries[k], length) == 0) ||
			    strcmp(entries[i] + strcspn(entries[i], ":"), entries[k] + strcspn(entries[k], ":")) == 0)
				return entries[i];
		}
	return NULL;
}

static int check_mounts(const struct pot_task_config *c, struct nomad_error **err)
{
	size_t n = nomad_strv_count((const char *const *)c->mount),
	       n_read_only = nomad_strv_count((const char *const *)c->mount_read_only);
	char **all = calloc(n + n_read_only + 1, sizeof(*all));
	const char *twice;
	int r = 0;

	if (!all)
		return nomad_error_errno(err, ENOMEM, "check the mounts");
	for (size_t i = 0; i < n + n_read_only; i++)
		all[i] = i < n ? c->mount[i] : c->mount_read_only[i - n];
	twice = mounted_twice(all, n + n_read_only);
	if (twice)
		r = nomad_error_set(
			err, EINVAL,
			"option 'mount' or 'mount_read_only': '%s': pot mounts a directory and uses a mount "
			"point only once; leave one entry",
			twice);
	free(all);
	return r;
}

static int check_task(const void *config, struct nomad_error **err)
{
	const struct pot_task_config *c = config;
	const char *mode = c->network_mode ? c->network_mode : "";
	const bool alias = strcmp(mode, "alias") == 0, private = strcmp(mode, "private-bridge") == 0;
	const struct {
		bool refused;
		const char *why;
	} rules[] = {
		{ nomad_strv_count((const char *const *)c->args) && !c->command, "option 'args' requires 'command'" },
		{ alias && (!c->ip || !c->ip[0]), "network_mode 'alias' requires option 'ip'" },
		{ alias && c->ip && c->ip[0] && strcmp(c->ip[0], "auto") == 0,
		  "network_mode 'alias' requires an address in option 'ip', not 'auto'" },
		{ private && !c->bridge, "network_mode 'private-bridge' requires option 'bridge'" },
		{ c->bridge && c->network_stack && strcmp(c->network_stack, "ipv6") == 0,
		  "option 'network_stack': 'ipv6': not possible on a private bridge; use 'ipv4' or 'dual'" },
		{ strstr(mode, "-bridge") && nomad_strv_count((const char *const *)c->ip) > 1,
		  "option 'ip': a pot has only one address on a bridge; give one" },
		{ c->bridge && !private, "option 'bridge' requires network_mode 'private-bridge'" },
		{ c->ip && !alias && !strstr(mode, "-bridge"),
		  "option 'ip' requires network_mode 'alias', 'public-bridge' or 'private-bridge'" },
	};
	int r;

	for (size_t i = 0; i < NOMAD_ARRAY_LEN(rules); i++)
		if (rules[i].refused)
			return nomad_error_set(err, EINVAL, "%s", rules[i].why);
	r = check_limits(&c->limits, err);
	return r < 0 ? r : check_mounts(c, err);
}

const struct nomad_schema pot_task_schema = NOMAD_SCHEMA(struct pot_task_config, task_options, .check = check_task);
