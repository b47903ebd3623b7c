/* SPDX-License-Identifier: MPL-2.0
 *
 * Removes everything that a task has on this host.  If the plugin dies meanwhile,
 * Nomad may never ask again; gc then continues. */
#include "core/destroy.h"

#include <errno.h>

#include "base/tree.h"
#include "core/exec.h"
#include "core/lingering.h"
#include "core/parts.h"
#include "core/plugin.h"
#include "core/task_journal.h"
#include "core/task_progress.h"
#include "supervisor/crash.h"

int nomad__task_remove(struct nomad_task *task, struct nomad_error **err)
{
	const struct nomad_driver *driver = task->plugin->driver;
	int r;

	nomad__exec_end_all(task);
	nomad__lingering_add(task, nomad__task_take_supervisor(task));
	nomad__waits_settled(task);
	nomad__task_record_destroying(task);
	nomad__crash_at("core-tidy-begin");
	/* Whatever the journal says: it may be damaged, and the directory tells. */
	r = nomad__supervisor_clean(task->state_dir, err);
	if (r < 0)
		return r;
	nomad__crash_at("core-tidy-killed");
	if (driver->destroy) {
		r = driver->destroy(task, err);
		if (r < 0)
			return r;
	}
	nomad__crash_at("core-tidy-destroyed");
	r = nomad__remove_tree(task->state_dir);
	if (r < 0)
		return nomad_error_errno(err, -r, "remove the task's state directory '%s'", task->state_dir);
	nomad__crash_at("core-tidy-removed");
	nomad__task_journal_close(task); /* the claim ends with what was claimed */
	return 0;
}
