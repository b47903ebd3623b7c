/* SPDX-License-Identifier: MPL-2.0
 *
 * The options of the plugin block. */
#include <stdio.h>

#include "config.h"
#include "network.h"

static const char *const machined_modes[] = { "auto", "no", NULL };

static const char *check_cidr(const char *value)
{
	unsigned a, b, c, d, bits;
	char rest;

	if (sscanf(value, "%3u.%3u.%3u.%3u/%2u%c", &a, &b, &c, &d, &bits, &rest) != 5 || a > 255 || b > 255 ||
	    c > 255 || d > 255 || bits < 8 || bits > 28)
		return "an IPv4 network of /8 to /28, such as 10.88.0.0/16";
	return NULL;
}

static const char *check_cidr6(const char *value)
{
	char text[INET6_ADDRSTRLEN];

	return nspawn_address6(value, "10.0.0.1", text, NULL) < 0
		       ? "an IPv6 network of /8 to /96, such as fd00:1:2:3::/64"
		       : NULL;
}

#define OPT(field, kind, ...) NOMAD_OPTION(struct nspawn_plugin_config, field, kind, __VA_ARGS__)
static const struct nomad_option plugin_options[] = {
	OPT(enabled, BOOL, .def = "true", .help = "Whether this node runs nspawn tasks."),
	OPT(volumes, BOOL, .def = "true",
	    .help = "Whether tasks may mount host and CSI volumes. Does not restrict bind and bind_read_only."),
	OPT(machined, STRING, .def = "\"auto\"", .choices = machined_modes,
	    .help = "Whether containers are made known to systemd-machined, so that machinectl shows them. auto: where "
		    "it runs and takes them; no container depends on it. (not in the Go driver)"),
	OPT(network_pool, STRING, .def = "\"10.88.0.0/16\"", .check = check_cidr,
	    .help = "Addresses that the driver gives to containers with network_veth or network_zone. Nothing else on "
		    "this network may use them. (not in the Go driver)"),
	OPT(network_pool6, STRING, .check = check_cidr6,
	    .help = "IPv6 network of which these containers get a second address: its last 32 bits are the IPv4 "
		    "address. "
		    "Addresses of fc00::/7 are translated to that of the node for other hosts, all others have to be "
		    "routed to it. Default: no IPv6. (not in the Go driver)",
	    .example = "\"fd5d:8a3c:17e2::/64\""),
	OPT(image_cache_mb, INT, .def = "10240", .min = 0, .max = 1 << 30, .unit = "MiB",
	    .help = "Downloaded images that no task uses, and their layers, are removed, those used longest ago first, "
		    "once all of them take more than this. 0: never. (not in the Go driver)"),
	OPT(download_idle_s, INT, .def = "60", .min = 1, .max = 86400, .unit = "seconds",
	    .help = "A download that moves no byte for so long fails. (not in the Go driver)"),
	OPT(download_max_mb, INT, .def = "10240", .min = 0, .max = 1 << 30, .unit = "MiB",
	    .help = "Limits what one download may take on the disk: what is fetched and what is unpacked from it, "
		    "together. A larger image fails and is removed. 0: no limit. (not in the Go driver)"),
	OPT(layer_dir, STRING, .check = nomad_check_absolute_path,
	    .help = "Directory for the layers that have a limit (storage_mb). Default: layers in the state directory. "
		    "On "
		    "a file system of their own, layers cannot fill the one of the records. (not in the Go driver)",
	    .example = "\"/srv/layers\""),
};
#undef OPT

const struct nomad_schema nspawn_plugin_schema = NOMAD_SCHEMA(struct nspawn_plugin_config, plugin_options);
