/* SPDX-License-Identifier: MPL-2.0
 *
 * core/core.h: the plugin without a wire.
 *
 * wire/ (gRPC) and cli/ (the command line) call it; it uses neither protobuf
 * nor gRPC.  Calls that take a `done` or `emit` callback return at once.  The
 * callback runs on a library thread (loop or worker) without a lock.  It may
 * call into core, but must not block.  Calls without a callback may block as
 * long as the driver does: make them on a worker, see nomad__work(). */
#ifndef NOMAD_CORE_H
#define NOMAD_CORE_H

#include "nomad/driver.h"
#include "nomad/error.h"
#include "nomad/log.h"
#include "nomad/option.h"
#include "nomad/task.h"

struct nomad_plugin;

/* ---- Life of the plugin ---- */

struct nomad_plugin *nomad__plugin_new(const struct nomad_driver *driver, struct nomad_error **err);
/* Stops the loop and the workers; tasks continue.  All subscriptions must be cancelled before. */
void nomad__plugin_free(struct nomad_plugin *plugin);
const struct nomad_driver *nomad__plugin_driver(const struct nomad_plugin *plugin);
/* The driver's plugin block with the library's own options added. */
const struct nomad_schema *nomad__plugin_config_schema(const struct nomad_plugin *plugin);
/* The answer to Capabilities; depends on the configuration (log_collection). */
unsigned nomad__plugin_capabilities(struct nomad_plugin *plugin);

/* Facts about the node from SetConfig, for CPU ticks. */
struct nomad__node {
	uint64_t total_compute_mhz; /* 0: unknown */
	unsigned cores;
	uint32_t min_port, max_port;
};

/* Decodes and stores the plugin block (msgpack; empty: defaults).  `node` is
 * NULL in trial launches, which change nothing on the host.  Idempotent. */
int nomad__plugin_configure(struct nomad_plugin *plugin, const void *config, size_t size,
			    const struct nomad__node *node, struct nomad_error **err);
int nomad__plugin_init(struct nomad_plugin *plugin, struct nomad_error **err);
/* Driver.Shutdown: no new tasks; incomplete starts are ended, or left for the next plugin to adopt. */
void nomad__plugin_shutdown(struct nomad_plugin *plugin);

/* Run fn(ud) on a worker thread. 0 or -ENOMEM/-EAGAIN/-ESHUTDOWN. */
int nomad__work(struct nomad_plugin *plugin, void (*fn)(void *ud), void *ud) NOMAD_MUST_CHECK;

/* The loop thread's timers and descriptors, see base/loop.h. */
struct nomad__loop *nomad__plugin_loop(struct nomad_plugin *plugin);

/* ---- Streams ---- */

struct nomad__attribute {
	char *key; /* complete: "driver.nspawn.version" */
	enum { NOMAD__ATTR_STRING, NOMAD__ATTR_BOOL, NOMAD__ATTR_INT } type;
	char *string;
	bool boolean;
	int64_t integer;
	char *unit; /* or NULL */
};

struct nomad__fingerprint_view {
	enum nomad_health health;
	const char *description;
	const struct nomad__attribute *attributes; /* sorted by key */
	size_t n_attributes;
};

struct nomad__event {
	const char *task_id, *alloc_id, *task_name, *message;
	int64_t time_ns; /* since the epoch */
	const struct nomad_map *annotations;
};

/* A subscription.  Its `emit` never runs twice at the same time.  It does not run
 * after nomad__sub_cancel() has returned, unless emit itself called cancel. */
struct nomad__sub;
void nomad__sub_cancel(struct nomad__sub *sub); /* frees it; NULL is fine */

/* Emits the first time when the fingerprint is complete, then on each change. */
struct nomad__sub *nomad__fingerprint_subscribe(struct nomad_plugin *plugin,
						void (*emit)(void *ud, const struct nomad__fingerprint_view *fp),
						void *ud);
struct nomad__sub *nomad__events_subscribe(struct nomad_plugin *plugin,
					   void (*emit)(void *ud, const struct nomad__event *event), void *ud);

struct nomad__stats_view {
	const char *task_id;
	int64_t time_ns;
	double ticks_per_percent; /* MHz of the node for one percent of a core */
	const struct nomad_stats *stats;
};

/* `view` is NULL after the last sample, when the task is removed.  A task without
 * statistics never emits.  The interval is clamped to 100 ms .. 1 h. */
int nomad__stats_subscribe(struct nomad_plugin *plugin, const char *id, int64_t interval_ns,
			   void (*emit)(void *ud, const struct nomad__stats_view *view), void *ud,
			   struct nomad__sub **ret_sub, struct nomad_error **err);

/* ---- Tasks ---- */

void nomad__task_info_done(struct nomad_task_info *info);

struct nomad__started {
	void *driver_state; /* owned */
	size_t driver_state_size;
	char *addr; /* network override; or NULL */
	bool auto_advertise;
	bool has_network;
	struct nomad_int_map port_map;
};
void nomad__started_done(struct nomad__started *started);

/* The caller of a start, which may disconnect at any time. */
struct nomad__caller;
struct nomad__caller *nomad__caller_new(void);
struct nomad__caller *nomad__caller_ref(struct nomad__caller *caller);
void nomad__caller_unref(struct nomad__caller *caller); /* NULL is fine */
/* Reports that the caller has disconnected.  Any thread; does not block.  The start is undone when the driver's
 * start() returns, unless another call for the same id comes before. */
