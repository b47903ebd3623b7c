/* SPDX-License-Identifier: MPL-2.0
 *
 * init/task.h: who the task is: its environment, user and working directory,
 * for its own command and for every command that the exec broker starts. */
#ifndef NSPAWN_TASK_H
#define NSPAWN_TASK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/account.h"

/* Of a container image; argv NULL: it has none. */
struct health {
	int interval_ms, start_interval_ms, retries;
	int64_t timeout_ms, start_ms;
	char **argv;
};

struct task {
	char *data; /* what `cwd` and `env` point into */
	const char *user, *cwd, *groups;
	char *sysctls;
	struct health health;
	char **env; /* NULL-terminated, with room for what we add */
	size_t n_env;
	bool other_user;
	struct nomad__account account; /* looked up before the task could change the files */
};

/* Reads the credential of systemd-nspawn; ends the process on failure. */
void task_read(struct task *task);
/* Looks the user up and completes the environment with HOME and the like.  Returns
 * the act that failed, with errno, or NULL. */
const char *task_resolve(struct task *task);
void task_default(struct task *task, const char *name, const char *value);
/* Becomes the task and runs argv[].  Returns the act that failed, with errno and
 * its object.  The type of broker_become_fn. */
const char *task_become(void *task, char **argv, int tty, const char **ret_object);

#endif
