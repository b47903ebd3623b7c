/* SPDX-License-Identifier: MPL-2.0
 *
 * supervisor/program/super.h: the files of the supervisor program, from the
 * bottom up: a file calls only files listed before it here.
 *
 * State is static in the file that owns it, and small: the program allocates
 * nothing once the task runs.  What happens is queued in state.c as an event
 * of the table; only the loop takes events out.  Times are CLOCK_MONOTONIC
 * nanoseconds unless their name says otherwise. */
#ifndef NOMAD_SUPERVISOR_SUPER_H
#define NOMAD_SUPERVISOR_SUPER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>

#include "base/fields.h"
#include "nomad/base.h"
#include "os/process.h"
#include "supervisor/program/table.h"

/* ---- spec.c: what to run, as a list of keys, and why it cannot be run ---- */

/* Keeps the first failure.  Returns -errnum. */
int fail(int errnum, const char *act, const char *object);
bool failed(void);
/* The failure as text ("" if there is none), and its errno. */
const char *failure(int *ret_errnum);
/* Adds "act 'object'", or only the act if `object` is NULL. */
void text_act(struct nomad__text *text, const char *act, const char *object);

struct spec {
	const char *data;
	size_t size;
};
/* Maps the file `fd`.  0 or -errno. */
int spec_map(int fd, struct spec *ret);
void spec_unmap(struct spec *spec);
/* The specification of the task: commands get what its process got. */
int spec_receive(int fd);
const struct spec *spec_of_task(void);
const char *spec_get(const char *key);
int64_t spec_num(const char *key, int64_t otherwise);
const char *spec_next(const char *key, size_t *pos);

/* ---- state.c: where the task is in its life, events and times to come ---- */

enum super_timer {
	TIMER_READY,
	TIMER_STOP,
	TIMER_KILL,
	TIMER_STALL,
	TIMER_LINGER,
	TIMER_RECORD,
	TIMER_EXEC,
	TIMER_MEMORY,
	TIMER_MAX,
};
enum super_state state_now(void);
/* Queues the event.  One that is queued already is not queued again. */
void state_post(enum super_event event);
/* Takes the next event and moves on.  False: there is none. */
bool state_step(enum super_action *ret);
void timer_set(enum super_timer timer, int64_t delay_ns); /* negative: off */
void timer_sooner(enum super_timer timer, int64_t delay_ns);
int64_t timer_next(void); /* 0: none is set */
/* Takes one whose time is `now` or earlier. */
bool timer_due(int64_t now, enum super_timer *ret);

/* ---- directory.c: the task's directory and the exit record in it ---- */

enum { EXIT_SIZE = 1024 };
int directory_open(const char *path);
int directory(void);	     /* -1: not open */
void directory_unlock(void); /* from now on it is somebody else's, too */
bool directory_lock(void);   /* false: it is */
void directory_close(void);
/* Makes a place for the record that is on the disk.  If that fails, exit_record_save() does it all. */
void exit_record_prepare(void);
int exit_record_save(const char buf[EXIT_SIZE]);
bool exit_record_exists(void);
/* Writes it again, in its place; without one nothing is made. */
void exit_record_update(const char buf[EXIT_SIZE]);

/* ---- task.c: the processes that were recorded ---- */

struct task {
	struct nomad__process main, leader; /* pid 0: none (yet, any more) */
	bool reaped;			    /* the main one */
	int status;
	struct rusage usage;
	int64_t started_wall_ns, ended_wall_ns;
};
const struct task *task(void);
/* The main process is forked.  0, or -errno if it cannot be recorded. */
int task_born(int pid);
void task_ended(int status, const struct rusage *usage);
/* Makes `pid` the leader, once. */
void task_lead(int pid);
void task_without_leader(void);
void task_stop(int signal);   /* to the main process */
void task_signal(int signal); /* to the leader */

/* ---- clients.c: connections ---- */

enum { START_FD = 3 /* the inherited connection to the plugin */, MAX_CLIENTS = 16 };
void clients_init(void);
int clients_listen(void);
void clients_accept(void);
int clients_pollfd(int slot);  /* of MAX_CLIENTS slots, or the listening socket for -1; -1: none */
unsigned clients_id(int slot); /* never the same for two connections */
bool clients_has(unsigned id);
void clients_drop(int slot);
/* `fds`: go along. */
void clients_send(unsigned id, const struct nomad__fields *message, const int *fds, int n_fds);
void clients_broadcast(const struct nomad__fields *message);
void clients_notice(const char *text, int64_t lost); /* lost: bytes of output that nobody will read */
void clients_drained(void);			     /* all lost output was reported */
bool clients_any(void);				     /* somebody is there to hear it */
bool clients_oom(uint64_t kills);		     /* false: no client is connected */
/* Answers the start request, once. */
void clients_answer(const struct nomad__fields *message);
bool clients_answered(void);
void clients_unlisten(void);
void clients_close(void);

/* ---- rotate.c: log files ---- */

