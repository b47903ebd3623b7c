/* SPDX-License-Identifier: MPL-2.0
 *
 * What is counted, and all of it as text.
 *
 *	wire/ --call begins, ends--+
 *	task.c, start.c, events.c, +--> counters --nomad__metrics_text()--> socket, file
 *	tasks_on_disk.c, drivers --+
 *
 * The number of series is bounded by the tables here and in wire/methods.c, the
 * codes of gRPC, and 64 of a driver's own: no task, job or allocation has one. */
#include "core/metrics.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "core/plugin.h"
#include "core/tasks_on_disk.h"
#include "nomad/metrics.h"

enum { CODES = 17, OWN_MAX = 64, NAME_MAX_BYTES = 48 };

struct rpc {
	const char *method; /* behind the slash of path */
	char *service;
	bool timed;
	uint64_t begun, ended[CODES];
	struct nomad__latency latency;
};

struct nomad_counter {
	struct nomad_counter *next;
	char *name, *help, *label, *value;
	uint64_t count;
};

struct nomad__metrics {
	uint64_t counts[NOMAD__METRIC_MAX];
	int64_t since_ns; /* wall clock */
	struct rpc *rpcs; /* n_rpcs, and one for unknown methods; NULL: there is no wire */
	size_t n_rpcs;
	const char *(*code_name)(unsigned code);

	pthread_mutex_t lock;	   /* the next two; an entry stays, and but its count as it is */
	struct nomad_counter *own; /* those of one name beside each other */
	unsigned n_own;
};

/* ---- The table ---- */

/* One row for each enum nomad__metric; rows of one family beside each other. */
static const struct {
	const char *family, *unit, *help; /* the last two in a family's first row */
	const char *label, *value;
} rows[NOMAD__METRIC_MAX] = {
	[NOMAD__STARTS_STARTED] = { "task_starts", NULL,
				    "Calls of StartTask by result; adopted: it ran already, started by an earlier "
				    "plugin.",
				    "result", "started" },
	[NOMAD__STARTS_ADOPTED] = { "task_starts", .label = "result", .value = "adopted" },
	[NOMAD__STARTS_FAILED] = { "task_starts", .label = "result", .value = "failed" },
	[NOMAD__RECOVERS_RECOVERED] = { "task_recovers", NULL,
					"Tasks taken over after a restart of agent or plugin, by result; lost: nothing "
					"was left of it.",
					"result", "recovered" },
	[NOMAD__RECOVERS_LOST] = { "task_recovers", .label = "result", .value = "lost" },
	[NOMAD__RECOVERS_FAILED] = { "task_recovers", .label = "result", .value = "failed" },
	[NOMAD__ENDS_EXIT] = { "task_ends", NULL, "Ends of tasks by kind; lost: how it ended is not known.", "kind",
			       "exit" },
	[NOMAD__ENDS_SIGNAL] = { "task_ends", .label = "kind", .value = "signal" },
	[NOMAD__ENDS_OOM] = { "task_ends", .label = "kind", .value = "oom" },
	[NOMAD__ENDS_LOST] = { "task_ends", .label = "kind", .value = "lost" },
	[NOMAD__SUPERVISORS_DEAD] = { "supervisors_found_dead", NULL, "Supervisors that were gone without a word." },
	[NOMAD__GC_RUNS] = { "gc_runs", NULL, "Searches for what no agent claims." },
	[NOMAD__LEAKS + NOMAD__DISK_STARTING] = { "leaks_found", NULL,
						  "Tasks that no agent claimed, found by a search, by state.", "state",
						  "starting" },
	[NOMAD__LEAKS + NOMAD__DISK_HALF_MADE] = { "leaks_found", .label = "state", .value = "half-made" },
	[NOMAD__LEAKS + NOMAD__DISK_RUNNING] = { "leaks_found", .label = "state", .value = "running" },
	[NOMAD__LEAKS + NOMAD__DISK_REMOTE] = { "leaks_found", .label = "state", .value = "remote" },
	[NOMAD__LEAKS + NOMAD__DISK_EXITED] = { "leaks_found", .label = "state", .value = "exited" },
	[NOMAD__LEAKS + NOMAD__DISK_LOST] = { "leaks_found", .label = "state", .value = "lost" },
	[NOMAD__LEAKS + NOMAD__DISK_DESTROYING] = { "leaks_found", .label = "state", .value = "destroying" },
	[NOMAD__LEAKS_REMOVED] = { "leaks_cleared", NULL, "What became of them.", "result", "removed" },
	[NOMAD__LEAKS_LEFT] = { "leaks_cleared", .label = "result", .value = "failed" },
	[NOMAD__EVENTS_EMITTED] = { "task_events", NULL, "Task events." },
	[NOMAD__EVENTS_DROPPED] = { "task_events_dropped", NULL,
				    "Task events that an agent which did not listen, or not fast enough, will never "
				    "see." },
	[NOMAD__LOG_LOST_BYTES] = { "task_log_lost_bytes", "bytes",
				    "Output of tasks that nobody read before its supervisor gave up." },
};

