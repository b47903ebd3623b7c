/* SPDX-License-Identifier: MPL-2.0
 *
 * core/plugin.h: the parts of a plugin.  Each part is opaque: its own file
 * has its fields and its lock.
 *
 * Locks, in the order in which they may be taken:
 *
 *	gc, orphans, init	init is held while the driver's init() runs
 *	a task's busy	held while the driver's callbacks for this task run, one at a time; a start that holds its own
 *			takes those of earlier runs of the same task
 *	table, stops
 *	a start's caller
 *	a task's progress
 *	a list of subscriptions, a supervisor's handle
 *
 * These are taken below any of those, or alone: options, agent, a task's network, a task's journal (held during disk
 * writes: never on the loop thread), an exec's; lingering, before a supervisor's handle; that of the kept events,
 * before their subscriptions; of fingerprints, first `emitting`, which is held while subscribers are called.
 *
 * Only init, busy and emitting are held while foreign code runs.  The loop thread takes neither init nor busy. */
#ifndef NOMAD_CORE_PLUGIN_H
#define NOMAD_CORE_PLUGIN_H

#include "base/loop.h"
#include "base/pool.h"
#include "core/core.h"
#include "metrics/metrics.h"
#include "os/process.h"

struct nomad_plugin {
	/* These never change. */
	const struct nomad_driver *driver;
	struct nomad__loop *loop;
	struct nomad__pool *pool;
	char boot_id[NOMAD__BOOT_ID_SIZE];
	void (*const *on_init)(struct nomad_plugin *plugin); /* called after the driver's init; NULL ends the list */
	void (*const *on_end)(struct nomad_task *task);	     /* called at the end of each task; likewise */

	struct nomad__options *options;
	struct nomad__init *init;
	struct nomad__agent *agent;
	struct nomad__table *table;
	struct nomad__waits *waits;
	struct nomad__stops *stops;
	struct nomad__lingering *lingering;
	struct nomad__gc *gc;
	struct nomad__orphans *orphans;
	struct nomad__fingerprints *fingerprints;
	struct nomad__events *events;
	struct nomad__samples *samples;
	struct nomad__metrics *metrics;
	struct nomad__metrics_server *metrics_server; /* NULL: nothing is shown */
};

#endif
