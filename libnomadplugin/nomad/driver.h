/* SPDX-License-Identifier: MPL-2.0
 *
 * nomad/driver.h: what a driver is: a table of facts, two option tables and
 * a few functions.  Only name, version, task_schema, fingerprint and start
 * are required; what is NULL gets the library's behaviour, named beside it. */
#ifndef NOMAD_DRIVER_H
#define NOMAD_DRIVER_H

#include "nomad/base.h"
#include "nomad/option.h"
#include "nomad/task.h"

NOMAD_BEGIN_DECLS

struct nomad_error;
struct nomad_plugin;

/* ---- Fingerprint ---- */

enum nomad_health {
	NOMAD_UNDETECTED, /* this host has not what the driver drives */
	NOMAD_UNHEALTHY,  /* it has, but no task can run now */
	NOMAD_HEALTHY,
};

struct nomad_fingerprint;

/* Attributes of the node: driver.<name> is set by the library, `key` is put
 * behind it: driver.<name>.<key>.  Values must be stable: no counters, no
 * times.  All copy what they get; all are for use in fingerprint() only. */
void nomad_fp_string(struct nomad_fingerprint *fp, const char *key, const char *value);
void nomad_fp_bool(struct nomad_fingerprint *fp, const char *key, bool value);
void nomad_fp_int(struct nomad_fingerprint *fp, const char *key, int64_t value, const char *unit);

/* A check of this host.  `what` is a short fixed name ("systemd-nspawn").
 * Where `ok` is false, health falls to `otherwise` (the worst of all checks
 * counts, the first failed one of that level gives Nomad's description:
 * "finding; remedy"), and `doctor` shows all.  With otherwise =
 * NOMAD_HEALTHY a failed check is but a warning of `doctor`.  Returns ok.
 * Without any failed check the driver is healthy. */
bool nomad_fp_check(struct nomad_fingerprint *fp, const char *what, bool ok, enum nomad_health otherwise,
		    const char *finding, const char *remedy);

/* ---- Exec in a task ---- */

/* How the library is to run a command in a task.  Filled with the defaults
 * named here before exec() is called; strings are owned by the struct. */
struct nomad_exec {
	char **argv; /* what Nomad asked for */
	bool tty;
	struct nomad_map env; /* NULL pairs: that of the task's command */
	char *cwd;	      /* NULL: that of the task's command */
	char *user;	      /* NULL: that of the task's command; on the host */
};

/* ---- Statistics ---- */

/* One process of the task. */
struct nomad_pid_stats {
	int pid;
	unsigned measured; /* NOMAD_STAT_*: CPU, CPU_SYSTEM, CPU_USER, RSS, SWAP */
	double cpu_percent, cpu_system_percent, cpu_user_percent;
	uint64_t rss_bytes, swap_bytes;
	void *reserved[4];
};

struct nomad_stats {
	double cpu_percent; /* 100.0 is one core */
	double cpu_system_percent, cpu_user_percent;
	uint64_t throttled_periods, throttled_ns;
	uint64_t rss_bytes, cache_bytes, swap_bytes, usage_bytes, max_usage_bytes;
	uint64_t kernel_usage_bytes, kernel_max_usage_bytes;
	unsigned measured;	      /* NOMAD_STAT_*: which of the above are known */
	struct nomad_pid_stats *pids; /* set by nomad_stats_add_pid(); the library frees it */
	size_t n_pids;
};

/* Add a process to a sample, in stats(): copied.  0 or -ENOMEM. */
int nomad_stats_add_pid(struct nomad_stats *stats, const struct nomad_pid_stats *pid) NOMAD_MUST_CHECK;