/* ---- Counting ---- */

static void count(uint64_t *counter, uint64_t n)
{
	__atomic_add_fetch(counter, n, __ATOMIC_RELAXED);
}

static uint64_t counted(const uint64_t *counter)
{
	return __atomic_load_n(counter, __ATOMIC_RELAXED);
}

void nomad__metric_add(struct nomad_plugin *plugin, enum nomad__metric metric, uint64_t n)
{
	count(&plugin->metrics->counts[metric], n);
}

void nomad__metric_end(struct nomad_plugin *plugin, const struct nomad_exit *result)
{
	nomad__metric_add(plugin,
			  result->message      ? NOMAD__ENDS_LOST
			  : result->oom_killed ? NOMAD__ENDS_OOM
			  : result->signal     ? NOMAD__ENDS_SIGNAL
					       : NOMAD__ENDS_EXIT,
			  1);
}

void nomad__metrics_event_dropped(struct nomad_plugin *plugin)
{
	nomad__metric_add(plugin, NOMAD__EVENTS_DROPPED, 1);
}

/* "/package.Service/Method" */
static int split_path(const char *path, struct rpc *rpc)
{
	const char *slash = strrchr(path, '/');

	rpc->method = slash + 1;
	rpc->service = strndup(path + 1, (size_t)(slash - path - 1));
	return rpc->service ? 0 : -ENOMEM;
}

int nomad__metrics_calls(struct nomad_plugin *plugin, const struct nomad__rpc *rpcs, size_t n,
			 const char *(*code_name)(unsigned code))
{
	struct nomad__metrics *metrics = plugin->metrics;
	int r = 0;

	metrics->rpcs = calloc(n + 1, sizeof(*metrics->rpcs));
	if (!metrics->rpcs)
		return -ENOMEM;
	metrics->n_rpcs = n;
	metrics->code_name = code_name;
	for (size_t i = 0; r >= 0 && i < n; i++) {
		metrics->rpcs[i].timed = rpcs[i].timed;
		r = split_path(rpcs[i].path, &metrics->rpcs[i]);
	}
	return r < 0 ? r : split_path("/unknown/unknown", &metrics->rpcs[n]);
}

bool nomad__metrics_wanted(const struct nomad_plugin *plugin)
{
	return plugin->metrics->rpcs;
}

void nomad__metrics_call_begins(struct nomad_plugin *plugin, size_t i)
{
	count(&plugin->metrics->rpcs[i].begun, 1);
}

void nomad__metrics_call_ends(struct nomad_plugin *plugin, size_t i, unsigned code, int64_t duration_ns)
{
	struct rpc *rpc = &plugin->metrics->rpcs[i];

	if (rpc->timed)
		nomad__latency_add(&rpc->latency, duration_ns);
	/* Who sees the end has to see the beginning. */
	__atomic_add_fetch(&rpc->ended[code < CODES ? code : 2 /* UNKNOWN */], 1, __ATOMIC_RELEASE);
}

/* ---- Of a driver's own ---- */

static bool is_name(const char *s)
{
	size_t n = strlen(s);

	return *s >= 'a' && *s <= 'z' && n <= NAME_MAX_BYTES &&
	       strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789_") == n && s[n - 1] != '_' &&
	       !(n > 6 && strcmp(s + n - 6, "_total") == 0);
}

static void family_of(const struct nomad_plugin *plugin, const char *name, char family[2 * NAME_MAX_BYTES])
{
	snprintf(family, 2 * NAME_MAX_BYTES, "%s_%s", plugin->driver->name, name);
	for (char *p = family; *p; p++)
		if (*p == '-')
			*p = '_';
}

