/* SPDX-License-Identifier: MPL-2.0
 *
 * The powers that task options give, see powers.h.
 *
 * An image is the whole configuration of a pot, mounts included, so its
 * source must be trusted: a file of the host needs a rule.  pot follows links
 * in sources of copies and mounts when it starts the pot, so no directory that
 * another task can write to is allowed without a rule. */
#include "powers.h"

#include <stdlib.h>
#include <string.h>

/* A list of `n` bytes of `text`; of none if that is NULL. */
static char **list_of(const char *text, size_t n)
{
	char **list = calloc(1, sizeof(*list));

	if (list && text && nomad_strv_addf(&list, "%.*s", (int)n, text) < 0) {
		nomad_strv_free(list);
		return NULL;
	}
	return list;
}

/* The file in custom:FILE; the other words name none. */
static char **dns_file(const char *value)
{
	return list_of(strncmp(value, "custom:", 7) == 0 ? value + 7 : NULL, strlen(value));
}

/* Of SOURCE:DESTINATION. */
static char **source(const char *value)
{
	return list_of(value, strcspn(value, ":"));
}

static const char *const anything[] = { "*", NULL };
static const char *const downloads[] = { "http://*", "https://*", NULL };
static const char *const usual_attributes[] = {
	"no-tmpfs:*",	   "no-etc-hosts:*",   "prunable:*",  "stop_timeout:*", "exec_stop:*", "devfs_ruleset:4",
	"children:0",	   "enforce_statfs:2", "sysvshm:new", "sysvsem:new",	"sysvmsg:new", "sysvshm:disable",
	"sysvsem:disable", "sysvmsg:disable",  "*:no",	      "*:false",	"*:off",       NULL,
};

#define WHO_WRITES                                                                                                     \
	"pot follows symbolic links in these paths once more when it starts the pot: name only directories that no "   \
	"job can write to."

const struct nomad_power pot_power_image = { .kind = NOMAD_POWER_IMAGE, .rule = "allow_image", .otherwise = downloads };
/* As nspawn's rule of that name. */
const struct nomad_power pot_power_network_mode = {
	.kind = NOMAD_POWER_PRIVILEGE,
	.rule = "allow_host_network",
	.safe = (const char *const[]){ "public-bridge", "private-bridge", "alias", NULL },
	.allowed = true,
	.help = "A job without network_mode and ports counts as one that uses the host's network.",
	.by_driver = true,
};
const struct nomad_power pot_power_copy = { .kind = NOMAD_POWER_READ,
					    .rule = "allow_copy",
					    .strict = true,
					    .own_dirs = true,
					    .help = WHO_WRITES,
					    .parts = source,
					    .by_driver = true };
const struct nomad_power pot_power_dns = {
	.kind = NOMAD_POWER_READ, .rule = "allow_copy", .strict = true, .own_dirs = true, .parts = dns_file
};
const struct nomad_power pot_power_mount = { .kind = NOMAD_POWER_WRITE,
					     .rule = "allow_mount",
					     .strict = true,
					     .own_dirs = true,
					     .help = WHO_WRITES,
					     .parts = source,
					     .by_driver = true };
const struct nomad_power pot_power_mount_read_only = { .kind = NOMAD_POWER_READ,
						       .rule = "allow_mount_read_only",
						       .also = "allow_mount",
						       .strict = true,
						       .own_dirs = true,
						       .help = WHO_WRITES,
						       .parts = source,
						       .by_driver = true };
const struct nomad_power pot_power_attributes = { .kind = NOMAD_POWER_WORD,
						  .rule = "allow_attributes",
						  .safe = usual_attributes };
const struct nomad_power pot_power_ip = { .kind = NOMAD_POWER_NETWORK,
					  .rule = "allow_ip",
					  .safe = (const char *const[]){ "auto", NULL } };
const struct nomad_power pot_power_bridge = { .kind = NOMAD_POWER_NETWORK,
					      .rule = "allow_bridge",
					      .otherwise = anything };