enum {
	NOMAD_STAT_CPU = 1 << 0, /* cpu_percent (total ticks follow from it) */
	NOMAD_STAT_CPU_SYSTEM = 1 << 1,
	NOMAD_STAT_CPU_USER = 1 << 2,
	NOMAD_STAT_THROTTLED = 1 << 3,
	NOMAD_STAT_RSS = 1 << 4,
	NOMAD_STAT_CACHE = 1 << 5,
	NOMAD_STAT_SWAP = 1 << 6,
	NOMAD_STAT_USAGE = 1 << 7,
	NOMAD_STAT_MAX_USAGE = 1 << 8,
	NOMAD_STAT_KERNEL = 1 << 9,
	NOMAD_STAT_KERNEL_MAX = 1 << 10,
};

/* ---- The driver ---- */

enum nomad_capability {
	NOMAD_CAN_SIGNAL = 1 << 0,
	NOMAD_CAN_EXEC = 1 << 1,
	NOMAD_NEEDS_NETWORK = 1 << 2, /* must_create_network */
	NOMAD_NO_VOLUMES = 1 << 3,    /* host and CSI volumes cannot be mounted */
	NOMAD_OWN_LOGS = 1 << 4,      /* disable_log_collection, always: Nomad makes no log FIFOs */
	NOMAD_DYNAMIC_USERS = 1 << 5,
	NOMAD_JOIN_GROUP_NETWORK = 1 << 6, /* network modes bridge, cni/..., none */
	NOMAD_OWN_TASK_NETWORK = 1 << 7,   /* network mode driver */
	NOMAD_ALL_REMOTE = 1 << 8,	   /* runs no task on this host: the plugin gives up what that takes (mounts,
					    * namespaces, capabilities), for good and for its children; the
					    * environment of a task is there in start() and recover() only */
};

enum nomad_fs_isolation {
	NOMAD_FS_NONE,
	NOMAD_FS_CHROOT,
	NOMAD_FS_IMAGE,
	NOMAD_FS_UNVEIL,
};

/* A command of the driver's own command line, beside those of the library. */
struct nomad_driver_command {
	const char *name, *arguments, *help; /* as --help shows them */
	/* Returns the exit status.  argv begins with the name; --config FILE, which every such command takes, is read
	 * and removed.  Without init(), as fingerprint() in `doctor`: nomad_plugin_data() is NULL. */
	int (*run)(struct nomad_plugin *plugin, int argc, char **argv);
};

struct nomad_driver {
	const char *name;      /* as jobs name it: "nspawn"; the executable is nomad-driver-<name> */
	const char *version;   /* "0.1.0" */
	const char *summary;   /* one line, for --help */
	unsigned capabilities; /* enum nomad_capability */
	enum nomad_fs_isolation fs_isolation;
	unsigned fingerprint_interval_s; /* 0: 30 */

	const struct nomad_schema *config_schema; /* of the plugin block; NULL: the library's own options only */
	const struct nomad_schema *task_schema;	  /* of the task's config block */

	/* Threads: each callback runs on a worker thread and may block; those of
	 * different tasks run at the same time.  nomad_plugin_config() and
	 * nomad_plugin_data() are what they share. */

	/* Once, before any other callback and after the configuration arrived
	 * (never in the trial launches that an agent makes at its start, so it
	 * may do work).  *ret_data is what nomad_plugin_data() gives.
	 * NULL: nothing to do. */
	int (*init)(struct nomad_plugin *plugin, void **ret_data, struct nomad_error **err);
	/* The counterpart, at the end of the process. */
	void (*fini)(struct nomad_plugin *plugin, void *data);

	/* Look at this host.  Bounded: a few seconds at most.  Also called
	 * without init() by `doctor` and before a configuration arrived; then
	 * nomad_plugin_config() gives the defaults. */
	void (*fingerprint)(struct nomad_plugin *plugin, struct nomad_fingerprint *fp);

