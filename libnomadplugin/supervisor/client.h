/* SPDX-License-Identifier: MPL-2.0
 *
 * supervisor/client.h: the plugin's side of a supervisor.
 *
 * A supervisor is a small static single-threaded program, embedded in the
 * driver's executable, and the parent of one task.  It outlives the plugin; the
 * next plugin finds it by its directory.  It does not use gRPC or threads, and
 * does not depend on a driver. */
#ifndef NOMAD_SUPERVISOR_CLIENT_H
#define NOMAD_SUPERVISOR_CLIENT_H

#include "base/loop.h"
#include "nomad/driver.h"
#include "nomad/error.h"
#include "nomad/task.h"

struct nomad__supervisor;

/* What the supervisor does, in addition to struct nomad_command. */
struct nomad__supervise {
	const char *dir;   /* the task's state directory, 0700, with socket, exit record and pid */
	const char *title; /* shown by ps: "nomad-driver-nspawn: web (1a2b3c4d)" */
	const struct nomad_command *command;
	const struct nomad_map *env;	       /* never NULL */
	const char *stdout_path, *stderr_path; /* FIFO or /dev/null or NULL (= /dev/null) */
	/* With log_collection = "driver": write and rotate log files in this directory. */
	const char *log_dir;  /* NULL: use the paths above */
	const char *log_name; /* "<task>": <task>.stdout.N */
	unsigned log_max_files;
	uint64_t log_max_bytes;
	/* Limits of the task's cgroup. */
	const char *alloc_id, *task_name; /* to find Nomad's own cgroup v1 directories */
	const struct nomad_resources *resources;
	const struct nomad_device *devices;
	size_t n_devices;
	/* Returns whether the start is cancelled; gets the `ud` of the events.  NULL: it never is. */
	bool (*is_cancelled)(const void *ud);
};

struct nomad__supervisor_exit {
	int exit_code, signal;
	bool oom_killed;
	bool killed;		      /* by supervisor or plugin: the stop timed out, or a kill was requested */
	bool lost;		      /* the supervisor died without a record: the exit code is unknown */
	int64_t started_ns, ended_ns; /* wall clock */
	int64_t user_ns, system_ns, max_rss_bytes;
	int64_t lost_bytes[2]; /* of stdout and stderr, unless a reader still gets them */
	char message[256];     /* why `lost`, or "" */
};

/* Callbacks, on the loop thread. */
struct nomad__supervisor_events {
	/* Called once; after it only notices come, while the supervisor lingers. */
	void (*exited)(void *ud, const struct nomad__supervisor_exit *result);
	/* A message for operators ("the log reader stalled, ..."), and the number of lost bytes of output; -1: the
	 * number is unknown. */
	void (*notice)(void *ud, const char *message, int64_t lost_bytes);
	/* `kills` processes of the task were killed because memory ran out.  May be NULL. */
	void (*oom)(void *ud, uint64_t kills);
	/* After the end: the supervisor no longer lingers.  May be NULL. */
	void (*closed)(void *ud, struct nomad__supervisor *supervisor);
};

/* Starts a supervisor and the process, and returns once it runs (or is ready, with
 * command->notify).  Blocks; any thread except the loop's.  A failure leaves
 * nothing behind.  `events` is borrowed until _free(). */
int nomad__supervisor_start(struct nomad__loop *loop, const struct nomad__supervise *spec,
			    const struct nomad__supervisor_events *events, void *ud, struct nomad__supervisor **ret,
			    struct nomad_error **err);
/* Finds the supervisor of `dir`, or its exit record (the loop then calls `exited`
 * at once).  Blocks for at most 2 s.  Returns -ENOENT if neither exists: nothing
 * was started, or the task is lost (another boot, killed). */
int nomad__supervisor_attach(struct nomad__loop *loop, const char *dir, const struct nomad__supervisor_events *events,
			     void *ud, struct nomad__supervisor **ret, struct nomad_error **err);
/* Sets the pipes for the task's output, FIFOs or NULL; call it once.  If the supervisor is killed and there is no
 * reader, a notice reports the number of lost bytes. */
