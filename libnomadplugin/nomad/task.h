/* SPDX-License-Identifier: MPL-2.0
 *
 * nomad/task.h: the interface of a task for its driver.
 *
 * The library owns tasks.  A driver gets a task in each callback and must not
 * keep it after the call.  Callbacks of one task never run at the same time,
 * except exec(), which may run at the same time as all others but destroy().
 * All functions here are safe from any thread. */
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
	int32_t to;    /* in the task; 0: the same as on the host */
	char *host_ip;
	void *reserved[2];
};

struct nomad_mount {
	char *task_path, *host_path;
	bool readonly;
	char *propagation_mode; /* "" or "private", "host-to-task", "bidirectional" */
	char *selinux_label;
	char *request_name; /* name of the volume block that requests it; "" if none, or before Nomad 2.0.1 */
	void *reserved[3];
};

struct nomad_device {
	char *task_path, *host_path;
	char *cgroup_permissions; /* letters of "rwm" */
	void *reserved[3];
};

/* A network block of the task itself.  nomad_resources contains its ports as well. */
struct nomad_network_resource {
	char *device, *cidr, *ip; /* "" if Nomad sends none */
	int32_t mbits;
	struct nomad_port *reserved_ports, *dynamic_ports;
	size_t n_reserved_ports, n_dynamic_ports;
	void *reserved[4];
};

struct nomad_resources {
	int64_t cpu_shares;   /* MHz granted */
	double percent_ticks; /* the same as a fraction of the node */
	char *cpuset_cpus;    /* "2,3", or NULL */
	char *cpuset_cgroup;  /* directory that Nomad created and may have removed; or NULL */
	int64_t memory_mb;
	int64_t memory_max_mb; /* 0: not set; -1: no limit */
	int64_t memory_limit_bytes;
	struct nomad_port *ports;
	size_t n_ports;
	/* Nomad sends 0 for all three, up to version 2.0 at least. */
	int64_t cpu_period, cpu_quota; /* microseconds */
	int64_t oom_score_adj;
	struct nomad_network_resource *networks;
	size_t n_networks;
	void *reserved[8];
};

struct nomad_task_info {
	char *id; /* ALLOCATION/TASK/INVOCATION; the invocation is 8 hex digits, new for each start */
	char *name, *alloc_id, *task_group_name;
	char *job_id, *job_name, *namespace_name, *node_id, *node_name;
	char *user;			 /* of the job, or NULL */
	char *alloc_dir;		 /* directory of the allocation on the host */
	char *stdout_path, *stderr_path; /* FIFOs, or /dev/null; or NULL */
	struct nomad_map env;		 /* the task's environment, complete */
	struct nomad_map device_env;	 /* the part of env that device plugins set */
	struct nomad_resources resources;
	struct nomad_mount *mounts;
	size_t n_mounts;
	struct nomad_device *devices;
	size_t n_devices;
	bool has_dns;
	char **dns_servers, **dns_searches, **dns_options;
	struct nomad_network_isolation network;
	char *parent_job_id; /* the periodic or parameterized job that created this one; or NULL.  Read from the
			      * variable NOMAD_JOB_PARENT_ID, because Nomad (up to 2.0) leaves the field empty */
};

/* Returns what Nomad says about the task.  Strings are NULL only where the struct says so. */
const struct nomad_task_info *nomad_task_info(const struct nomad_task *task);
/* Returns the resolv.conf for the job's dns block, which the caller frees; NULL if out of memory.  has_dns must be
 * set. */
char *nomad_resolv_conf(const struct nomad_task_info *info);
/* Returns the task's port with this label, borrowed; NULL if it has none. */
const struct nomad_port *nomad_port_find(const struct nomad_resources *resources, const char *label);
const char *nomad_task_id(const struct nomad_task *task);

/* Returns the decoded task config (the struct of the driver's task_schema).
 * After a recovery, options marked secret are absent.  NULL in destroy() if
 * this process knows the task only from its records. */
const void *nomad_task_config(const struct nomad_task *task);

/* Returns the slug: a unique name for the task's resources, derived from the
 * task id alone.  1 to 63 characters of [a-z0-9-], starting with a letter and
 * not ending with a hyphen, so that it is valid as the name of a host, machine,
 * cgroup or file, and as the end of an interface name. */
const char *nomad_task_slug(const struct nomad_task *task);

/* Return absolute paths on the host: the task's own directory below alloc_dir,
 * its local/ and secrets/, and the shared alloc/ directory. */
const char *nomad_task_dir(const struct nomad_task *task);
const char *nomad_task_local_dir(const struct nomad_task *task);
const char *nomad_task_secrets_dir(const struct nomad_task *task);
const char *nomad_task_shared_dir(const struct nomad_task *task);
/* Returns a private directory (0700) of this task below the plugin's state
 * directory, for the driver's own files.  The library creates it, and removes
 * it with its contents after destroy(). */
const char *nomad_task_state_dir(const struct nomad_task *task);

