/* SPDX-License-Identifier: MPL-2.0
 *
 * CreateNetwork and DestroyNetwork: the driver's, where it has them. */
#include "core/plugin.h"

#include <errno.h>

int nomad__create_network(struct nomad_plugin *plugin, const char *alloc_id, const char *hostname,
			  struct nomad_network_isolation *ret, bool *ret_created, struct nomad_error **err)
{
	int r;

	if (!plugin->driver->create_network)
		return nomad_error_set(err, EOPNOTSUPP, "CreateNetwork RPC not supported by driver");
	r = nomad__plugin_init(plugin, err);
	return r < 0 ? r : plugin->driver->create_network(plugin, alloc_id, hostname, ret, ret_created, err);
}

int nomad__destroy_network(struct nomad_plugin *plugin, const char *alloc_id,
			   const struct nomad_network_isolation *spec, struct nomad_error **err)
{
	int r;

	if (!plugin->driver->destroy_network)
		return nomad_error_set(err, EOPNOTSUPP, "DestroyNetwork RPC not supported by driver");
	r = nomad__plugin_init(plugin, err);
	return r < 0 ? r : plugin->driver->destroy_network(plugin, alloc_id, spec, err);
}
