/* SPDX-License-Identifier: MPL-2.0
 *
 * nomad/driver.h: a driver is a table of facts, two option tables and a few
 * functions.  Only name, version, task_schema, fingerprint and start are
 * required.  Each other function has a default if it is NULL, documented
 * with it. */
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
	NOMAD_UNDETECTED, /* the backend is not installed */
	NOMAD_UNHEALTHY,  /* the backend is installed, but no task can run now */
	NOMAD_HEALTHY,
};

struct nomad_fingerprint;

/* Set the node attribute driver.<name>.<key>.  The library sets driver.<name>
 * itself.  Values must be stable: no counters, no times, because each change
 * is an update of the node.  The values are copied.  Only for fingerprint(). */
void nomad_fp_string(struct nomad_fingerprint *fp, const char *key, const char *value);
void nomad_fp_bool(struct nomad_fingerprint *fp, const char *key, bool value);
void nomad_fp_int(struct nomad_fingerprint *fp, const char *key, int64_t value, const char *unit);

/* Reports a check of this host.  `what` is a short fixed name
 * ("systemd-nspawn").  If `ok` is false, the driver's health is at most
 * `otherwise`.  The worst failed check decides the health; the first one of
 * that level is the description in Nomad: "finding; remedy".  `doctor` shows
 * all checks.  With otherwise = NOMAD_HEALTHY a failed check is only a warning
 * in `doctor`.  Without a failed check the driver is healthy.  Returns ok. */
bool nomad_fp_check(struct nomad_fingerprint *fp, const char *what, bool ok, enum nomad_health otherwise,
		    const char *finding, const char *remedy);

/* ---- Exec in a task ---- */

/* How the library runs a command in a task.  The library fills in these
 * defaults and then calls exec(), which may change them.  The struct owns its
 * strings. */
struct nomad_exec {
	char **argv; /* the command that Nomad requested */
	bool tty;
	struct nomad_map env; /* NULL pairs: the environment of the task's command */
	char *cwd;	      /* NULL: the directory of the task's command */
	char *user;	      /* a user of the host; NULL: the user of the task's command */
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

/* Adds a copy of `pid` to a sample, in stats().  Returns 0 or -ENOMEM. */
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
	NOMAD_OWN_LOGS = 1 << 4,      /* disable_log_collection, always: Nomad creates no log FIFOs */
	NOMAD_DYNAMIC_USERS = 1 << 5,
	NOMAD_JOIN_GROUP_NETWORK = 1 << 6, /* network modes bridge, cni/..., none */
	NOMAD_OWN_TASK_NETWORK = 1 << 7,   /* network mode driver */
	NOMAD_ALL_REMOTE = 1 << 8,	   /* runs no task on this host: the plugin and its children permanently drop
					    * the rights to make mounts and namespaces, and most capabilities.
					    * A task's environment exists only during start() and recover() */
};

enum nomad_fs_isolation {
	NOMAD_FS_NONE,
	NOMAD_FS_CHROOT,
	NOMAD_FS_IMAGE,
	NOMAD_FS_UNVEIL,
};

/* A command of the driver's command line, in addition to those of the library. */
struct nomad_driver_command {
	const char *name, *arguments, *help; /* as --help shows them */
	/* Returns the exit status.  argv begins with the name.  Every such command accepts --config FILE; the library
	 * reads the file and removes both arguments.  init() is not called, so nomad_plugin_data() returns NULL. */
	int (*run)(struct nomad_plugin *plugin, int argc, char **argv);
};

struct nomad_driver {
	const char *name;      /* the driver's name in jobs: "nspawn"; the executable is nomad-driver-<name> */
	const char *version;   /* "0.1.0" */
	const char *summary;   /* one line, for --help */
	unsigned capabilities; /* enum nomad_capability */
	enum nomad_fs_isolation fs_isolation;
	unsigned fingerprint_interval_s; /* 0: 30 */

	const struct nomad_schema *config_schema; /* of the plugin block; NULL: only the library's own options */
	const struct nomad_schema *task_schema;	  /* of the task's config block */

	/* Threads: each callback runs on a worker thread and may block.
	 * Callbacks of different tasks run at the same time and share the results
	 * of nomad_plugin_config() and nomad_plugin_data(). */

	/* Called once, before all other callbacks except fingerprint(), when the
	 * configuration has arrived.  Not called in the trial launches that an
	 * agent makes when it starts, so it may do work.  nomad_plugin_data()
	 * returns *ret_data from then on.  NULL: nothing to do. */
	int (*init)(struct nomad_plugin *plugin, void **ret_data, struct nomad_error **err);
	/* Called at the end of the process, if init() succeeded. */
	void (*fini)(struct nomad_plugin *plugin, void *data);

