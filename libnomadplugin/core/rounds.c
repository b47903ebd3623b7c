/* SPDX-License-Identifier: MPL-2.0 */
#include "core/rounds.h"

#include <stdlib.h>

#include "base/loop.h"
#include "core/options.h"
#include "core/plugin.h"
#include "core/table.h"

#define SECOND_NS INT64_C(1000000000)
#define LONGEST_NS (60 * SECOND_NS)

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
		nomad__timer_set(rounds->timer, SECOND_NS);
}

void nomad__rounds_begin(struct nomad__rounds *rounds, struct nomad_plugin *plugin,
			 void (*job)(struct nomad_plugin *plugin))
{
	int64_t grace_s = nomad__library_config(plugin)->gc_grace_s, ns = grace_s * SECOND_NS / 4;
	struct nomad__node node;

	*rounds = (struct nomad__rounds){ .plugin = plugin,
					  .job = job,
					  .interval_ns = ns < SECOND_NS	   ? SECOND_NS
							 : ns > LONGEST_NS ? LONGEST_NS
									   : ns };
	if (nomad__options_node(plugin, &node) && grace_s > 0)
		(void)nomad__loop_post(plugin->loop, arm, rounds);
}

void nomad__rounds_done(struct nomad__rounds *rounds)
{
	free(rounds->timer);
}
