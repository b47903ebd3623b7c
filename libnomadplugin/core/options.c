/* SPDX-License-Identifier: MPL-2.0
 *
 * The plugin's configuration.  The driver's rows and the library's are one
 * schema; the library's struct follows the driver's in memory. */
#include "core/options.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/parts.h"
#include "core/plugin.h"
#include "schema/schema.h"

struct nomad__options {
	pthread_mutex_t lock; /* the next four */
	void *config;
	char *state_dir;
	struct nomad__node node;
	bool has_node;

	struct nomad_schema schema;
	struct nomad_option *rows;
	struct nomad__policy_table *policy;
	bool ignore_policy;
	size_t library_offset;
};

static const struct nomad_schema no_options;

static const char *const log_collections[] = { "nomad", "driver", NULL };

static const struct nomad_option library_rows[] = {
	NOMAD_OPTION(struct nomad__library_config, state_dir, STRING, .check = nomad_check_absolute_path,
		     .help = "Sets the directory for the records of tasks. The default is /var/lib/nomad-driver-NAME, "
			     "or $XDG_STATE_HOME/nomad-driver-NAME for an agent that does not run as root. Two agents "
			     "on one host may share it."),
	NOMAD_OPTION(
		struct nomad__library_config, log_collection, STRING, .def = "\"nomad\"", .choices = log_collections,
		.help = "Selects the process that collects the output of tasks. \"nomad\" is the agent's own "
			"logmon process, one for each task. With \"driver\" the task's supervisor writes and "
			"rotates the files, which saves that process. `nomad alloc logs` works with both. \"driver\" "
			"is not the default because Nomad does not send drivers the sizes in a job's logs block: a "
			"job with smaller limits would fill its disk, and one with larger limits would lose lines."),
	NOMAD_OPTION(struct nomad__library_config, log_max_files, INT, .def = "10", .min = 1, .max = 1000,
		     .help = "Limits the number of log files for each stream of a task, with log_collection = "
			     "\"driver\". A job's logs block can only turn its logs off (disabled)."),
	NOMAD_OPTION_AS(struct nomad__library_config, log_max_file_size_mb, "log_max_file_size", INT, .def = "10",
			.min = 1, .max = 1048576, .unit = "MiB",
			.help = "Sets the size at which a new log file begins, with log_collection = \"driver\"."),
	NOMAD_OPTION_AS(struct nomad__library_config, gc_grace_s, "gc_grace", INT, .def = "300", .min = 0,
			.max = 31536000, .unit = "seconds",
			.help = "Sets the time that a restarted agent has to claim its tasks. After it the driver "
				"removes dead tasks that no agent has claimed, and ends running tasks that this agent "
				"has not claimed. Without an agent it ends no running task. It removes leftovers of a "
				"killed start, an interrupted destroy or a former boot at once. 0 keeps all of them. "
				"The command `gc` does the same for dead tasks."),
	NOMAD_OPTION(struct nomad__library_config, metrics, BLOCK, .block = &nomad__metrics_schema,
		     .help = "Publishes metrics as OpenMetrics text: calls and their duration, tasks, their starts and "
			     "ends, removed leftovers, memory. Without this block there are no metrics.",
		     .example = "{\n  socket = \"/run/nomad-metrics/NAME.sock\"\n}"),
};

/* The block is the driver's own, see merge_schema(). */
static const struct nomad_option policy_row = NOMAD_OPTION(
	struct nomad__library_config, policy, BLOCK,
	.help = "Limits what jobs may do to this node. Without this block the safe default of each rule applies. The "
		"driver refuses a job that requests more, and the error prints the line that would allow it.",
	.example = "{\n  mode = \"default\"\n}");

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

static int merge_schema(struct nomad__options *options, const struct nomad_schema *own, struct nomad_error **err)
{
	size_t count = own->count + NOMAD_ARRAY_LEN(library_rows);

	options->rows = calloc(count + 1, sizeof(*options->rows));
	if (!options->rows)
		return nomad_error_errno(err, ENOMEM, "set up the plugin's options");
	options->library_offset = (own->size + 15) & ~(size_t)15;
	if (own->count)
		memcpy(options->rows, own->options, own->count * sizeof(*options->rows));
	for (size_t i = 0; i < NOMAD_ARRAY_LEN(library_rows); i++) {
		options->rows[own->count + i] = library_rows[i];
		options->rows[own->count + i].offset += options->library_offset;
	}
	if (options->policy) {
		options->rows[count] = policy_row;
		options->rows[count].block = &options->policy->schema;
		options->rows[count++].offset += options->library_offset;
	}
	options->schema = (struct nomad_schema){
		.options = options->rows,
		.count = count,
		.size = options->library_offset + sizeof(struct nomad__library_config),
		.check = own->check,
	};
	return nomad__schema_check(&options->schema, err);
}

