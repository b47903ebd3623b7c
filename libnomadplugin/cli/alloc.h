/* SPDX-License-Identifier: MPL-2.0
 *
 * cli/alloc.h: an allocation without an agent: the directories, the
 * environment and the TaskConfig that a Nomad client makes for a task. */
#ifndef NOMAD_ALLOC_H
#define NOMAD_ALLOC_H

#include "cli/job.h"
#include "core/core.h"

struct nomad__alloc {
	char *root;		     /* temporary directory, removed by _done() */
	struct nomad_task_info info; /* start() takes it */
	char *fifos[2];		     /* removed by _done() */
	json_t *config;		     /* the task's config, ${NOMAD_...} replaced */
	int stdout_fd, stderr_fd;    /* reading ends of the log FIFOs, non-blocking */
	int64_t kill_timeout_ns;
	const char *kill_signal; /* borrowed from the job */
};

/* `shared` is a directory to use as alloc/, which is kept; NULL: a new one. */
int nomad__alloc_new(const struct nomad_driver *driver, const struct nomad__job *job,
		     const struct nomad__job_task *task, const char *shared, struct nomad__alloc *ret,
		     struct nomad_error **err);
void nomad__alloc_done(struct nomad__alloc *alloc);

#endif
