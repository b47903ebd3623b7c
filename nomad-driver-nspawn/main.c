/* SPDX-License-Identifier: MPL-2.0
 *
 * nomad-driver-nspawn: run Nomad tasks in containers of systemd-nspawn. */
#include "driver.h"

int main(int argc, char **argv)
{
	return nomad_plugin_main(argc, argv, &nspawn_driver);
}
