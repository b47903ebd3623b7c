/* SPDX-License-Identifier: MPL-2.0
 *
 * exec.c: commands in the task, for clients.
 *
 * A command is our child, so its status is exact.  One that enters another
 * pid namespace takes two forks: the first child enters, its child is made
 * our child too, and the first one ends.  Over the status pipe come, each
 * closed by NUL: "P<pid>" from the first child, "E<errno>", "<what failed>".
 *
 * A command lives no longer than the connection of the client that asked for
 * it: with it its terminal or its pipes are gone. */
#include "supervisor/program/super.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/enter.h"
#include "supervisor/crash.h"

static struct exec {
	int pid; /* 0: free */
	unsigned client;
	int64_t id;    /* of the client's choice */
	int status_fd; /* -1: the program runs */
	bool told;     /* the client knows the end: that it could not begin */
} execs[MAX_EXECS];

static void tell_failure(unsigned client, int64_t id, int errnum, const char *act)
{
	char buf[800];
	struct nomad__fields m;

	nomad__fields_init(&m, buf, sizeof(buf));
	nomad__fields_add(&m, "op", "exec-exited");
	nomad__fields_num(&m, "id", id);
	nomad__fields_num(&m, "errno", errnum);
	nomad__fields_add(&m, "act", act);
	clients_send(client, &m);
}

/* Be born again within the pid namespace; only the second one returns. */
static void second_birth(int status)
{
	char buf[32], c;
	struct nomad__text t;
	int hold[2], pid;

	if (pipe2(hold, O_CLOEXEC) < 0)
		child_fail(status, errno, "make a pipe", NULL);
	pid = nomad__fork_sibling();
	if (pid < 0)
		child_fail(status, -pid, "fork in the namespaces of the task", NULL);
	if (pid > 0) {
		/* First it is known who it is, then it may go on and die. */
		nomad__text_init(&t, buf, sizeof(buf));
		nomad__text_add(&t, "P");
		nomad__text_num(&t, pid);
		(void)!write(status, buf, t.used + 1);
		_exit(0);
	}
	close(hold[1]);
	(void)!read(hold[0], &c, 1);
	close(hold[0]);
}

static const struct nomad__process *leader(void)
{
	return task()->leader.pid ? &task()->leader : &task()->main;
}

static void enter_task(const struct spec *spec, int status, const struct nomad__process *of)
{
	const char *user = nomad__fields_get(spec->data, spec->size, "user");
	struct nomad__enter enter;
	int r = nomad__enter_open(of, &enter);

	if (r >= 0)
		r = nomad__enter_apply(&enter);
	if (r < 0)
		child_fail(status, -r, "enter the namespaces of the task", NULL);
	if (enter.needs_fork)
		second_birth(status);
	r = nomad__enter_restrict_bounds(&enter);
	if (r >= 0 && (user || enter.other_users)) {
		r = child_become_inside(user ? user : "0");
		if (r < 0)
			child_fail(status, -r, "become user", user ? user : "0");
	}
	if (r >= 0)
		r = nomad__enter_restrict(&enter);
	if (r < 0)
		child_fail(status, -r, "drop capabilities", NULL);
}

static void __attribute__((noreturn)) run(const struct spec *spec, const int *fds, int status)
{
	char **argv = child_strings(spec, "arg", NULL), **env = child_strings(spec, "env", NULL);
	const char *cwd = nomad__fields_get(spec->data, spec->size, "cwd");
	bool enter = nomad__fields_get_num(spec->data, spec->size, "enter_leader", 0) != 0;
	int r;

	if (!argv || !argv[0] || !env)
		child_fail(status, ENOMEM, "list the arguments", NULL);
	child_defaults();
	r = limits_join_beside(enter ? leader()->pid : task()->main.pid);
	if (r < 0)
		child_fail(status, -r, "enter the cgroups of the task", NULL);
	r = limits_set_own();
	if (r < 0)
		child_fail(status, -r, "set the resource limits of the task", NULL);
	if (enter) {
		enter_task(spec, status, leader());
	} else {
		r = nomad__enter_netns_of(task()->main.pid);
		if (r < 0)
			child_fail(status, -r, "enter the network namespace of the task", NULL);
	}
	setsid();
	r = child_stdio(fds);
	if (r >= 0 && nomad__fields_get_num(spec->data, spec->size, "tty", 0))
		r = nomad__take_terminal();
	if (r < 0)
		child_fail(status, -r, "take the terminal", NULL);
	if (!enter) {
		r = child_become(spec);
		if (r < 0)
			child_fail(status, -r, "become user number", nomad__fields_get(spec->data, spec->size, "uid"));
	}
	if (chdir(cwd ? cwd : "/") < 0)
		child_fail(status, errno, "change to directory", cwd ? cwd : "/");
	nomad__die_with_parent();
	r = child_exec(argv, env);
	child_fail(status, -r, "execute", argv[0]);
}

