/* SPDX-License-Identifier: MPL-2.0
 *
 * The exec broker: a child of the container's first process that starts
 * commands for the supervisor on the host.
 *
 * It has the credentials, capabilities, seccomp filter, keyring, LSM label,
 * cgroup, limits and namespaces of the task because it was forked from the
 * task's own init, before the task ran.  The socket has no name, so nothing
 * in the container can connect to it.  A container that takes the broker over
 * can only hurt its own commands: the supervisor treats every answer as
 * hostile and never acts on a pid from here.
 *
 *	supervisor -> broker   op=run id tty | descriptors: arguments, stdin, stdout, stderr
 *	                       op=signal id signal
 *	                       op=resize id rows columns
 *	broker -> supervisor   op=started id
 *	                       op=failed id errno act
 *	                       op=exited id code signal
 *
 * Arguments come as a memory file of NUL-terminated "arg=..." fields.  With tty the command gets a terminal of the
 * container, and a relay (relay.c) copies between that and the descriptors.  No descriptor leaves the container. */
#include "broker.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fields.h"
#include "nomad/task.h"
#include "os/socket.h"
#include "os/terminal.h"
#include "relay.h"

enum { MAX_COMMANDS = 256, MESSAGE_SIZE = 1024, ARGUMENTS_MAX = 4 << 20 };

static struct command {
	pid_t pid; /* 0: free */
	int64_t id;
	/* Of a terminal; what the relay still has to deliver comes before the end is told. */
	pid_t relay; /* 0: none, any more */
	int control;
	bool over;
	int status;
} commands[MAX_COMMANDS];

static void tell(int fd, struct nomad__fields *m)
{
	if (!m->full)
		(void)nomad__unix_send(fd, m->buf, m->used, NULL, 0, true);
}

static void begin(struct nomad__fields *m, char *buf, const char *op, int64_t id)
{
	nomad__fields_init(m, buf, MESSAGE_SIZE);
	nomad__fields_add(m, "op", op);
	nomad__fields_num(m, "id", id);
}

static void tell_failure(int fd, int64_t id, int errnum, const char *act, const char *object)
{
	char buf[MESSAGE_SIZE], words[512];
	struct nomad__fields m;
	struct nomad__text t;

	nomad__text_init(&t, words, sizeof(words));
	nomad__text_add(&t, act);
	if (object) {
		nomad__text_add(&t, " '");
		nomad__text_add(&t, object);
		nomad__text_add(&t, "'");
	}
	begin(&m, buf, "failed", id);
	nomad__fields_num(&m, "errno", errnum);
	nomad__fields_add(&m, "act", words);
	tell(fd, &m);
}

static char **arguments_of(int file)
{
	struct stat st;
	size_t n = 0, pos = 0;
	char **argv, *data;
	const char *s;

	if (file < 0 || fstat(file, &st) < 0 || st.st_size <= 0 || st.st_size > ARGUMENTS_MAX)
		return NULL;
	data = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, file, 0);
	if (data == MAP_FAILED)
		return NULL;
	while (nomad__fields_next(data, (size_t)st.st_size, "arg", &pos))
		n++;
	argv = n ? calloc(n + 1, sizeof(*argv)) : NULL;
	pos = n = 0;
	while (argv && (s = nomad__fields_next(data, (size_t)st.st_size, "arg", &pos)))
		argv[n++] = (char *)s;
	return argv;
}

