/* SPDX-License-Identifier: MPL-2.0
 *
 * nomad/task.h: a task, as a driver sees it.
 *
 * The library owns tasks.  A driver gets one in each callback and may keep
 * it no longer than that call; the callbacks of one task never run at the
 * same time, except exec(), which may run beside any but destroy().  All
 * functions here are safe from any thread. */
#ifndef NOMAD_TASK_H
#define NOMAD_TASK_H

#include "nomad/base.h"

NOMAD_BEGIN_DECLS

struct nomad_error;
struct nomad_task;

/* ---- What Nomad says about the task (TaskConfig of its driver.proto) ---- */

enum nomad_network_mode {
	NOMAD_NET_HOST,
	NOMAD_NET_GROUP, /* join the namespace at .path */
	NOMAD_NET_TASK,
	NOMAD_NET_NONE,
};

struct nomad_network_isolation {
	enum nomad_network_mode mode;
	char *path; /* network namespace file, or NULL */
	struct nomad_map labels;
	char *hosts_hostname, *hosts_address; /* or NULL */
	void *reserved[4];
};

struct nomad_port {
	char *label;
	int32_t value; /* on the host */
	int32_t to;    /* in the task; 0: as on the host */
	char *host_ip;
	void *reserved[2];
};

struct nomad_mount {
	char *task_path, *host_path;
	bool readonly;
	char *propagation_mode; /* "" or "private", "host-to-task", "bidirectional" */
	char *selinux_label;
	char *request_name; /* name of the volume block that asked for it; "" if none did, or before Nomad 2.0.1 */
	void *reserved[3];
};

struct nomad_device {
	char *task_path, *host_path;
	char *cgroup_permissions; /* of "rwm" */
	void *reserved[3];
};

/* A network block of the task itself.  Its ports are among those of nomad_resources, too. */
struct nomad_network_resource {
	char *device, *cidr, *ip; /* "" where Nomad says nothing */
	int32_t mbits;
	struct nomad_port *reserved_ports, *dynamic_ports;
	size_t n_reserved_ports, n_dynamic_ports;
	void *reserved[4];
};

struct nomad_resources {
	int64_t cpu_shares;   /* MHz granted */
	double percent_ticks; /* the same as fraction of the node */
	char *cpuset_cpus;    /* "2,3", or NULL */
	char *cpuset_cgroup;  /* directory that Nomad made, may not exist; or NULL */
	int64_t memory_mb;
	int64_t memory_max_mb; /* 0: not set; -1: no limit */
	int64_t memory_limit_bytes;
	struct nomad_port *ports;
	size_t n_ports;
	/* Nomad (2.0 at the latest) sends 0 for all three. */
	int64_t cpu_period, cpu_quota; /* microseconds */
	int64_t oom_score_adj;
	struct nomad_network_resource *networks;
	size_t n_networks;
	void *reserved[8];
};

struct nomad_task_info {
	char *id; /* alloc id / task name / 8 hex: new at each start */
	char *name, *alloc_id, *task_group_name;
	char *job_id, *job_name, *namespace_name, *node_id, *node_name;
	char *user;			 /* of the job, or NULL */
	char *alloc_dir;		 /* directory of the allocation on the host */
	char *stdout_path, *stderr_path; /* FIFOs, or /dev/null; or NULL */
	struct nomad_map env;		 /* the task's environment, complete */
	struct nomad_map device_env;	 /* the part of it that device plugins set */
	struct nomad_resources resources;
	struct nomad_mount *mounts;
	size_t n_mounts;
	struct nomad_device *devices;
	size_t n_devices;
	bool has_dns;
	char **dns_servers, **dns_searches, **dns_options;
	struct nomad_network_isolation network;
	char *parent_job_id; /* the periodic or parameterized job that made this one; or NULL.  From the variable
			      * NOMAD_JOB_PARENT_ID, because Nomad (up to 2.0) leaves the field empty */
};

/* The strings that are always there (id, name, alloc_id, ...) are never NULL. */
const struct nomad_task_info *nomad_task_info(const struct nomad_task *task);
/* The resolv.conf that the dns block of a job asks for, malloc()ed: has_dns has to be set.  NULL: out of memory. */
char *nomad_resolv_conf(const struct nomad_task_info *info);
/* The port that Nomad has given to the task under this label, borrowed; or NULL. */
const struct nomad_port *nomad_port_find(const struct nomad_resources *resources, const char *label);
const char *nomad_task_id(const struct nomad_task *task);

/* The decoded task config (the struct of the driver's task_schema).  After a
 * recovery, options marked secret are absent.  NULL in destroy() of a task
 * that only its records tell of. */
const void *nomad_task_config(const struct nomad_task *task);

/* A name for the resources of this task: a function of the task id alone,
 * unique, 1 to 63 of [a-z0-9-], letter first and no hyphen last, so that it
 * is valid as host, machine, cgroup, file and interface-suffix name. */
const char *nomad_task_slug(const struct nomad_task *task);

/* Paths on the host, absolute: the task's own directory below alloc_dir, its
 * local/ and secrets/, and the shared alloc/ directory. */
