/* SPDX-License-Identifier: MPL-2.0
 *
 * The removal of a task: what its records name is removed, or noted as a debt.
 */
#include "debts.h"
#include "hold.h"
#include "logs.h"
#include "poller.h"
#include "triton.h"

enum { DESTROY_MS = 90000 };

int triton_destroy(struct triton_plugin *plugin, struct nomad_task *task, struct nomad_error **err)
{
	struct nomad_error *why = NULL, *worse = NULL;
	struct triton_remains remains = { 0 };
	int r, noted;

	triton_poller_remove(plugin->poller, nomad_task_id(task));
	triton_logs_finish(plugin->logs, nomad_task_id(task), 0, 0);
	triton_hold_remove(plugin->hold_folder, nomad_task_slug(task));
	r = triton_remains_of(task, &remains, err);
	if (r < 0)
		return r;
	/* Before it begins: nobody asks again after a plugin that died here. */
	noted = triton_debts_take(plugin->debts, &remains, &worse);
	r = triton_remains_clear(plugin->site, &remains, DESTROY_MS, &why);
	triton_debts_settle(plugin->debts, remains.name, r >= 0);
	if (r < 0) {
		if (noted < 0)
			nomad_error_wrap(&why, "destroy the instance; what is left cannot be removed later (%s)",
					 nomad_error_message(worse));
		else
			nomad_error_wrap(&why, "destroy the instance (it is tried again in the background)");
		triton_fail(r, why, err);
	}
	nomad_error_free(worse);
	triton_remains_done(&remains);
	return r;
}
