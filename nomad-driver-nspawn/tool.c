/* SPDX-License-Identifier: MPL-2.0
 *
 * tool.h over the library's nomad_tool_run(). */
#include "tool.h"

#include <stdlib.h>

int nspawn_tool_run(const char *const *argv, const struct nspawn_tool *options, char **ret_output,
		    struct nomad_error **err)
{
	static const struct nspawn_tool defaults;
	const struct nspawn_tool *o = options ? options : &defaults;
	struct nomad_tool tool = {
		.argv = argv,
		.input = o->input,
		.timeout_ms = o->timeout_ms,
		.what = o->what,
		.any_status = o->status_only,
		.started = o->started,
		.tick = o->tick,
		.ud = o->ud,
	};
	int r = nomad_tool_run(&tool, err);

	if (r >= 0 && ret_output)
		*ret_output = NOMAD_TAKE_PTR(tool.output);
	free(tool.output);
	return r < 0 ? r : tool.status;
}
