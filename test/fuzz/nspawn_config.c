/* SPDX-License-Identifier: MPL-2.0
 *
 * A job's options: the command line of systemd-nspawn, and what PID 1 of the container is told. */
#include "nomad-driver-nspawn/argv.h"
#include "nomad-driver-nspawn/network.h"
#include "options.h"

static void make_command(const struct nspawn_config *config, const struct nomad_task_info *info)
{
	static const struct nspawn_oci oci;
	struct nspawn_machine machine = { .version = 252,
					  .nspawn = "/usr/bin/systemd-nspawn",
					  .name = "web-1",
					  .uuid = "0a-1b",
					  .image = "/img",
					  .init = "/s/init",
					  .state_dir = "/s/web",
					  .spec = "/proc/7/fd/9",
					  .oci = &oci,
					  .limit_devices = true };
	struct nomad_error *err = NULL;
	char **argv = NULL, *spec = NULL;
	size_t size;

	for (size_t i = 0; i < config->bind.count; i++)
		fuzz_must(nspawn_machine_bind(&machine, config->bind.pairs[i].key, config->bind.pairs[i].value, false,
					      &err) == 0);
	if (nspawn_argv(config, &machine, &argv, &err) < 0) {
		fuzz_error(err);
		err = NULL;
	} else {
		fuzz_must(argv && argv[0] && argv[0][0] == '/');
	}
	if (nspawn_spec(config, &machine, &info->env, &spec, &size, &err) < 0)
		fuzz_error(err);
	free(spec);
	nomad_strv_free(argv);
	nspawn_machine_done(&machine);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct nomad_port port = { .label = (char *)"web", .value = 20000, .to = 80, .host_ip = (char *)"10.0.0.2" };
	struct nomad_task_info info = { .resources = { .ports = &port, .n_ports = 1 } };
	struct fuzz_input in = { data, size };
	struct nspawn_network network = { 0 };
	struct nspawn_config *config = fuzz_task_config(&nspawn_task_schema, &in);
	struct nomad_error *err = NULL;

	if (!config)
		return 0;
	if (nspawn_config_check_version(config, 245 + fuzz_byte(&in) % 16, &err) < 0) {
		fuzz_error(err);
		err = NULL;
	}
	if (nspawn_network_plan(config, &info, "web-1", &network, &err) < 0)
		fuzz_error(err);
	nspawn_network_done(&network);
	make_command(config, &info);
	nomad__config_free(&nspawn_task_schema, config);
	return 0;
}