/* Rotated files NAME.0, NAME.1, ... in a directory: the highest is written. */
struct rotation {
	int dir; /* -1: not in use */
	int fd;
	char name[160]; /* "TASK.stdout." */
	int64_t number;
	uint64_t bytes, max_bytes;
	unsigned max_files;
	uint64_t dropped; /* bytes that could not be written */
};
/* 0 or -errno; the directory is borrowed until the end. */
int rotation_open(struct rotation *rotation, int dir, const char *task, const char *stream, unsigned max_files,
		  uint64_t max_bytes);
/* Never fails: what cannot be written is counted. */
void rotation_write(struct rotation *rotation, const char *data, size_t size);

/* ---- logs.c: stdout and stderr ---- */

enum { STREAM_OUT, STREAM_ERR, STREAMS };
int logs_open(void);
/* What the task gets for fd 1 and 2; for the child. */
int logs_task_fd(int stream);
void logs_child_forked(void);
int logs_pollfd(int i, short *ret_events); /* i < 2 * STREAMS; -1: none */
void logs_ready(int i, short events);
void logs_stall_check(void);
void logs_drain(void);
bool logs_pending(void);
/* Bytes that are lost unless somebody reads them still. */
int64_t logs_lost(int stream);
void logs_give_up(void); /* tells the clients of them */
const char *logs_tail(void);
void logs_started(void);

/* ---- limits.c: cgroups and resource limits ---- */

int limits_create(void);  /* the cgroups and the files to write in them */
int limits_fork(void);	  /* fork() into them; or -errno */
int limits_join(void);	  /* the rest of it, in the child */
int limits_set_own(void); /* rlimits and other limits of the calling process */
/* The same for a command in the task: where the process `pid` of it is. */
int limits_fork_beside(int pid);
int limits_join_beside(int pid);
void limits_leave_agent(void);
int limits_fork_supervisor(void);
void limits_kill(bool thorough);
bool limits_empty(void);
bool limits_oom_killed(void); /* a process of the task, since limits_create() */
void limits_oom_report(void); /* kills not yet reported to a client */

/* ---- child.c: what a child does between fork and exec ---- */

/* Tells the parent over `fd`: "E<errno>", NUL, text, NUL; and exits. */
void child_fail(int fd, int errnum, const char *act, const char *object) __attribute__((noreturn));
/* The strings of `key`, followed by `extra` if it is not NULL; NULL if out of memory. */
char **child_strings(const struct spec *spec, const char *key, const char *extra);
void child_defaults(void);
int child_become(const struct spec *spec);
/* execve(), and the search of env's PATH for a name without a slash.  Returns -errno. */
int child_exec(char **argv, char **env);
int child_stdio(const int fds[3]);

/* ---- channels.c: sockets that the program asked for (nomad/task.h) ---- */

int channels_open(void);
/* In the child: puts them where the program expects them, moves *status out of the way, closes all others. */
int channels_give(int *status);
void channels_given(void);
/* Around what receives from the task or closes what came from there: a wait that the task may draw out (SO_LINGER)
 * ends within a second. */
void channel_begin(void);
bool channel_end(void); /* true: it was one */
int channel_exec(void); /* -1: none, or closed */
void channel_exec_close(void);
/* The exit of the payload that the program reported, if any; true: killed because memory ran out. */
bool channel_exit_read(int *code, int *signal);

/* ---- spawn.c: the main process ---- */

/* `notify`: an environment string, or "": none, and then it is ready as soon as it runs. */
int spawn_main(const char *notify);
int spawn_pollfd(void);
void spawn_read_status(void);

/* ---- notify.c: the service side of sd_notify(3) ---- */

int notify_open(char *ret_env, size_t size);
int notify_pollfd(void);
void notify_read(void);
void notify_report(void);	 /* an event not yet reported to a client */
const char *notify_status(void); /* the last STATUS= */
void notify_close(void);

/* ---- exec.c: commands in the task ---- */

enum { MAX_EXECS = 256 };
void exec_start(unsigned client, const char *message, size_t size, const int *fds);
void exec_signal(unsigned client, int64_t id, int signal);
void exec_resize(unsigned client, const char *message, size_t size);
void exec_kill_orphans(void);
int exec_pollfd(int i); /* 0: of children, 1: of the broker; -1: none */
void exec_read(int i);
void exec_check_deadlines(void);
void exec_reaped(int pid, int status);

/* ---- end.c: the end of everything ---- */

void end_begin(bool by_us); /* kill the remaining processes of the task */
void end_sweep(void);
void end_finish(void);
/* The start has failed: leave the directory, tell who asked for it. */
void end_undone(void);
bool end_lingers(void);
void end_linger_check(void); /* its timer is up */
void end_release(void);	     /* nobody will read the logs */
void end_leave(void);	     /* last: report and record the bytes lost by now */

/* ---- orders.c: messages of clients ---- */

void orders_init(void);
void orders_read(int slot);
void orders_started(void); /* answers who asked for the start */
void orders_stop(void);	   /* obeys the last stop */
void orders_stop_sooner(void);

/* ---- loop.c; main.c is above it ---- */

void super_loop(void);

#endif
