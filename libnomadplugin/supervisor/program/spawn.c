/* SPDX-License-Identifier: MPL-2.0
 *
 * spawn.c: start the task's process.
 *
 * The child says over a close-on-exec pipe why it could not run the program
 * (errno and what it tried); the end of that pipe without a word means that
 * the program runs.  Before it does anything the child waits until its pid is
 * recorded: whatever dies whenever, no process of a task is unknown. */
#include "supervisor/program/super.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "os/confine.h"
#include "os/netns.h"
#include "supervisor/crash.h"

static int exec_fd = -1; /* closed by a successful exec; -1: it was */
static bool ready_at_once;

static void __attribute__((noreturn)) run_main(int hold, int status, const char *notify, int parent)
{
	const char *netns = spec_get("netns"), *cwd = spec_get("cwd");
	char **argv = child_strings(spec_of_task(), "arg", NULL);
	char **env = child_strings(spec_of_task(), "env", notify[0] ? notify : NULL);
	int fds[3], r, fd;
	ssize_t n;
	char c;

	/* Nothing comes, only the end, if the supervisor is dead. */
	do
		n = read(hold, &c, 1);
	while (n < 0 && errno == EINTR);
	if (n != 1)
		_exit(127);
	if (!argv || !env)
		child_fail(status, ENOMEM, "list the arguments", NULL);
	child_defaults();
	setsid();
	r = limits_join();
	if (r < 0)
		child_fail(status, -r, "enter the cgroups of the task", NULL);
	r = limits_set_own();
	if (r < 0)
		child_fail(status, -r, "set the resource limits of the task", NULL);
	if (netns) {
		fd = open(netns, O_RDONLY | O_CLOEXEC);
		r = fd < 0 ? -errno : nomad__netns_enter(fd);
		if (r < 0)
			child_fail(status, -r, "enter network namespace", netns);
	}
	fds[0] = 0;
	fds[1] = logs_task_fd(STREAM_OUT);
	fds[2] = logs_task_fd(STREAM_ERR);
	r = fds[1] < 0 ? fds[1] : fds[2] < 0 ? fds[2] : child_stdio(fds);
	if (r < 0)
		child_fail(status, -r, "open the log pipes", NULL);
	if (chdir(cwd ? cwd : "/") < 0)
		child_fail(status, errno, "change to directory", cwd ? cwd : "/");
	r = child_become(spec_of_task());
	if (r < 0)
		child_fail(status, -r, "become user number", spec_get("uid"));
	r = channels_give(&status);
	if (r < 0)
		child_fail(status, -r, "pass the channels to the program", NULL);
	nomad__die_with_parent();
	/* It may be too late for that already. */
	if (getppid() != parent)
		_exit(127);
	execve(argv[0], argv, env);
	child_fail(status, errno, "execute", argv[0]);
	_exit(127);
}

/* Records the process and lets it go.  A failure is found by the loop: the child sees the end of the pipe and exits. */
static void release(int pid, int hold)
{
	int r = task_born(pid);

	if (r < 0) {
		(void)fail(-r, "record the process in", spec_get("dir"));
		return;
	}
	r = nomad_write_all(hold, "", 1);
	if (r < 0)
		(void)fail(-r, "start the program of the process", NULL);
}

int spawn_main(const char *notify)
{
	int hold[2], status[2], pid, parent = getpid();

	ready_at_once = !notify[0];
	if (pipe2(hold, O_CLOEXEC) < 0)
		return fail(errno, "make a pipe", NULL);
	if (pipe2(status, O_CLOEXEC) < 0) {
		int r = fail(errno, "make a pipe", NULL);

		close(hold[0]);
		close(hold[1]);
		return r;
	}
	pid = limits_fork();
	if (pid == 0) {
		close(hold[1]);
		close(status[0]);
		run_main(hold[0], status[1], notify, parent);
	}
	close(hold[0]);
	close(status[1]);
	if (pid < 0) {
		close(hold[1]);
		close(status[0]);
		return fail(-pid, "fork", NULL);
	}
	nomad__crash_at("super-forked");
	exec_fd = status[0];
	logs_child_forked();
	channels_given();
	release(pid, hold[1]);
	close(hold[1]);
	nomad__crash_at("super-main");
	/* With a broker this was the last process that we start, and the task has a channel to us.  Without one,
	 * commands come from us with all that the task's process has. */
	if (channel_exec() >= 0)
		(void)nomad__confine_waiting();
	timer_set(TIMER_READY, spec_num("ready_ms", 60000) * 1000000);
	return 0;
}

int spawn_pollfd(void)
{
	return exec_fd;
}

void spawn_read_status(void)
{
	char buf[600];
	ssize_t n;

	if (exec_fd < 0)
		return;
	n = read(exec_fd, buf, sizeof(buf) - 1);
	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	close(exec_fd);
	exec_fd = -1;
	if (n > 0) {
		buf[n] = 0;
		(void)fail((int)nomad__parse_num(buf + 1, EIO), buf + strlen(buf) + (strlen(buf) < (size_t)n), NULL);
	}
	/* A child that was killed before it could exec says nothing either. */
	if (n > 0 || failed()) {
		state_post(EV_EXEC_FAILED);
		return;
	}
	state_post(EV_EXECED);
	if (ready_at_once)
		state_post(EV_READY);
}