static void show_library(struct nomad_plugin *plugin, struct nomad__openmetrics *om);

/* What the library shows is the list of its names: the driver "build" may not count "info". */
static bool is_taken(struct nomad_plugin *plugin, const char *name)
{
	struct nomad__openmetrics om = { .driver = plugin->driver->name };
	char family[2 * NAME_MAX_BYTES];
	NOMAD_AUTO_FREE char *line = NULL;
	bool taken;

	family_of(plugin, name, family);
	line = nomad_strdupf("# TYPE nomad_driver_%s ", family);
	show_library(plugin, &om);
	taken = line && om.text && strstr(om.text, line);
	nomad__openmetrics_done(&om);
	return taken;
}

static void counter_free(struct nomad_counter *counter)
{
	free(counter->name);
	free(counter->help);
	free(counter->label);
	free(counter->value);
	free(counter);
}

/* With the lock held. */
static struct nomad_counter *counter_add(struct nomad__metrics *metrics, const char *name, const char *help,
					 const char *label, const char *value, struct nomad_error **err)
{
	struct nomad_counter **last = NULL, **p = &metrics->own, *counter;

	for (; *p; p = &(*p)->next) {
		if (strcmp((*p)->name, name) != 0)
			continue;
		if (!label != !(*p)->label || (label && strcmp(label, (*p)->label) != 0)) {
			nomad_error_set(err, EINVAL, "count '%s': it has another label already", name);
			return NULL;
		}
		if (!label || strcmp(value, (*p)->value) == 0)
			return *p;
		last = &(*p)->next;
	}
	if (metrics->n_own >= OWN_MAX) {
		nomad_error_set(err, ENOSPC, "count '%s': there are %d counters already", name, OWN_MAX);
		return NULL;
	}
	counter = calloc(1, sizeof(*counter));
	if (counter) {
		counter->name = strdup(name);
		counter->help = strdup(help);
		counter->label = label ? strdup(label) : NULL;
		counter->value = label ? strdup(value) : NULL;
	}
	if (!counter || !counter->name || !counter->help || (label && (!counter->label || !counter->value))) {
		if (counter)
			counter_free(counter);
		nomad_error_errno(err, ENOMEM, "count '%s'", name);
		return NULL;
	}
	last = last ? last : p;
	counter->next = *last;
	*last = counter;
	metrics->n_own++;
	return counter;
}

struct nomad_counter *nomad_counter_new(struct nomad_plugin *plugin, const char *name, const char *help,
					const char *label, const char *value, struct nomad_error **err)
{
	struct nomad__metrics *metrics = plugin->metrics;
	struct nomad_counter *counter;

	if (!is_name(name) || !*help || !label != !value ||
	    (label && (!is_name(label) || strcmp(label, "driver") == 0 || strlen(value) > NAME_MAX_BYTES))) {
		nomad_error_set(err, EINVAL, "count '%s': this is no name, or its help, label or value is none", name);
		return NULL;
	}
	if (is_taken(plugin, name)) {
		nomad_error_set(err, EEXIST, "count '%s': the library has a metric of that name", name);
		return NULL;
	}
	pthread_mutex_lock(&metrics->lock);
	counter = counter_add(metrics, name, help, label, value, err);
	pthread_mutex_unlock(&metrics->lock);
	return counter;
}

void nomad_counter_add(struct nomad_counter *counter, uint64_t n)
{
	if (counter)
		count(&counter->count, n);
}

/* ---- As text ---- */

