/* SPDX-License-Identifier: MPL-2.0
 *
 * Runs one task in the foreground, without an agent, through the same start,
 * wait, stop and destroy as under Nomad.  A warning names each feature of the
 * task that only an agent has: templates, artifacts, volumes, services. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/alloc.h"
#include "cli/cli.h"
#include "core/options.h"
#include "schema/schema.h"

struct run {
	const struct nomad_driver *driver;
	struct nomad_plugin *plugin;
	struct nomad__alloc alloc;
	char *id;
	int wake[2]; /* 'e': the task ended, 's': stop it */
	struct nomad_exit result;
	int wait_result;
};

static int signal_fd = -1; /* for the handler */

static void on_signal(int number)
{
	int saved = errno;

	(void)number;
	(void)!write(signal_fd, "s", 1);
	errno = saved;
}

static void on_exit_of_task(void *ud, int r, const struct nomad_exit *result, const struct nomad_error *err)
{
	struct run *run = ud;

	run->wait_result = r;
	if (r >= 0) {
		run->result = *result;
		run->result.message = result->message ? strdup(result->message) : NULL;
	} else {
		run->result.message = strdup(nomad_error_message(err));
	}
	(void)!write(run->wake[1], "e", 1);
}

static void on_event(void *ud, const struct nomad__event *event)
{
	(void)ud;
	fprintf(stderr, "event: %s\n", event->message);
}

/* ---- Logs: from the FIFOs to our own stdout and stderr ---- */

static bool copy(int from, int to)
{
	char buffer[16384];
	ssize_t n = read(from, buffer, sizeof(buffer));

	for (ssize_t done = 0; n > 0 && done < n;) {
		ssize_t w = write(to, buffer + done, (size_t)(n - done));

		if (w < 0 && errno != EINTR)
			break;
		done += w > 0 ? w : 0;
	}
	return n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR));
}

static void *copy_logs(void *arg)
{
	struct run *run = arg;
	struct pollfd fds[2] = { { .fd = run->alloc.stdout_fd, .events = POLLIN },
				 { .fd = run->alloc.stderr_fd, .events = POLLIN } };

	while (fds[0].fd >= 0 || fds[1].fd >= 0) {
		if (poll(fds, 2, -1) < 0 && errno != EINTR)
			break;
		for (int i = 0; i < 2; i++)
			if (fds[i].fd >= 0 && fds[i].revents && !copy(fds[i].fd, i ? STDERR_FILENO : STDOUT_FILENO))
				fds[i].fd = -1;
	}
	return NULL;
}

/* A FIFO that never had a writer never reports end of file: open and close it once. */
static void end_logs(const struct nomad_task_info *info)
{
	const char *paths[] = { info->stdout_path, info->stderr_path };

	for (int i = 0; i < 2; i++) {
		int fd = open(paths[i], O_WRONLY | O_NONBLOCK | O_CLOEXEC);

		if (fd >= 0)
			close(fd);
	}
}

/* ---- The task's life ---- */

static void stopped(void *ud, int r, const struct nomad_error *err)
{
	const struct nomad_driver *driver = ud;

	if (r < 0)
		nomad__cli_fail(driver, 0, "%s", nomad_error_message(err));
}

static int follow(struct run *run)
{
	NOMAD_AUTO_ERROR struct nomad_error *err = NULL;
	struct nomad__sub *wait = NULL;
	int stops = 0;
	char c;

	if (nomad__task_wait(run->plugin, run->id, on_exit_of_task, run, &wait, &err) < 0)
		return nomad__cli_fail(run->driver, NOMAD__EXIT_FAILED, "%s", nomad_error_message(err));
	for (;;) {
		ssize_t n = read(run->wake[0], &c, 1);

		if (n < 0 && errno == EINTR)
			continue;
		if (n != 1 || c == 'e')
			break;
		/* The second Ctrl-C does not wait for the kill timeout. */
		if (nomad__task_stop(run->plugin, run->id, stops++ ? 0 : run->alloc.kill_timeout_ns,
				     run->alloc.kill_signal, stopped, (void *)run->driver, &err) < 0) {
			nomad__cli_fail(run->driver, 0, "%s", nomad_error_message(err));
			nomad_error_free(err);
			err = NULL;
		}
	}
	nomad__sub_cancel(wait);
	if (run->wait_result < 0 || run->result.message) {
		nomad__cli_fail(run->driver, 0, "wait for the task: %s",
				run->result.message ? run->result.message : "?");
		return NOMAD__EXIT_FAILED;
	}
	if (run->result.oom_killed)
		nomad__cli_fail(run->driver, 0, "the task was killed: out of memory");
	return run->result.signal ? 128 + run->result.signal : run->result.exit_code;
}

