/* SPDX-License-Identifier: MPL-2.0
 *
 * The plugin: configuration, the driver's init, and the table of tasks. */
#include "core/plugin.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/exec.h"
#include "core/tasks_on_disk.h"
#include "nomad/metrics.h"
#include "schema/schema.h"

enum { MAX_WORKERS = 64 };

/* ---- The options that every driver has ---- */

static const char *const log_collections[] = { "nomad", "driver", NULL };

static const struct nomad_option library_rows[] = {
	NOMAD_OPTION(struct nomad__library_config, state_dir, STRING, .check = nomad_check_absolute_path,
		     .help = "Directory for the records of tasks. The default is /var/lib/nomad-driver-NAME, or "
			     "$XDG_STATE_HOME/nomad-driver-NAME for an agent that does not run as root. Two agents on "
			     "one host may share it."),
	NOMAD_OPTION(struct nomad__library_config, log_collection, STRING, .def = "\"nomad\"",
		     .choices = log_collections,
		     .help = "Who collects what tasks write: \"nomad\" is the agent's own logmon process, one for each "
			     "task; \"driver\" lets the task's supervisor write and rotate the files, which saves that "
			     "process. `nomad alloc logs` works with both."),
	NOMAD_OPTION(struct nomad__library_config, log_max_files, INT, .def = "10", .min = 1, .max = 1000,
		     .help = "With log_collection = \"driver\": how many files are kept for each stream of a task. "
			     "Nomad does not tell drivers what a job's logs block says."),
	NOMAD_OPTION_AS(struct nomad__library_config, log_max_file_size_mb, "log_max_file_size", INT, .def = "10",
			.min = 1, .max = 1048576, .unit = "MiB",
			.help = "With log_collection = \"driver\": the size at which a new file is begun."),
	NOMAD_OPTION_AS(struct nomad__library_config, gc_grace_s, "gc_grace", INT, .def = "300", .min = 0,
			.max = 31536000, .unit = "seconds",
			.help = "How long after its start the driver clears away what tasks left that no agent has "
				"claimed by then: those of a former boot, and those that are dead. 0 leaves them; `gc` "
				"does the same by hand."),
	NOMAD_OPTION(
		struct nomad__library_config, metrics, BLOCK, .block = &nomad__metrics_schema,
		.help = "Show what the plugin counts as OpenMetrics text: calls and how long they took, tasks, their "
			"starts and ends, what was cleared away, memory. Without this block nothing is shown.",
		.example = "{\n  socket = \"/run/nomad-metrics/NAME.sock\"\n}"),
};

const struct nomad__library_config *nomad__library_config(const struct nomad_plugin *plugin)
{
	return (const void *)((const char *)plugin->config + plugin->library_offset);
}

static int merge_schema(struct nomad_plugin *plugin, struct nomad_error **err)
{
	const struct nomad_schema *own =
		plugin->driver->config_schema ? plugin->driver->config_schema : &plugin->no_options;
	size_t count = own->count + NOMAD_ARRAY_LEN(library_rows);

	plugin->rows = calloc(count, sizeof(*plugin->rows));
	if (!plugin->rows)
		return nomad_error_errno(err, ENOMEM, "set up the plugin's options");
	plugin->library_offset = (own->size + 15) & ~(size_t)15;
	if (own->count)
		memcpy(plugin->rows, own->options, own->count * sizeof(*plugin->rows));
	for (size_t i = 0; i < NOMAD_ARRAY_LEN(library_rows); i++) {
		plugin->rows[own->count + i] = library_rows[i];
		plugin->rows[own->count + i].offset += plugin->library_offset;
	}
	plugin->schema = (struct nomad_schema){
		.options = plugin->rows,
		.count = count,
		.size = plugin->library_offset + sizeof(struct nomad__library_config),
		.check = own->check,
	};
	return nomad__schema_check(&plugin->schema, err);
}

static char *default_state_dir(const struct nomad_driver *driver)
{
	const char *base = getenv("XDG_STATE_HOME"), *home = getenv("HOME");

	if (geteuid() == 0)
		return nomad_strdupf("/var/lib/nomad-driver-%s", driver->name);
	if (base && *base == '/')
		return nomad_strdupf("%s/nomad-driver-%s", base, driver->name);
	if (home && *home == '/')
		return nomad_strdupf("%s/.local/state/nomad-driver-%s", home, driver->name);
	return nomad_strdupf("/tmp/nomad-driver-%s-%ld", driver->name, (long)geteuid());
}