static void show_process(struct nomad_plugin *plugin, struct nomad__openmetrics *om)
{
	struct nomad__process_usage usage;
	int n;

	nomad__openmetrics_family(om, NOMAD__GAUGE, "build_info", NULL, "The plugin; its value is 1.");
	nomad__openmetrics_int(om, "", 1, "version", plugin->driver->version, "library_version", NOMAD_VERSION, NULL);
	nomad__openmetrics_family(om, NOMAD__GAUGE, "process_start_time_seconds", "seconds",
				  "When the plugin started, since the epoch.");
	nomad__openmetrics_seconds(om, "", plugin->metrics->since_ns, NULL);
	if (nomad__process_usage(getpid(), &usage) == 0) {
		nomad__openmetrics_family(om, NOMAD__GAUGE, "process_resident_memory_bytes", "bytes",
					  "Memory of the plugin alone, without supervisors.");
		nomad__openmetrics_int(om, "", usage.rss_bytes, NULL);
		nomad__openmetrics_family(om, NOMAD__COUNTER, "process_cpu_seconds", "seconds",
					  "Processor time of the plugin.");
		nomad__openmetrics_seconds(om, "_total", (int64_t)(usage.user_ns + usage.system_ns), NULL);
	}
	n = nomad__process_descriptors();
	if (n >= 0) {
		nomad__openmetrics_family(om, NOMAD__GAUGE, "process_open_fds", NULL,
					  "Open descriptors of the plugin.");
		nomad__openmetrics_int(om, "", (uint64_t)n, NULL);
	}
}

static bool was_called(const struct rpc *rpc)
{
	return counted(&rpc->begun);
}

static uint64_t ends_of(const struct rpc *rpc)
{
	uint64_t n = 0;

	for (unsigned code = 0; code < CODES; code++)
		n += __atomic_load_n(&rpc->ended[code], __ATOMIC_ACQUIRE);
	return n;
}

/* Names as other exporters of gRPC have them.  Methods that nobody has called are left out. */
static void show_calls(const struct nomad__metrics *metrics, struct nomad__openmetrics *om)
{
	const size_t n = metrics->rpcs ? metrics->n_rpcs + 1 : 0;

	nomad__openmetrics_family(om, NOMAD__COUNTER, "grpc_server_started", NULL, "Calls that have come.");
	for (const struct rpc *rpc = metrics->rpcs; rpc < metrics->rpcs + n; rpc++)
		if (was_called(rpc))
			nomad__openmetrics_int(om, "_total", counted(&rpc->begun), "grpc_service", rpc->service,
					       "grpc_method", rpc->method, NULL);
	nomad__openmetrics_family(
		om, NOMAD__COUNTER, "grpc_server_handled", NULL,
		"Calls that have ended, by their code; what the agent gave up, as it does with streams, is CANCELLED.");
	for (const struct rpc *rpc = metrics->rpcs; rpc < metrics->rpcs + n; rpc++)
		for (unsigned code = 0; code < CODES; code++)
			if (was_called(rpc) && (code == 0 || counted(&rpc->ended[code])))
				nomad__openmetrics_int(om, "_total", counted(&rpc->ended[code]), "grpc_service",
						       rpc->service, "grpc_method", rpc->method, "grpc_code",
						       metrics->code_name(code), NULL);
	nomad__openmetrics_family(om, NOMAD__GAUGE, "grpc_server_in_flight", NULL, "Calls that are open.");
	for (const struct rpc *rpc = metrics->rpcs; rpc < metrics->rpcs + n; rpc++) {
		uint64_t ends = ends_of(rpc);

		if (was_called(rpc))
			nomad__openmetrics_int(om, "", counted(&rpc->begun) - ends, "grpc_service", rpc->service,
					       "grpc_method", rpc->method, NULL);
	}
	nomad__openmetrics_family(
		om, NOMAD__HISTOGRAM, "grpc_server_handling_seconds", "seconds",
		"How long calls took, but streams and WaitTask, which last as long as the agent or the task.");
	for (const struct rpc *rpc = metrics->rpcs; rpc < metrics->rpcs + n; rpc++)
		if (rpc->timed && was_called(rpc))
			nomad__openmetrics_latency(om, &rpc->latency, "grpc_service", rpc->service, "grpc_method",
						   rpc->method);
}

static void show_tasks(struct nomad_plugin *plugin, struct nomad__openmetrics *om)
{
	static const char *const names[] = { "starting", "running", "stopping", "exited" };
	uint64_t counts[NOMAD_ARRAY_LEN(names)] = { 0 };

	pthread_mutex_lock(&plugin->lock);
	for (size_t i = 0; i < NOMAD__BUCKETS; i++)
		for (struct nomad_task *task = plugin->tasks[i]; task; task = task->next) {
			pthread_mutex_lock(&task->lock);
			counts[task->phase == NOMAD__STARTING ? 0
			       : task->phase >= NOMAD__EXITED ? 3
			       : task->stopping		      ? 2
							      : 1]++;
			pthread_mutex_unlock(&task->lock);
		}
	pthread_mutex_unlock(&plugin->lock);
	nomad__openmetrics_family(om, NOMAD__GAUGE, "tasks", NULL, "Tasks that the plugin holds, by state.");
	for (size_t i = 0; i < NOMAD_ARRAY_LEN(names); i++)
		nomad__openmetrics_int(om, "", counts[i], "state", names[i], NULL);
}

