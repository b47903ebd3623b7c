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

/* The sizes of the structs that a driver fills, as the driver's compiler knows them.  The library reads missing
 * fields as 0, so that later versions can add fields at the end of these structs.  Languages that cannot include this
 * header fill it with the sizes of their own declarations. */
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

/* The main() of a driver in another language.  `abi` has the sizes of that language's declarations; it is read before
 * anything else.  Returns 1 if the driver was built for another major version or for a newer minor version. */
int nomad_plugin_main_abi(int argc, char **argv, const struct nomad_driver *driver, const struct nomad_abi *abi);

/* The main() of a driver.  Started by Nomad, it serves the driver until the
 * agent ends the plugin.  Started by a person, it is the driver's command
 * line (see --help).  Returns the exit status of the process.  A process may
 * call it only once. */
static inline int nomad_plugin_main(int argc, char **argv, const struct nomad_driver *driver)
{
	static const struct nomad_abi abi = NOMAD_ABI_INIT;

	return nomad_plugin_main_abi(argc, argv, driver, &abi);
}

NOMAD_END_DECLS

#endif
