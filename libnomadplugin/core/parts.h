/* SPDX-License-Identifier: MPL-2.0
 *
 * core/parts.h: what plugin.c calls of each part of the plugin. */
#ifndef NOMAD_CORE_PARTS_H
#define NOMAD_CORE_PARTS_H

#include <stddef.h>

#include "core/core.h"

/* A part's struct begins with its lock; plugin.c allocates it, zeroed. */
struct nomad__part {
	size_t size, at;	       /* of the struct; of the pointer to it in struct nomad_plugin */
	void (*set_up)(void *part);    /* may be NULL */
	void (*tear_down)(void *part); /* what is in it, after loop and workers have ended; may be NULL */
};
#define NOMAD__PART(type, field, ...)                                                                                  \
	{                                                                                                              \
		.size = sizeof(type), .at = offsetof(struct nomad_plugin, field), ##__VA_ARGS__                        \
	}

extern const struct nomad__part nomad__options_part, nomad__init_part, nomad__table_part, nomad__waits_part,
	nomad__stops_part, nomad__lingering_part, nomad__gc_part, nomad__agent_part, nomad__orphans_part,
	nomad__fingerprints_part, nomad__events_part, nomad__samples_part;

/* Decodes the defaults. */
int nomad__options_begin(struct nomad_plugin *plugin, struct nomad_error **err);

/* After the driver's init, if an agent has configured the plugin: which node it was the last time. */
void nomad__agent_remember(struct nomad_plugin *plugin);

/* After the driver's init, from time to time, if an agent has configured the plugin. */
void nomad__gc_schedule(struct nomad_plugin *plugin);

/* Likewise. */
void nomad__orphans_schedule(struct nomad_plugin *plugin);

/* At the end of each task. */
void nomad__waits_task_ended(struct nomad_task *task);
void nomad__stops_task_ended(struct nomad_task *task);
void nomad__samples_task_ended(struct nomad_task *task);

/* At the end of the plugin.  Calls the driver's fini() if its init() ran. */
void nomad__init_fini(struct nomad_plugin *plugin);
/* Ends the calls that wait for a stop, because the plugin ends. */
void nomad__stops_cancel(struct nomad_plugin *plugin);
/* Releases all of them, while the loop still runs. */
void nomad__lingering_drop(struct nomad_plugin *plugin);
/* Sends the events that were kept back while an agent recovered its tasks. */
void nomad__events_flush(struct nomad_plugin *plugin);
/* What a task has written is delivered or known to be lost: answers the WaitTask calls that waited for that. */
void nomad__waits_settled(struct nomad_task *task);

#endif