void nomad__caller_leave(struct nomad__caller *caller);

/* StartTask, also its replay.  Ends every other run of the same allocation
 * and task name first; -ECANCELED if the start was cancelled, and undone.
 * `caller` NULL: it never disconnects.  `take_info` is emptied.  Blocks. */
int nomad__task_start(struct nomad_plugin *plugin, struct nomad__caller *caller, struct nomad_task_info *take_info,
		      const void *config, size_t config_size, struct nomad__started *ret, struct nomad_error **err);
/* RecoverTask.  `config` may be empty; driver_state decides.  `asked_ns`: when the call came (monotonic).  Its agent
 * may be dead by now, and the next agent may not know the task.  Blocks (2 s at most). */
int nomad__task_recover(struct nomad_plugin *plugin, struct nomad_task_info *take_info, const void *driver_state,
			size_t driver_state_size, int64_t asked_ns, struct nomad_error **err);

/* WaitTask.  `done` runs exactly once unless cancelled: r = 0 and a result,
 * or r < 0 and an error (borrowed for the call).  Returns -ENOENT at once if the
 * task is unknown. */
int nomad__task_wait(struct nomad_plugin *plugin, const char *id,
		     void (*done)(void *ud, int r, const struct nomad_exit *result, const struct nomad_error *err),
		     void *ud, struct nomad__sub **ret_sub, struct nomad_error **err);

/* StopTask.  Calls done at once with 0 if the task is unknown or has ended.  An
 * unknown signal name is -EINVAL.  Not cancellable: the stop continues. */
int nomad__task_stop(struct nomad_plugin *plugin, const char *id, int64_t timeout_ns, const char *signal,
		     void (*done)(void *ud, int r, const struct nomad_error *err), void *ud, struct nomad_error **err);
/* DestroyTask.  Removes an unknown task by its records and returns 0.  Blocks. */
int nomad__task_destroy(struct nomad_plugin *plugin, const char *id, bool force, struct nomad_error **err);
int nomad__task_signal(struct nomad_plugin *plugin, const char *id, const char *signal, struct nomad_error **err);

enum nomad__task_state { NOMAD__TASK_UNKNOWN, NOMAD__TASK_RUNNING, NOMAD__TASK_EXITED };

struct nomad__inspect {
	char *id, *name;
	enum nomad__task_state state;
	int64_t started_ns, completed_ns; /* since the epoch; 0: not yet */
	struct nomad_exit result;
	struct nomad_map attributes;
	struct nomad__started network; /* the network part only */
};
int nomad__task_inspect(struct nomad_plugin *plugin, const char *id, struct nomad__inspect *ret,
			struct nomad_error **err);
void nomad__inspect_done(struct nomad__inspect *inspect);

/* ---- Exec ---- */

struct nomad__exec_result {
	const void *stdout_data, *stderr_data; /* the last 4096 bytes; stderr is merged into stdout */
	size_t stdout_size, stderr_size;
	struct nomad_exit exit;
};

int nomad__task_exec(struct nomad_plugin *plugin, const char *id, const char *const *argv, int64_t timeout_ns,
		     void (*done)(void *ud, int r, const struct nomad__exec_result *result,
				  const struct nomad_error *err),
		     void *ud, struct nomad_error **err);

struct nomad__exec_stream;

struct nomad__exec_events {
	/* fd 1 or 2; size 0: that stream has ended.  Return false to pause all
	 * output until nomad__exec_resume(). */
	bool (*output)(void *ud, int fd, const void *data, size_t size);
	/* The last event: r = 0 and the status, or r < 0 and an error. */
	void (*exited)(void *ud, int r, const struct nomad_exit *result, const struct nomad_error *err);
};

/* Opens a stream; events come from the loop thread, possibly before this
 * returns.  `events` is borrowed until close.  May block: call on a worker. */
int nomad__exec_open(struct nomad_plugin *plugin, const char *id, const char *const *argv, bool tty,
		     const struct nomad__exec_events *events, void *ud, struct nomad__exec_stream **ret,
		     struct nomad_error **err);
/* Any thread.  Input is queued; returns the number of bytes in the queue, for flow control. */
size_t nomad__exec_stdin(struct nomad__exec_stream *stream, const void *data, size_t size);
void nomad__exec_stdin_close(struct nomad__exec_stream *stream);
void nomad__exec_resize(struct nomad__exec_stream *stream, int rows, int columns);
void nomad__exec_resume(struct nomad__exec_stream *stream);
/* Kills the command if it still runs, and frees.  No event comes afterwards
 * (it waits for one that is under way, unless called from within it). */
void nomad__exec_close(struct nomad__exec_stream *stream);

/* ---- Networks ---- */

int nomad__create_network(struct nomad_plugin *plugin, const char *alloc_id, const char *hostname,
			  struct nomad_network_isolation *ret, bool *ret_created, struct nomad_error **err);
int nomad__destroy_network(struct nomad_plugin *plugin, const char *alloc_id,
			   const struct nomad_network_isolation *spec, struct nomad_error **err);
void nomad__network_isolation_done(struct nomad_network_isolation *spec);

/* ---- Metrics ---- */

/* metrics/metrics.h; lives as long as the plugin. */
struct nomad__metrics;
struct nomad__metrics *nomad__plugin_metrics(struct nomad_plugin *plugin);

#endif
