/* SPDX-License-Identifier: MPL-2.0
 *
 * cli/cli.h: the commands of a driver's own command line.  Each gets its name
 * and the arguments after it, and returns the exit status of the process. */
#ifndef NOMAD_CLI_H
#define NOMAD_CLI_H

#include "core/core.h"

enum { NOMAD__EXIT_OK = 0, NOMAD__EXIT_FAILED = 1, NOMAD__EXIT_USAGE = 2 };

int nomad__cli_main(int argc, char **argv, const struct nomad_driver *driver);
int nomad__cli_schema(int argc, char **argv, const struct nomad_driver *driver);
int nomad__cli_doctor(int argc, char **argv, const struct nomad_driver *driver);
int nomad__cli_validate(int argc, char **argv, const struct nomad_driver *driver);
int nomad__cli_policy(int argc, char **argv, const struct nomad_driver *driver);
int nomad__cli_ps(int argc, char **argv, const struct nomad_driver *driver);
int nomad__cli_gc(int argc, char **argv, const struct nomad_driver *driver);
int nomad__cli_metrics(int argc, char **argv, const struct nomad_driver *driver);
int nomad__cli_errors(int argc, char **argv, const struct nomad_driver *driver);
int nomad__cli_plan(int argc, char **argv, const struct nomad_driver *driver);
int nomad__cli_run(int argc, char **argv, const struct nomad_driver *driver);

/* Prints "nomad-driver-x: message" on stderr; returns `status`. */
int nomad__cli_fail(const struct nomad_driver *driver, int status, const char *fmt, ...) NOMAD_PRINTF(3, 4);

/* An option of a command: a switch, or one with a value. */
struct nomad__cli_option {
	const char *name;
	bool *flag;
	const char **value;
};
/* Parses `options`, whose last row has no name, and the job file where
 * ret_job is not NULL.  False: an error was shown; exit with NOMAD__EXIT_USAGE. */
bool nomad__cli_parse(int argc, char **argv, const struct nomad_driver *driver, const struct nomad__cli_option *options,
		      const char **ret_job);
/* Returns a plugin for one command, with the configuration of --config FILE
 * (an agent's configuration, or the content of the plugin block's config) if
 * not NULL. */
struct nomad_plugin *nomad__cli_plugin(const struct nomad_driver *driver, const char *config_file);

#endif
