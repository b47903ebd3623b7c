/* SPDX-License-Identifier: MPL-2.0
 *
 * exec.c: commands in the task, for clients.
 *
 * Where the program of the task runs commands by itself (exec_broker), the
 * request is passed on, and no process of the host ever enters what the program
 * made for the task.  Its answers are hostile: they name a command by our
 * number, never a pid, and a descriptor that comes with them is closed.  Of a
 * terminal it gets two pipes, of which the client has the other ends.
 *
 * Otherwise a command is our child.  It gets what the task's process got: cgroups,
 * limits, network namespace, user, directory, environment.  Until it executes
 * the program it answers in the same form, over a socket of all children.
 *
 *	op=started id | op=failed id errno act | op=exited id code signal
 *	op=terminal id + descriptor: a child's only, which sends it before it is the command
 *
 * A command lives no longer than the connection of the client that asked for it. */
#include "supervisor/program/super.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/netns.h"
#include "os/socket.h"
#include "os/terminal.h"
#include "supervisor/crash.h"

enum { MESSAGE_SIZE = 1024 };

/* How long the broker may take to say that it has started a command. */
static const int64_t patience_ns = 10ll * 1000000000;

enum kind { FREE, CHILD, BROKER };

static struct exec {
	enum kind kind;
	int pid; /* of a child */
	bool tty;
	bool told; /* the client knows the end: that it could not begin */
	unsigned client;
	int64_t id;	  /* of the client's choice */
	int64_t number;	  /* chosen by the supervisor */
	int64_t deadline; /* for a broker's first answer; 0: it came */
} execs[MAX_EXECS];

static int64_t last_number;
static int answers = -1, answer = -1; /* the two ends of the children's socket */

/* ---- What clients hear ---- */

static void begin(struct nomad__fields *m, char *buf, const struct exec *exec, const char *op)
{
	nomad__fields_init(m, buf, MESSAGE_SIZE);
	nomad__fields_add(m, "op", op);
	nomad__fields_num(m, "id", exec->id);
}

static void tell_failure(struct exec *exec, int errnum, const char *act)
{
	char buf[MESSAGE_SIZE];
	struct nomad__fields m;

	if (exec->told)
		return;
	exec->told = true;
	begin(&m, buf, exec, "exec-exited");
	nomad__fields_num(&m, "errno", errnum > 0 && errnum < 4096 ? errnum : EIO);
	nomad__fields_add(&m, "act", act);
	clients_send(exec->client, &m, NULL, 0);
}

static void tell_exit(struct exec *exec, int code, int signal)
{
	char buf[MESSAGE_SIZE];
	struct nomad__fields m;

	if (exec->told)
		return;
	exec->told = true;
	begin(&m, buf, exec, "exec-exited");
	nomad__fields_num(&m, "code", code & 255);
	nomad__fields_num(&m, "signal", signal > 0 && signal < NOMAD__NSIG ? signal : 0);
	clients_send(exec->client, &m, NULL, 0);
}

static void tell_terminal(struct exec *exec, const int *fds, int n_fds)
{
	char buf[MESSAGE_SIZE];
	struct nomad__fields m;

	begin(&m, buf, exec, "exec-terminal");
	clients_send(exec->client, &m, fds, n_fds);
}

/* ---- Answers ---- */

/* `kind`: whose answer it may be. */
static struct exec *find(int64_t number, enum kind kind)
{
	for (int i = 0; i < MAX_EXECS; i++)
		if (execs[i].kind == kind && execs[i].number == number)
			return &execs[i];
	return NULL;
}

static void take_answer(const char *m, size_t size, int fd, enum kind kind)
{
	const char *op = nomad__fields_get(m, size, "op"), *act;
	struct exec *exec = find(nomad__fields_get_num(m, size, "id", -1), kind);

	if (!op || !exec)
		return;
	if (strcmp(op, "started") == 0) {
		exec->deadline = 0;
	} else if (strcmp(op, "terminal") == 0 && kind == CHILD && fd >= 0) {
		tell_terminal(exec, &fd, 1);
	} else if (strcmp(op, "failed") == 0) {
		act = nomad__fields_get(m, size, "act");
		tell_failure(exec, (int)nomad__fields_get_num(m, size, "errno", EIO), act ? act : "run the command");
	} else if (strcmp(op, "exited") == 0 && kind == BROKER) {
		tell_exit(exec, (int)nomad__fields_get_num(m, size, "code", 0),
			  (int)nomad__fields_get_num(m, size, "signal", 0));
		exec->kind = FREE;
	}
}

