/* SPDX-License-Identifier: MPL-2.0
 *
 * Prints what jobs may do to this node. */
#include <stdio.h>

#include "cli/cli.h"
#include "core/policy.h"

int nomad__cli_policy(int argc, char **argv, const struct nomad_driver *driver)
{
	const char *config = NULL, *namespace_name = "default";
	const struct nomad__cli_option options[] = { { "config", .value = &config },
						     { "namespace", .value = &namespace_name },
						     { 0 } };
	struct nomad_plugin *plugin;

	if (!nomad__cli_parse(argc, argv, driver, options, NULL))
		return NOMAD__EXIT_USAGE;
	plugin = nomad__cli_plugin(driver, config);
	if (!plugin)
		return NOMAD__EXIT_FAILED;
	if (!nomad__policy_print(plugin, namespace_name, stdout))
		printf("# driver %s has no policy: its options declare no powers\n", driver->name);
	nomad__plugin_free(plugin);
	return fflush(stdout) == 0 ? NOMAD__EXIT_OK
				   : nomad__cli_fail(driver, NOMAD__EXIT_FAILED, "policy: cannot write");
}
