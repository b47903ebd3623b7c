/* SPDX-License-Identifier: MPL-2.0
 *
 * What several commands need: messages, options, and a plugin of their own. */
#include <errno.h>
#include <getopt.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/cli.h"
#include "cli/load.h"
#include "schema/schema.h"

enum { OPTIONS_MAX = 8 };

int nomad__cli_fail(const struct nomad_driver *driver, int status, const char *fmt, ...)
{
	va_list args;

	fprintf(stderr, "nomad-driver-%s: ", driver->name);
	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fputc('\n', stderr);
	return status;
}

bool nomad__cli_parse(int argc, char **argv, const struct nomad_driver *driver, const struct nomad__cli_option *options,
		      const char **ret_job)
{
	struct option longs[OPTIONS_MAX + 1] = { 0 };
	int c;

	for (int i = 0; i < OPTIONS_MAX && options[i].name; i++)
		longs[i] =
			(struct option){ options[i].name, options[i].value ? required_argument : no_argument, NULL, i };
	while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		if (c == '?')
			return false;
		if (options[c].value)
			*options[c].value = optarg;
		else
			*options[c].flag = true;
	}
	if (!ret_job && optind < argc) {
		nomad__cli_fail(driver, 0, "%s: unexpected argument '%s'", argv[0], argv[optind]);
		return false;
	}
	if (ret_job && optind + 1 != argc) {
		nomad__cli_fail(driver, 0, "%s: give one job file, HCL or JSON", argv[0]);
		return false;
	}
	if (ret_job)
		*ret_job = argv[optind];
	return true;
}

struct nomad_plugin *nomad__cli_plugin(const struct nomad_driver *driver, const char *config_file)
{
	NOMAD_AUTO_ERROR struct nomad_error *err = NULL;
	struct nomad_plugin *plugin = nomad__plugin_new(driver, &err);
	const struct nomad__node node = { 0 };
	void *config = NULL;
	size_t size = 0;
	int r = plugin ? 0 : -EINVAL;

	if (plugin && config_file) {
		json_t *json = nomad__load_config(config_file, driver->name, &err);

		r = json ? nomad__config_from_json(nomad__plugin_config_schema(plugin), "plugin config", json, &config,
						   &size, &err)
			 : -EINVAL;
		json_decref(json);
	}
	if (r >= 0)
		r = nomad__plugin_configure(plugin, config, size, &node, &err);
	free(config);
	if (r < 0) {
		nomad__cli_fail(driver, NOMAD__EXIT_FAILED, "%s", nomad_error_message(err));
		nomad__plugin_free(plugin);
		return NULL;
	}
	return plugin;
}
