/* SPDX-License-Identifier: MPL-2.0
 *
 * A job's options, and the command line of `pot prepare`. */
#include "nomad-driver-pot/pot-cli.h"
#include "options.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct nomad_port port = { .label = (char *)"web", .value = 20000, .to = 80 };
	struct nomad_task_info info = { .resources = { .ports = &port, .n_ports = 1 } };
	struct fuzz_input in = { data, size };
	struct pot_task_config *config = fuzz_task_config(&pot_task_schema, &in);
	struct nomad_error *err = NULL;
	struct pot_port *ports = NULL;
	size_t n_ports = 0;

	if (!config)
		return 0;
	if (pot_ports(config, &info, &ports, &n_ports, &err) < 0)
		fuzz_error(err);
	else
		nomad_strv_free(pot_argv_prepare("/usr/local/bin/pot", config, ports, n_ports, NULL, NULL, "web-1"));
	free(ports);
	nomad__config_free(&pot_task_schema, config);
	return 0;
}
