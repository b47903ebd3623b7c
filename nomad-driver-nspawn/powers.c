/* SPDX-License-Identifier: MPL-2.0
 *
 * The powers that task options give, see powers.h.
 *
 * Sources of mounts: a plus in front means the image, where systemd-nspawn
 * follows links to the host, so that such a source needs a rule of its own;
 * a minus means that the path may be missing; an empty one is a directory
 * that systemd-nspawn makes. */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "powers.h"

static int add_path(char ***paths, const char *path)
{
	if (*path == '-')
		path++;
	return *path ? nomad_strv_add(paths, path) : 0;
}

static char **empty_list(void)
{
	return calloc(1, sizeof(char *));
}

static char **or_none(char **list, int r)
{
	if (r >= 0)
		return list;
	nomad_strv_free(list);
	return NULL;
}

static char **bind_paths(const char *value)
{
	char **paths = empty_list();
	int r = paths ? add_path(&paths, value) : -ENOMEM; /* moves the list */

	return paths ? or_none(paths, r) : NULL;
}

static char **device_path(const char *value)
{
	NOMAD_AUTO_FREE char *path = strndup(value, strcspn(value, ":"));
	char **paths = path ? empty_list() : NULL;
	int r = paths ? nomad_strv_add(&paths, path) : -ENOMEM;

	return paths ? or_none(paths, r) : NULL;
}

/* Words between characters of `separators`; a backslash takes the meaning of the next one away if `escapes`. */
static char **split(const char *value, const char *separators, bool escapes)
{
	NOMAD_AUTO_FREE char *word = malloc(strlen(value) + 1);
	char **words = word ? empty_list() : NULL;
	size_t n = 0;
	int r = 0;

	for (; words && r >= 0; value++) {
		if (*value && !strchr(separators, *value)) {
			if (escapes && *value == '\\' && value[1])
				value++;
			word[n++] = *value;
			continue;
		}
		word[n] = 0;
		r = nomad_strv_add(&words, word);
		n = 0;
		if (!*value)
			break;
	}
	return or_none(words, r);
}

char **nspawn_overlay_paths(const char *value)
{
	NOMAD_AUTO_STRV char **words = split(value, ":", true);
	char **paths = words ? empty_list() : NULL;
	size_t n = words ? nomad_strv_count((const char *const *)words) : 0, i;
	int r = 0;

	/* The last is in the container; of two it is a path of the host, too. */
	for (i = 0; paths && r >= 0 && i < (n > 2 ? n - 1 : n); i++)
		r = add_path(&paths, words[i]);
	return or_none(paths, r);
}

static char **capability_names(const char *value)
{
	return split(value, ", \t\n", false);
}

/* A list that begins with ~ only forbids. */
static char **system_calls(const char *value)
{
	return *value == '~' ? split(value, "", false) : split(value, " \t\n", false);
}

static char **upper(const char *value)
{
	NOMAD_AUTO_FREE char *name = strdup(value);
	char **names = name ? empty_list() : NULL;
	int r;

	for (char *p = name; p && *p; p++)
		*p = (char)toupper((unsigned char)*p);
	r = names ? nomad_strv_add(&names, name) : -ENOMEM;
	return names ? or_none(names, r) : NULL;
}

static const char *const machine_images[] = { "/var/lib/machines", "/usr/local/lib/machines", "/usr/lib/machines",
					      "/var/lib/container", NULL };
/* What every container has (start.c and devices.c); nothing of the host is behind them. */
static const char *const usual_devices[] = { "/dev/null",    "/dev/zero",    "/dev/full", "/dev/random",
					     "/dev/urandom", "/dev/net/tun", NULL };
static const char *const anything[] = { "*", NULL };
/* Docker's default set. */
static const char *const usual_capabilities[] = {
	"CAP_AUDIT_WRITE", "CAP_CHOWN",	  "CAP_DAC_OVERRIDE",	  "CAP_FOWNER",	    "CAP_FSETID",
	"CAP_KILL",	   "CAP_MKNOD",	  "CAP_NET_BIND_SERVICE", "CAP_NET_RAW",    "CAP_SETFCAP",
	"CAP_SETGID",	   "CAP_SETPCAP", "CAP_SETUID",		  "CAP_SYS_CHROOT", NULL,
};
/* "yes" takes the owner of the image for the first user, which may be root of the host. */
static const char *const own_users[] = { "pick", "managed", NULL };
/* Not those of memory that stays, of priorities and of real time. */
static const char *const usual_rlimits[] = { "AS",     "CORE",	"CPU", "DATA",	"FSIZE", "LOCKS",
					     "NOFILE", "NPROC", "RSS", "STACK", NULL };