	/* Start the task, undo everything on failure.  May be called again with
	 * the id of an earlier call that this process does not remember: by
	 * then the library has stopped and destroyed what the earlier one left.
	 * No other run of the same allocation and task lives by then.  May be
	 * cancelled: see nomad_task_is_cancelled(). */
	int (*start)(struct nomad_task *task, struct nomad_error **err);
	/* Take a running task over, from its records.  The library has found
	 * its supervisor again already.  Within 2 s.  NULL: nothing to do; a
	 * task without a supervisor is lost then, so a remote driver has one. */
	int (*recover)(struct nomad_task *task, struct nomad_error **err);
	/* Begin to stop: only for tasks without a supervisor, or where a signal
	 * to the process is not the way.  Return when the task was told; the
	 * library waits for its end and after timeout_ms calls kill().  `signal`
	 * is 0 if Nomad named none.  NULL: the supervisor sends the signal. */
	int (*stop)(struct nomad_task *task, int signal, unsigned timeout_ms, struct nomad_error **err);
	/* End it now, whatever it takes.  NULL: the supervisor kills all of it. */
	int (*kill)(struct nomad_task *task, struct nomad_error **err);
	/* NULL: the supervisor sends it to the leader. */
	int (*signal)(struct nomad_task *task, int signal, struct nomad_error **err);
	/* Release all that start() made, found by slug and records; the task is
	 * dead.  Idempotent; also for tasks that this process never saw, and
	 * for starts that were cut in the middle.  NULL: nothing to do. */
	int (*destroy)(struct nomad_task *task, struct nomad_error **err);
	/* Say how to run a command in the task.  NULL with NOMAD_CAN_EXEC: in
	 * the leader's namespaces.  For a task without a supervisor the plugin
	 * runs argv itself, with env and nothing else of it; with a tty that
	 * program has to call setsid() and take the terminal. */
	int (*exec)(struct nomad_task *task, struct nomad_exec *exec, struct nomad_error **err);
	/* One sample, cheaply.  NULL: from the task's cgroup, with up to 128 of
	 * its processes every 5 s, or none at all for tasks without a supervisor. */
	int (*stats)(struct nomad_task *task, struct nomad_stats *ret, struct nomad_error **err);
	/* Facts to show for the task.  NULL: none beyond the library's. */
	int (*inspect)(struct nomad_task *task, struct nomad_map *attributes, struct nomad_error **err);

	/* For the command line of a driver whose tasks run elsewhere, without init().  Both print by `say`, a line
	 * each.
	 *
	 * Command "plan": says what start() would make for a task with this config, and makes nothing.  `info` is as in
	 * a start, with ids that no allocation has.  NULL: there is no such command. */
	int (*plan)(struct nomad_plugin *plugin, const struct nomad_task_info *info, const void *config,
		    void (*say)(void *ud, const char *line), void *ud, struct nomad_error **err);
	/* "gc --account": says what tasks of any node have left in the account that the driver uses, and removes it
	 * unless `dry_run`.  NULL: there is no such option. */
	int (*gc_account)(struct nomad_plugin *plugin, bool dry_run, void (*say)(void *ud, const char *line), void *ud,
			  struct nomad_error **err);

	/* With NOMAD_NEEDS_NETWORK only: the network of an allocation.  Both
	 * idempotent; *ret_created is false if it existed. */
	int (*create_network)(struct nomad_plugin *plugin, const char *alloc_id, const char *hostname,
			      struct nomad_network_isolation *ret, bool *ret_created, struct nomad_error **err);
	int (*destroy_network)(struct nomad_plugin *plugin, const char *alloc_id,
			       const struct nomad_network_isolation *spec, struct nomad_error **err);

	const struct nomad_driver_command *commands; /* the last one has no name; NULL: none */
};

/* The decoded plugin block (the struct of config_schema), never NULL if there is a schema. */
const void *nomad_plugin_config(const struct nomad_plugin *plugin);
/* What init() gave. */
void *nomad_plugin_data(const struct nomad_plugin *plugin);
/* The plugin's own directory on disk (option state_dir), absolute. */
const char *nomad_plugin_state_dir(const struct nomad_plugin *plugin);
/* Look at the host again now (something changed). */
void nomad_plugin_refresh_fingerprint(struct nomad_plugin *plugin);

NOMAD_END_DECLS

#endif
