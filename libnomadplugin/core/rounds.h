/* SPDX-License-Identifier: MPL-2.0
 *
 * core/rounds.h: what a plugin does by itself from time to time. */
#ifndef NOMAD_CORE_ROUNDS_H
#define NOMAD_CORE_ROUNDS_H

#include "core/core.h"

/* Stands in a part of the plugin, whose tear_down calls nomad__rounds_done(). */
struct nomad__rounds {
	struct nomad_plugin *plugin;
	void (*job)(struct nomad_plugin *plugin); /* on a worker thread */
	int64_t interval_ns;
	struct nomad__timer *timer; /* loop thread */
};

/* Runs `job` after a second, and then four times within gc_grace but at least once a minute, until the plugin ends.
 * Only if an agent has configured the plugin, and with a gc_grace. */
void nomad__rounds_begin(struct nomad__rounds *rounds, struct nomad_plugin *plugin,
			 void (*job)(struct nomad_plugin *plugin));
void nomad__rounds_done(struct nomad__rounds *rounds);

#endif