/* ---- The operator's policy, see nomad/option.h ---- */

/* Checks whether this node's policy lets the task's job set `option` ("bind", "image_download.url") to `value`.  For
 * rows with .by_driver, and for paths that the driver resolves itself.  A path must be absolute and contain no
 * symbolic link, and the driver must use exactly this path without following links.  Returns 0, or -EACCES and an
 * error with the line that the operator would add to the plugin block. */
int nomad_task_may(const struct nomad_task *task, const char *option, const char *value,
		   struct nomad_error **err) NOMAD_MUST_CHECK;
/* Returns the limit for an option whose power is an amount: `value`, or the policy's maximum if `value` is 0.  0: no
 * limit. */
int64_t nomad_task_limit(const struct nomad_task *task, const char *option, int64_t value);

/* ---- Records that survive a crash ---- */

/* Writes `key` = `value` to the task's record on disk; durable on return.
 * Record a resource before you create it, so that destroy() always finds it.
 * Never record a secret.  A key is [a-z0-9._-]+, a value up to 4096 bytes. */
int nomad_task_put(struct nomad_task *task, const char *key, const char *value,
		   struct nomad_error **err) NOMAD_MUST_CHECK;
/* Returns the value, borrowed until the next put or forget of the key; NULL if absent. */
const char *nomad_task_get(const struct nomad_task *task, const char *key);
/* Removes the key from the record. */
void nomad_task_forget(struct nomad_task *task, const char *key);

/* Sends a task event, which `nomad alloc status` shows. */
void nomad_task_event(struct nomad_task *task, const char *fmt, ...) NOMAD_PRINTF(2, 3);
/* The same with annotations: key, value, ..., NULL. */
void nomad_task_event_kv(struct nomad_task *task, const char *message, ...) __attribute__((sentinel));
struct nomad_plugin;
/* The same by task id, for the driver's own threads.  Returns -ENOENT if the task is unknown. */
int nomad_task_event_by_id(struct nomad_plugin *plugin, const char *id, const char *message);

/* Sets the address of the task, for services with address_mode = "driver".
 * Only for start().  `addr` is NULL or "" for a task without one. */
int nomad_task_set_network(struct nomad_task *task, const char *addr, bool auto_advertise,
			   const struct nomad_int_map *port_map) NOMAD_MUST_CHECK;

/* ---- Local tasks: a process with a supervisor ---- */

/* Which device files the task's processes may open.  The driver decides which
 * ones they can see. */
enum nomad_device_policy {
	NOMAD_DEVICES_ANY, /* all; the program itself may restrict them */
	/* Those that every program expects (null, zero, full, random, urandom,
	 * tty, ptmx, terminals), those that Nomad gave to the task
	 * (nomad_task_info()->devices), and the command's own list.  Processes
	 * may create other device files, but not open them. */
	NOMAD_DEVICES_LISTED,
};

/* A limit of setrlimit(2). */
struct nomad_rlimit {
	int resource; /* RLIMIT_NOFILE, ... of <sys/resource.h> */
	uint64_t soft, hard;
};
#define NOMAD_RLIMIT_NONE UINT64_MAX /* unlimited */

/* Parses a limit, for an option like `ulimit { nofile = "1024:4096" }`.
 * `name` is a name of prlimit(1) (nofile, nproc, core, memlock, ...).  `value`
 * is "SOFT:HARD", or one value for both: a number in the unit of setrlimit(2),
 * or "unlimited". */
int nomad_rlimit_parse(const char *name, const char *value, struct nomad_rlimit *ret,
		       struct nomad_error **err) NOMAD_MUST_CHECK;

/* Descriptors of the program, if exec_broker or exit_channel below is set. */
enum { NOMAD_EXEC_FD = 3, NOMAD_EXIT_FD = 4 };

/* The command to run.  All fields are borrowed for the call.
 *
 * The library always applies the job's resources (memory, memory_max, CPU
 * shares, cores) as limits of the task.  If this host cannot apply a limit of
 * this struct, the start fails and the error names what is missing. */
