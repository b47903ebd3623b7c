/* SPDX-License-Identifier: MPL-2.0
 *
 * supervisor/client.h: the plugin's side of a supervisor.
 *
 * A supervisor is a small static single-threaded program, carried inside the
 * driver's executable, that is the parent of one task.  It outlives the
 * plugin; a plugin finds it again by its directory.  It holds no gRPC, no
 * threads and no knowledge of any driver. */
#ifndef NOMAD_SUPERVISOR_CLIENT_H
#define NOMAD_SUPERVISOR_CLIENT_H

#include "base/loop.h"
#include "nomad/driver.h"
#include "nomad/error.h"
#include "nomad/task.h"

struct nomad__supervisor;

/* What the supervisor is to do, beyond struct nomad_command. */
struct nomad__supervise {
	const char *dir;   /* the task's state directory, 0700; socket, exit record and pid live in it */
	const char *title; /* shown by ps: "nomad-driver-nspawn: web (1a2b3c4d)" */
	const struct nomad_command *command;
	const struct nomad_map *env;	       /* never NULL */
	const char *stdout_path, *stderr_path; /* FIFO or /dev/null or NULL (= /dev/null) */
	/* "driver" log collection: files are written and rotated here instead. */
	const char *log_dir;  /* NULL: use the paths above */
	const char *log_name; /* "<task>": <task>.stdout.N */
	unsigned log_max_files;
	uint64_t log_max_bytes;
	/* Limits, put on the task's cgroup. */
	const char *alloc_id, *task_name; /* for finding Nomad's own cgroup v1 directories */
	const struct nomad_resources *resources;
	const struct nomad_device *devices;
	size_t n_devices;
	/* Whether the start is cancelled, with the `ud` of the events; NULL: it never is. */
	bool (*is_cancelled)(const void *ud);
};

struct nomad__supervisor_exit {
	int exit_code, signal;
	bool oom_killed;
	bool killed;		      /* by us: the stop timed out, or a kill was asked for */
	bool lost;		      /* the supervisor died without a record: the end is not known */
	int64_t started_ns, ended_ns; /* wall clock */
	int64_t user_ns, system_ns, max_rss_bytes;
	int64_t lost_bytes[2]; /* of stdout and stderr, unless somebody reads them still */
	char message[256];     /* why `lost`, or "" */
};

/* Callbacks, on the loop thread. */
struct nomad__supervisor_events {
	/* Once; only notices come after it, for as long as the supervisor lingers. */
	void (*exited)(void *ud, const struct nomad__supervisor_exit *result);
	/* Something an operator should see ("the log reader stalled, ..."), and how much output is lost for good;
	 * -1: the number is unknown. */
	void (*notice)(void *ud, const char *message, int64_t lost_bytes);
	/* So many processes of the task were killed because memory ran out.  May be NULL. */
	void (*oom)(void *ud, uint64_t kills);
	/* After the end: it lingers no more.  May be NULL. */
	void (*closed)(void *ud, struct nomad__supervisor *supervisor);
};

/* Start a supervisor and the process; return once it runs (or is ready,
 * command->notify).  Blocks; any thread but the loop's.  On failure nothing
 * is left.  `events` is borrowed until _free(). */
int nomad__supervisor_start(struct nomad__loop *loop, const struct nomad__supervise *spec,
			    const struct nomad__supervisor_events *events, void *ud, struct nomad__supervisor **ret,
			    struct nomad_error **err);
/* Find the supervisor of `dir` again, or its exit record (then `exited` comes
 * at once from the loop).  At most 2 s.  -ENOENT: neither is there: nothing
 * was started, or it is lost (another boot, killed). */
int nomad__supervisor_attach(struct nomad__loop *loop, const char *dir, const struct nomad__supervisor_events *events,
			     void *ud, struct nomad__supervisor **ret, struct nomad_error **err);
/* Where the task's output goes, FIFOs or NULL; once.  If the supervisor is killed and nobody reads them, a notice says
 * how many bytes are lost. */