static void show_counts(const struct nomad__metrics *metrics, struct nomad__openmetrics *om)
{
	for (size_t i = 0; i < NOMAD_ARRAY_LEN(rows); i++) {
		if (rows[i].help)
			nomad__openmetrics_family(om, NOMAD__COUNTER, rows[i].family, rows[i].unit, rows[i].help);
		nomad__openmetrics_int(om, "_total", counted(&metrics->counts[i]), rows[i].label, rows[i].value, NULL);
	}
}

static void show_log(struct nomad__openmetrics *om)
{
	static const char *const levels[NOMAD_LOG_LEVEL_MAX] = { "trace", "debug", "info", "warn", "error" };
	uint64_t lines[NOMAD_LOG_LEVEL_MAX], bytes, lost;

	nomad__log_counts(lines, &bytes, &lost);
	nomad__openmetrics_family(om, NOMAD__COUNTER, "log_lines", NULL, "Lines for the plugin's own log by level.");
	for (size_t i = 0; i < NOMAD_LOG_LEVEL_MAX; i++)
		nomad__openmetrics_int(om, "_total", lines[i], "level", levels[i], NULL);
	nomad__openmetrics_family(om, NOMAD__COUNTER, "log_bytes", "bytes", "Bytes of it that were written.");
	nomad__openmetrics_int(om, "_total", bytes, NULL);
	nomad__openmetrics_family(om, NOMAD__COUNTER, "log_lines_dropped", NULL,
				  "Lines of it that the agent did not read in time.");
	nomad__openmetrics_int(om, "_total", lost, NULL);
}

static void show_own(struct nomad_plugin *plugin, struct nomad__openmetrics *om)
{
	struct nomad__metrics *metrics = plugin->metrics;
	const char *before = "";
	char family[2 * NAME_MAX_BYTES];

	pthread_mutex_lock(&metrics->lock);
	for (const struct nomad_counter *own = metrics->own; own; own = own->next) {
		if (strcmp(before, own->name) != 0) {
			family_of(plugin, own->name, family);
			nomad__openmetrics_family(om, NOMAD__COUNTER, family, NULL, own->help);
			before = own->name;
		}
		nomad__openmetrics_int(om, "_total", counted(&own->count), own->label, own->value, NULL);
	}
	pthread_mutex_unlock(&metrics->lock);
}

static void show_library(struct nomad_plugin *plugin, struct nomad__openmetrics *om)
{
	show_process(plugin, om);
	show_tasks(plugin, om);
	show_counts(plugin->metrics, om);
	show_calls(plugin->metrics, om);
	show_log(om);
}

int nomad__metrics_text(struct nomad_plugin *plugin, struct nomad__openmetrics *ret)
{
	*ret = (struct nomad__openmetrics){ .driver = plugin->driver->name };
	show_library(plugin, ret);
	show_own(plugin, ret);
	return nomad__openmetrics_end(ret);
}

/* ---- Life ---- */

int nomad__metrics_setup(struct nomad_plugin *plugin)
{
	plugin->metrics = calloc(1, sizeof(*plugin->metrics));
	if (!plugin->metrics)
		return -ENOMEM;
	plugin->metrics->since_ns = nomad_wall_ns();
	pthread_mutex_init(&plugin->metrics->lock, NULL);
	return 0;
}

void nomad__metrics_teardown(struct nomad_plugin *plugin)
{
	struct nomad__metrics *metrics = plugin->metrics;

	if (!metrics)
		return;
	for (size_t i = 0; metrics->rpcs && i <= metrics->n_rpcs; i++)
		free(metrics->rpcs[i].service);
	free(metrics->rpcs);
	for (struct nomad_counter *next; metrics->own; metrics->own = next) {
		next = metrics->own->next;
		counter_free(metrics->own);
	}
	pthread_mutex_destroy(&metrics->lock);
	free(metrics);
}
