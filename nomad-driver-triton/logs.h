/* SPDX-License-Identifier: MPL-2.0
 *
 * logs.h: the output of containers, brought to Nomad. */
#ifndef TRITON_LOGS_H
#define TRITON_LOGS_H

#include "docker.h"

struct triton_logs;

/* `ended(ud, task_id)` is called when a stream ended: the container may have,
 * too; and when a log is finished.  From the thread of the logs: it must not
 * block. */
int triton_logs_new(void (*ended)(void *ud, const char *task_id), void *ud, struct triton_logs **ret,
		    struct nomad_error **err);
/* Stops the thread; what was not delivered is by the next process. */
void triton_logs_free(struct triton_logs *logs);

struct triton_follow {
	const char *task_id;
	struct triton_http *http; /* borrowed for as long as `logs` lives */
	const char *container;	  /* NULL: no log is read, the pipes are kept open only */
	const char *note;	  /* without a container: written to standard error, once */
	bool tty;
	const char *stdout_path, *stderr_path;
	const char *position_path;
};

int triton_logs_follow(struct triton_logs *logs, const struct triton_follow *follow, struct nomad_error **err);
/* The container has ended: deliver what is left, until nothing moved for
 * `patience_ms` milliseconds or `most_ms` are over, then close the pipes.
 * Does not wait for it: that it is done is told by triton_logs_busy(). */
void triton_logs_finish(struct triton_logs *logs, const char *task_id, int64_t patience_ms, int64_t most_ms);
bool triton_logs_busy(struct triton_logs *logs, const char *task_id);

#endif