void nomad__supervisor_set_logs(struct nomad__supervisor *supervisor, const char *stdout_path, const char *stderr_path);
/* Let go of it: the supervisor and the task go on.  No event afterwards. */
void nomad__supervisor_free(struct nomad__supervisor *supervisor);

int64_t nomad__supervisor_started_ns(const struct nomad__supervisor *supervisor);
int nomad__supervisor_pid(const struct nomad__supervisor *supervisor);	  /* of the supervisor */
int nomad__supervisor_leader(const struct nomad__supervisor *supervisor); /* 0 when over */

/* Any thread; they do not wait.  signal 0 at stop: the command's stop_signal.
 * If the supervisor does not answer within a few seconds, and the timeout is over, the plugin kills the task and the
 * supervisor, and says so by a notice. */
int nomad__supervisor_stop(struct nomad__supervisor *supervisor, int signal, uint64_t timeout_ms,
			   struct nomad_error **err);
int nomad__supervisor_kill(struct nomad__supervisor *supervisor, struct nomad_error **err);
/* Waits until the supervisor has done it; any thread but the loop's.  -ETIMEDOUT: it does not answer. */
int nomad__supervisor_signal(struct nomad__supervisor *supervisor, int signal, struct nomad_error **err);

/* Both run on the loop thread. */
struct nomad__command_events {
	/* What to read of the command's terminal from and to write to, both non-blocking and owned by the callee from
	 * now on; at most once.  Two pipes, or the master of the terminal twice. */
	void (*terminal)(void *ud, int output, int input);
	/* Once: exit code and signal, or r < 0 and why. */
	void (*exited)(void *ud, int r, int exit_code, int signal, const char *message);
};

/* Run a command in the task.  fds[0..2] are passed to it (borrowed); with a
 * tty they do not count: its terminal comes by terminal().
 * The handle stays valid until _exec_free(), which kills what still runs.  If the supervisor does not answer within a
 * few seconds, the command ends with -ETIMEDOUT. */
struct nomad__supervisor_exec;
int nomad__supervisor_exec(struct nomad__supervisor *supervisor, const struct nomad_exec *exec, const int fds[3],
			   const struct nomad__command_events *events, void *ud, struct nomad__supervisor_exec **ret,
			   struct nomad_error **err);
void nomad__supervisor_exec_kill(struct nomad__supervisor_exec *exec, int signal);
/* Of a terminal that came as two pipes. */
void nomad__supervisor_exec_resize(struct nomad__supervisor_exec *exec, int rows, int columns);
void nomad__supervisor_exec_free(struct nomad__supervisor_exec *exec);

/* True: the end was reported, but the supervisor waits for readers of the logs,
 * and may still send a notice.  _free() does not disturb that. */
bool nomad__supervisor_lingers(struct nomad__supervisor *supervisor);

/* True: the task has ended, and its supervisor waits for a reader of the remaining output.  Tells it to give up in 3 s;
 * `closed` is called then, or when everything was read.  Loop thread. */
bool nomad__supervisor_settle(struct nomad__supervisor *supervisor);

/* One sample from the task's cgroup, or summed over its processes where
 * there is none.  `state` is a cache that the caller zeroes at first and
 * gives to _stats_done() at last. */
struct nomad__stats_cache {
	int fds[8];
	bool open;
	uint64_t last_cpu_ns, last_user_ns, last_system_ns;
	int64_t last_time_ns;
	uint64_t max_bytes;
	struct nomad__pid_sample *pids; /* those of the last look, and what a sample says of them */
	struct nomad_pid_stats *pid_stats;
	size_t n_pids;
	int64_t pids_time_ns;
};
/* ret->pids is borrowed from the cache. */
int nomad__supervisor_stats(struct nomad__supervisor *supervisor, struct nomad__stats_cache *cache,
			    struct nomad_stats *ret, struct nomad_error **err);
void nomad__stats_cache_done(struct nomad__stats_cache *cache);

/* After the end, or for a task that no supervisor looks after any more: kill
 * whatever is left in the task's cgroups, remove those that are ours, the
 * socket and the records in `dir`.  Idempotent.  Bounded: 15 s. */
int nomad__supervisor_clean(const char *dir, struct nomad_error **err);

#endif