/* False: the other side is gone. */
static bool read_answers(int fd, enum kind kind)
{
	ssize_t n = 0;

	/* Bounded: a flood must not keep the loop from the task's end. */
	for (int i = 0; i < MAX_EXECS; i++) {
		char m[MESSAGE_SIZE];
		int fds[NOMAD__MAX_FDS];

		channel_begin();
		n = nomad__unix_receive(fd, m, sizeof(m), fds, false);
		if (n > 0)
			take_answer(m, (size_t)n, fds[0], kind);
		for (int j = 0; j < NOMAD__MAX_FDS; j++)
			if (fds[j] >= 0)
				close(fds[j]);
		if (channel_end() || (n <= 0 && n != -EMSGSIZE))
			break;
	}
	return n > 0 || n == -EAGAIN || n == -EMSGSIZE;
}

static void broker_gone(int errnum, const char *act)
{
	channel_exec_close();
	for (int i = 0; i < MAX_EXECS; i++)
		if (execs[i].kind == BROKER) {
			tell_failure(&execs[i], errnum, act);
			execs[i].kind = FREE;
		}
}

int exec_pollfd(int i)
{
	return i == 0 ? answers : channel_exec();
}

void exec_read(int i)
{
	if (i == 0)
		(void)read_answers(answers, CHILD);
	else if (!read_answers(channel_exec(), BROKER))
		broker_gone(ECONNRESET, "run the command: the process that runs commands in the task has ended");
}

void exec_check_deadlines(void)
{
	int64_t now = nomad_monotonic_ns(), next = 0;

	for (int i = 0; i < MAX_EXECS; i++) {
		struct exec *exec = &execs[i];

		if (exec->kind != BROKER || !exec->deadline)
			continue;
		if (exec->deadline <= now) {
			tell_failure(exec, ETIMEDOUT, "wait for the process that runs commands in the task");
			exec->kind = FREE;
		} else if (!next || exec->deadline < next) {
			next = exec->deadline;
		}
	}
	timer_set(TIMER_EXEC, next ? next - now : -1);
}

/* ---- A child ---- */

static void __attribute__((noreturn)) child_failed(int64_t number, int errnum, const char *act, const char *object)
{
	char buf[MESSAGE_SIZE], words[600];
	struct nomad__fields m;
	struct nomad__text t;

	nomad__text_init(&t, words, sizeof(words));
	text_act(&t, act, object);
	nomad__fields_init(&m, buf, sizeof(buf));
	nomad__fields_add(&m, "op", "failed");
	nomad__fields_num(&m, "id", number);
	nomad__fields_num(&m, "errno", errnum);
	nomad__fields_add(&m, "act", words);
	(void)nomad__unix_send(answer, m.buf, m.used, NULL, 0, true);
	_exit(127);
}

/* Its terminal, of which the master goes out. */
static int open_terminal(int64_t number, int fds[3])
{
	int ends[2], r = nomad__terminal_open(ends);
	struct nomad__fields m;
	char buf[128];

	if (r < 0)
		return r;
	nomad__fields_init(&m, buf, sizeof(buf));
	nomad__fields_add(&m, "op", "terminal");
	nomad__fields_num(&m, "id", number);
	r = nomad__unix_send(answer, m.buf, m.used, &ends[0], 1, true);
	close(ends[0]);
	fds[0] = fds[1] = fds[2] = ends[1];
	return r;
}

/* What the command itself does not say is as it is for the task's process. */
static const struct spec *given(const struct spec *spec, const char *key)
{
	return nomad__fields_get(spec->data, spec->size, key) ? spec : spec_of_task();
}

