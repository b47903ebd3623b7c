/* SPDX-License-Identifier: MPL-2.0 */
#include "core/task_progress.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct nomad__task_progress *nomad__task_progress_new(void)
{
	struct nomad__task_progress *progress = calloc(1, sizeof(*progress));
	pthread_condattr_t attr;

	if (!progress)
		return NULL;
	pthread_mutex_init(&progress->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&progress->changed, &attr);
	pthread_condattr_destroy(&attr);
	return progress;
}

void nomad__task_progress_free(struct nomad__task_progress *progress)
{
	if (!progress)
		return;
	nomad__supervisor_free(progress->supervisor);
	free(progress->result.message);
	pthread_mutex_destroy(&progress->lock);
	pthread_cond_destroy(&progress->changed);
	free(progress);
}

enum nomad__phase nomad__task_phase(struct nomad_task *task)
{
	enum nomad__phase phase;

	pthread_mutex_lock(&task->progress->lock);
	phase = task->progress->phase;
	pthread_mutex_unlock(&task->progress->lock);
	return phase;
}

void nomad__task_set_supervisor(struct nomad_task *task, struct nomad__supervisor *take_supervisor)
{
	pthread_mutex_lock(&task->progress->lock);
	task->progress->supervisor = take_supervisor;
	task->progress->started_ns = nomad__supervisor_started_ns(take_supervisor);
	pthread_mutex_unlock(&task->progress->lock);
	nomad__supervisor_set_logs(take_supervisor, task->info.stdout_path, task->info.stderr_path);
}

struct nomad__supervisor *nomad__task_take_supervisor(struct nomad_task *task)
{
	struct nomad__supervisor *supervisor;

	pthread_mutex_lock(&task->progress->lock);
	supervisor = NOMAD_TAKE_PTR(task->progress->supervisor);
	pthread_mutex_unlock(&task->progress->lock);
	return supervisor;
}

/* Lock held. */
static void set_asked(struct nomad__task_progress *progress, int64_t asked_ns)
{
	if (progress->asked_ns < asked_ns)
		progress->asked_ns = asked_ns;
}

/* Lock held. */
static void set_running(struct nomad__task_progress *progress, int64_t asked_ns)
{
	if (!progress->started_ns)
		progress->started_ns = nomad_wall_ns();
	if (progress->phase == NOMAD__STARTING)
		progress->phase = NOMAD__RUNNING;
	set_asked(progress, asked_ns);
}

void nomad__task_set_running(struct nomad_task *task, int64_t asked_ns)
{
	pthread_mutex_lock(&task->progress->lock);
	set_running(task->progress, asked_ns);
	pthread_mutex_unlock(&task->progress->lock);
}

/* ---- Whether a start is wanted ---- */

/* Lock held. */
static const char *why_cancelled(const struct nomad__task_progress *progress)
{
	return progress->cancelled ? progress->cancelled : progress->left ? "the caller has disconnected" : NULL;
}

bool nomad__task_set_started(struct nomad_task *task)
{
	bool wanted;

	pthread_mutex_lock(&task->progress->lock);
	wanted = !why_cancelled(task->progress);
	if (wanted)
		set_running(task->progress, nomad_monotonic_ns());
	pthread_mutex_unlock(&task->progress->lock);
	return wanted;
}

void nomad__task_cancel_start(struct nomad_task *task, const char *why)
{
	pthread_mutex_lock(&task->progress->lock);
	if (task->progress->phase == NOMAD__STARTING && !task->progress->cancelled)
		task->progress->cancelled = why;
	pthread_mutex_unlock(&task->progress->lock);
}

void nomad__task_join_start(struct nomad_task *task, int64_t asked_ns)
{
	pthread_mutex_lock(&task->progress->lock);
	task->progress->callers++;
	task->progress->left = false;
	set_asked(task->progress, asked_ns);
	pthread_mutex_unlock(&task->progress->lock);
}

void nomad__task_leave_start(struct nomad_task *task)
{
	pthread_mutex_lock(&task->progress->lock);
	task->progress->left = --task->progress->callers == 0;
	pthread_mutex_unlock(&task->progress->lock);
}

const char *nomad__task_cancelled(const struct nomad_task *task)
{
	const char *why;

	pthread_mutex_lock(&task->progress->lock);
	why = why_cancelled(task->progress);
	pthread_mutex_unlock(&task->progress->lock);
	return why;
}

bool nomad_task_is_cancelled(const struct nomad_task *task)
{
	return nomad__task_cancelled(task) != NULL;
}

/* ---- */

void nomad__task_set_starting(struct nomad_task *task)
{
	struct nomad__task_progress *progress = task->progress;

	pthread_mutex_lock(&progress->lock);
	progress->phase = NOMAD__STARTING;
	free(progress->result.message);
	progress->result = (struct nomad_exit){ 0 };
	progress->started_ns = progress->ended_ns = 0;
	pthread_mutex_unlock(&progress->lock);
}

bool nomad__task_set_ended(struct nomad_task *task, const struct nomad_exit *result, int64_t ended_ns)
{
	struct nomad__task_progress *progress = task->progress;
	char *message = result->message ? strdup(result->message) : NULL;
	bool first;

	pthread_mutex_lock(&progress->lock);
	first = progress->phase < NOMAD__EXITED;
	if (first) {
		progress->result = *result;
		progress->result.message = result->message && !message ? strdup("") : NOMAD_TAKE_PTR(message);
		progress->ended_ns = ended_ns;
		progress->phase = NOMAD__EXITED;
		pthread_cond_broadcast(&progress->changed);
	}
	pthread_mutex_unlock(&progress->lock);
	free(message);
	return first;
}

void nomad__task_set_gone(struct nomad_task *task)
{
	pthread_mutex_lock(&task->progress->lock);
	task->progress->phase = NOMAD__GONE;
	pthread_cond_broadcast(&task->progress->changed);
	pthread_mutex_unlock(&task->progress->lock);
}

void nomad__task_give_up(struct nomad_task *task)
{
	pthread_mutex_lock(&task->progress->lock);
	task->progress->asked_ns = -1;
	pthread_mutex_unlock(&task->progress->lock);
}

bool nomad__task_await_end(struct nomad_task *task, int64_t timeout_ns)
{
	struct timespec until;
	bool ended;
	int r = 0;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += timeout_ns / 1000000000;
	until.tv_nsec += timeout_ns % 1000000000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_nsec -= 1000000000;
		until.tv_sec++;
	}
	pthread_mutex_lock(&task->progress->lock);
	while (task->progress->phase < NOMAD__EXITED && r != ETIMEDOUT)
		r = pthread_cond_timedwait(&task->progress->changed, &task->progress->lock, &until);
	ended = task->progress->phase >= NOMAD__EXITED;
	pthread_mutex_unlock(&task->progress->lock);
	return ended;
}

int nomad_task_leader(const struct nomad_task *task)
{
	struct nomad__task_progress *progress = task->progress;
	int pid;

	pthread_mutex_lock(&progress->lock);
	pid = progress->supervisor && progress->phase != NOMAD__EXITED ? nomad__supervisor_leader(progress->supervisor)
								       : 0;
	pthread_mutex_unlock(&progress->lock);
	return pid;
}
