/* SPDX-License-Identifier: MPL-2.0
 *
 * PID 1 of an unbooted container: starts the command as PID 2, tells
 * systemd-nspawn that it runs (or, on stderr, why it does not), forwards
 * every signal to it, reaps, and reports its exit code and signal over
 * NOMAD_EXIT_FD: the status of systemd-nspawn cannot tell a death by signal 15
 * from exit 143, and knows no 133. */
#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "broker.h"
#include "health.h"
#include "init.h"
#include "nomad/task.h"
#include "supervise.h"

static int notify_socket(void)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd;

	if (!path || strlen(path) >= sizeof(address.sun_path))
		return -1;
	strcpy(address.sun_path, path);
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

/* systemd-nspawn forgets messages that it has not read when PID 1 ends:
 * wait until it has. */
static void notify_flush(int fd)
{
	int i, left;

	for (i = 0; i < 2000 && fd >= 0 && !ioctl(fd, SIOCOUTQ, &left) && left > 0; i++)
		poll(NULL, 0, 1);
}

void notify_ready(void)
{
	int notify = notify_socket();

	if (notify >= 0 && write(notify, "READY=1", 7) == 7)
		notify_flush(notify);
}

/* Starts the payload, and waits until it is executed.  0, or the status to end with: what failed is on stderr. */
static int payload_start(struct task *task, char **argv, pid_t *ret_pid)
{
	const char *act, *object = NULL;
	int hold[2], failed[2], error[2];
	ssize_t got;
	char c;

	if (pipe2(failed, O_CLOEXEC) < 0 || pipe2(hold, O_CLOEXEC) < 0)
		init_fail(125, "make", "a pipe");
	*ret_pid = fork();
	if (*ret_pid < 0)
		init_fail(125, "fork for", argv[0]);
	if (!*ret_pid) {
		/* The task must not run before the broker is there.  It is the older child all the same:
		 * the driver finds it so. */
		close(hold[1]);
		while (read(hold[0], &c, 1) < 0 && errno == EINTR)
			;
		setsid();
		act = task_become(task, argv, 0, &object);
		error[0] = errno;
		error[1] = strcmp(act, "run") == 0 ? (errno == ENOENT ? 127 : 126) : 125;
		dprintf(2, "cannot %s '%s': %s\n", act, object, strerror(error[0]));
		if (write(failed[1], error, sizeof(error)) < 0)
			_exit(125);
		_exit(error[1]);
	}
	if (broker_start(NOMAD_EXEC_FD, task_become, task) < 0)
		init_fail(125, "fork", "the exec broker");
	close(hold[0]);
	close(hold[1]);
	close(failed[1]);
	do
		got = read(failed[0], error, sizeof(error));
	while (got < 0 && errno == EINTR);
	close(failed[0]);
	return got == (ssize_t)sizeof(error) ? error[1] : 0;
}

/* Forwards signals and reaps until the payload ends.  Returns its wait status. */
static int payload_await(pid_t payload, const sigset_t *all, int notify)
{
	char health[256];

	for (;;) {
		siginfo_t info;
		int signal = sigwaitinfo(all, &info), status;
		pid_t pid;

		if (signal < 0)
			continue;
		if (signal != SIGCHLD) {
			kill(payload, signal);
			continue;
		}
		while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
			if (pid == payload)
				return status;
			else if (health_ended(pid, status, health, sizeof(health)) && notify >= 0)
				(void)!write(notify, health, strlen(health));
	}
}

int supervise(struct task *task, char **argv)
{
	int notify, status, code;
	sigset_t all;
	pid_t payload;
	char line[32];

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	prctl(PR_SET_NAME, "nspawn-init");
	/* Nothing in the container may take the exit channel out of this process. */
	prctl(PR_SET_DUMPABLE, 0);
	notify = notify_socket();
	status = payload_start(task, argv, &payload);
	if (status)
		return status; /* never ready: the start fails */
	if (notify >= 0 && write(notify, "READY=1", 7) < 0)
		dprintf(2, "cannot tell systemd-nspawn that the task runs: %s\n", strerror(errno));
	health_start(&task->health, task);
	status = payload_await(payload, &all, notify);
	code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
	snprintf(line, sizeof(line), "%d %d\n", code, WIFSIGNALED(status) ? WTERMSIG(status) : 0);
	if (nomad_write_all(NOMAD_EXIT_FD, line, strlen(line)) < 0)
		dprintf(2, "cannot leave the exit code of the task: %s\n", strerror(errno));
	notify_flush(notify);
	return code;
}
