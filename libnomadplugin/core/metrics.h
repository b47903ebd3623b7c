/* SPDX-License-Identifier: MPL-2.0
 *
 * core/metrics.h: what the plugin counts, and where it is shown.
 *
 *	metrics.c	the counters, the driver's own, and all of it as text
 *	openmetrics.c	the form of that text, histograms
 *	metrics_http.c	a request and its answer
 *	metrics_serve.c	the socket, and the clock of the file
 *	metrics_file.c	the file
 *
 * Counting is an atomic addition, whether or not it is shown.  Only a plugin
 * that serves an agent shows anything (nomad__metrics_calls() was called):
 * the commands of the command line do not. */
#ifndef NOMAD_CORE_METRICS_H
#define NOMAD_CORE_METRICS_H

#include <sys/types.h>

#include "core/core.h"
#include "core/openmetrics.h"

/* The order is that of the table in metrics.c, and of the output. */
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
	NOMAD__LEAKS, /* one for each enum nomad__disk_state */
	NOMAD__LEAKS_LAST = NOMAD__LEAKS + 6,
	NOMAD__LEAKS_REMOVED,
	NOMAD__LEAKS_LEFT,
	NOMAD__EVENTS_EMITTED,
	NOMAD__EVENTS_DROPPED,
	NOMAD__LOG_LOST_BYTES,
	NOMAD__METRIC_MAX,
};

/* The option block `metrics`. */
struct nomad__metrics_config {
	char *socket, *file, *interval;
};
extern const struct nomad_schema nomad__metrics_schema;

struct nomad__metrics;
int nomad__metrics_setup(struct nomad_plugin *plugin); /* 0 or -ENOMEM */
void nomad__metrics_teardown(struct nomad_plugin *plugin);
void nomad__metric_add(struct nomad_plugin *plugin, enum nomad__metric metric, uint64_t n);
/* The end of a task, by its kind. */
void nomad__metric_end(struct nomad_plugin *plugin, const struct nomad_exit *result);
/* Whether there is an agent that calls. */
bool nomad__metrics_wanted(const struct nomad_plugin *plugin);
/* All of it; any thread.  0 or -ENOMEM; nomad__openmetrics_done() in any case. */
int nomad__metrics_text(struct nomad_plugin *plugin, struct nomad__openmetrics *ret);

/* ---- metrics_http.c ---- */

enum { NOMAD__HTTP_REQUEST_MAX = 4096 };

/* Whether the head of a request is complete: it need not be read further. */
bool nomad__http_complete(const char *request, size_t size);
/* The answer to what was read (`full`: more than may be), malloc()ed; NULL: out of memory. */
char *nomad__http_answer(struct nomad_plugin *plugin, const char *request, size_t size, bool full, size_t *ret_size);

/* ---- metrics_serve.c ---- */

/* "15s", "1m", "1h", "15": nanoseconds, from one second to one day; or -EINVAL. */
int64_t nomad__metrics_interval(const char *text);
/* Once, after init: begin to show, if the configuration says so. */
void nomad__metrics_start(struct nomad_plugin *plugin);
/* The pool has stopped, the loop runs: end it, and remove what is ours. */
void nomad__metrics_stop(struct nomad_plugin *plugin);

/* ---- metrics_file.c ---- */

/* Replace the file, atomically.  Its identity into *ret.  May wait for a disk. */
struct stat;
int nomad__metrics_write(const char *path, const char *text, size_t size, struct stat *ret, struct nomad_error **err);
/* Remove `path` if it is still that file. */
void nomad__metrics_remove(const char *path, const struct stat *what);

#endif
