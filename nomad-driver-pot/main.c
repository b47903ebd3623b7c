/* SPDX-License-Identifier: MPL-2.0 */
#include "nomad/plugin.h"

#include "driver.h"
#include "os.h"

int main(int argc, char **argv)
{
	static struct nomad_driver driver;

	driver = pot_driver;
	driver.stats = pot_os_has_usage ? pot_driver_stats : NULL;
	return nomad_plugin_main(argc, argv, &driver);
}