const struct nomad_power nspawn_power_image = {
	.kind = NOMAD_POWER_READ, .rule = "allow_image", .safe = machine_images, .by_driver = true
};
const struct nomad_power nspawn_power_download = { .kind = NOMAD_POWER_IMAGE,
						   .rule = "allow_download",
						   .otherwise = anything };
const struct nomad_power nspawn_power_writable_image = { .kind = NOMAD_POWER_PRIVILEGE,
							 .rule = "allow_writable_image",
							 .safe = (const char *const[]){ "false", NULL } };
const struct nomad_power nspawn_power_root = { .kind = NOMAD_POWER_PRIVILEGE,
					       .rule = "allow_writable_image",
					       .safe = (const char *const[]){ "ephemeral", "sticky", NULL } };
const struct nomad_power nspawn_power_bind = {
	.kind = NOMAD_POWER_WRITE, .rule = "allow_bind", .keys = true, .parts = bind_paths
};
const struct nomad_power nspawn_power_bind_read_only = { .kind = NOMAD_POWER_READ,
							 .rule = "allow_bind_read_only",
							 .also = "allow_bind",
							 .keys = true,
							 .parts = bind_paths };
/* The driver asks by the option that it stands for: it depends on whether it is read-only. */
const struct nomad_power nspawn_power_mount = { .kind = NOMAD_POWER_WRITE, .rule = "allow_bind", .by_driver = true };
#define OVERLAY                                                                                                        \
	{                                                                                                              \
		.kind = NOMAD_POWER_WRITE, .rule = "allow_overlay", .strict = true,                                    \
		.help = "systemd-nspawn follows links in these paths once more when it mounts them: name only "        \
			"directories that no job can write to.",                                                       \
		.parts = nspawn_overlay_paths                                                                          \
	}
const struct nomad_power nspawn_power_overlay = OVERLAY;
const struct nomad_power nspawn_power_overlay_read_only = OVERLAY;
const struct nomad_power nspawn_power_devices = {
	.kind = NOMAD_POWER_DEVICE, .rule = "allow_devices", .safe = usual_devices, .parts = device_path
};
const struct nomad_power nspawn_power_device_policy = { .kind = NOMAD_POWER_PRIVILEGE,
							.rule = "allow_all_devices",
							.safe = (const char *const[]){ "closed", NULL } };
const struct nomad_power nspawn_power_user_namespacing = { .kind = NOMAD_POWER_PRIVILEGE,
							   .rule = "allow_host_users",
							   .safe = (const char *const[]){ "true", NULL } };
const struct nomad_power nspawn_power_private_users = { .kind = NOMAD_POWER_USER,
							.rule = "allow_private_users",
							.safe = own_users };
const struct nomad_power nspawn_power_capability = { .kind = NOMAD_POWER_CAPABILITY,
						     .rule = "allow_capability",
						     .safe = usual_capabilities,
						     .parts = capability_names };
const struct nomad_power nspawn_power_system_call_filter = { .kind = NOMAD_POWER_SYSTEM_CALL,
							     .rule = "allow_system_calls",
							     .safe = (const char *const[]){ "~*", NULL },
							     .parts = system_calls };
const struct nomad_power nspawn_power_rlimits = {
	.kind = NOMAD_POWER_LIMIT, .rule = "allow_rlimits", .safe = usual_rlimits, .keys = true
};
const struct nomad_power nspawn_power_ulimit = {
	.kind = NOMAD_POWER_LIMIT, .rule = "allow_rlimits", .safe = usual_rlimits, .keys = true, .parts = upper
};
const struct nomad_power nspawn_power_ipc = { .kind = NOMAD_POWER_PRIVILEGE,
					      .rule = "allow_host_ipc",
					      .safe = (const char *const[]){ "private", NULL } };
const struct nomad_power nspawn_power_pids_limit = { .kind = NOMAD_POWER_AMOUNT,
						     .rule = "max_pids_limit",
						     .maximum = 4096 };
const struct nomad_power nspawn_power_storage = { .kind = NOMAD_POWER_AMOUNT,
						  .rule = "max_storage_mb",
						  .maximum = 10240 };
/* Allowed by default, as in Nomad's own drivers: SECURITY.md says why. */
const struct nomad_power nspawn_power_network_veth = { .kind = NOMAD_POWER_PRIVILEGE,
						       .rule = "allow_host_network",
						       .safe = (const char *const[]){ "true", NULL },
						       .allowed = true,
						       .by_driver = true };
const struct nomad_power nspawn_power_network_bridge = { .kind = NOMAD_POWER_NETWORK,
							 .rule = "allow_network_bridge",
							 .otherwise = anything };
const struct nomad_power nspawn_power_network_zone = { .kind = NOMAD_POWER_NETWORK,
						       .rule = "allow_network_zone",
						       .otherwise = anything };
