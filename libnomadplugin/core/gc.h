/* SPDX-License-Identifier: MPL-2.0
 *
 * core/gc.h: removes the unclaimed tasks of a state directory.
 *
 * gc removes these unclaimed tasks:
 *   - of a former boot, except remote ones without a supervisor;
 *   - dead, lost or incomplete ones;
 *   - those that Nomad destroyed or started when the plugin died, running or not.
 * It keeps claimed tasks, tasks of other drivers in the same directory, and all
 * others with a living supervisor or on a remote host.
 *
 * If the plugin runs gc by itself, it keeps an ended task until an agent has been
 * connected for the grace time, and tasks that an agent of another node may still
 * claim.  It also ends a running task of its own node if it found the task
 * unclaimed twice, a grace time apart, and the agent has been connected for a
 * grace time.  It learns its node from the tasks that the agent starts and
 * recovers, now or in its last run.  If the allocation's directory is missing, no
 * node can claim the task: its node lost its state. */
#ifndef NOMAD_CORE_GC_H
#define NOMAD_CORE_GC_H

#include "core/tasks_on_disk.h"

/* RUNNING: also running tasks.  Only a person can decide that: an agent that is down claims nothing.
 * EARLY: keep ended tasks, which the agent may still claim. */
enum { NOMAD__GC_DRY_RUN = 1, NOMAD__GC_BY_HAND = 2, NOMAD__GC_RUNNING = 4, NOMAD__GC_EARLY = 8 };
/* `removed` is called for each one that was removed (or would be), or that
 * could not be (err); `why` says in words why nobody needs it.  The plugin has to be initialised.  Blocks. */
int nomad__gc(struct nomad_plugin *plugin, unsigned flags,
	      void (*removed)(void *ud, const struct nomad__disk_task *task, const char *why,
			      const struct nomad_error *err),
	      void *ud, struct nomad_error **err);

#endif