const char *nomad_task_dir(const struct nomad_task *task);
const char *nomad_task_local_dir(const struct nomad_task *task);
const char *nomad_task_secrets_dir(const struct nomad_task *task);
const char *nomad_task_shared_dir(const struct nomad_task *task);
/* A private directory (0700) of this task below the plugin's state
 * directory, for the driver's own files; made by the library, and removed by
 * it after destroy(), with all that is in it. */
const char *nomad_task_state_dir(const struct nomad_task *task);

/* ---- The operator's policy, see nomad/option.h ---- */

/* Whether the policy of this node lets this task's job give `value` to `option` ("bind", "image_download.url"): for
 * rows that say .by_driver, and for paths that the driver resolves by itself.  A path has to be absolute and without
 * symbolic links, and the driver has to use this very path without following any.  Returns 0, or -EACCES and an error
 * that says what an operator would add to the plugin block. */
int nomad_task_may(const struct nomad_task *task, const char *option, const char *value,
		   struct nomad_error **err) NOMAD_MUST_CHECK;
/* The task's `value` of a number with a maximum: that maximum where it is 0; 0 if there is none. */
int64_t nomad_task_limit(const struct nomad_task *task, const char *option, int64_t value);

/* ---- Records: what is to be found again whatever happens ---- */

/* Write `key` = `value` to the task's record on disk; durable on return.
 * Record a resource before it is created, so that destroy() can always find
 * it.  Never a secret.  Keys: [a-z0-9._-]+.  Up to 4096 bytes a value. */
int nomad_task_put(struct nomad_task *task, const char *key, const char *value,
		   struct nomad_error **err) NOMAD_MUST_CHECK;
/* Borrowed until the next put or forget of the key; NULL if absent. */
const char *nomad_task_get(const struct nomad_task *task, const char *key);
void nomad_task_forget(struct nomad_task *task, const char *key);

/* Emit a task event: an operator sees it in `nomad alloc status`. */
void nomad_task_event(struct nomad_task *task, const char *fmt, ...) NOMAD_PRINTF(2, 3);
/* The same with annotations: key, value, ..., NULL. */
void nomad_task_event_kv(struct nomad_task *task, const char *message, ...) __attribute__((sentinel));
struct nomad_plugin;
/* By id, from a thread of the driver's own.  -ENOENT if the task is unknown. */
int nomad_task_event_by_id(struct nomad_plugin *plugin, const char *id, const char *message);

/* The address of the task, for services with address_mode = "driver".  To be
 * called in start(); `addr` NULL or "" for none. */
int nomad_task_set_network(struct nomad_task *task, const char *addr, bool auto_advertise,
			   const struct nomad_int_map *port_map) NOMAD_MUST_CHECK;

/* ---- Local tasks: a process under a supervisor ---- */

/* Which device files the task's processes may open, whatever the file system
 * shows them.  (What they are shown is the driver's business.) */
enum nomad_device_policy {
	NOMAD_DEVICES_ANY, /* no rule of ours: there is none, or the program makes its own */
	/* What every program expects (null, zero, full, random, urandom, tty,
	 * ptmx, terminals), those that Nomad gave to the task
	 * (nomad_task_info()->devices), and the command's own list.  Device
	 * files may be made, but not used. */
	NOMAD_DEVICES_LISTED,
};

/* A limit of setrlimit(2). */
struct nomad_rlimit {
	int resource; /* RLIMIT_NOFILE, ... of <sys/resource.h> */
	uint64_t soft, hard;
};
#define NOMAD_RLIMIT_NONE UINT64_MAX /* unlimited */

/* For an option of the form `ulimit { nofile = "1024:4096" }`: `name` is as
 * in prlimit(1) (nofile, nproc, core, memlock, ...), `value` is "SOFT:HARD" or
 * one for both; numbers in the unit of setrlimit(2), or "unlimited". */
int nomad_rlimit_parse(const char *name, const char *value, struct nomad_rlimit *ret,
		       struct nomad_error **err) NOMAD_MUST_CHECK;

/* Descriptors of the program, where the command below asks for them. */
enum { NOMAD_EXEC_FD = 3, NOMAD_EXIT_FD = 4 };

/* What to run.  All is borrowed for the call.
 *
 * Nomad's own resources (memory, memory_max, CPU shares, cores) are limits of
 * the task without further ado.  What is asked for here is kept or the start
 * fails, saying what this host lacks. */