static void __attribute__((noreturn)) run(const struct spec *spec, int64_t number, bool tty, const int *fds)
{
	const struct spec *place = given(spec, "cwd"), *user = given(spec, "uid");
	char **argv = child_strings(spec, "arg", NULL), **env = child_strings(given(spec, "env"), "env", NULL);
	const char *cwd = nomad__fields_get(place->data, place->size, "cwd");
	int stdio[3] = { fds[1], fds[2], fds[3] }, r;

	if (!argv || !argv[0] || !env)
		child_failed(number, ENOMEM, "list the arguments", NULL);
	child_defaults();
	r = limits_join_beside(task()->main.pid);
	if (r < 0)
		child_failed(number, -r, "enter the cgroups of the task", NULL);
	r = limits_set_own();
	if (r < 0)
		child_failed(number, -r, "set the resource limits of the task", NULL);
	r = nomad__netns_enter_of(task()->main.pid);
	if (r < 0)
		child_failed(number, -r, "enter the network namespace of the task", NULL);
	setsid();
	if (chdir(cwd ? cwd : "/") < 0)
		child_failed(number, errno, "change to directory", cwd ? cwd : "/");
	r = child_become(user);
	if (r < 0)
		child_failed(number, -r, "become user number", nomad__fields_get(user->data, user->size, "uid"));
	r = tty ? open_terminal(number, stdio) : 0;
	if (r >= 0)
		r = child_stdio(stdio);
	if (r >= 0 && tty)
		r = nomad__terminal_take();
	if (r < 0)
		child_failed(number, -r, tty ? "open a terminal" : "connect input and output", NULL);
	nomad__die_with_parent();
	answer = dup2(answer, 3);
	(void)fcntl(answer, F_SETFD, FD_CLOEXEC);
	nomad__close_from(answer + 1);
	r = child_exec(argv, env);
	child_failed(number, -r, "execute", argv[0]);
}

/* The socket of all children, made for the first. */
static int open_answers(void)
{
	int ends[2], r = answers < 0 ? nomad__unix_pair(ends) : 0;

	if (answers < 0 && r >= 0) {
		answers = ends[0];
		answer = ends[1];
	}
	return r;
}

static void start_child(struct exec *exec, const int *fds)
{
	struct spec spec;
	int r = spec_map(fds[0], &spec), pid;

	if (r < 0) {
		tell_failure(exec, -r, "map what command to run");
		return;
	}
	r = open_answers();
	pid = r < 0 ? r : limits_fork_beside(task()->main.pid);
	if (pid == 0)
		run(&spec, exec->number, exec->tty, fds);
	spec_unmap(&spec);
	if (pid < 0) {
		tell_failure(exec, -pid, "fork");
		return;
	}
	nomad__crash_at("super-exec");
	exec->kind = CHILD;
	exec->pid = pid;
}

static void begin_order(struct nomad__fields *m, char *buf, const struct exec *exec, const char *op)
{
	nomad__fields_init(m, buf, MESSAGE_SIZE);
	nomad__fields_add(m, "op", op);
	nomad__fields_num(m, "id", exec->number);
}

static int ask_broker(const struct nomad__fields *m, const int *fds, int n_fds)
{
	return channel_exec() < 0 ? -ECONNRESET : nomad__unix_send(channel_exec(), m->buf, m->used, fds, n_fds, false);
}

static int order_command(struct exec *exec, const int *fds)
{
	char buf[MESSAGE_SIZE];
	struct nomad__fields m;

	begin_order(&m, buf, exec, "run");
	nomad__fields_num(&m, "tty", exec->tty);
	return ask_broker(&m, fds, 4);
}

/* The client's ends are open files of their own: nothing that the container does to its ends makes ours block. */
static int order_terminal(struct exec *exec, int arguments)
{
	int in[2], out[2], r;

	if (pipe2(in, O_CLOEXEC | O_NONBLOCK) < 0)
		return -errno;
	r = pipe2(out, O_CLOEXEC | O_NONBLOCK) < 0 ? -errno : 0;
	if (r >= 0) {
		r = order_command(exec, (int[]){ arguments, in[0], out[1], out[1] });
		if (r >= 0)
			tell_terminal(exec, (int[]){ out[0], in[1] }, 2);
		close(out[0]);
		close(out[1]);
	}
	close(in[0]);
	close(in[1]);
	return r;
}

