/* SPDX-License-Identifier: MPL-2.0
 *
 * nomad-driver-build: build container images as Nomad tasks.  With
 * BUILD_STEP_WORD as first argument it is the process of one task, see step.c. */
#include <string.h>

#include "driver.h"
#include "step.h"

int main(int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], BUILD_STEP_WORD) == 0)
		return build_step_main(argc, argv);
	return nomad_plugin_main(argc, argv, &build_driver);
}
