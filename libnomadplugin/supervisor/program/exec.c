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
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/enter.h"
#include "os/process.h"
#include "supervisor/crash.h"
#include "supervisor/program/child.h"

static void tell_failure(int client, int64_t id, int errnum, const char *act)
{
	char buf[800];
	struct nomad__fields m;

	if (client < 0)
		return;
	nomad__fields_init(&m, buf, sizeof(buf));
	nomad__fields_add(&m, "op", "exec-exited");
	nomad__fields_num(&m, "id", id);
	nomad__fields_num(&m, "errno", errnum);
	nomad__fields_add(&m, "act", act);
	ctl_send(client, &m);
}

static void __attribute__((noreturn)) fail_exec(int fd, int errnum, const char *act, const char *object)
{
	char buf[600];
	struct nomad__text t;
	size_t head;

	nomad__text_init(&t, buf, sizeof(buf));
	nomad__text_add(&t, "E");
	nomad__text_num(&t, errnum);
	head = t.used + 1;
	nomad__text_init(&t, buf + head, sizeof(buf) - head);
	nomad__text_add(&t, act);
	if (object) {
		nomad__text_add(&t, " '");
		nomad__text_add(&t, object);
		nomad__text_add(&t, "'");
	}
	(void)!write(fd, buf, head + t.used + 1);
	_exit(127);
}

/* Be born again within the pid namespace; only the second one returns. */
static void second_birth(int status)
{
	char buf[32], c;
	struct nomad__text t;
	int hold[2], pid;

	if (pipe2(hold, O_CLOEXEC) < 0)
		fail_exec(status, errno, "make a pipe", NULL);
	pid = nomad__fork_sibling();
	if (pid < 0)
		fail_exec(status, -pid, "fork in the namespaces of the task", NULL);
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

static void enter_task(const char *spec, size_t size, int status, int leader, uint64_t start)
{
	const char *user = nomad__fields_get(spec, size, "user");
	struct nomad__enter enter;
	int r = nomad__enter_open(leader, start, &enter);

	if (r >= 0)
		r = nomad__enter_apply(&enter);
	if (r < 0)
		fail_exec(status, -r, "enter the namespaces of the task", NULL);
	if (enter.needs_fork)
		second_birth(status);
	r = nomad__enter_restrict_bounds(&enter);
	if (r >= 0 && (user || enter.other_users)) {
		r = child_become_inside(user ? user : "0");
		if (r < 0)
			fail_exec(status, -r, "become user", user ? user : "0");
	}
	if (r >= 0)
		r = nomad__enter_restrict(&enter);
	if (r < 0)
		fail_exec(status, -r, "drop capabilities", NULL);
}

static void __attribute__((noreturn)) run(const char *spec, size_t size, const int *fds, int status)
{
	char **argv = child_strings(spec, size, "arg", NULL), **env = child_strings(spec, size, "env", NULL);
	const char *cwd = nomad__fields_get(spec, size, "cwd");
	bool enter = nomad__fields_get_num(spec, size, "enter_leader", 0) != 0;
	int leader = S.leader_pid ? S.leader_pid : S.main_pid, r;

	if (!argv || !argv[0] || !env)
		fail_exec(status, ENOMEM, "list the arguments", NULL);
	child_defaults();
	r = limits_join_beside(enter ? leader : S.main_pid);
	if (r < 0)
		fail_exec(status, -r, "enter the cgroups of the task", NULL);
	r = limits_set_own();
	if (r < 0)
		fail_exec(status, -r, "set the resource limits of the task", NULL);
	if (enter) {
		enter_task(spec, size, status, leader, S.leader_pid ? S.leader_start : S.main_start);
	} else {
		r = nomad__enter_netns_of(S.main_pid);
		if (r < 0)
			fail_exec(status, -r, "enter the network namespace of the task", NULL);
	}
	setsid();
	r = child_stdio(fds);
	if (r >= 0 && nomad__fields_get_num(spec, size, "tty", 0))
		r = nomad__take_terminal();
	if (r < 0)
		fail_exec(status, -r, "take the terminal", NULL);
	if (!enter) {
		r = child_become(spec, size);
		if (r < 0)
			fail_exec(status, -r, "become user number", nomad__fields_get(spec, size, "uid"));
	}
	if (chdir(cwd ? cwd : "/") < 0)
		fail_exec(status, errno, "change to directory", cwd ? cwd : "/");
	nomad__die_with_parent();
	r = child_exec(argv, env);
	fail_exec(status, -r, "execute", argv[0]);
}

void exec_start(int client, const char *message, size_t size, const int *fds)
{
	int64_t id = nomad__fields_get_num(message, size, "id", -1);
	struct super_exec *exec = NULL;
	struct stat st;
	const char *spec;
	int status[2], pid;

	for (int i = 0; i < MAX_EXECS && !exec; i++)
		if (!S.execs[i].pid)
			exec = &S.execs[i];
	if (S.state < ST_WAITING || S.state > ST_STOPPING || S.main_reaped) {
		tell_failure(client, id, ESRCH, "run a command in a task that does not run");
		return;
	}
	if (!exec) {
		tell_failure(client, id, EAGAIN, "run one more command in the task: there are too many");
		return;
	}
	if (fds[3] < 0 || fstat(fds[3], &st) < 0 || st.st_size <= 0) {
		tell_failure(client, id, EPROTO, "read what command to run");
		return;
	}
	spec = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fds[3], 0);
	if (spec == MAP_FAILED) {
		tell_failure(client, id, ENOMEM, "map what command to run");
		return;
	}
	if (pipe2(status, O_CLOEXEC) < 0) {
		tell_failure(client, id, errno, "make a pipe");
		goto out;
	}
	pid = limits_fork_beside(nomad__fields_get_num(spec, (size_t)st.st_size, "enter_leader", 0) && S.leader_pid
					 ? S.leader_pid
					 : S.main_pid);
	if (pid == 0) {
		close(status[0]);
		run(spec, (size_t)st.st_size, fds, status[1]);
	}
	close(status[1]);
	if (pid < 0) {
		close(status[0]);
		tell_failure(client, id, -pid, "fork");
		goto out;
	}
	nomad__crash_at("super-exec");
	*exec = (struct super_exec){ .pid = pid, .client = client, .id = id, .status_fd = status[0] };
out:
	munmap((void *)spec, (size_t)st.st_size);
}