static void start_in_broker(struct exec *exec, const int *fds)
{
	int r = exec->tty ? order_terminal(exec, fds[0]) : order_command(exec, fds);

	if (r < 0) {
		tell_failure(exec, -r, "connect to the process that runs commands in the task");
		return;
	}
	exec->kind = BROKER;
	exec->deadline = nomad_monotonic_ns() + patience_ns;
	exec_check_deadlines();
}

void exec_start(unsigned client, const char *message, size_t size, const int *fds)
{
	struct exec refused, *exec = &refused;

	for (int i = 0; i < MAX_EXECS && exec == &refused; i++)
		if (execs[i].kind == FREE)
			exec = &execs[i];
	*exec = (struct exec){
		.client = client,
		.id = nomad__fields_get_num(message, size, "id", -1),
		.number = ++last_number,
		.tty = nomad__fields_get_num(message, size, "tty", 0) != 0,
	};
	if (state_now() < ST_WAITING || state_now() > ST_STOPPING || task()->reaped)
		tell_failure(exec, ESRCH, "run a command in a task that is not running");
	else if (exec == &refused)
		tell_failure(exec, EAGAIN, "run one more command in the task: too many are running");
	else if (fds[0] < 0 || (!exec->tty && fds[3] < 0))
		tell_failure(exec, EPROTO, "receive the command's descriptors");
	else if (spec_num("exec_broker", 0))
		start_in_broker(exec, fds);
	else
		start_child(exec, fds);
}

/* ---- Signals and the end ---- */

static void signal_command(struct exec *exec, int signal)
{
	char buf[MESSAGE_SIZE];
	struct nomad__fields m;

	if (exec->kind == BROKER) {
		begin_order(&m, buf, exec, "signal");
		nomad__fields_num(&m, "signal", signal);
		(void)ask_broker(&m, NULL, 0);
		/* Before its setsid() a child has no group of its own. */
	} else if (exec->pid > 1 && kill(-exec->pid, signal) < 0) {
		(void)kill(exec->pid, signal);
	}
}

static struct exec *find_of_client(unsigned client, int64_t id)
{
	for (int i = 0; i < MAX_EXECS; i++)
		if (execs[i].kind != FREE && execs[i].client == client && execs[i].id == id)
			return &execs[i];
	return NULL;
}

void exec_signal(unsigned client, int64_t id, int signal)
{
	struct exec *exec = find_of_client(client, id);

	if (exec && signal > 0 && signal < NOMAD__NSIG)
		signal_command(exec, signal);
}

void exec_resize(unsigned client, const char *message, size_t size)
{
	struct exec *exec = find_of_client(client, nomad__fields_get_num(message, size, "id", -1));
	char buf[MESSAGE_SIZE];
	struct nomad__fields m;

	if (!exec || exec->kind != BROKER)
		return;
	begin_order(&m, buf, exec, "resize");
	nomad__fields_num(&m, "rows", nomad__fields_get_num(message, size, "rows", 0));
	nomad__fields_num(&m, "columns", nomad__fields_get_num(message, size, "columns", 0));
	(void)ask_broker(&m, NULL, 0);
}

void exec_kill_orphans(void)
{
	for (int i = 0; i < MAX_EXECS; i++)
		if (execs[i].kind != FREE && !clients_has(execs[i].client)) {
			signal_command(&execs[i], SIGKILL);
			/* A broker may not answer any more; a child is reaped. */
			if (execs[i].kind == BROKER)
				execs[i].kind = FREE;
		}
}

void exec_reaped(int pid, int status)
{
	/* What it had to say comes before its end. */
	if (answers >= 0)
		(void)read_answers(answers, CHILD);
	for (int i = 0; i < MAX_EXECS; i++)
		if (execs[i].kind == CHILD && execs[i].pid == pid) {
			tell_exit(&execs[i], WIFEXITED(status) ? WEXITSTATUS(status) : 0,
				  WIFSIGNALED(status) ? WTERMSIG(status) : 0);
			execs[i].kind = FREE;
		}
}