struct nomad_command {
	/* The program and its arguments; argv[0] is an absolute path. */
	const char *const *argv;
	/* Its whole environment; NULL: that of the task.  Nothing is inherited. */
	const struct nomad_map *env;
	/* Working directory on the host; NULL: nomad_task_dir(). */
	const char *cwd;
	/* User name or number on the host; NULL: the user of the job, if it names one; "": that of the plugin. */
	const char *user;
	/* Network namespace file that is entered first; NULL: that of the job's group, if it has one; "": that of
	 * the plugin. */
	const char *netns;
	/* The process tells by sd_notify(3) when it is ready: it finds
	 * NOTIFY_SOCKET in its environment, and nomad_task_run() returns at
	 * READY=1.  Without, it returns once the program was exec()ed. */
	bool notify;
	/* Key of the notification that carries the pid (as seen from here) of
	 * the payload's first process, such as "X_NSPAWN_LEADER_PID"; NULL: the
	 * process itself is the leader.  See nomad_task_leader(). */
	const char *leader_key;
	/* A notification "STATUS=" that begins with this is an event of the task, without it; NULL: none is.  One that
	 * repeats the last, or comes within a second of it, is not sent at once. */
	const char *event_prefix;
	/* How long READY=1 may take before the start fails; 0: 60 s. */
	unsigned ready_timeout_ms;
	/* Sent to the process at stop when Nomad names no signal; 0: SIGTERM. */
	int stop_signal;
	/* Do not give the task's cgroup limits to this process (it is a client
	 * of a daemon that does). */
	bool no_limits;
	/* Limit on the number of processes; 0: none. */
	int64_t pids_max;
	/* A host that cannot keep that limit runs the command without it; otherwise the start fails. */
	bool pids_if_possible;
	/* The program reports its payload's exit by itself, because its own status
	 * cannot: it writes "<exit code> <signal>\n" once to descriptor
	 * NOMAD_EXIT_FD, a socket; " 1"
	 * behind it says that it was killed for want of memory.  If it does not, its own status counts. */
	bool exit_channel;
	/* The program runs commands (`nomad alloc exec`, script checks) by itself,
	 * inside whatever it made for the task: descriptor NOMAD_EXEC_FD is a
	 * socket over which the supervisor asks for them ("Exec broker" in
	 * PROTOCOL.md).  Otherwise the supervisor runs them beside the program, as
	 * the same user with the same groups, limits, network and directory. */
	bool exec_broker;
	/* The CPU time that Nomad granted is also the most that the task gets;
	 * otherwise it is a share, and what others leave idle may be used.  With
	 * reserved cores these are the limit, and this changes nothing. */
	bool cpu_hard_limit;
	/* The span over which that is counted, in microseconds, 1000 to
	 * 1000000; 0: 100000. */
	int64_t cpu_period_us;
	/* Devices: see above.  `cgroup_permissions` NULL or "": "rwm"; `task_path` does not matter here. */
	enum nomad_device_policy device_policy;
	const struct nomad_device *devices;
	size_t n_devices;
	/* Also for commands that are run in the task; what is not listed is as in the plugin.  At most 16. */
	const struct nomad_rlimit *rlimits;
	size_t n_rlimits;
	/* -1000 (never) to 1000 (first): whom the kernel kills when memory runs
	 * out.  Linux only; below 0 it takes privileges. */
	int oom_score_adj;
};

/* Start `command` for the task under a supervisor of its own, which outlives
 * this process, and return once it runs.  stdout and stderr go where Nomad
 * wants them, stdin is /dev/null.  From then on the library answers wait,
 * stop, signal, exec, stats and recovery for the task.
 * The end of the program is the end of the task: the supervisor then kills
 * what is left of its children, also those in other sessions.  (Nomad's
 * raw_exec keeps them until DestroyTask.)  A program that starts the real one
 * in the background and ends has to wait for it instead.
 * To be called once, in start().  On failure nothing of it is left, and the
 * error carries the last lines that the process wrote to stderr.  Fails soon
 * if the start is cancelled. */
int nomad_task_run(struct nomad_task *task, const struct nomad_command *command,
		   struct nomad_error **err) NOMAD_MUST_CHECK;

/* Whether nobody wants the start any more: its caller is gone, Nomad stops or destroys the task, or starts a newer run
 * of it.  A start() that waits (for a download, a server, a lock) asks at least once a second and then fails at
 * once; its error text does not matter.  A start() that returns 0 nevertheless is undone by the library.  The
 * answer may change back to false: Nomad asked for the same task again, and the start may go on. */
bool nomad_task_is_cancelled(const struct nomad_task *task);

/* The pid of the payload's first process, as seen from here; 0 if there is
 * none (yet, or any more). */
int nomad_task_leader(const struct nomad_task *task);

/* ---- Remote tasks: the driver watches by itself ---- */

struct nomad_exit {
	int exit_code; /* 128 + signal for a death by signal */
	int signal;
	bool oom_killed;
	char *message; /* why the end is not known: then neither code nor signal counts; or NULL */
};

/* Report the end of a task that nomad_task_run() did not start.  The first
 * report counts.  Any thread; also by id, from a poller: -ENOENT if unknown.
 * The output of such a task is the driver's business: it may open the FIFOs
 * of nomad_task_info, or leave them alone, and the library ends them here.  A
 * driver whose tasks never have output there sets NOMAD_OWN_LOGS, and Nomad
 * makes no FIFOs at all. */
void nomad_task_exited(struct nomad_task *task, const struct nomad_exit *result);
struct nomad_plugin;
int nomad_task_exited_by_id(struct nomad_plugin *plugin, const char *id, const struct nomad_exit *result);

/* The plugin that the task belongs to. */
struct nomad_plugin *nomad_task_plugin(const struct nomad_task *task);

NOMAD_END_DECLS

#endif
