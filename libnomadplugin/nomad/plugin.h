/* SPDX-License-Identifier: MPL-2.0
 *
 * nomad/plugin.h: the one header that a driver includes. */
#ifndef NOMAD_PLUGIN_H
#define NOMAD_PLUGIN_H

#include "nomad/base.h"
#include "nomad/driver.h"
#include "nomad/error.h"
#include "nomad/log.h"
#include "nomad/metrics.h"
#include "nomad/option.h"
#include "nomad/task.h"
#include "nomad/tool.h"

NOMAD_BEGIN_DECLS

/* The sizes of what a driver fills, as the driver's compiler knows them.  The library takes what is not there for 0,
 * so that fields can be added at the end of these structs.  For a language that cannot include this header: fill it
 * with the sizes of your own declarations. */
struct nomad_abi {
	size_t size;	  /* of this struct */
	unsigned version; /* NOMAD_API_VERSION */
	size_t driver, schema, option, power, command, tool, exit;
};

#define NOMAD_ABI_INIT                                                                                                 \
	{                                                                                                              \
		sizeof(struct nomad_abi), NOMAD_API_VERSION, sizeof(struct nomad_driver), sizeof(struct nomad_schema), \
			sizeof(struct nomad_option), sizeof(struct nomad_power), sizeof(struct nomad_command),         \
			sizeof(struct nomad_tool), sizeof(struct nomad_exit)                                           \
	}

/* The main() of a driver for other languages: `abi` has the sizes of their own declarations and is read at once.  A
 * driver that was built for another major version, or for a newer minor one, is refused with status 1. */
int nomad_plugin_main_abi(int argc, char **argv, const struct nomad_driver *driver, const struct nomad_abi *abi);

/* The main() of a driver.  Launched by Nomad it serves the driver until the
 * agent is done with it; launched by a person it is the driver's command
 * line (--help tells).  Returns the exit status of the process.
 * Not reentrant: one call a process. */
static inline int nomad_plugin_main(int argc, char **argv, const struct nomad_driver *driver)
{
	static const struct nomad_abi abi = NOMAD_ABI_INIT;

	return nomad_plugin_main_abi(argc, argv, driver, &abi);
}

NOMAD_END_DECLS

#endif
