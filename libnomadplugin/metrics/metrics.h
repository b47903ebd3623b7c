/* SPDX-License-Identifier: MPL-2.0
 *
 * metrics/metrics.h: counters of the plugin, and where they are shown.
 *
 *	core, wire, drivers --> counters.c --> text.c (form: openmetrics.c) --> serve.c: socket, and by file.c a file
 *
 * Counting is an atomic addition, whether or not anything is shown.  Only a
 * plugin that serves an agent shows its metrics: the commands do not.  All
 * functions are safe from any thread unless their comment says otherwise. */
#ifndef NOMAD_METRICS_METRICS_H
#define NOMAD_METRICS_METRICS_H

#include <sys/types.h>

#include "metrics/openmetrics.h"
#include "nomad/option.h"
#include "nomad/task.h"

struct nomad__loop;
struct nomad__metrics;
struct nomad__metrics_server;
struct nomad__pool;
struct nomad_counter;
struct stat;

/* ---- Counters ---- */

/* In the order of the output. */
enum nomad__metric {
	NOMAD__STARTS_STARTED,
	NOMAD__STARTS_ADOPTED,
	NOMAD__STARTS_FAILED,
	NOMAD__RECOVERS_RECOVERED,
	NOMAD__RECOVERS_LOST,
	NOMAD__RECOVERS_FAILED,
	NOMAD__ENDS_EXIT,
	NOMAD__ENDS_SIGNAL,
	NOMAD__ENDS_OOM,
	NOMAD__ENDS_LOST,
	NOMAD__SUPERVISORS_DEAD,
	NOMAD__GC_RUNS,
	NOMAD__LEAKS_STARTING,
	NOMAD__LEAKS_HALF_MADE,
	NOMAD__LEAKS_RUNNING,
	NOMAD__LEAKS_REMOTE,
	NOMAD__LEAKS_EXITED,
	NOMAD__LEAKS_LOST,
	NOMAD__LEAKS_DESTROYING,
	NOMAD__LEAKS_REMOVED,
	NOMAD__LEAKS_LEFT,
	NOMAD__EVENTS_EMITTED,
	NOMAD__EVENTS_DROPPED,
	NOMAD__LOG_LOST_BYTES,
	NOMAD__OOM_KILLS,
	NOMAD__METRIC_MAX,
};

/* The number of tasks in each state is not counted but asked for. */
struct nomad__task_counts {
	uint64_t starting, running, stopping, exited;
};

/* `driver` and `version` are borrowed.  `count_tasks` is called for each text.  NULL: out of memory. */
struct nomad__metrics *nomad__metrics_new(const char *driver, const char *version,
					  void (*count_tasks)(void *ud, struct nomad__task_counts *ret), void *ud);
void nomad__metrics_free(struct nomad__metrics *metrics); /* NULL is fine */
void nomad__metric_add(struct nomad__metrics *metrics, enum nomad__metric metric, uint64_t n);
/* Counts the end of a task by its kind. */
void nomad__metric_end(struct nomad__metrics *metrics, const struct nomad_exit *result);

/* A gRPC method.  Its index identifies it from then on; `count` means an unknown one. */
struct nomad__rpc {
	const char *path; /* "/service/method" */
	bool timed;	  /* false: its duration depends on the agent or the task */
};
/* Once, before the first call; the paths are borrowed.  0 or -ENOMEM. */
int nomad__metrics_calls(struct nomad__metrics *metrics, const struct nomad__rpc *rpcs, size_t count,
			 const char *(*code_name)(unsigned code)) NOMAD_MUST_CHECK;
void nomad__metrics_call_begins(struct nomad__metrics *metrics, size_t rpc);
void nomad__metrics_call_ends(struct nomad__metrics *metrics, size_t rpc, unsigned code, int64_t duration_ns);

/* ---- Text ---- */

/* nomad_counter_new() of nomad/metrics.h. */
struct nomad_counter *nomad__metrics_counter(struct nomad__metrics *metrics, const char *name, const char *help,
					     const char *label, const char *value, struct nomad_error **err);
/* All metrics.  0 or -ENOMEM; call nomad__openmetrics_done() in any case. */
int nomad__metrics_text(struct nomad__metrics *metrics, struct nomad__openmetrics *ret);

/* ---- Socket and file ---- */

/* The option block `metrics`. */
struct nomad__metrics_config {
	char *socket, *file, *interval;
};
extern const struct nomad_schema nomad__metrics_schema;

/* "15s", "1m", "1h", "15": nanoseconds, from one second to one day; or -EINVAL. */
int64_t nomad__metrics_interval(const char *text);
/* Begins to show, soon.  All is borrowed until nomad__metrics_stop().  NULL: nothing to show (`config` NULL, or no
 * agent is served), or out of memory, which is logged. */
struct nomad__metrics_server *nomad__metrics_start(struct nomad__metrics *metrics,
						   const struct nomad__metrics_config *config, struct nomad__loop *loop,
						   struct nomad__pool *pool);
/* Ends it on the loop thread, soon, and removes socket and file.  The pool has stopped, the loop still runs.
 * Cannot fail; NULL is fine. */
void nomad__metrics_stop(struct nomad__metrics_server *server);

/* Replaces the file atomically.  Its identity into *ret.  May wait for a disk. */
int nomad__metrics_write(const char *path, const char *text, size_t size, struct stat *ret, struct nomad_error **err);
/* Removes `path` if it is still that file. */
void nomad__metrics_remove(const char *path, const struct stat *what);

#endif
