/* SPDX-License-Identifier: MPL-2.0
 *
 * Turns all counters into OpenMetrics text. */
#include "metrics/counters.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "nomad/error.h"
#include "os/process.h"

enum { NAME_MAX_BYTES = 48 };

/* ---- The table ---- */

/* One row for each enum nomad__metric; rows of one family follow each other. */
static const struct {
	const char *family, *unit, *help; /* the last two in a family's first row */
	const char *label, *value;
} rows[NOMAD__METRIC_MAX] = {
	[NOMAD__STARTS_STARTED] = { "task_starts", NULL,
				    "Calls of StartTask by result; adopted: an earlier plugin had started the task.",
				    "result", "started" },
	[NOMAD__STARTS_ADOPTED] = { "task_starts", .label = "result", .value = "adopted" },
	[NOMAD__STARTS_FAILED] = { "task_starts", .label = "result", .value = "failed" },
	[NOMAD__RECOVERS_RECOVERED] = { "task_recovers", NULL,
					"Tasks recovered after a restart of agent or plugin, by result; lost: the task "
					"was not running any more.",
					"result", "recovered" },
	[NOMAD__RECOVERS_LOST] = { "task_recovers", .label = "result", .value = "lost" },
	[NOMAD__RECOVERS_FAILED] = { "task_recovers", .label = "result", .value = "failed" },
	[NOMAD__ENDS_EXIT] = { "task_ends", NULL, "Ends of tasks by kind; lost: the exit code is not known.", "kind",
			       "exit" },
	[NOMAD__ENDS_SIGNAL] = { "task_ends", .label = "kind", .value = "signal" },
	[NOMAD__ENDS_OOM] = { "task_ends", .label = "kind", .value = "oom" },
	[NOMAD__ENDS_LOST] = { "task_ends", .label = "kind", .value = "lost" },
	[NOMAD__SUPERVISORS_DEAD] = { "supervisors_found_dead", NULL, "Supervisors that died without a report." },
	[NOMAD__GC_RUNS] = { "gc_runs", NULL, "Searches for unclaimed tasks." },
	[NOMAD__LEAKS_STARTING] = { "leaks_found", NULL, "Unclaimed tasks found by a search, by state.", "state",
				    "starting" },
	[NOMAD__LEAKS_HALF_MADE] = { "leaks_found", .label = "state", .value = "half-made" },
	[NOMAD__LEAKS_RUNNING] = { "leaks_found", .label = "state", .value = "running" },
	[NOMAD__LEAKS_REMOTE] = { "leaks_found", .label = "state", .value = "remote" },
	[NOMAD__LEAKS_EXITED] = { "leaks_found", .label = "state", .value = "exited" },
	[NOMAD__LEAKS_LOST] = { "leaks_found", .label = "state", .value = "lost" },
	[NOMAD__LEAKS_DESTROYING] = { "leaks_found", .label = "state", .value = "destroying" },
	[NOMAD__LEAKS_REMOVED] = { "leaks_cleared", NULL, "Results for unclaimed tasks.", "result", "removed" },
	[NOMAD__LEAKS_LEFT] = { "leaks_cleared", .label = "result", .value = "failed" },
	[NOMAD__EVENTS_EMITTED] = { "task_events", NULL, "Task events." },
	[NOMAD__EVENTS_DROPPED] = { "task_events_dropped", NULL,
				    "Task events that were dropped because the agent did not read them in time." },
	[NOMAD__LOG_LOST_BYTES] = { "task_log_lost_bytes", "bytes",
				    "Output of tasks that was still unread when the supervisor exited." },
	[NOMAD__OOM_KILLS] = { "task_oom_kills", NULL,
			       "Processes of tasks that the kernel killed because memory ran out." },
};

/* ---- Of a driver's own ---- */

static bool is_name(const char *s)
{
	size_t n = strlen(s);

	return *s >= 'a' && *s <= 'z' && n <= NAME_MAX_BYTES &&
	       strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789_") == n && s[n - 1] != '_' &&
	       !(n > 6 && strcmp(s + n - 6, "_total") == 0);
}

static void family_of(const struct nomad__metrics *metrics, const char *name, char family[2 * NAME_MAX_BYTES])
{
	snprintf(family, 2 * NAME_MAX_BYTES, "%s_%s", metrics->driver, name);
	for (char *p = family; *p; p++)
		if (*p == '-')
			*p = '_';
}

