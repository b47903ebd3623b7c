/* SPDX-License-Identifier: MPL-2.0 */
/* nomad-driver-triton: see driver.c.  With "docker-exec" as first argument it is
 * the program that carries a command's bytes, see dockexec.c; with "log-hold"
 * the one that keeps log pipes open, see hold.c. */
#include <string.h>

#include "nomad/plugin.h"

#include "driver.h"
#include "hold.h"
#include "triton.h"

int main(int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], TRITON_EXEC_WORD) == 0)
		return triton_exec_main(argc, argv);
	if (argc > 1 && strcmp(argv[1], TRITON_HOLD_WORD) == 0)
		return triton_hold_main(argc, argv);
	return nomad_plugin_main(argc, argv, &triton_driver);
}