void nomad__supervisor_set_logs(struct nomad__supervisor *supervisor, const char *stdout_path, const char *stderr_path);
/* Frees the handle; supervisor and task continue.  No event comes afterwards. */
void nomad__supervisor_free(struct nomad__supervisor *supervisor);

int64_t nomad__supervisor_started_ns(const struct nomad__supervisor *supervisor);
int nomad__supervisor_pid(const struct nomad__supervisor *supervisor);	  /* of the supervisor */
int nomad__supervisor_leader(const struct nomad__supervisor *supervisor); /* 0 after its end */

/* Send a request and return without waiting.  Any thread.  Signal 0 at stop means
 * the command's stop_signal.  If the supervisor does not answer within a few seconds
 * and the timeout has passed, the plugin kills the task and the supervisor, and
 * reports it with a notice. */
int nomad__supervisor_stop(struct nomad__supervisor *supervisor, int signal, uint64_t timeout_ms,
			   struct nomad_error **err);
int nomad__supervisor_kill(struct nomad__supervisor *supervisor, struct nomad_error **err);
/* Sends a signal and waits for the supervisor; any thread except the loop's.  -ETIMEDOUT: it does not answer. */
int nomad__supervisor_signal(struct nomad__supervisor *supervisor, int signal, struct nomad_error **err);

/* Both run on the loop thread. */
struct nomad__command_events {
	/* Called at most once with the descriptors for the output and the input of the command's terminal: two pipes,
	 * or the master of the terminal twice.  They are non-blocking, and the callee owns them. */
	void (*terminal)(void *ud, int output, int input);
	/* Called once: exit code and signal, or r < 0 and the reason. */
	void (*exited)(void *ud, int r, int exit_code, int signal, const char *message);
};

/* Runs a command in the task.  It gets fds[0..2], which are borrowed; with a tty
 * they are ignored, and terminal() passes its terminal.  The handle is valid until
 * _exec_free(), which kills a running command.  If the supervisor does not answer
 * within a few seconds, the command ends with -ETIMEDOUT. */
struct nomad__supervisor_exec;
int nomad__supervisor_exec(struct nomad__supervisor *supervisor, const struct nomad_exec *exec, const int fds[3],
			   const struct nomad__command_events *events, void *ud, struct nomad__supervisor_exec **ret,
			   struct nomad_error **err);
void nomad__supervisor_exec_kill(struct nomad__supervisor_exec *exec, int signal);
/* Only for a terminal that is two pipes. */
void nomad__supervisor_exec_resize(struct nomad__supervisor_exec *exec, int rows, int columns);
void nomad__supervisor_exec_free(struct nomad__supervisor_exec *exec);

/* True: the end was reported, but the supervisor waits for readers of the logs,
 * and may still send a notice.  _free() does not disturb that. */
bool nomad__supervisor_lingers(struct nomad__supervisor *supervisor);

/* True: the task has ended, and its supervisor waits for a reader of the remaining output.  Tells it to give up in 3 s;
 * `closed` is called then, or when everything was read.  Loop thread. */
bool nomad__supervisor_settle(struct nomad__supervisor *supervisor);

/* The cache for samples from the task's cgroup, or without one summed over its
 * processes.  The caller zeroes it at first and finally passes it to _cache_done(). */
struct nomad__stats_cache {
	int fds[8];
	bool open;
	uint64_t last_cpu_ns, last_user_ns, last_system_ns;
	int64_t last_time_ns;
	uint64_t max_bytes;
	struct nomad__pid_sample *pids; /* the processes of the last sample, and their statistics */
	struct nomad_pid_stats *pid_stats;
	size_t n_pids;
	int64_t pids_time_ns;
};
/* ret->pids is borrowed from the cache. */
int nomad__supervisor_stats(struct nomad__supervisor *supervisor, struct nomad__stats_cache *cache,
			    struct nomad_stats *ret, struct nomad_error **err);
void nomad__stats_cache_done(struct nomad__stats_cache *cache);

/* For a task that has ended or lost its supervisor: kills the remaining processes
 * in the task's cgroups, and removes our cgroups, the socket and the records in
 * `dir`.  Idempotent.  Takes at most 15 s. */
int nomad__supervisor_clean(const char *dir, struct nomad_error **err);

#endif
