/* SPDX-License-Identifier: MPL-2.0
 *
 * The powers that task options give, see powers.h.
 *
 * Everything else is held by the jail: paths of a job are those of its own
 * allocation, secrets are its own, and a cache belongs to the job's Nomad
 * namespace. */
#include <stdlib.h>
#include <string.h>

#include "powers.h"

/* Of a build context, only the name of an image can lead out of the task. */
static char **image_of_context(const char *value)
{
	static const char scheme[] = "docker-image://";
	char **names = calloc(1, sizeof(char *));

	if (names && strncmp(value, scheme, strlen(scheme)) == 0 &&
	    nomad_strv_add(&names, value + strlen(scheme)) < 0) {
		nomad_strv_free(names);
		return NULL;
	}
	return names;
}

static const char *const anything[] = { "*", NULL };
/* All but the node's. */
static const char *const own_networks[] = { "private", "group", "none", NULL };
/* Not those of memory that stays, of priorities and of real time. */
static const char *const usual_ulimits[] = { "as",     "core",	"cpu", "data",	"fsize", "locks",
					     "nofile", "nproc", "rss", "stack", NULL };

#define FROM_HELP                                                                                                      \
	"A name is judged in full, such as docker.io/library/alpine:3. Where the rule allows less than everything, a " \
	"build can pull only images whose names the driver finds in the Containerfile."
const struct nomad_power build_power_from = {
	.kind = NOMAD_POWER_IMAGE, .rule = "allow_from", .otherwise = anything, .by_driver = true, .help = FROM_HELP
};
const struct nomad_power build_power_contexts = {
	.kind = NOMAD_POWER_IMAGE, .rule = "allow_from", .otherwise = anything, .parts = image_of_context
};
const struct nomad_power build_power_push = { .kind = NOMAD_POWER_IMAGE, .rule = "allow_push", .otherwise = anything };
const struct nomad_power build_power_network = {
	.kind = NOMAD_POWER_NETWORK,
	.rule = "allow_network",
	.otherwise = own_networks,
	.by_driver = true,
	.help = "With host, every step of a Containerfile reaches what listens on "
		"the node's loopback, such as the Nomad agent, and its abstract "
		"unix sockets."
};
const struct nomad_power build_power_ulimits = {
	.kind = NOMAD_POWER_LIMIT, .rule = "allow_ulimits", .safe = usual_ulimits, .keys = true
};
/* 2048: what podman gives a container. */
const struct nomad_power build_power_pids_limit = { .kind = NOMAD_POWER_AMOUNT,
						    .rule = "max_pids_limit",
						    .maximum = 2048 };
/* A base image of 5 GB, unpacked, and as much again. */
const struct nomad_power build_power_storage = { .kind = NOMAD_POWER_AMOUNT,
						 .rule = "max_storage_mb",
						 .maximum = 20480 };
