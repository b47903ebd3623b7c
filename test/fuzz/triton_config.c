/* SPDX-License-Identifier: MPL-2.0
 *
 * A job's options. */
#include "nomad-driver-triton/config.h"
#include "options.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = { data, size };
	void *config = fuzz_task_config(&triton_task_schema, &in);

	if (config)
		nomad__config_free(&triton_task_schema, config);
	return 0;
}
