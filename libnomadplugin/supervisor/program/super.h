/* SPDX-License-Identifier: MPL-2.0
 *
 * supervisor/program/super.h: what the files of the supervisor program share.
 *
 * All state is in one struct, static and small: the program allocates nothing
 * once the task runs.  Times are CLOCK_MONOTONIC nanoseconds unless their
 * name says otherwise. */
#ifndef NOMAD_SUPERVISOR_SUPER_H
#define NOMAD_SUPERVISOR_SUPER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>

#include "supervisor/program/table.h"
#include "base/fields.h"
#include "nomad/base.h"

enum {
	START_FD = 3, /* the inherited connection of who starts us */
	MAX_CLIENTS = 16,
	MAX_EXECS = 256,
	MESSAGE_SIZE = 8192, /* longest control message */
	TAIL_SIZE = 2048,    /* last words on stderr, kept until ready */
};

enum super_timer {
	TIMER_READY,
	TIMER_STOP,
	TIMER_KILL,
	TIMER_STALL,
	TIMER_LINGER,
	TIMER_RECORD,
	TIMER_MAX,
};

struct super_client {
	int fd;	      /* -1: none */
	bool starter; /* waits for the answer to its start */
};

struct super_exec {
	int pid;       /* 0: free */
	int client;    /* index; -1: gone */
	int64_t id;    /* of the client's choice */
	int status_fd; /* -1: the program runs */
	bool told;     /* the client knows the end: that it could not begin */
};

struct super {
	enum super_state state;
	int dirfd; /* the task's directory; also holds the lock */
	int ctl_fd, notify_fd;
	int exit_fd;	  /* a place for the exit record that is on the disk; -1: none */
	int exec_fd;	  /* closed by a successful exec; -1: it was */
	const char *spec; /* mapped until the start is over */
	size_t spec_size;

	int main_pid; /* 0: never forked */
	uint64_t main_start;
	bool main_reaped;
	int main_status;
	struct rusage usage;
	int leader_pid; /* 0: none (yet, any more) */
	uint64_t leader_start;

	bool notify, told; /* the start was answered */
	bool killed, survivors;
	int stop_signal;
	int ask_signal; /* of the last stop that a client asked for */
	int64_t ask_timeout_ns;
	int64_t started_wall_ns, ended_wall_ns;
	uint64_t oom_before;
	int64_t deadline[TIMER_MAX]; /* 0: not set */
	int64_t kill_delay, kill_since;
	bool lingers;

	char leader_key[64];
	char exit_file[512];
	char status[256];  /* the last STATUS= */
	char failure[512]; /* what could not be done; "" : the start is fine so far */
	int failure_errno;

	struct super_client clients[MAX_CLIENTS];
	struct super_exec execs[MAX_EXECS];
};

extern struct super S;

/* main.c */
const char *spec_get(const char *key);
int64_t spec_num(const char *key, int64_t otherwise);
/* Keep why the start fails, once; returns -errnum. */
int fail(int errnum, const char *act, const char *object);
int write_identity(void);
/* Add the process, or the leader, to it. */
int add_identity(const char *pid_key, int pid, const char *start_key, uint64_t start);

/* loop.c */
void dispatch(enum super_event event);
void timer_set(enum super_timer timer, int64_t delay_ns); /* negative: off */
void reap(void);
void super_loop(void);

/* spawn.c */
int spawn_main(void);
void spawn_read_status(void);

/* exec.c */
void exec_start(int client, const char *message, size_t size, const int *fds);
void exec_signal(int client, int64_t id, int signal);
void exec_client_gone(int client);
void exec_read_status(struct super_exec *exec);
void exec_reaped(struct super_exec *exec, int status);
struct super_exec *exec_find(int pid);

/* ctl.c */
int ctl_listen(void);
void ctl_accept(void);
void ctl_read(int client);
int ctl_drop(int client);
void ctl_send(int client, const struct nomad__fields *message);
void ctl_broadcast(const struct nomad__fields *message);
void ctl_notice(const char *text);
void ctl_started(void);
void ctl_failed(void);
void ctl_close(void); /* all connections */

/* logs.c */
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
void logs_give_up(void); /* count what nobody has read */
const char *logs_tail(void);
void logs_started(void);

/* notify.c */
int notify_open(char *ret_env, size_t size);
void notify_read(void);

/* kill.c */
void stop_main(int signal);
void signal_leader(int signal);
void sweep_begin(void);
void sweep(void);
void prepare_exit_record(void);
void leave_directory(void); /* its sockets and its lock */
void finish(void);

/* limits.c */
int limits_create(void);  /* the cgroups and what is to be written into them */
int limits_fork(void);	  /* fork() into them; or -errno */
int limits_join(void);	  /* the rest of it, in the child */
int limits_set_own(void); /* rlimits and the like of the calling process */
/* The same for a command in the task: where the process `pid` of it is. */
int limits_fork_beside(int pid);
int limits_join_beside(int pid);
void limits_leave_agent(void);
int limits_fork_supervisor(void);
void limits_kill(bool thorough);
bool limits_empty(void);
uint64_t limits_oom_kills(void);

#endif
