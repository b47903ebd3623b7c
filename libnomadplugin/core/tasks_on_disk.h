/* SPDX-License-Identifier: MPL-2.0
 *
 * core/tasks_on_disk.h: the tasks of a state directory from their records,
 * including tasks of other plugins: for `ps`, and to remove unclaimed tasks.
 *
 * A claim is an flock(2) on the journal of a task (<state_dir>/tasks/<slug>/
 * task).  A plugin takes it with the first byte it writes about a task, or
 * when it recovers one, and has it until the task is destroyed.  It needs no
 * clean-up: the lock ends with the process.  A process that removes a task holds
 * its claim; a process that takes a claim checks that the journal still exists.
 *
 * The supervisor locks the task's directory, not its journal, because a task may
 * run without an agent that knows it.
 */
#ifndef NOMAD_TASKS_ON_DISK_H
#define NOMAD_TASKS_ON_DISK_H

#include "core/core.h"

struct nomad__journal;

enum nomad__disk_state {
	NOMAD__DISK_STARTING,  /* a plugin is at it */
	NOMAD__DISK_HALF_MADE, /* a start that was cut */
	NOMAD__DISK_RUNNING,
	NOMAD__DISK_REMOTE, /* without a process on this host: only its driver knows */
	NOMAD__DISK_EXITED,
	NOMAD__DISK_LOST,	/* the host was restarted, or the supervisor was killed */
	NOMAD__DISK_DESTROYING, /* Nomad has given the order: a plugin is at it, or died */
};

struct nomad__disk_task {
	char *slug;		 /* name of the directory */
	struct nomad_map record; /* id, alloc, name, node, job, ...; what the driver holds is x.* */
	enum nomad__disk_state state;
	bool claimed;	  /* a living plugin looks after it */
	char claim_by[8]; /* which then: "agent" (its plugin) or "run"; "": not known */
	int claim_pid;
	int64_t claim_since_ns;		/* wall clock */
	bool foreign;			/* of another driver */
	bool alive;			/* its supervisor */
	int supervisor_pid, leader_pid; /* 0: none */
	int exit_code, signal;		/* of an exited one */
	int64_t since_ns;		/* when it was made; wall clock */
};

const char *nomad__disk_state_name(enum nomad__disk_state state);
/* Sorted by age, the oldest first.  No state directory: no tasks. */
int nomad__tasks_on_disk(struct nomad_plugin *plugin, struct nomad__disk_task **ret, size_t *ret_count,
			 struct nomad_error **err);
void nomad__tasks_on_disk_free(struct nomad__disk_task *tasks, size_t count);

/* One of them.  0; -ENOENT: it is not there (any more).  With `ret_record` the
 * journal stays open, and claimed unless ret->claimed. */
int nomad__task_on_disk(struct nomad_plugin *plugin, const char *slug, struct nomad__disk_task *ret,
			struct nomad__journal *ret_record);
void nomad__disk_task_done(struct nomad__disk_task *task);

#endif
