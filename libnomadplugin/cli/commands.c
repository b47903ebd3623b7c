/* SPDX-License-Identifier: MPL-2.0
 *
 * The commands of a driver's own command line. */
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"

static const struct {
	const char *name, *arguments, *help;
	int (*run)(int argc, char **argv, const struct nomad_driver *driver);
} commands[] = {
	{ "schema", "[--json|--pod] [--plugin|--task]",
	  "print the options of the plugin block and of a task's config block", nomad__cli_schema },
	{ "doctor", "[--config FILE] [--json]", "check this host and print remedies; exits with 1 if no task can run",
	  nomad__cli_doctor },
	{ "validate", "[--policy FILE] JOB",
	  "check the configs of this driver's tasks in a job, without an agent; with --policy also whether a node with "
	  "that configuration would let them start",
	  nomad__cli_validate },
	{ "run", "[--config FILE] [--task GROUP/TASK] [--alloc DIR] JOB",
	  "run one task of a job in the foreground, without an agent; exits with the task's code; DIR becomes its "
	  "alloc/ and is kept",
	  nomad__cli_run },
	{ "plan", "[--config FILE] JOB",
	  "print what the tasks of a job would create in this driver's account, without creating it", nomad__cli_plan },
	{ "policy", "[--config FILE] [--namespace NAME]",
	  "print the policy rules for jobs of a Nomad namespace, and the source of each rule", nomad__cli_policy },
	{ "ps", "[--json] [--config FILE]", "list the tasks on this host, from their records", nomad__cli_ps },
	{ "gc", "[--dry-run] [--running] [--config FILE]",
	  "remove the leftovers of dead tasks that no agent claims; run it while all agents run", nomad__cli_gc },
	{ "metrics", "[--config FILE] [--socket PATH]", "print the metrics of the running plugin as OpenMetrics text",
	  nomad__cli_metrics },
	{ "errors", "[--pod]", "list the ids of errors, with meaning and remedy", nomad__cli_errors },
};

/* Takes "--config FILE" out of the arguments.  False: FILE is missing. */
static bool take_config(int *argc, char **argv, const char **ret_config)
{
	int kept = 1;

	for (int i = 1; i < *argc; i++) {
		if (strncmp(argv[i], "--config=", 9) == 0) {
			*ret_config = argv[i] + 9;
		} else if (strcmp(argv[i], "--config") == 0) {
			if (++i >= *argc)
				return false;
			*ret_config = argv[i];
		} else {
			argv[kept++] = argv[i];
		}
	}
	argv[kept] = NULL;
	*argc = kept;
	return true;
}

static int run_driver_command(const struct nomad_driver_command *command, int argc, char **argv,
			      const struct nomad_driver *driver)
{
	const char *config = NULL;
	struct nomad_plugin *plugin;
	int status;

	if (!take_config(&argc, argv, &config))
		return nomad__cli_fail(driver, NOMAD__EXIT_USAGE, "%s: --config: the file is missing", command->name);
	plugin = nomad__cli_plugin(driver, config);
	if (!plugin)
		return NOMAD__EXIT_FAILED;
	status = command->run(plugin, argc, argv);
	nomad__plugin_free(plugin);
	return status;
}

static bool has_command(const struct nomad_driver *driver, const char *name)
{
	return strcmp(name, "plan") != 0 || driver->plan;
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
	for (size_t i = 0; i < NOMAD_ARRAY_LEN(commands); i++) {
		bool account = strcmp(commands[i].name, "gc") == 0 && driver->gc_account;

		if (!has_command(driver, commands[i].name))
			continue;
		fprintf(out, "    nomad-driver-%s %s %s%s\n        %s%s\n", driver->name, commands[i].name,
			account ? "[--account] " : "", commands[i].arguments, commands[i].help,
			account ? "; with --account the leftovers of all nodes in the account" : "");
	}
	for (const struct nomad_driver_command *c = driver->commands; c && c->name; c++)
		fprintf(out, "    nomad-driver-%s %s %s\n        %s\n", driver->name, c->name, c->arguments, c->help);
	fprintf(out,
		"    nomad-driver-%s --version | --help\n\n"
		"JOB is HCL, or JSON as `nomad job run -output` prints it; - is standard input. FILE is an agent's "
		"configuration, or the content of the plugin block's config, as HCL or JSON. nomad converts HCL and "
		"has to be on PATH.\n",
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
		if (strcmp(command, commands[i].name) == 0 && has_command(driver, command))
			return commands[i].run(argc - 1, argv + 1, driver);
	for (const struct nomad_driver_command *c = driver->commands; c && c->name; c++)
		if (strcmp(command, c->name) == 0)
			return run_driver_command(c, argc - 1, argv + 1, driver);
	return nomad__cli_fail(driver, NOMAD__EXIT_USAGE, "unknown command '%s'; --help lists them", command);
}
