/* SPDX-License-Identifier: MPL-2.0
 *
 * The plugin, put together from its parts: nothing else in core/ calls this
 * file. */
#include "core/plugin.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "core/exec.h"
#include "core/options.h"
#include "core/parts.h"
#include "core/table.h"
#include "core/task_progress.h"
#include "nomad/metrics.h"
#include "schema/schema.h"

enum { MAX_WORKERS = 64 };

static const struct nomad__part *const parts[] = {
	&nomad__options_part, &nomad__agent_part,	 &nomad__orphans_part, &nomad__init_part,
	&nomad__table_part,   &nomad__waits_part,	 &nomad__stops_part,   &nomad__lingering_part,
	&nomad__gc_part,      &nomad__fingerprints_part, &nomad__events_part,  &nomad__samples_part,
};

static int make_part(struct nomad_plugin *plugin, const struct nomad__part *part)
{
	void *p = calloc(1, part->size);

	if (!p)
		return -ENOMEM;
	pthread_mutex_init(p, NULL);
	if (part->set_up)
		part->set_up(p);
	memcpy((char *)plugin + part->at, &p, sizeof(p));
	return 0;
}

static void free_part(struct nomad_plugin *plugin, const struct nomad__part *part)
{
	void *p;

	memcpy(&p, (char *)plugin + part->at, sizeof(p));
	if (!p)
		return;
	if (part->tear_down)
		part->tear_down(p);
	pthread_mutex_destroy(p);
	free(p);
}

static void start_metrics(struct nomad_plugin *plugin)
{
	struct nomad__node node;

	if (nomad__options_node(plugin, &node))
		plugin->metrics_server = nomad__metrics_start(plugin->metrics, nomad__library_config(plugin)->metrics,
							      plugin->loop, plugin->pool);
}

static bool count_task(struct nomad_task *task, void *arg)
{
	struct nomad__task_progress *progress = task->progress;
	struct nomad__task_counts *counts = arg;

	pthread_mutex_lock(&progress->lock);
	++*(progress->phase == NOMAD__STARTING ? &counts->starting
	    : progress->phase >= NOMAD__EXITED ? &counts->exited
	    : progress->stopping	       ? &counts->stopping
					       : &counts->running);
	pthread_mutex_unlock(&progress->lock);
	return true;
}

static void count_tasks(void *ud, struct nomad__task_counts *ret)
{
	nomad__table_each(ud, count_task, ret);
}

static void (*const on_init[])(struct nomad_plugin *plugin) = { nomad__agent_remember, nomad__gc_schedule,
								nomad__orphans_schedule, start_metrics, NULL };
static void (*const on_end[])(struct nomad_task *task) = { nomad__waits_task_ended, nomad__stops_task_ended,
							   nomad__samples_task_ended, NULL };

static int check_driver(const struct nomad_driver *driver, struct nomad_error **err)
{
	if (!driver->name || !driver->version || !driver->task_schema || !driver->fingerprint || !driver->start)
		return nomad_error_set(
			err, EINVAL, "set up driver '%s': name, version, task_schema, fingerprint or start is missing",
			driver->name ? driver->name : "?");
	if (nomad__schema_check(driver->task_schema, err) < 0)
		return nomad_error_wrap(err, "task options of driver '%s'", driver->name);
	return 0;
}

struct nomad_plugin *nomad__plugin_new(const struct nomad_driver *driver, struct nomad_error **err)
{
	struct nomad_plugin *plugin;
	int r = 0;

	if (check_driver(driver, err) < 0)
		return NULL;
	plugin = calloc(1, sizeof(*plugin));
	if (!plugin) {
		nomad_error_errno(err, ENOMEM, "set up the plugin");
		return NULL;
	}
	plugin->driver = driver;
	plugin->on_init = on_init;
	plugin->on_end = on_end;
	for (size_t i = 0; r >= 0 && i < NOMAD_ARRAY_LEN(parts); i++)
		r = make_part(plugin, parts[i]);
	plugin->metrics = nomad__metrics_new(driver->name, driver->version, count_tasks, plugin);
	if (r >= 0)
		r = plugin->metrics ? nomad__boot_id(plugin->boot_id) : -ENOMEM;
	if (r >= 0)
		r = nomad__loop_new(&plugin->loop);
	if (r >= 0)
		r = nomad__pool_new(MAX_WORKERS, &plugin->pool);
	if (r < 0)
		nomad_error_errno(err, -r, "set up the plugin");
	else
		r = nomad__options_begin(plugin, err);
	if (r >= 0)
		return plugin;
	nomad__plugin_free(plugin);
	return NULL;
}

static void let_tasks_go(struct nomad_plugin *plugin)
{
	struct nomad_task *task;

	while ((task = nomad__table_take(plugin))) {
		nomad__exec_end_all(task);
		nomad__task_unref(task);
	}
}

void nomad__plugin_free(struct nomad_plugin *plugin)
{
	if (!plugin)
		return;
	/* Workers post to the loop, the loop gives work to workers, tasks have
	 * watches in the loop: stop, let go, free. */
	nomad__pool_stop(plugin->pool);
	/* The driver's own threads may still report ends. */
	nomad__init_fini(plugin);
	nomad__metrics_stop(plugin->metrics_server);
	if (plugin->loop) {
		nomad__stops_cancel(plugin);
		let_tasks_go(plugin);
		nomad__lingering_drop(plugin);
	}
	nomad__loop_free(plugin->loop);
	nomad__pool_free(plugin->pool);
	for (size_t i = NOMAD_ARRAY_LEN(parts); i--;)
		free_part(plugin, parts[i]);
	nomad__metrics_free(plugin->metrics);
	free(plugin);
}

int nomad__work(struct nomad_plugin *plugin, void (*fn)(void *ud), void *ud)
{
	return nomad__pool_run(plugin->pool, fn, ud);
}

struct nomad__loop *nomad__plugin_loop(struct nomad_plugin *plugin)
{
	return plugin->loop;
}

const struct nomad_driver *nomad__plugin_driver(const struct nomad_plugin *plugin)
{
	return plugin->driver;
}

struct nomad__metrics *nomad__plugin_metrics(struct nomad_plugin *plugin)
{
	return plugin->metrics;
}

struct nomad_counter *nomad_counter_new(struct nomad_plugin *plugin, const char *name, const char *help,
					const char *label, const char *value, struct nomad_error **err)
{
	return nomad__metrics_counter(plugin->metrics, name, help, label, value, err);
}