static void show_library(const struct nomad__metrics *metrics, struct nomad__openmetrics *om);

/* What the library shows is the list of its names: the driver "build" may not count "info". */
static bool is_taken(const struct nomad__metrics *metrics, const char *name)
{
	struct nomad__openmetrics om = { .driver = metrics->driver };
	char family[2 * NAME_MAX_BYTES];
	NOMAD_AUTO_FREE char *line = NULL;
	bool taken;

	family_of(metrics, name, family);
	line = nomad_strdupf("# TYPE nomad_driver_%s ", family);
	show_library(metrics, &om);
	taken = line && om.text && strstr(om.text, line);
	nomad__openmetrics_done(&om);
	return taken;
}

struct nomad_counter *nomad__metrics_counter(struct nomad__metrics *metrics, const char *name, const char *help,
					     const char *label, const char *value, struct nomad_error **err)
{
	if (!is_name(name) || !*help || !label != !value ||
	    (label && (!is_name(label) || strcmp(label, "driver") == 0 || strlen(value) > NAME_MAX_BYTES))) {
		nomad_error_set(err, EINVAL, "add counter '%s': invalid name, or empty help, label or value", name);
		return NULL;
	}
	if (is_taken(metrics, name)) {
		nomad_error_set(err, EEXIST, "add counter '%s': the library already has a metric of that name", name);
		return NULL;
	}
	return nomad__counter_get(metrics, name, help, label, value, err);
}

/* ---- As text ---- */