static int run_task(struct run *run)
{
	NOMAD_AUTO_ERROR struct nomad_error *err = NULL;
	NOMAD_AUTO_FREE void *config = NULL;
	struct nomad__started started = { 0 };
	struct nomad_task_info paths = { .stdout_path = NULL };
	struct nomad__sub *events;
	pthread_t logs;
	size_t size = 0;
	int status;

	if (nomad__config_from_json(run->driver->task_schema, "task config", run->alloc.config, &config, &size, &err) <
	    0)
		return nomad__cli_fail(run->driver, NOMAD__EXIT_FAILED, "%s", nomad_error_message(err));
	paths.stdout_path = strdup(run->alloc.info.stdout_path);
	paths.stderr_path = strdup(run->alloc.info.stderr_path);
	run->id = strdup(run->alloc.info.id);
	if (!paths.stdout_path || !paths.stderr_path || !run->id || pthread_create(&logs, NULL, copy_logs, run) != 0) {
		nomad__task_info_done(&paths);
		return nomad__cli_fail(run->driver, NOMAD__EXIT_FAILED, "run: %s", strerror(EAGAIN));
	}
	events = nomad__events_subscribe(run->plugin, on_event, run);
	if (nomad__task_start(run->plugin, NULL, &run->alloc.info, config, size, &started, &err) < 0) {
		status = nomad__cli_fail(run->driver, NOMAD__EXIT_FAILED, "%s", nomad_error_message(err));
	} else {
		if (started.addr)
			fprintf(stderr, "address: %s\n", started.addr);
		status = follow(run);
		nomad_error_free(err);
		err = NULL;
		if (nomad__task_destroy(run->plugin, run->id, true, &err) < 0)
			status = nomad__cli_fail(run->driver, NOMAD__EXIT_FAILED, "%s", nomad_error_message(err));
	}
	nomad__started_done(&started);
	end_logs(&paths);
	pthread_join(logs, NULL);
	nomad__sub_cancel(events);
	nomad__task_info_done(&paths);
	return status;
}

/* ---- Arguments ---- */

static const struct nomad__job_task *choose(const struct nomad_driver *driver, const struct nomad__job *job,
					    const char *want)
{
	if (!want && job->n_tasks == 1)
		return &job->tasks[0];
	for (size_t i = 0; want && i < job->n_tasks; i++) {
		NOMAD_AUTO_FREE char *name = nomad_strdupf("%s/%s", job->tasks[i].group, job->tasks[i].name);

		if (name && (strcmp(name, want) == 0 || strcmp(job->tasks[i].name, want) == 0))
			return &job->tasks[i];
	}
	if (want)
		nomad__cli_fail(driver, 0, "run: the job has no task '%s' of this driver; it has:", want);
	else
		nomad__cli_fail(driver, 0, "run: the job has several tasks; choose one with --task:");
	for (size_t i = 0; i < job->n_tasks; i++)
		fprintf(stderr, "    %s/%s\n", job->tasks[i].group, job->tasks[i].name);
	return NULL;
}

static void warn_of_ignored_parts(const struct nomad_driver *driver, const struct nomad__job_task *task)
{
	static const char *const parts[] = { "Templates", "Artifacts", "VolumeMounts",
					     "Services",  "Vault",     "DispatchPayload" };

	for (size_t i = 0; i < NOMAD_ARRAY_LEN(parts); i++) {
		const json_t *part = json_object_get(task->json, parts[i]);

		if (json_array_size(part) || json_object_size(part))
			nomad__cli_fail(driver, 0, "run: %s of the task are ignored: they require an agent", parts[i]);
	}
}

int nomad__cli_run(int argc, char **argv, const struct nomad_driver *driver)
{
	struct sigaction action = { .sa_handler = on_signal };
	struct run run = { .driver = driver, .wake = { -1, -1 } };
	const struct nomad__job_task *task;
	const char *path = NULL, *config = NULL, *want = NULL, *shared = NULL;
	const struct nomad__cli_option options[] = {
		{ "config", .value = &config }, { "task", .value = &want }, { "alloc", .value = &shared }, { 0 }
	};
	struct nomad_error *err = NULL;
	struct nomad__job job = { 0 };
	int status = NOMAD__EXIT_FAILED;

	if (!nomad__cli_parse(argc, argv, driver, options, &path))
		return NOMAD__EXIT_USAGE;
	if (nomad__job_load(path, driver->name, &job, &err) < 0)
		goto out;
	task = choose(driver, &job, want);
	if (!task) {
		status = NOMAD__EXIT_USAGE;
		goto out;
	}
	warn_of_ignored_parts(driver, task);
	if (pipe2(run.wake, O_CLOEXEC) < 0) {
		nomad_error_errno(&err, errno, "run: make a pipe");
		goto out;
	}
	signal_fd = run.wake[1];
	(void)signal(SIGPIPE, SIG_IGN);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGHUP, &action, NULL);
	run.plugin = nomad__cli_plugin(driver, config);
	/* Without a plugin block the caller is the operator, who may do all of it by hand. */
	if (run.plugin && !config)
		nomad__options_ignore_policy(run.plugin);
	if (run.plugin && nomad__alloc_new(driver, &job, task, shared, &run.alloc, &err) >= 0) {
		status = run_task(&run);
		nomad__alloc_done(&run.alloc);
	}
	nomad__plugin_free(run.plugin);
	free(run.result.message);
	free(run.id);
out:
	if (err)
		nomad__cli_fail(driver, status, "%s", nomad_error_message(err));
	nomad_error_free(err);
	nomad__job_done(&job);
	for (int i = 0; i < 2; i++)
		if (run.wake[i] >= 0)
			close(run.wake[i]);
	return status;
}
