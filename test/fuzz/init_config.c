/* SPDX-License-Identifier: MPL-2.0
 *
 * nomadinit's configuration: the kernel's command line, a line feed, and the texts of a config drive, with a zero
 * between two of them. */
#include "fuzz.h"
#include "nomadinit/cmdline.h"
#include "nomadinit/confdrive.h"

enum { TEXTS = 4 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const names[TEXTS] = { "a", "b", "c", "d" };
	struct fuzz_input in = { data, size };
	char *texts[TEXTS], *owned[TEXTS], error[CONFIG_ERROR_SIZE], *line = fuzz_text(&in, '\n', NULL);
	struct config config;
	size_t n = 0;

	cmdline_set(line);
	owned[n] = texts[n] = confdrive_from_cmdline();
	fuzz_must(texts[n++]);
	for (; n < TEXTS && in.size; n++) {
		owned[n] = texts[n] = fuzz_text(&in, 0, NULL);
	}
	if (config_parse((const char *const *)texts, names, n, &config, error) == 0) {
		fuzz_must(config.agent.command && config.agent.command[0][0] == '/' && config.agent_json);
		(void)config_interface_for(&config, "eth0", "02:00:00:00:00:01");
		config_done(&config);
	} else {
		fuzz_must(error[0]);
	}
	for (size_t i = 0; i < n; i++)
		free(owned[i]);
	free(line);
	return 0;
}