static void reset_signals(void)
{
	sigset_t none;

	for (int i = 1; i < NSIG; i++)
		(void)signal(i, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

/* The child of one command.  `fds`: arguments, then stdin, stdout, stderr; `control`: of the relay, or -1. */
static void __attribute__((noreturn))
run(int socket, int64_t id, int control, const int *fds, broker_become_fn become, void *ud)
{
	char **argv = arguments_of(fds[0]);
	int stdio[3] = { fds[1], fds[2], fds[3] }, ends[2], r;
	const char *act, *object = NULL;
	bool tty = control >= 0;

	if (!argv) {
		tell_failure(socket, id, EINVAL, "read the arguments of the command", NULL);
		_exit(127);
	}
	reset_signals();
	setsid();
	if (tty) {
		r = nomad__terminal_open(ends);
		if (r >= 0)
			r = nomad__unix_send(control, "", 1, &ends[0], 1, true);
		if (r < 0) {
			tell_failure(socket, id, -r, "open a terminal of the container", "/dev/ptmx");
			_exit(127);
		}
		stdio[0] = stdio[1] = stdio[2] = ends[1];
	}
	for (int i = 0; i < 3; i++)
		if (stdio[i] < 0 || dup2(stdio[i], i) < 0) {
			tell_failure(socket, id, errno, "connect the command's input and output", NULL);
			_exit(127);
		}
	if (tty)
		(void)nomad__terminal_take();
	/* Everything above stderr closes at exec, whoever opened it. */
	(void)syscall(SYS_close_range, 3U, ~0U, 1U << 2 /* CLOSE_RANGE_CLOEXEC */);
	act = become(ud, argv, tty, &object);
	tell_failure(socket, id, errno, act, object);
	_exit(127);
}

static struct command *find(pid_t pid, int64_t id)
{
	for (int i = 0; i < MAX_COMMANDS; i++)
		if (pid ? commands[i].pid == pid || commands[i].relay == pid : commands[i].pid && commands[i].id == id)
			return &commands[i];
	return NULL;
}

static struct command *find_free(void)
{
	for (int i = 0; i < MAX_COMMANDS; i++)
		if (!commands[i].pid)
			return &commands[i];
	return NULL;
}

/* A process for the terminal of a command, which holds nothing but what it needs. */
static pid_t relay_start(int control, int in, int out)
{
	pid_t pid = fork();
	int fds[3];

	if (pid)
		return pid;
	prctl(PR_SET_NAME, "nspawn-tty");
	reset_signals();
	fds[0] = fcntl(control, F_DUPFD, NOMAD_EXEC_FD + 3);
	fds[1] = fcntl(in, F_DUPFD, NOMAD_EXEC_FD + 3);
	fds[2] = fcntl(out, F_DUPFD, NOMAD_EXEC_FD + 3);
	for (int i = 0; i < 3; i++)
		if (dup2(fds[i], NOMAD_EXEC_FD + i) < 0)
			_exit(1);
	(void)syscall(SYS_close_range, NOMAD_EXEC_FD + 3U, ~0U, 0U);
	relay(NOMAD_EXEC_FD, NOMAD_EXEC_FD + 1, NOMAD_EXEC_FD + 2);
}

static void start(int socket, const char *message, size_t size, const int *fds, broker_become_fn become, void *ud)
{
	int64_t id = nomad__fields_get_num(message, size, "id", -1);
	int tty = nomad__fields_get_num(message, size, "tty", 0) != 0;
	int pair[2] = { -1, -1 }; /* the relay's end, and that of its orders */
	struct command *command = find_free();
	struct nomad__fields m;
	char buf[MESSAGE_SIZE];
	pid_t pid, relay = 0;

	if (!command) {
		tell_failure(socket, id, EAGAIN, "run one more command in the container", NULL);
		return;
	}
	begin(&m, buf, "started", id);
	tell(socket, &m);
	if (tty && (nomad__unix_pair(pair) < 0 || (relay = relay_start(pair[0], fds[1], fds[2])) < 0))
		pid = -1;
	else if ((pid = fork()) == 0)
		run(socket, id, pair[1], fds, become, ud);
	if (pid < 0)
		tell_failure(socket, id, errno, "fork in the container", NULL);
	else
		*command = (struct command){ .pid = pid, .id = id, .relay = relay, .control = pair[1] };
	if (pair[0] >= 0)
		close(pair[0]);
	if (pid < 0 && pair[1] >= 0)
		close(pair[1]);
}

static void send_signal(int64_t id, int signal)
{
	struct command *command = find(0, id);

	if (!command || command->over || signal <= 0 || signal >= NSIG)
		return;
	/* Before its setsid() it has no group of its own. */
	if (kill(-command->pid, signal) < 0)
		(void)kill(command->pid, signal);
}

static void resize(const char *message, size_t size)
{
	struct command *command = find(0, nomad__fields_get_num(message, size, "id", -1));

	if (command && command->relay && !command->over)
		(void)nomad__unix_send(command->control, message, size, NULL, 0, false);
}

static void handle(int socket, const char *message, size_t size, const int *fds, broker_become_fn become, void *ud)
{
	const char *op = nomad__fields_get(message, size, "op");

	if (op && strcmp(op, "run") == 0)
		start(socket, message, size, fds, become, ud);
	else if (op && strcmp(op, "signal") == 0)
		send_signal(nomad__fields_get_num(message, size, "id", -1),
			    (int)nomad__fields_get_num(message, size, "signal", 0));
	else if (op && strcmp(op, "resize") == 0)
		resize(message, size);
}

static void take_end(int socket, struct command *command, pid_t pid, int status)
{
	struct nomad__fields m;
	char buf[MESSAGE_SIZE];

	if (pid == command->relay) {
		command->relay = 0;
	} else {
		command->over = true;
		command->status = status;
		if (command->control >= 0)
			close(command->control);
	}
	if (!command->over || command->relay)
		return;
	status = command->status;
	begin(&m, buf, "exited", command->id);
	nomad__fields_num(&m, "code", WIFEXITED(status) ? WEXITSTATUS(status) : 0);
	nomad__fields_num(&m, "signal", WIFSIGNALED(status) ? WTERMSIG(status) : 0);
	command->pid = 0;
	tell(socket, &m);
}

static void reap(int socket)
{
	struct command *command;
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		command = find(pid, 0);
		if (command)
			take_end(socket, command, pid, status);
	}
}

static void __attribute__((noreturn)) serve(int socket, broker_become_fn become, void *ud)
{
	struct signalfd_siginfo info;
	struct pollfd polled[2];
	sigset_t children;
	int signals;

	prctl(PR_SET_NAME, "nspawn-exec");
	reset_signals();
	sigemptyset(&children);
	sigaddset(&children, SIGCHLD);
	sigprocmask(SIG_SETMASK, &children, NULL);
	signals = signalfd(-1, &children, SFD_CLOEXEC | SFD_NONBLOCK);
	if (signals < 0)
		_exit(1);
	polled[0] = (struct pollfd){ .fd = socket, .events = POLLIN };
	polled[1] = (struct pollfd){ .fd = signals, .events = POLLIN };
	for (;;) {
		char message[MESSAGE_SIZE];
		int fds[NOMAD__MAX_FDS];
		ssize_t n;

		if (poll(polled, 2, -1) < 0 && errno != EINTR)
			_exit(1);
		while (read(signals, &info, sizeof(info)) > 0)
			;
		reap(socket);
		n = nomad__unix_receive(socket, message, sizeof(message), fds, false);
		if (n == -EAGAIN || n == -EMSGSIZE)
			continue;
		if (n <= 0)
			_exit(0);
		handle(socket, message, (size_t)n, fds, become, ud);
		for (int i = 0; i < NOMAD__MAX_FDS; i++)
			if (fds[i] >= 0)
				close(fds[i]);
	}
}

int broker_start(int fd, broker_become_fn become, void *ud)
{
	pid_t pid = fork();

	if (pid == 0) {
		/* It keeps nothing of the task's: neither its output nor what its init holds. */
		int null = open("/dev/null", O_RDWR | O_CLOEXEC);

		for (int i = 0; i < 3; i++)
			(void)dup2(null, i);
		(void)dup2(fd, NOMAD_EXEC_FD);
		(void)syscall(SYS_close_range, NOMAD_EXEC_FD + 1U, ~0U, 0U);
		(void)fcntl(NOMAD_EXEC_FD, F_SETFD, FD_CLOEXEC);
		prctl(PR_SET_DUMPABLE, 0);
		serve(NOMAD_EXEC_FD, become, ud);
	}
	close(fd);
	return pid < 0 ? -1 : 0;
}
