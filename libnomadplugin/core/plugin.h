/* SPDX-License-Identifier: MPL-2.0
 *
 * core/plugin.h: what the files of core/ share.
 *
 *	plugin.c	configuration, init, the table of tasks
 *	task.c		a task: identity, directories, records, what drivers call
 *	start.c		start, replay and recovery
 *	life.c		wait, stop, signal, destroy
 *	lingering.c	supervisors that outlive their task for a while
 *	inspect.c, network.c	the calls of that name
 *	record.c	the journal of one task on disk
 *	handle.c	driver_state: what Nomad keeps for us
 *	exec.c		commands in a task
 *	fingerprint.c, events.c, stats.c	the streams
 *
 * Locks, in the order they may be taken: plugin->init_lock, a task's `busy`
 * (held around driver callbacks), plugin->lock (table), a task's `journal`
 * (held while the disk is waited for: never on the loop thread), a task's
 * `lock`, the lock of a list of subscriptions, that of a supervisor's handle; alone: that of the driver's counters.
 *None but init_lock and `busy` is held while foreign code runs, none at all on the loop thread. */
#ifndef NOMAD_CORE_PLUGIN_H
#define NOMAD_CORE_PLUGIN_H

#include <pthread.h>

#include "core/core.h"
#include "base/loop.h"
#include "base/pool.h"
#include "core/journal.h"
#include "core/sub.h"
#include "base/tree.h"
#include "metrics/metrics.h"
#include "os/process.h"
#include "supervisor/client.h"

enum nomad__phase {
	NOMAD__STARTING, /* start() or recover() runs */
	NOMAD__RUNNING,
	NOMAD__EXITED, /* the end is known, or known to be unknown */
	NOMAD__GONE,   /* destroyed: not in the table any more */
};

enum { NOMAD__BUCKETS = 256 };

struct nomad_task {
	int refs;
	struct nomad_task *next; /* in the plugin's table */
	struct nomad_plugin *plugin;
	struct nomad_task_info info;
	char *slug, *dir, *local_dir, *secrets_dir, *shared_dir, *state_dir;
	void *config;	     /* decoded; or NULL */
	void *stored_config; /* msgpack without secrets, for the handle */
	size_t stored_config_size;

	pthread_mutex_t busy; /* one driver callback at a time */

	pthread_mutex_t journal;
	struct nomad__journal record;

	pthread_mutex_t lock; /* all below */
	pthread_cond_t changed;
	enum nomad__phase phase;
	struct nomad__supervisor *supervisor;
	bool stopping, lost;
	struct nomad_exit result;
	int64_t started_ns, ended_ns;
	bool has_network, auto_advertise;
	char *addr;
	struct nomad_int_map port_map;
	struct nomad__exec_stream *execs; /* that hold on to the supervisor */
	unsigned opening;		  /* driver->exec() runs that often */
	struct nomad__stop *stops;	  /* under way */
};

/* The options that every driver has. */
struct nomad__library_config {
	char *state_dir;
	char *log_collection;
	int64_t log_max_files;
	int64_t log_max_file_size_mb;
	int64_t gc_grace_s;
	struct nomad__metrics_config *metrics; /* or NULL */
};

struct nomad_plugin {
	const struct nomad_driver *driver;
	struct nomad__loop *loop;
	struct nomad__pool *pool;

	/* driver's rows, then the library's; struct likewise */
	struct nomad_schema schema;
	struct nomad_option *rows;
	size_t library_offset;
	struct nomad_schema no_options;

	pthread_mutex_t lock;
	void *config; /* of the schema above; never changes once init ran */
	struct nomad__node node;
	bool final, shut_down;
	char *state_dir;
	char boot_id[NOMAD__BOOT_ID_SIZE];
	struct nomad_task *tasks[NOMAD__BUCKETS]; /* by id */