void exec_read_status(struct super_exec *exec)
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

static void kill_group(const struct super_exec *exec, int signal)
{
	/* Before its setsid() it has no group of its own. */
	if (kill(-exec->pid, signal) < 0)
		(void)kill(exec->pid, signal);
}

void exec_signal(int client, int64_t id, int signal)
{
	for (int i = 0; i < MAX_EXECS; i++)
		if (S.execs[i].pid && S.execs[i].client == client && S.execs[i].id == id && signal > 0 && signal < NSIG)
			kill_group(&S.execs[i], signal);
}

void exec_client_gone(int client)
{
	for (int i = 0; i < MAX_EXECS; i++)
		if (S.execs[i].pid && S.execs[i].client == client) {
			S.execs[i].client = -1;
			kill_group(&S.execs[i], SIGKILL);
		}
}

/* Whose child was that?  What it had to say is read first: the pid may be
 * that of a second child, or no longer be the one that counts. */
struct super_exec *exec_find(int pid)
{
	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < MAX_EXECS; i++) {
			struct super_exec *exec = &S.execs[i];

			if (!exec->pid || (exec->pid != pid && round == 0))
				continue;
			if (exec->status_fd >= 0)
				exec_read_status(exec);
			if (exec->pid == pid)
				return exec;
		}
	}
	return NULL;
}

void exec_reaped(struct super_exec *exec, int status)
{
	char buf[128];
	struct nomad__fields m;

	if (exec->status_fd >= 0)
		close(exec->status_fd);
	if (!exec->told && exec->client >= 0) {
		nomad__fields_init(&m, buf, sizeof(buf));
		nomad__fields_add(&m, "op", "exec-exited");
		nomad__fields_num(&m, "id", exec->id);
		nomad__fields_num(&m, "code", WIFEXITED(status) ? WEXITSTATUS(status) : 0);
		nomad__fields_num(&m, "signal", WIFSIGNALED(status) ? WTERMSIG(status) : 0);
		ctl_send(exec->client, &m);
	}
	*exec = (struct super_exec){ .status_fd = -1 };
}