static const struct nomad__library_config *library_part(const struct nomad__options *options, const void *config)
{
	return (const void *)((const char *)config + options->library_offset);
}

const struct nomad__library_config *nomad__library_config(const struct nomad_plugin *plugin)
{
	return library_part(plugin->options, plugin->options->config);
}

const struct nomad__policy_table *nomad__options_policy(const struct nomad_plugin *plugin)
{
	return plugin->options->ignore_policy ? NULL : plugin->options->policy;
}

void nomad__options_ignore_policy(struct nomad_plugin *plugin)
{
	plugin->options->ignore_policy = true;
}

static int set(struct nomad_plugin *plugin, const void *data, size_t size, unsigned flags, bool use,
	       const struct nomad__node *node, struct nomad_error **err)
{
	struct nomad__options *options = plugin->options;
	void *config = NULL;
	char *state_dir;
	int r = nomad__config_decode(&options->schema, "plugin config", data, size, flags, &config, err);

	if (r < 0)
		return r;
	state_dir = library_part(options, config)->state_dir;
	state_dir = state_dir ? strdup(state_dir) : default_state_dir(plugin->driver);
	if (!state_dir) {
		nomad__config_free(&options->schema, config);
		return nomad_error_errno(err, ENOMEM, "set the plugin's configuration");
	}
	pthread_mutex_lock(&options->lock);
	if (use) {
		void *old = options->config;
		char *old_dir = options->state_dir;

		options->config = config;
		options->state_dir = state_dir;
		config = old;
		state_dir = old_dir;
	}
	if (node) {
		options->node = *node;
		options->has_node = true;
	}
	pthread_mutex_unlock(&options->lock);
	free(state_dir);
	if (config)
		nomad__config_free(&options->schema, config);
	return 0;
}

int nomad__options_set(struct nomad_plugin *plugin, const void *config, size_t size, bool use,
		       const struct nomad__node *node, struct nomad_error **err)
{
	return set(plugin, config, size, 0, use, node, err);
}

int nomad__options_begin(struct nomad_plugin *plugin, struct nomad_error **err)
{
	const struct nomad_schema *own = plugin->driver->config_schema;
	int r = nomad__policy_table_new(plugin->driver->task_schema, &plugin->options->policy, err);

	if (r == 0)
		r = merge_schema(plugin->options, own ? own : &no_options, err);
	/* What is required may be missing until SetConfig. */
	return r < 0 ? r : set(plugin, NULL, 0, NOMAD__DECODE_STORED, true, NULL, err);
}

bool nomad__options_node(struct nomad_plugin *plugin, struct nomad__node *ret)
{
	struct nomad__options *options = plugin->options;
	bool has_node;

	pthread_mutex_lock(&options->lock);
	*ret = options->node;
	has_node = options->has_node;
	pthread_mutex_unlock(&options->lock);
	return has_node;
}

const struct nomad_schema *nomad__plugin_config_schema(const struct nomad_plugin *plugin)
{
	return &plugin->options->schema;
}

unsigned nomad__plugin_capabilities(struct nomad_plugin *plugin)
{
	struct nomad__options *options = plugin->options;
	unsigned capabilities = plugin->driver->capabilities;

	pthread_mutex_lock(&options->lock); /* a configuration may come */
	if (strcmp(nomad__library_config(plugin)->log_collection, "driver") == 0)
		capabilities |= NOMAD_OWN_LOGS;
	pthread_mutex_unlock(&options->lock);
	return capabilities;
}

const void *nomad_plugin_config(const struct nomad_plugin *plugin)
{
	return plugin->driver->config_schema ? plugin->options->config : NULL;
}

const char *nomad_plugin_state_dir(const struct nomad_plugin *plugin)
{
	return plugin->options->state_dir;
}

static void tear_down(void *part)
{
	struct nomad__options *options = part;

	if (options->config)
		nomad__config_free(&options->schema, options->config);
	free(options->rows);
	free(options->state_dir);
	nomad__policy_table_free(options->policy);
}

const struct nomad__part nomad__options_part = NOMAD__PART(struct nomad__options, options, .tear_down = tear_down);
