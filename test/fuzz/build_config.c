/* SPDX-License-Identifier: MPL-2.0
 *
 * A job's options. */
#include "nomad-driver-build/config.h"
#include "options.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = { data, size };
	void *config = fuzz_task_config(&build_task_schema, &in);

	if (config)
		nomad__config_free(&build_task_schema, config);
	return 0;
}
