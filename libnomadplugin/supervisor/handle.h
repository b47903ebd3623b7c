/* SPDX-License-Identifier: MPL-2.0
 *
 * supervisor/handle.h: what the files of the plugin's side share. */
#ifndef NOMAD_SUPERVISOR_HANDLE_H
#define NOMAD_SUPERVISOR_HANDLE_H

#include <pthread.h>
#include <sys/types.h>

#include "base/loop.h"
#include "supervisor/client.h"
#include "supervisor/unread.h"

enum { NOMAD__MESSAGE_SIZE = 8192 };

struct nomad__supervisor_exec;

struct nomad__supervisor {
	struct nomad__loop *loop;
	const struct nomad__supervisor_events *events;
	void *ud;
	int dirfd;
	char *dir;
	int pid; /* of the supervisor */
	int64_t started_ns;

	pthread_mutex_t lock; /* of all below */
	pthread_cond_t changed;
	unsigned refs;
	int fd; /* -1: no connection (any more) */
	int leader, main_pid;
	bool commands; /* asks for commands are understood: one of 0.1 would run them on the host */
	bool over;     /* the end is known */
	bool ending;   /* lost; a thread kills the remaining processes */
	char *log_paths[2];
	struct nomad__unread unread; /* the task's log pipes, held open until the end */
	int64_t last_exec_id;
	struct nomad__supervisor_exec *execs;
	uint64_t asked, answered; /* greetings */
	uint64_t given_up;	  /* so many of them found a silent supervisor */
	unsigned ticks;		  /* since the last answer, or the first greeting without one */
	int64_t end_at_ns;	  /* silent, then the task is ended; or INT64_MAX */
	bool tick_posted;
	struct nomad__posted tick_post;

	/* Loop thread only. */
	struct nomad__watch *watch;
	struct nomad__timer *ticks_timer; /* there as long as `watch` */
	bool ticking;
	bool freed, told;
	bool has_result; /* the message brought it, or the record */
	bool logs_told;	 /* what became of output that nobody had read by the end */
	bool settling;	 /* the timer is for that */
	struct nomad__supervisor_exit result;
	struct nomad__posted end_post; /* the end of a lost task is reported even without memory */
};

/* ---- handle.c ---- */

/* -ENOENT: the directory is not there. */
int nomad__supervisor_new(struct nomad__loop *loop, const char *dir, const struct nomad__supervisor_events *events,
			  void *ud, struct nomad__supervisor **ret);
void nomad__supervisor_ref(struct nomad__supervisor *s);
void nomad__supervisor_unref(struct nomad__supervisor *s);
/* Keeps what a message `started` or `state` says. */
void nomad__supervisor_take_state(struct nomad__supervisor *s, const char *message, size_t size);
/* Sends a message under the lock.  -ENOTCONN if the task is over. */
int nomad__supervisor_send(struct nomad__supervisor *s, const char *data, size_t size, const int *fds, int n_fds);
/* Receives one message within `timeout_ns`. */
ssize_t nomad__reply_receive(int fd, char *buf, size_t size, int64_t timeout_ns);

/* ---- answer.c ---- */

/* Sends a greeting and returns its number.  With `end_in_ns` >= 0 a supervisor that is silent at that time, and for a
 * few seconds at least, is not waited for: the plugin ends the task. */
uint64_t nomad__answer_ask(struct nomad__supervisor *s, int64_t end_in_ns);
/* Waits for the answer or the end of the task.  -ETIMEDOUT: the supervisor is silent.  Any thread but the loop's. */
int nomad__answer_await(struct nomad__supervisor *s, uint64_t number);
/* The rest on the loop thread: an answer came; a tick did, and what it means; let there be another one. */
void nomad__answer_came(struct nomad__supervisor *s);
enum nomad__answers { NOMAD__ANSWERED, NOMAD__ASKED, NOMAD__SILENT, NOMAD__SILENT_TO_THE_END };
enum nomad__answers nomad__answer_tick(struct nomad__supervisor *s);
void nomad__answer_next_tick(struct nomad__supervisor *s);

/* ---- launch.c ---- */

/* Forks the program for the task of `dirfd`.  The connection's own end into *ret_fd. */
int nomad__supervisor_launch(int dirfd, const char *title, int *ret_fd, struct nomad_error **err);

/* ---- exec.c ---- */

/* A message came for an exec, with the descriptor *fd or -1; one that is taken is -1 afterwards. */
void nomad__exec_message(struct nomad__supervisor *s, const char *op, const char *message, size_t size, int *fds);
/* The connection ended. */
void nomad__exec_all_over(struct nomad__supervisor *s);
/* The supervisor is silent: those that it has not begun yet fail. */
void nomad__exec_unanswered(struct nomad__supervisor *s);

/* ---- stats_pids.c ---- */

/* Looks at the processes below the supervisor, if it is time to. */
void nomad__stats_pids(struct nomad__stats_cache *cache, int supervisor, int64_t now_ns, struct nomad_stats *ret);

/* ---- connection.c ---- */

/* Reads s->fd on the loop thread from now on. */
int nomad__connection_watch(struct nomad__supervisor *s);
/* Tells s->result on the loop thread, and reads s->fd, if the supervisor still waits for readers of the logs. */
int nomad__connection_has_ended(struct nomad__supervisor *s);

#endif
