/* SPDX-License-Identifier: MPL-2.0
 *
 * The main() of every driver: a plugin if Nomad's magic cookie is in the
 * environment, a command line if not.  On top of cli/ and wire/; nothing in
 * the library calls it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/abi.h"
#include "base/log.h"
#include "cli/cli.h"
#include "nomad/plugin.h"
#include "os/confine.h"
#include "schema/schema.h"
#include "wire/wire.h"

/* From Nomad's plugins/base/plugin.go. */
static const char cookie_name[] = "NOMAD_PLUGIN_MAGIC_COOKIE";
static const char cookie_value[] = "e4327c2e01eabfd75a8a67adb114fb34a757d57eee7728d857a8cec6e91a7255";

static enum nomad_log_level log_level(enum nomad_log_level otherwise)
{
	static const char *const names[] = { "trace", "debug", "info", "warn", "error" };
	const char *level = getenv("NOMAD_DRIVER_LOG_LEVEL");

	for (size_t i = 0; level && i < NOMAD_ARRAY_LEN(names); i++)
		if (strcmp(level, names[i]) == 0)
			return (enum nomad_log_level)i;
	return otherwise;
}

/* The driver's table in the form of this library; NULL if this library cannot run it. */
static const struct nomad_driver *fitted(const struct nomad_driver *driver, const struct nomad_abi *abi)
{
	struct nomad_error *err = NULL;
	const struct nomad_driver *whole = NULL;

	if (nomad__abi_set(abi, &err) >= 0)
		whole = nomad__driver_fit(driver, abi, &err);
	if (!whole)
		fprintf(stderr, "%s\n", nomad_error_message(err));
	nomad_error_free(err);
	return whole;
}

int nomad_plugin_main_abi(int argc, char **argv, const struct nomad_driver *driver, const struct nomad_abi *abi)
{
	const char *cookie = getenv(cookie_name);
	struct nomad_error *err = NULL;

	driver = fitted(driver, abi);
	if (!driver)
		return NOMAD__EXIT_FAILED;
	if (!cookie) {
		nomad__log_setup(NOMAD__LOG_TEXT, driver->name, log_level(NOMAD_LOG_WARN));
		return nomad__cli_main(argc, argv, driver);
	}
	if (strcmp(cookie, cookie_value) != 0)
		return nomad__cli_fail(
			driver, NOMAD__EXIT_FAILED,
			"start as a plugin: %s: unexpected value; use a driver for this release of Nomad", cookie_name);
	/* The agent drops lines below its own level. */
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
