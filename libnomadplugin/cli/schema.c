/* SPDX-License-Identifier: MPL-2.0
 *
 * Prints the options of a driver: text, JSON schema or POD. */
#include <stdio.h>

#include "cli/cli.h"
#include "schema/schema.h"

int nomad__cli_schema(int argc, char **argv, const struct nomad_driver *driver)
{
	bool json = false, pod = false, plugin_only = false, task_only = false;
	const struct nomad__cli_option options[] = { { "json", .flag = &json },
						     { "pod", .flag = &pod },
						     { "plugin", .flag = &plugin_only },
						     { "task", .flag = &task_only },
						     { 0 } };
	struct nomad_plugin *plugin;
	int r = 0;

	if (!nomad__cli_parse(argc, argv, driver, options, NULL))
		return NOMAD__EXIT_USAGE;
	if (json && !plugin_only && !task_only)
		task_only = true; /* one document at a time */
	plugin = nomad__cli_plugin(driver, NULL);
	if (!plugin)
		return NOMAD__EXIT_FAILED;
	for (int task = 0; task < 2 && r >= 0; task++) {
		const struct nomad_schema *schema = task ? driver->task_schema : nomad__plugin_config_schema(plugin);
		NOMAD_AUTO_FREE char *title =
			nomad_strdupf("%s config of driver %s", task ? "Task" : "Plugin", driver->name);

		if (task ? plugin_only : task_only)
			continue;
		if (!title)
			r = -1;
		else if (json)
			r = nomad__schema_print_json(schema, title, stdout);
		else if (pod)
			r = nomad__schema_print_pod(schema, stdout);
		else
			r = nomad__schema_print_text(schema, title, stdout);
	}
	nomad__plugin_free(plugin);
	if (r < 0 || fflush(stdout) != 0)
		return nomad__cli_fail(driver, NOMAD__EXIT_FAILED, "schema: cannot write");
	return NOMAD__EXIT_OK;
}
