/* SPDX-License-Identifier: MPL-2.0
 *
 * core/exec_stream.h: a command in a task, for exec.c and exec_input.c only. */
#ifndef NOMAD_CORE_EXEC_STREAM_H
#define NOMAD_CORE_EXEC_STREAM_H

#include <pthread.h>

#include "base/loop.h"
#include "core/exec.h"

struct nomad__exec_stream {
	int refs;
	struct nomad_task *task;
	struct nomad__loop *loop;
	const struct nomad__exec_events *events;
	void *ud;
	bool tty;

	struct nomad__supervisor_exec *exec; /* under the task's lock */
	struct nomad__spawn *spawn;	     /* in its place, for a remote task; likewise */

	/* loop thread only */
	struct output {
		struct nomad__exec_stream *stream;
		int number, fd;
		bool ended;
		struct nomad__watch *watch;
	} out[2]; /* stdout (or the terminal), stderr */
	int in_fd;
	struct nomad__watch *in_watch;
	struct nomad__timer *linger;
	bool exited, finished, line_open;
	int result;
	struct nomad_exit status;
	char *message;

	/* shared */
	pthread_mutex_t lock;
	pthread_cond_t settled;
	char *input;
	size_t input_size;
	bool input_lost; /* out of memory: the command must not continue without its input */
	bool input_close, resume, paused, pump_posted, closed, dead;
	struct nomad__posted pump_post, end_post; /* reporting the end must not require memory */
	bool end_posted;			  /* under the task's lock */
	int rows, columns;
	struct nomad__exec_stream *next; /* of the task's, under the task's lock */
};

/* ---- exec_input.c: bytes on their way to the command.  Loop thread ---- */

/* Closes the command's input. */
void nomad__exec_input_end(struct nomad__exec_stream *stream);
/* Writes what is queued, as far as the command takes it.  `ud`: the stream. */
void nomad__exec_input_ready(void *ud, unsigned events);

#endif
