/* SPDX-License-Identifier: MPL-2.0
 *
 * The main() of every driver: a plugin where Nomad's magic cookie is found,
 * a command line where it is not. */
#include <errno.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "base/log.h"
#include "nomad/plugin.h"
#include "os/confine.h"
#include "schema/schema.h"
#include "wire/wire.h"

/* Of Nomad's plugins/base/plugin.go. */
static const char cookie_name[] = "NOMAD_PLUGIN_MAGIC_COOKIE";
static const char cookie_value[] = "e4327c2e01eabfd75a8a67adb114fb34a757d57eee7728d857a8cec6e91a7255";

static const struct {
	const char *name, *arguments, *help;
	int (*run)(int argc, char **argv, const struct nomad_driver *driver);
} commands[] = {
	{ "schema", "[--json|--pod] [--plugin|--task]", "the options of the plugin block and of a task's config block",
	  nomad__cli_schema },
	{ "doctor", "[--config FILE] [--json]",
	  "what this host lacks, and what helps; exit status 1 if no task can run", nomad__cli_doctor },
	{ "validate", "JOB.json", "check the configs of this driver's tasks in a job, without an agent",
	  nomad__cli_validate },
	{ "run", "[--config FILE] [--task GROUP/TASK] [--alloc DIR] JOB.json",
	  "run one task of a job in the foreground, without an agent; exits with the task's code; DIR is its alloc/, "
	  "and stays",
	  nomad__cli_run },
	{ "ps", "[--json] [--config FILE]", "the tasks on this host, from their records", nomad__cli_ps },
	{ "gc", "[--dry-run] [--running] [--config FILE]",
	  "clear away what tasks left that are dead and that no agent claims; to be run while the agents run",
	  nomad__cli_gc },
	{ "metrics", "[--config FILE] [--socket PATH]",
	  "what the plugin that serves an agent has counted, as OpenMetrics text", nomad__cli_metrics },
	{ "errors", "[--pod]", "the ids that errors end with, what they mean and what helps", nomad__cli_errors },
};

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

static void usage(const struct nomad_driver *driver, FILE *out)
{
	fprintf(out, "nomad-driver-%s %s: %s\n\n", driver->name, driver->version,
		driver->summary ? driver->summary : "a task driver for Nomad");
	fprintf(out,
		"This is a plugin of HashiCorp Nomad: put it into the agent's plugin_dir, and write\n\n"
		"    plugin \"nomad-driver-%s\" {\n      config {}\n    }\n\ninto the agent's configuration. By "
		"hand:\n\n",
		driver->name);
	for (size_t i = 0; i < NOMAD_ARRAY_LEN(commands); i++)
		fprintf(out, "    nomad-driver-%s %s %s\n        %s\n", driver->name, commands[i].name,
			commands[i].arguments, commands[i].help);
	fprintf(out,
		"    nomad-driver-%s --version | --help\n\n"
		"Job files are Nomad's JSON job format, as `nomad job run -output` prints it and `nomad job run -json` "
		"takes it.\n",
		driver->name);
}

int nomad__cli_main(int argc, char **argv, const struct nomad_driver *driver)
{
	const char *command = argc > 1 ? argv[1] : NULL;

	if (!command) {
		usage(driver, stderr);
		return NOMAD__EXIT_USAGE;
	}
	if (strcmp(command, "--help") == 0 || strcmp(command, "-h") == 0 || strcmp(command, "help") == 0) {
		usage(driver, stdout);
		return NOMAD__EXIT_OK;
	}
	if (strcmp(command, "--version") == 0 || strcmp(command, "version") == 0) {
		printf("nomad-driver-%s %s\n", driver->name, driver->version);
		return NOMAD__EXIT_OK;
	}
	for (size_t i = 0; i < NOMAD_ARRAY_LEN(commands); i++)
		if (strcmp(command, commands[i].name) == 0)
			return commands[i].run(argc - 1, argv + 1, driver);
	return nomad__cli_fail(driver, NOMAD__EXIT_USAGE, "unknown command '%s'; --help lists them", command);
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
		json_error_t where;
		json_t *json = json_load_file(config_file, JSON_REJECT_DUPLICATES, &where);

		if (!json)
			r = nomad_error_set(&err, EINVAL, "read plugin config '%s': %s (line %d)", config_file,
					    where.text, where.line);
		else
			r = nomad__config_from_json(nomad__plugin_config_schema(plugin), "plugin config", json, &config,
						    &size, &err);
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

static enum nomad_log_level log_level(enum nomad_log_level otherwise)
{
	static const char *const names[] = { "trace", "debug", "info", "warn", "error" };
	const char *level = getenv("NOMAD_DRIVER_LOG_LEVEL");

	for (size_t i = 0; level && i < NOMAD_ARRAY_LEN(names); i++)
		if (strcmp(level, names[i]) == 0)
			return (enum nomad_log_level)i;
	return otherwise;
}

int nomad_plugin_main(int argc, char **argv, const struct nomad_driver *driver)
{
	const char *cookie = getenv(cookie_name);
	struct nomad_error *err = NULL;

	if (!cookie) {
		nomad__log_setup(NOMAD__LOG_TEXT, driver->name, log_level(NOMAD_LOG_WARN));
		return nomad__cli_main(argc, argv, driver);
	}
	if (strcmp(cookie, cookie_value) != 0)
		return nomad__cli_fail(driver, NOMAD__EXIT_FAILED,
				       "this is a plugin of HashiCorp Nomad, and what started it is not a Nomad that "
				       "it knows: %s has another value than expected",
				       cookie_name);
	/* The agent drops what is below its own level. */
	nomad__log_setup(NOMAD__LOG_JSON, driver->name, log_level(NOMAD_LOG_TRACE));
	if (driver->capabilities & NOMAD_ALL_REMOTE)
		(void)nomad__confine();
	if (nomad__wire_serve(driver, &err) < 0) {
		nomad__cli_fail(driver, NOMAD__EXIT_FAILED, "%s", nomad_error_message(err));
		nomad_error_free(err);
		return NOMAD__EXIT_FAILED;
	}
	return NOMAD__EXIT_OK;
}
