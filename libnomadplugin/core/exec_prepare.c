/* SPDX-License-Identifier: MPL-2.0
 *
 * Prepares a command in a task: its specification, and the ends of its pipes or
 * of its terminal. */
#include "core/exec.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/plugin.h"
#include "core/task_progress.h"

void nomad__exec_ends_close(struct nomad__exec_ends *ends)
{
	for (int i = 0; i < 3; i++) {
		if (ends->mine[i] >= 0)
			close(ends->mine[i]);
		if (ends->theirs[i] >= 0 && (i == 0 || ends->theirs[i] != ends->theirs[i - 1]))
			close(ends->theirs[i]);
	}
}

/* A pipe for each, or one for both outputs: then what the command wrote comes
 * in the order it was written in. */
int nomad__exec_ends_pipes(struct nomad__exec_ends *ends, bool merged)
{
	for (int i = 0; i < (merged ? 2 : 3); i++) {
		int fds[2];

		if (pipe2(fds, O_CLOEXEC) < 0)
			return -errno;
		ends->mine[i] = fds[i ? 0 : 1];
		ends->theirs[i] = fds[i ? 1 : 0];
		if (fcntl(ends->mine[i], F_SETFL, O_NONBLOCK) < 0)
			return -errno;
	}
	if (merged)
		ends->theirs[2] = ends->theirs[1];
	return 0;
}

int nomad__exec_ends_tty(struct nomad__exec_ends *ends)
{
	char name[128];
	int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);

	if (master < 0)
		return -errno;
	ends->mine[1] = master;
	if (grantpt(master) < 0 || unlockpt(master) < 0 || ptsname_r(master, name, sizeof(name)) != 0)
		return errno ? -errno : -ENOTTY;
	ends->theirs[0] = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (ends->theirs[0] < 0)
		return -errno;
	ends->theirs[1] = ends->theirs[2] = ends->theirs[0];
	/* One for input, so that each direction is watched by itself. */
	ends->mine[0] = fcntl(master, F_DUPFD_CLOEXEC, 3);
	return ends->mine[0] < 0 || fcntl(master, F_SETFL, O_NONBLOCK) < 0 ? -errno : 0;
}

void nomad__exec_undescribe(struct nomad_exec *exec)
{
	nomad_strv_free(exec->argv);
	nomad_map_done(&exec->env);
	free(exec->cwd);
	free(exec->user);
}

int nomad__exec_describe(struct nomad_task *task, const char *const *argv, bool tty, struct nomad_exec *exec,
			 struct nomad_error **err)
{
	const struct nomad_driver *driver = task->plugin->driver;
	struct nomad__task_progress *progress = task->progress;
	int r = 0;

	if (!(driver->capabilities & NOMAD_CAN_EXEC))
		return nomad_error_set(err, EOPNOTSUPP, "driver does not support exec");
	if (!argv || !argv[0])
		return nomad_error_set(err, EINVAL, "exec in task '%s': no command given", task->info.id);
	exec->argv = nomad_strv_copy(argv);
	exec->tty = tty;
	if (!exec->argv)
		return nomad_error_errno(err, ENOMEM, "exec in task '%s'", task->info.id);
	if (!driver->exec)
		return 0;
	/* The driver's destroy() never runs at the same time as its exec(). */
	pthread_mutex_lock(&progress->lock);
	if (progress->phase != NOMAD__RUNNING)
		r = nomad_error_set(err, ESRCH, "exec in task '%s': not running", task->info.id);
	else
		progress->opening++;
	pthread_mutex_unlock(&progress->lock);
	if (r < 0)
		return r;
	/* Not before: until it runs, its environment may go. */
	if (nomad_map_copy(&exec->env, &task->info.env) < 0)
		r = nomad_error_errno(err, ENOMEM, "exec in task '%s'", task->info.id);
	else
		r = driver->exec(task, exec, err);
	pthread_mutex_lock(&progress->lock);
	progress->opening--;
	pthread_cond_broadcast(&progress->changed);
	pthread_mutex_unlock(&progress->lock);
	return r;
}
