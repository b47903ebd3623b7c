/* SPDX-License-Identifier: MPL-2.0
 *
 * core/parts.h: what plugin.c calls of each part of the plugin. */
#ifndef NOMAD_CORE_PARTS_H
#define NOMAD_CORE_PARTS_H

#include "core/core.h"

#define NOMAD__PARTS(X)                                                                                                \
	X(options) X(init) X(table) X(waits) X(stops) X(lingering) X(gc) X(fingerprints) X(events) X(samples)

/* 0 or -ENOMEM, before anything runs; free the part, after loop and workers have ended.  NULL parts are fine. */
#define NOMAD__PART(name)                                                                                              \
	int nomad__##name##_setup(struct nomad_plugin *plugin);                                                        \
	void nomad__##name##_teardown(struct nomad_plugin *plugin);
NOMAD__PARTS(NOMAD__PART)

/* Decodes the defaults. */
int nomad__options_begin(struct nomad_plugin *plugin, struct nomad_error **err);

/* After the driver's init: gc_grace later and then from time to time, if an agent has configured the plugin. */
void nomad__gc_schedule(struct nomad_plugin *plugin);

/* At the end of each task. */
void nomad__waits_task_ended(struct nomad_task *task);
void nomad__stops_task_ended(struct nomad_task *task);
void nomad__samples_task_ended(struct nomad_task *task);

/* At the end of the plugin.  Calls the driver's fini() if its init() ran. */
void nomad__init_fini(struct nomad_plugin *plugin);
/* Whoever waits for a stop is told that the plugin ends. */
void nomad__stops_cancel(struct nomad_plugin *plugin);
/* Lets go of all, while the loop still runs. */
void nomad__lingering_drop(struct nomad_plugin *plugin);

#endif