	/* Checks this host, within a few seconds.  `doctor` calls it without
	 * init(), and so does the library before the configuration arrives;
	 * nomad_plugin_config() then returns the defaults. */
	void (*fingerprint)(struct nomad_plugin *plugin, struct nomad_fingerprint *fp);

	/* Starts the task; undoes everything on failure.  May be called again
	 * with the id of an earlier call that this process does not know.  The
	 * library has then already stopped and destroyed the results of the
	 * earlier call.  No other run of the same allocation and task is alive
	 * during the call.  A start can be cancelled: see
	 * nomad_task_is_cancelled(). */
	int (*start)(struct nomad_task *task, struct nomad_error **err);
	/* Takes over a running task from its records, within 2 s.  The library
	 * has already found the supervisor.  NULL: nothing to do, and a task
	 * without a supervisor is lost; so a remote driver needs this function. */
	int (*recover)(struct nomad_task *task, struct nomad_error **err);
	/* Asks the task to stop and returns at once.  The library waits for the
	 * end and calls kill() after timeout_ms.  `signal` is 0 if Nomad names
	 * none.  Only for tasks without a supervisor, or tasks that a signal does
	 * not stop.  NULL: the supervisor sends the signal. */
	int (*stop)(struct nomad_task *task, int signal, unsigned timeout_ms, struct nomad_error **err);
	/* Kills the task.  NULL: the supervisor kills all its processes. */
	int (*kill)(struct nomad_task *task, struct nomad_error **err);
	/* Sends a signal.  NULL: the supervisor sends it to the leader. */
	int (*signal)(struct nomad_task *task, int signal, struct nomad_error **err);
	/* Removes everything that start() created.  The task is dead.  Finds the
	 * resources by slug and records: this process may never have seen the
	 * task, and the start may have been interrupted.  Idempotent.  NULL:
	 * nothing to do. */
	int (*destroy)(struct nomad_task *task, struct nomad_error **err);
	/* Changes how a command runs in the task.  NULL with NOMAD_CAN_EXEC: it
	 * runs in the leader's namespaces.  For a task without a supervisor the
	 * plugin itself runs argv, with only env as environment.  With a tty that
	 * program must call setsid() and take the terminal. */
	int (*exec)(struct nomad_task *task, struct nomad_exec *exec, struct nomad_error **err);
	/* Takes one sample, at low cost.  NULL: the library reads the task's
	 * cgroup, and up to 128 of its processes every 5 s.  Tasks without a
	 * supervisor then have no statistics. */
	int (*stats)(struct nomad_task *task, struct nomad_stats *ret, struct nomad_error **err);
	/* Adds attributes to show for the task.  NULL: only those of the library. */
	int (*inspect)(struct nomad_task *task, struct nomad_map *attributes, struct nomad_error **err);

	/* The next two are for the command line of a driver whose tasks run on other hosts.  init() is not called.
	 * Both print with `say`, one line a call.
	 *
	 * Command "plan": prints what start() would create for a task with this config, and creates nothing.  `info`
	 * is as in a start, with ids that no allocation has.  NULL: the driver has no such command. */
	int (*plan)(struct nomad_plugin *plugin, const struct nomad_task_info *info, const void *config,
		    void (*say)(void *ud, const char *line), void *ud, struct nomad_error **err);
	/* "gc --account": prints the leftovers of all nodes' tasks in the account that the driver uses, and removes
	 * them unless `dry_run`.  NULL: the driver has no such option. */
	int (*gc_account)(struct nomad_plugin *plugin, bool dry_run, void (*say)(void *ud, const char *line), void *ud,
			  struct nomad_error **err);

	/* Only with NOMAD_NEEDS_NETWORK: create and remove the network of an
	 * allocation.  Both are idempotent.  *ret_created is false if the network
	 * existed. */
	int (*create_network)(struct nomad_plugin *plugin, const char *alloc_id, const char *hostname,
			      struct nomad_network_isolation *ret, bool *ret_created, struct nomad_error **err);
	int (*destroy_network)(struct nomad_plugin *plugin, const char *alloc_id,
			       const struct nomad_network_isolation *spec, struct nomad_error **err);

	const struct nomad_driver_command *commands; /* ends with an entry without a name; NULL: no commands */
};

/* Returns the decoded plugin block (the struct of config_schema).  Never NULL if the driver has a config_schema. */
const void *nomad_plugin_config(const struct nomad_plugin *plugin);
/* Returns *ret_data of init(). */
void *nomad_plugin_data(const struct nomad_plugin *plugin);
/* Returns the absolute path of the plugin's own directory on disk (option state_dir). */
const char *nomad_plugin_state_dir(const struct nomad_plugin *plugin);
/* Runs fingerprint() now, because the host has changed. */
void nomad_plugin_refresh_fingerprint(struct nomad_plugin *plugin);

NOMAD_END_DECLS

#endif