/* ---- Metrics ---- */

static void count_tasks(void *ud, struct nomad__task_counts *ret)
{
	struct nomad_plugin *plugin = ud;

	pthread_mutex_lock(&plugin->lock);
	for (size_t i = 0; i < NOMAD__BUCKETS; i++)
		for (struct nomad_task *task = plugin->tasks[i]; task; task = task->next) {
			pthread_mutex_lock(&task->lock);
			++*(task->phase == NOMAD__STARTING ? &ret->starting
			    : task->phase >= NOMAD__EXITED ? &ret->exited
			    : task->stopping		   ? &ret->stopping
							   : &ret->running);
			pthread_mutex_unlock(&task->lock);
		}
	pthread_mutex_unlock(&plugin->lock);
}

static int make_metrics(struct nomad_plugin *plugin)
{
	plugin->metrics = nomad__metrics_new(plugin->driver->name, plugin->driver->version, count_tasks, plugin);
	return plugin->metrics ? 0 : -ENOMEM;
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

/* ---- Life ---- */

static int check_driver(const struct nomad_driver *driver, struct nomad_error **err)
{
	if (!driver->name || !driver->version || !driver->task_schema || !driver->fingerprint || !driver->start)
		return nomad_error_set(err, EINVAL,
				       "driver '%s' lacks one of name, version, task_schema, fingerprint, start",
				       driver->name ? driver->name : "?");
	if (nomad__schema_check(driver->task_schema, err) < 0)
		return nomad_error_wrap(err, "task options of driver '%s'", driver->name);
	return 0;
}

struct nomad_plugin *nomad__plugin_new(const struct nomad_driver *driver, struct nomad_error **err)
{
	struct nomad_plugin *plugin;
	int r;

	if (check_driver(driver, err) < 0)
		return NULL;
	plugin = calloc(1, sizeof(*plugin));
	if (!plugin) {
		nomad_error_errno(err, ENOMEM, "set up the plugin");
		return NULL;
	}
	plugin->driver = driver;
	pthread_mutex_init(&plugin->lock, NULL);
	pthread_mutex_init(&plugin->init_lock, NULL);
	nomad__sub_list_init(&plugin->fingerprints);
	nomad__sub_list_init(&plugin->events);
	nomad__sub_list_init(&plugin->stats);
	nomad__sub_list_init(&plugin->waiters);
	nomad__sub_list_init(&plugin->stoppers);
	r = merge_schema(plugin, err);
	if (r < 0)
		goto fail;
	r = nomad__config_decode(&plugin->schema, "plugin config", NULL, 0, NOMAD__DECODE_STORED, &plugin->config, err);
	if (r < 0)
		goto fail;
	plugin->state_dir = default_state_dir(driver);
	r = plugin->state_dir ? nomad__boot_id(plugin->boot_id) : -ENOMEM;
	if (r >= 0)
		r = nomad__loop_new(&plugin->loop);
	if (r >= 0)
		r = nomad__pool_new(MAX_WORKERS, &plugin->pool);
	if (r >= 0)
		r = make_metrics(plugin);
	if (r >= 0)
		r = nomad__fingerprint_setup(plugin);
	if (r >= 0)
		r = nomad__events_setup(plugin);
	if (r >= 0)
		r = nomad__stats_setup(plugin);
	if (r < 0) {
		nomad_error_errno(err, -r, "set up the plugin");
		goto fail;
	}
	return plugin;
fail:
	nomad__plugin_free(plugin);
	return NULL;
}

static void let_tasks_go(struct nomad_plugin *plugin)
{
	for (size_t i = 0; i < NOMAD__BUCKETS; i++)
		while (plugin->tasks[i]) {
			struct nomad_task *task = plugin->tasks[i];

			pthread_mutex_lock(&plugin->lock);
			plugin->tasks[i] = task->next;
			pthread_mutex_unlock(&plugin->lock);
			nomad__exec_end_all(task);
			nomad__task_stops_over(task);
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
	if (plugin->inited && plugin->driver->fini)
		plugin->driver->fini(plugin, plugin->data);
	nomad__metrics_stop(plugin->metrics_server);
	nomad__stops_cancel(plugin);
	let_tasks_go(plugin);
	nomad__lingering_drop(plugin);
	nomad__loop_free(plugin->loop);
	free(plugin->gc_timer); /* its heap went with the loop */
	nomad_map_done(&plugin->orphans);
	nomad__pool_free(plugin->pool);
	nomad__stats_teardown(plugin);
	nomad__events_teardown(plugin);
	nomad__fingerprint_teardown(plugin);
	nomad__metrics_free(plugin->metrics);
	nomad__sub_list_done(&plugin->fingerprints);
	nomad__sub_list_done(&plugin->events);
	nomad__sub_list_done(&plugin->stats);
	nomad__sub_list_done(&plugin->waiters);
	nomad__sub_list_done(&plugin->stoppers);
	if (plugin->config)
		nomad__config_free(&plugin->schema, plugin->config);
	free(plugin->rows);
	free(plugin->state_dir);
	pthread_mutex_destroy(&plugin->lock);
	pthread_mutex_destroy(&plugin->init_lock);
	free(plugin);
}

int nomad__plugin_configure(struct nomad_plugin *plugin, const void *config, size_t size,
			    const struct nomad__node *node, struct nomad_error **err)
{
	void *decoded = NULL, *old = NULL;
	char *state_dir;
	int r;

	r = nomad__config_decode(&plugin->schema, "plugin config", config, size, 0, &decoded, err);
	if (r < 0)
		return r;
	state_dir = ((struct nomad__library_config *)((char *)decoded + plugin->library_offset))->state_dir;
	state_dir = state_dir ? strdup(state_dir) : default_state_dir(plugin->driver);
	if (!state_dir)
		r = nomad_error_errno(err, ENOMEM, "set the plugin's configuration");
	if (r < 0) {
		free(state_dir);
		nomad__config_free(&plugin->schema, decoded);
		return r;
	}
	pthread_mutex_lock(&plugin->init_lock); /* init() may be looking at the one that is there */
	pthread_mutex_lock(&plugin->lock);
	if (plugin->inited) {
		/* A running driver keeps what it was initialised with. */
		old = decoded;
	} else {
		old = plugin->config;
		plugin->config = decoded;
		free(plugin->state_dir);
		plugin->state_dir = NOMAD_TAKE_PTR(state_dir);
	}
	if (node) {
		plugin->node = *node;
		plugin->final = true;
	}
	pthread_mutex_unlock(&plugin->lock);
	pthread_mutex_unlock(&plugin->init_lock);
	free(state_dir);
	nomad__config_free(&plugin->schema, old);
	return 0;
}

/* What is in it is believed, and what it names is removed: nobody else may
 * write there. */
static int make_state_dir(struct nomad_plugin *plugin, struct nomad_error **err)
{
	struct stat st;
	int r = nomad__make_dirs(plugin->state_dir, 0700);

	if (r >= 0 && stat(plugin->state_dir, &st) < 0)
		r = -errno;
	if (r < 0)
		return nomad_error_errno(err, -r, "make the state directory '%s'", plugin->state_dir);
	if (st.st_uid != geteuid() || (st.st_mode & 022))
		return nomad_error_set(err, EPERM,
				       "the state directory '%s' belongs to uid %u with mode %03o; it has to belong to "
				       "uid %u, and nobody else may write there",
				       plugin->state_dir, (unsigned)st.st_uid, (unsigned)st.st_mode & 07777,
				       (unsigned)geteuid());
	return 0;
}

/* Nomad before 2.0.4 sends no Init: then the first call that needs it does it. */
int nomad__plugin_ensure_init(struct nomad_plugin *plugin, struct nomad_error **err)
{
	void *data = NULL;
	int r = 0;

	pthread_mutex_lock(&plugin->init_lock);
	if (!plugin->inited) {
		r = make_state_dir(plugin, err);
		if (r >= 0 && plugin->driver->init)
			r = plugin->driver->init(plugin, &data, err);
		if (r >= 0) {
			pthread_mutex_lock(&plugin->lock);
			plugin->inited = true;
			plugin->data = data;
			pthread_mutex_unlock(&plugin->lock);
			nomad__gc_schedule(plugin);
			if (plugin->final)
				plugin->metrics_server =
					nomad__metrics_start(plugin->metrics, nomad__library_config(plugin)->metrics,
							     plugin->loop, plugin->pool);
			r = 0;
		} else {
			(void)nomad_error_wrap(err, "initialise driver '%s'", plugin->driver->name);
		}
	}
	pthread_mutex_unlock(&plugin->init_lock);
	return r;
}

int nomad__plugin_init(struct nomad_plugin *plugin, struct nomad_error **err)
{
	return nomad__plugin_ensure_init(plugin, err);
}

void nomad__plugin_shutdown(struct nomad_plugin *plugin)
{
	pthread_mutex_lock(&plugin->lock);
	plugin->shut_down = true;
	pthread_mutex_unlock(&plugin->lock);
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

const struct nomad_schema *nomad__plugin_config_schema(const struct nomad_plugin *plugin)
{
	return &plugin->schema;
}

unsigned nomad__plugin_capabilities(struct nomad_plugin *plugin)
{
	unsigned capabilities = plugin->driver->capabilities;

	pthread_mutex_lock(&plugin->lock); /* a configuration may come */
	if (strcmp(nomad__library_config(plugin)->log_collection, "driver") == 0)
		capabilities |= NOMAD_OWN_LOGS;
	pthread_mutex_unlock(&plugin->lock);
	return capabilities;
}

const void *nomad_plugin_config(const struct nomad_plugin *plugin)
{
	return plugin->driver->config_schema ? plugin->config : NULL;
}

void *nomad_plugin_data(const struct nomad_plugin *plugin)
{
	return plugin->data;
}

const char *nomad_plugin_state_dir(const struct nomad_plugin *plugin)
{
	return plugin->state_dir;
}

/* ---- The table of tasks: a hash table with chains ---- */

static struct nomad_task **bucket(struct nomad_plugin *plugin, const char *id)
{
	return &plugin->tasks[nomad_hash32(id, strlen(id)) % NOMAD__BUCKETS];
}

/* With the lock held. */
static struct nomad_task *lookup(struct nomad_plugin *plugin, const char *id)
{
	struct nomad_task *task = *bucket(plugin, id);

	while (task && strcmp(task->info.id, id) != 0)
		task = task->next;
	return task;
}

struct nomad_task *nomad__task_find(struct nomad_plugin *plugin, const char *id)
{
	struct nomad_task *task;

	pthread_mutex_lock(&plugin->lock);
	task = lookup(plugin, id);
	if (task)
		nomad__task_ref(task);
	pthread_mutex_unlock(&plugin->lock);
	return task;
}

int nomad__task_find_or(struct nomad_plugin *plugin, const char *id, struct nomad_task **ret, struct nomad_error **err)
{
	struct nomad_task *task = nomad__task_find(plugin, id);

	if (!task)
		return nomad_error_set(err, ENOENT, "task not found for given id '%s'", id);
	*ret = task;
	return 0;
}

int nomad__task_insert(struct nomad_plugin *plugin, struct nomad_task *task, struct nomad_task **ret_other)
{
	struct nomad_task *other, **head;
	int r = 0;

	pthread_mutex_lock(&plugin->lock);
	other = lookup(plugin, task->info.id);
	if (plugin->shut_down) {
		r = -ESHUTDOWN;
	} else if (other) {
		*ret_other = nomad__task_ref(other);
		r = -EEXIST;
	} else {
		head = bucket(plugin, task->info.id);
		task->next = *head;
		*head = nomad__task_ref(task);
	}
	pthread_mutex_unlock(&plugin->lock);
	return r;
}

void nomad__task_remove(struct nomad_plugin *plugin, struct nomad_task *task)
{
	struct nomad_task **p;
	bool found = false;

	pthread_mutex_lock(&plugin->lock);
	for (p = bucket(plugin, task->info.id); *p; p = &(*p)->next)
		if (*p == task) {
			*p = task->next;
			found = true;
			break;
		}
	pthread_mutex_unlock(&plugin->lock);
	if (found)
		nomad__task_unref(task);
}