static void show_process(const struct nomad__metrics *metrics, struct nomad__openmetrics *om)
{
	struct nomad__process_usage usage;
	int n;

	nomad__openmetrics_family(om, NOMAD__GAUGE, "build_info", NULL, "Version of the plugin; the value is 1.");
	nomad__openmetrics_int(om, "", 1, "version", metrics->version, "library_version", NOMAD_VERSION, NULL);
	nomad__openmetrics_family(om, NOMAD__GAUGE, "process_start_time_seconds", "seconds",
				  "Start time of the plugin, since the epoch.");
	nomad__openmetrics_seconds(om, "", metrics->since_ns, NULL);
	if (nomad__process_usage(getpid(), &usage) == 0) {
		nomad__openmetrics_family(om, NOMAD__GAUGE, "process_resident_memory_bytes", "bytes",
					  "Memory of the plugin, without supervisors.");
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

static bool was_called(const struct nomad__rpc_counts *rpc)
{
	return nomad__counted(&rpc->begun);
}

static uint64_t ends_of(const struct nomad__rpc_counts *rpc)
{
	uint64_t n = 0;

	for (unsigned code = 0; code < NOMAD__RPC_CODES; code++)
		n += __atomic_load_n(&rpc->ended[code], __ATOMIC_ACQUIRE);
	return n;
}

/* The names are those of other gRPC exporters.  Methods without calls are omitted. */
static void show_calls(const struct nomad__metrics *metrics, struct nomad__openmetrics *om)
{
	const size_t n = metrics->rpcs ? metrics->n_rpcs + 1 : 0;

	nomad__openmetrics_family(om, NOMAD__COUNTER, "grpc_server_started", NULL, "Calls received.");
	for (const struct nomad__rpc_counts *rpc = metrics->rpcs; rpc < metrics->rpcs + n; rpc++)
		if (was_called(rpc))
			nomad__openmetrics_int(om, "_total", nomad__counted(&rpc->begun), "grpc_service", rpc->service,
					       "grpc_method", rpc->method, NULL);
	nomad__openmetrics_family(
		om, NOMAD__COUNTER, "grpc_server_handled", NULL,
		"Calls that have ended, by code; calls that the agent ended, such as streams, are CANCELLED.");
	for (const struct nomad__rpc_counts *rpc = metrics->rpcs; rpc < metrics->rpcs + n; rpc++)
		for (unsigned code = 0; code < NOMAD__RPC_CODES; code++)
			if (was_called(rpc) && (code == 0 || nomad__counted(&rpc->ended[code])))
				nomad__openmetrics_int(om, "_total", nomad__counted(&rpc->ended[code]), "grpc_service",
						       rpc->service, "grpc_method", rpc->method, "grpc_code",
						       metrics->code_name(code), NULL);
	nomad__openmetrics_family(om, NOMAD__GAUGE, "grpc_server_in_flight", NULL, "Calls that are open.");
	for (const struct nomad__rpc_counts *rpc = metrics->rpcs; rpc < metrics->rpcs + n; rpc++) {
		uint64_t ends = ends_of(rpc);

		if (was_called(rpc))
			nomad__openmetrics_int(om, "", nomad__counted(&rpc->begun) - ends, "grpc_service", rpc->service,
					       "grpc_method", rpc->method, NULL);
	}
	nomad__openmetrics_family(
		om, NOMAD__HISTOGRAM, "grpc_server_handling_seconds", "seconds",
		"Duration of calls, except streams and WaitTask, which last as long as the agent or the task.");
	for (const struct nomad__rpc_counts *rpc = metrics->rpcs; rpc < metrics->rpcs + n; rpc++)
		if (rpc->timed && was_called(rpc))
			nomad__openmetrics_latency(om, &rpc->latency, "grpc_service", rpc->service, "grpc_method",
						   rpc->method);
}

static void show_tasks(const struct nomad__metrics *metrics, struct nomad__openmetrics *om)
{
	struct nomad__task_counts tasks = { 0 };

	metrics->count_tasks(metrics->ud, &tasks);
	nomad__openmetrics_family(om, NOMAD__GAUGE, "tasks", NULL, "Tasks of the plugin, by state.");
	nomad__openmetrics_int(om, "", tasks.starting, "state", "starting", NULL);
	nomad__openmetrics_int(om, "", tasks.running, "state", "running", NULL);
	nomad__openmetrics_int(om, "", tasks.stopping, "state", "stopping", NULL);
	nomad__openmetrics_int(om, "", tasks.exited, "state", "exited", NULL);
}

static void show_counts(const struct nomad__metrics *metrics, struct nomad__openmetrics *om)
{
	for (size_t i = 0; i < NOMAD_ARRAY_LEN(rows); i++) {
		if (rows[i].help)
			nomad__openmetrics_family(om, NOMAD__COUNTER, rows[i].family, rows[i].unit, rows[i].help);
		nomad__openmetrics_int(om, "_total", nomad__counted(&metrics->counts[i]), rows[i].label, rows[i].value,
				       NULL);
	}
}

static void show_log(struct nomad__openmetrics *om)
{
	static const char *const levels[NOMAD_LOG_LEVEL_MAX] = { "trace", "debug", "info", "warn", "error" };
	uint64_t lines[NOMAD_LOG_LEVEL_MAX], bytes, lost;

	nomad__log_counts(lines, &bytes, &lost);
	nomad__openmetrics_family(om, NOMAD__COUNTER, "log_lines", NULL, "Lines of the plugin's log by level.");
	for (size_t i = 0; i < NOMAD_LOG_LEVEL_MAX; i++)
		nomad__openmetrics_int(om, "_total", lines[i], "level", levels[i], NULL);
	nomad__openmetrics_family(om, NOMAD__COUNTER, "log_bytes", "bytes", "Bytes of the plugin's log.");
	nomad__openmetrics_int(om, "_total", bytes, NULL);
	nomad__openmetrics_family(
		om, NOMAD__COUNTER, "log_lines_dropped", NULL,
		"Lines of the plugin's log that were lost because the agent did not read them in time.");
	nomad__openmetrics_int(om, "_total", lost, NULL);
}

static void show_own(struct nomad__metrics *metrics, struct nomad__openmetrics *om)
{
	const char *before = "";
	char family[2 * NAME_MAX_BYTES];

	pthread_mutex_lock(&metrics->lock);
	for (const struct nomad_counter *own = metrics->own; own; own = own->next) {
		if (strcmp(before, own->name) != 0) {
			family_of(metrics, own->name, family);
			nomad__openmetrics_family(om, NOMAD__COUNTER, family, NULL, own->help);
			before = own->name;
		}
		nomad__openmetrics_int(om, "_total", nomad__counted(&own->count), own->label, own->value, NULL);
	}
	pthread_mutex_unlock(&metrics->lock);
}

static void show_library(const struct nomad__metrics *metrics, struct nomad__openmetrics *om)
{
	show_process(metrics, om);
	show_tasks(metrics, om);
	show_counts(metrics, om);
	show_calls(metrics, om);
	show_log(om);
}

int nomad__metrics_text(struct nomad__metrics *metrics, struct nomad__openmetrics *ret)
{
	*ret = (struct nomad__openmetrics){ .driver = metrics->driver };
	show_library(metrics, ret);
	show_own(metrics, ret);
	return nomad__openmetrics_end(ret);
}