struct nomad_command {
	/* The program and its arguments; argv[0] is an absolute path. */
	const char *const *argv;
	/* Its whole environment; NULL: the task's.  Nothing is inherited. */
	const struct nomad_map *env;
	/* Working directory on the host; NULL: nomad_task_dir(). */
	const char *cwd;
	/* User name or number on the host; NULL: the user of the job, if it names one; "": the plugin's user. */
	const char *user;
	/* File of the network namespace to enter; NULL: the namespace of the job's group, if it has one; "": the
	 * plugin's. */
	const char *netns;
	/* The process reports with sd_notify(3) when it is ready.  It gets
	 * NOTIFY_SOCKET in its environment, and nomad_task_run() returns at
	 * READY=1.  If false, nomad_task_run() returns after the exec(). */
	bool notify;
	/* Key of the notification with the pid of the payload's first process in
	 * the plugin's pid namespace, such as "X_NSPAWN_LEADER_PID"; NULL: the
	 * process itself is the leader.  See nomad_task_leader(). */
	const char *leader_key;
	/* A notification "STATUS=" that begins with this prefix becomes a task event, without the prefix; NULL: none
	 * does.  One that repeats the last, or follows it within a second, is delayed. */
	const char *event_prefix;
	/* The start fails if READY=1 takes longer; 0: 60 s. */
	unsigned ready_timeout_ms;
	/* Sent to the process at stop if Nomad names no signal; 0: SIGTERM. */
	int stop_signal;
	/* Do not apply the task's cgroup limits to this process, because it is a
	 * client of a daemon that applies them. */
	bool no_limits;
	/* Limits the number of processes; 0: no limit. */
	int64_t pids_max;
	/* If this host cannot apply pids_max, run the command without it; otherwise the start fails. */
	bool pids_if_possible;
	/* The program reports its payload's exit, because its own exit status
	 * cannot express it: it writes "<exit code> <signal>\n" once to descriptor
	 * NOMAD_EXIT_FD, a socket.  " 1" after the signal means that the payload
	 * was killed because memory ran out.  Without a report the program's own
	 * exit status counts. */
	bool exit_channel;
	/* The program itself runs commands (`nomad alloc exec`, script checks)
	 * inside what it created for the task.  Descriptor NOMAD_EXEC_FD is a
	 * socket on which the supervisor requests them ("Exec broker" in
	 * PROTOCOL.md).  If false, the supervisor runs them next to the program, as
	 * the same user with the same groups, limits, network and directory. */
	bool exec_broker;
	/* The CPU time that Nomad granted is a limit.  If false, it is a share,
	 * and the task may also use CPU time that others leave idle.  Has no
	 * effect with reserved cores, which are the limit themselves. */
	bool cpu_hard_limit;
	/* The period of that limit in microseconds, 1000 to 1000000; 0: 100000. */
	int64_t cpu_period_us;
	/* Devices: see above.  `cgroup_permissions` NULL or "": "rwm"; `task_path` is ignored here. */
	enum nomad_device_policy device_policy;
	const struct nomad_device *devices;
	size_t n_devices;
	/* Limits of the program and of commands in the task; those not listed are inherited from the plugin.  At most
	 * 16. */
	const struct nomad_rlimit *rlimits;
	size_t n_rlimits;
	/* Which process the kernel kills when memory runs out: -1000 (never) to
	 * 1000 (first).  Linux only; values below 0 require privileges. */
	int oom_score_adj;
};

/* Starts `command` for the task with a supervisor that outlives this process,
 * and returns once it runs.  stdout and stderr go to Nomad, stdin is
 * /dev/null.  From then on the library handles wait, stop, signal, exec, stats
 * and recovery for the task.
 * The task ends when the program ends.  The supervisor then kills the
 * remaining children, also those in other sessions.  (Nomad's raw_exec keeps
 * them until DestroyTask.)  A program that starts the real one in the
 * background must therefore wait for it.
 * Call it once, in start().  A failed call leaves nothing behind; its error
 * has the last lines that the process wrote to stderr.  Fails within a second
 * if the start is cancelled. */
int nomad_task_run(struct nomad_task *task, const struct nomad_command *command,
		   struct nomad_error **err) NOMAD_MUST_CHECK;

/* Returns whether the start has been cancelled: its caller has left, or Nomad
 * stops or destroys the task, or starts a newer run of it.  A start() that
 * waits (for a download, a server, a lock) must call this at least once a
 * second and then fail at once, with any text.  If it returns 0 nevertheless,
 * the library undoes the start.  The result may change back to false if Nomad
 * starts the same task again; the start may then continue. */
bool nomad_task_is_cancelled(const struct nomad_task *task);

/* Returns the pid of the payload's first process in the plugin's pid
 * namespace; 0 before it starts and after it ends. */
int nomad_task_leader(const struct nomad_task *task);

/* ---- Remote tasks: watched by the driver ---- */

struct nomad_exit {
	int exit_code; /* 128 + signal after a signal */
	int signal;
	bool oom_killed;
	char *message; /* why the exit code is not known: code and signal are then ignored; or NULL */
};

/* Report the end of a task that nomad_task_run() did not start; the second one
 * by id, for a poller, with -ENOENT if the task is unknown.  The first report
 * counts.  Safe from any thread.
 * The driver may write the output of such a task to the FIFOs of
 * nomad_task_info; the library closes them here.  A driver whose tasks have no
 * output sets NOMAD_OWN_LOGS; Nomad then creates no FIFOs. */
void nomad_task_exited(struct nomad_task *task, const struct nomad_exit *result);
struct nomad_plugin;
int nomad_task_exited_by_id(struct nomad_plugin *plugin, const char *id, const struct nomad_exit *result);

/* Returns the plugin that the task belongs to. */
struct nomad_plugin *nomad_task_plugin(const struct nomad_task *task);

NOMAD_END_DECLS

#endif
