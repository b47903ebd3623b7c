/* SPDX-License-Identifier: MPL-2.0 */
#include "core/rounds.h"

#include <stdlib.h>

#include "base/loop.h"
#include "core/options.h"
#include "core/plugin.h"
#include "core/table.h"

static void run(void *ud)
{
	struct nomad__rounds *rounds = ud;

	if (!nomad__table_is_closed(rounds->plugin))
		rounds->job(rounds->plugin);
}

static void fire(void *ud)
{
	struct nomad__rounds *rounds = ud;

	(void)!nomad__pool_run(rounds->plugin->pool, run, rounds);
	nomad__timer_set(rounds->timer, rounds->interval_ns);
}

static void arm(void *ud)
{
	struct nomad__rounds *rounds = ud;

	if (nomad__timer_new(rounds->plugin->loop, fire, rounds, &rounds->timer) == 0)
		nomad__timer_set(rounds->timer, rounds->first_ns);
}

void nomad__rounds_begin(struct nomad__rounds *rounds, struct nomad_plugin *plugin,
			 void (*job)(struct nomad_plugin *plugin), int64_t first_ns, int64_t interval_ns)
{
	struct nomad__node node;

	*rounds = (struct nomad__rounds){
		.plugin = plugin, .job = job, .first_ns = first_ns, .interval_ns = interval_ns
	};
	if (nomad__options_node(plugin, &node) && nomad__library_config(plugin)->gc_grace_s > 0)
		(void)nomad__loop_post(plugin->loop, arm, rounds);
}

void nomad__rounds_done(struct nomad__rounds *rounds)
{
	free(rounds->timer);
}
