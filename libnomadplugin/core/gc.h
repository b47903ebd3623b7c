/* SPDX-License-Identifier: MPL-2.0
 *
 * core/gc.h: removing the tasks of a state directory that nobody claims.
 *
 * What gc removes, if nobody claims it: tasks of a former boot (but those
 * that run elsewhere, without a supervisor); tasks that are dead, lost or half
 * made; tasks that Nomad had ordered to be destroyed, or whose start was under
 * way, when the plugin died, alive or not.  What it leaves: whatever is claimed; tasks of another driver
 * in the same directory; whatever else has a living supervisor or runs
 * elsewhere.
 *
 * Where the plugin does it by itself, it leaves the end of a task until an agent has been
 * there for a grace time, and what an agent of another node may still ask for.  Of its own node's tasks it also ends
 * one that runs, if it found the task unclaimed twice, a grace time apart, and the agent has been there for a grace
 * time to recover what it knows.  It learns which node that is from the tasks that the agent starts and recovers, or
 * did the last time.  A task whose allocation's directory is gone is nobody's: that node lost its state. */
#ifndef NOMAD_CORE_GC_H
#define NOMAD_CORE_GC_H

#include "core/tasks_on_disk.h"

/* RUNNING: also what runs here; an agent that is down claims nothing, so a person has to know. */
/* EARLY: the agent may still ask for tasks that have ended. */
enum { NOMAD__GC_DRY_RUN = 1, NOMAD__GC_BY_HAND = 2, NOMAD__GC_RUNNING = 4, NOMAD__GC_EARLY = 8 };
/* `removed` is called for each one that was removed (or would be), or that
 * could not be (err); `why` says in words why nobody needs it.  The plugin has to be initialised.  Blocks. */
int nomad__gc(struct nomad_plugin *plugin, unsigned flags,
	      void (*removed)(void *ud, const struct nomad__disk_task *task, const char *why,
			      const struct nomad_error *err),
	      void *ud, struct nomad_error **err);

#endif