	pthread_mutex_t init_lock;
	bool inited;
	void *data;
	struct nomad__timer *gc_timer;	    /* loop thread */
	struct nomad__lingering *lingering; /* supervisors of tasks that are over */
	struct nomad_map orphans;	    /* what gc saw running unclaimed: slug -> since when; one gc at a time */

	struct nomad__sub_list fingerprints, events, stats, waiters, stoppers;
	struct nomad__fingerprint_keeper *fingerprint;
	struct nomad__event_keeper *event_keeper;
	struct nomad__stats_keeper *stats_keeper;
	struct nomad__metrics *metrics;
	struct nomad__metrics_server *metrics_server; /* NULL: nothing is shown */
};

/* ---- plugin.c ---- */
const struct nomad__library_config *nomad__library_config(const struct nomad_plugin *plugin);
int nomad__plugin_ensure_init(struct nomad_plugin *plugin, struct nomad_error **err);
/* A reference, or NULL. */
struct nomad_task *nomad__task_find(struct nomad_plugin *plugin, const char *id);
int nomad__task_find_or(struct nomad_plugin *plugin, const char *id, struct nomad_task **ret, struct nomad_error **err);
/* -EEXIST and the other one in *ret if the id is taken. */
int nomad__task_insert(struct nomad_plugin *plugin, struct nomad_task *task, struct nomad_task **ret_other);
void nomad__task_remove(struct nomad_plugin *plugin, struct nomad_task *task);

/* ---- task.c ---- */
int nomad__task_new(struct nomad_plugin *plugin, struct nomad_task_info *take_info, struct nomad_task **ret,
		    struct nomad_error **err);
struct nomad_task *nomad__task_ref(struct nomad_task *task);
void nomad__task_unref(struct nomad_task *task);
char *nomad__slug(const char *id);
extern const struct nomad__supervisor_events nomad__task_supervisor_events;
/* The end of the task: the first call counts.  Any thread, no lock held. */
void nomad__task_ended(struct nomad_task *task, const struct nomad_exit *result, int64_t ended_ns);
enum nomad__phase nomad__task_phase(struct nomad_task *task);
/* The task is no more: out of the table. */
void nomad__task_gone(struct nomad_task *task);
/* Wait until the task has ended; false after the timeout. */
bool nomad__task_await_end(struct nomad_task *task, int64_t timeout_ns);
/* Make known again what set_network() had recorded. */
void nomad__task_restore_network(struct nomad_task *task);

/* ---- lingering.c ---- */
/* Nobody is to hear of its end any more; but of logs that got lost after it. */
void nomad__task_let_supervisor_go(struct nomad_task *task, struct nomad__supervisor *take_supervisor);
void nomad__lingering_closed(struct nomad_plugin *plugin, struct nomad__supervisor *supervisor);
void nomad__lingering_drop(struct nomad_plugin *plugin);

/* ---- life.c ---- */
/* The task has ended: its stops are no more. */
void nomad__task_stops_over(struct nomad_task *task);
/* The plugin ends: who waits for a stop is told so. */
void nomad__stops_cancel(struct nomad_plugin *plugin);
/* Destroy a task from a record that the caller has opened and claimed (emptied). */
int nomad__task_destroy_recorded(struct nomad_plugin *plugin, const char *id, struct nomad__journal *take_record,
				 struct nomad_error **err);

/* ---- the keepers of the streams ---- */
int nomad__fingerprint_setup(struct nomad_plugin *plugin);
void nomad__fingerprint_teardown(struct nomad_plugin *plugin);
int nomad__events_setup(struct nomad_plugin *plugin);
void nomad__events_teardown(struct nomad_plugin *plugin);
void nomad__event_emit(struct nomad_plugin *plugin, const struct nomad__event *event);
int nomad__stats_setup(struct nomad_plugin *plugin);
void nomad__stats_teardown(struct nomad_plugin *plugin);
void nomad__stats_task_ended(struct nomad_task *task);

#endif
