/* SPDX-License-Identifier: MPL-2.0
 *
 * core/task_progress.h: the phase of a task, and its supervisor.  One lock guards
 * both, so that no thread uses the supervisor of a running task after it was
 * freed. */
#ifndef NOMAD_CORE_TASK_PROGRESS_H
#define NOMAD_CORE_TASK_PROGRESS_H

#include <pthread.h>

#include "core/core.h"
#include "core/task.h"
#include "supervisor/client.h"

enum nomad__phase {
	NOMAD__STARTING, /* start() or recover() runs */
	NOMAD__RUNNING,
	NOMAD__EXITED, /* the end is known, or known to be unknown */
	NOMAD__GONE,   /* destroyed: not in the table any more */
};

struct nomad__task_progress {
	pthread_mutex_t lock; /* all below */
	pthread_cond_t changed;
	enum nomad__phase phase;
	struct nomad__supervisor *supervisor;
	bool stopping;
	/* Whether the start is still wanted.  The undoing of a start that is not begins when start() returns. */
	unsigned callers;	  /* StartTask calls that wait for the start */
	bool left;		  /* they have all gone */
	const char *cancelled;	  /* why it is not, for good; static; NULL: it is */
	struct nomad_exit result; /* does not change any more once the task has ended */
	int64_t started_ns, ended_ns;
	/* Whether an agent has it: see orphans.c. */
	unsigned waiters;     /* open WaitTask calls */
	int64_t asked_ns;     /* when it was last asked for; monotonic; -1: given up */
	int64_t recovered_ns; /* atomic: when RecoverTask came for it; 0: never */
	/* exec.c's: execs begin only while the task runs, and end before its supervisor goes. */
	struct nomad__exec_stream *execs;
	unsigned opening; /* driver->exec() runs that often */
};

struct nomad__task_progress *nomad__task_progress_new(void);
void nomad__task_progress_free(struct nomad__task_progress *progress);

enum nomad__phase nomad__task_phase(struct nomad_task *task);
void nomad__task_set_supervisor(struct nomad_task *task, struct nomad__supervisor *take_supervisor);
struct nomad__supervisor *nomad__task_take_supervisor(struct nomad_task *task);
/* The task is recovered, for an agent that asked at that time; it may have ended already. */
void nomad__task_set_running(struct nomad_task *task, int64_t asked_ns);
/* The same for a start, which asks now.  False: the start was cancelled, and the caller has to undo it. */
bool nomad__task_set_started(struct nomad_task *task);
/* Cancels a start that is not over.  `why` is static. */
void nomad__task_cancel_start(struct nomad_task *task, const char *why);
/* A StartTask call begins to wait for the start, or an agent takes the task over, which asked at that time.  A call
 * leaves it again by nomad__task_leave_start(), an agent never does. */
void nomad__task_join_start(struct nomad_task *task, int64_t asked_ns);
void nomad__task_leave_start(struct nomad_task *task);
/* Why the start is cancelled; NULL: it is not. */
const char *nomad__task_cancelled(const struct nomad_task *task);
/* The end of what could not be taken over is not the end of what is started instead. */
void nomad__task_set_starting(struct nomad_task *task);
/* Whether this is the first end; only that one counts. */
bool nomad__task_set_ended(struct nomad_task *task, const struct nomad_exit *result, int64_t ended_ns);
void nomad__task_set_gone(struct nomad_task *task);
/* It could not be destroyed, and Nomad does not ask again: no agent has it, unless one recovers it. */
void nomad__task_give_up(struct nomad_task *task);
/* Waits until the task has ended; false after the timeout. */
bool nomad__task_await_end(struct nomad_task *task, int64_t timeout_ns);

#endif
