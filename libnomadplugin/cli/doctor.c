/* SPDX-License-Identifier: MPL-2.0
 *
 * Prints each check of the driver's fingerprint, with its remedy. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/cli.h"
#include "core/fingerprint.h"

static const char *const health_names[] = { "undetected", "unhealthy", "healthy" };

static void print_text(const struct nomad_driver *driver, const struct nomad_fingerprint *fp)
{
	for (size_t i = 0; i < fp->n_checks; i++) {
		const struct nomad__check *check = &fp->checks[i];

		if (check->ok) {
			printf("ok      %s\n", check->what);
			continue;
		}
		printf("%-7s %s: %s\n", check->otherwise == NOMAD_HEALTHY ? "warning" : "FAILED", check->what,
		       check->finding);
		if (*check->remedy)
			printf("        remedy: %s\n", check->remedy);
	}
	printf("driver %s is %s: %s\n", driver->name, health_names[fp->health], fp->description);
}

static int print_json(const struct nomad_driver *driver, const struct nomad_fingerprint *fp)
{
	json_t *checks = json_array(), *root;
	int r = -1;

	for (size_t i = 0; i < fp->n_checks; i++)
		json_array_append_new(checks, json_pack("{s:s, s:b, s:s, s:s}", "what", fp->checks[i].what, "ok",
							fp->checks[i].ok, "finding", fp->checks[i].finding, "remedy",
							fp->checks[i].remedy));
	root = json_pack("{s:s, s:s, s:s, s:o}", "driver", driver->name, "health", health_names[fp->health],
			 "description", fp->description, "checks", checks);
	if (root)
		r = json_dumpf(root, stdout, JSON_INDENT(2));
	putchar('\n');
	json_decref(root);
	return r;
}

int nomad__cli_doctor(int argc, char **argv, const struct nomad_driver *driver)
{
	struct nomad_fingerprint *fp = NULL;
	struct nomad_plugin *plugin;
	const char *config = NULL;
	bool json = false;
	const struct nomad__cli_option options[] = { { "config", .value = &config }, { "json", .flag = &json }, { 0 } };
	int status = NOMAD__EXIT_FAILED;

	if (!nomad__cli_parse(argc, argv, driver, options, NULL))
		return NOMAD__EXIT_USAGE;
	plugin = nomad__cli_plugin(driver, config);
	if (!plugin)
		return NOMAD__EXIT_FAILED;
	if (nomad__fingerprint_look(plugin, &fp) < 0) {
		nomad__cli_fail(driver, 1, "doctor: out of memory");
	} else {
		if (!json)
			print_text(driver, fp);
		status = (json && print_json(driver, fp) < 0) || fp->health != NOMAD_HEALTHY ? NOMAD__EXIT_FAILED
											     : NOMAD__EXIT_OK;
	}
	nomad__fingerprint_free(fp);
	nomad__plugin_free(plugin);
	return status;
}