/* 0, or the errno and *ret_act. */
static int start(struct exec *exec, const int *fds, const char **ret_act)
{
	struct spec spec;
	int status[2], pid, r = spec_map(fds[3], &spec);

	*ret_act = "map what command to run";
	if (r < 0)
		return -r;
	*ret_act = "make a pipe";
	if (pipe2(status, O_CLOEXEC) < 0) {
		r = errno;
		goto out;
	}
	*ret_act = "fork";
	pid = limits_fork_beside(nomad__fields_get_num(spec.data, spec.size, "enter_leader", 0) ? leader()->pid
												: task()->main.pid);
	if (pid == 0) {
		close(status[0]);
		run(&spec, fds, status[1]);
	}
	close(status[1]);
	if (pid < 0) {
		close(status[0]);
		r = -pid;
		goto out;
	}
	nomad__crash_at("super-exec");
	exec->pid = pid;
	exec->status_fd = status[0];
out:
	spec_unmap(&spec);
	return r;
}

void exec_start(unsigned client, const char *message, size_t size, const int *fds)
{
	int64_t id = nomad__fields_get_num(message, size, "id", -1);
	struct exec *exec = NULL;
	const char *act;
	int r;

	for (int i = 0; i < MAX_EXECS && !exec; i++)
		if (!execs[i].pid)
			exec = &execs[i];
	if (state_now() < ST_WAITING || state_now() > ST_STOPPING || task()->reaped) {
		tell_failure(client, id, ESRCH, "run a command in a task that does not run");
	} else if (!exec) {
		tell_failure(client, id, EAGAIN, "run one more command in the task: there are too many");
	} else {
		*exec = (struct exec){ .client = client, .id = id, .status_fd = -1 };
		r = start(exec, fds, &act);
		if (r)
			tell_failure(client, id, r, act);
	}
}

int exec_pollfd(int i)
{
	return execs[i].pid ? execs[i].status_fd : -1;
}

static void read_status(struct exec *exec)
{
	char buf[1024];
	ssize_t n = read(exec->status_fd, buf, sizeof(buf) - 1);
	size_t at = 0;

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (n <= 0) {
		close(exec->status_fd);
		exec->status_fd = -1;
		return;
	}
	buf[n] = 0;
	while (at < (size_t)n) {
		const char *s = buf + at;

		at += strlen(s) + 1;
		if (*s == 'P') {
			exec->pid = (int)nomad__parse_num(s + 1, exec->pid);
		} else if (*s == 'E' && !exec->told) {
			exec->told = true;
			tell_failure(exec->client, exec->id, (int)nomad__parse_num(s + 1, EIO),
				     at < (size_t)n ? buf + at : "run the command");
		}
	}
}

void exec_read_status(int i)
{
	if (exec_pollfd(i) >= 0)
		read_status(&execs[i]);
}

static void kill_group(const struct exec *exec, int signal)
{
	/* Before its setsid() it has no group of its own. */
	if (kill(-exec->pid, signal) < 0)
		(void)kill(exec->pid, signal);
}

void exec_signal(unsigned client, int64_t id, int signal)
{
	for (int i = 0; i < MAX_EXECS; i++)
		if (execs[i].pid && execs[i].client == client && execs[i].id == id && signal > 0 && signal < NSIG)
			kill_group(&execs[i], signal);
}

void exec_kill_orphans(void)
{
	for (int i = 0; i < MAX_EXECS; i++)
		if (execs[i].pid && !clients_has(execs[i].client))
			kill_group(&execs[i], SIGKILL);
}

/* Whose child was that?  What it had to say is read first: the pid may be
 * that of a second child, or no longer be the one that counts. */
static struct exec *find(int pid)
{
	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < MAX_EXECS; i++) {
			struct exec *exec = &execs[i];

			if (!exec->pid || (exec->pid != pid && round == 0))
				continue;
			if (exec->status_fd >= 0)
				read_status(exec);
			if (exec->pid == pid)
				return exec;
		}
	}
	return NULL;
}

void exec_reaped(int pid, int status)
{
	struct exec *exec = find(pid);
	char buf[128];
	struct nomad__fields m;

	if (!exec)
		return;
	if (exec->status_fd >= 0)
		close(exec->status_fd);
	if (!exec->told) {
		nomad__fields_init(&m, buf, sizeof(buf));
		nomad__fields_add(&m, "op", "exec-exited");
		nomad__fields_num(&m, "id", exec->id);
		nomad__fields_num(&m, "code", WIFEXITED(status) ? WEXITSTATUS(status) : 0);
		nomad__fields_num(&m, "signal", WIFSIGNALED(status) ? WTERMSIG(status) : 0);
		clients_send(exec->client, &m);
	}
	exec->pid = 0;
}
