/* SPDX-License-Identifier: MPL-2.0
 *
 * exec.c: commands in a task, the plugin's side.
 *
 * The descriptors go to the supervisor with the request; input and output are
 * between the caller and the command, the supervisor tells the end only.  A
 * handle is in its supervisor's list until that end, or until it is freed. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "supervisor/handle.h"
#include "base/fields.h"
#include "supervisor/spec.h"

struct nomad__supervisor_exec {
	struct nomad__supervisor *supervisor;
	struct nomad__supervisor_exec *next;
	int64_t id;
	const struct nomad__command_events *events;
	void *ud;
	/* Under the supervisor's lock. */
	uint64_t asked; /* the greeting after the request; UINT64_MAX: none yet */
	bool listed;	/* its end is still to come */
	bool telling;	/* the callback runs */
	bool freed;	/* from within the callback */
};

static pthread_cond_t told = PTHREAD_COND_INITIALIZER;

static void unlist(struct nomad__supervisor_exec *exec)
{
	struct nomad__supervisor_exec **p = &exec->supervisor->execs;

	while (*p && *p != exec)
		p = &(*p)->next;
	if (*p)
		*p = exec->next;
	exec->listed = false;
}

/* The one with `id`, or any for -1, kept until told(); off the list if it is `over`. */
static struct nomad__supervisor_exec *take(struct nomad__supervisor *s, int64_t id, bool over)
{
	struct nomad__supervisor_exec *exec;

	pthread_mutex_lock(&s->lock);
	for (exec = s->execs; exec && id >= 0 && exec->id != id; exec = exec->next)
		;
	if (exec && over)
		unlist(exec);
	if (exec)
		exec->telling = true;
	pthread_mutex_unlock(&s->lock);
	return exec;
}

static void destroy(struct nomad__supervisor_exec *exec)
{
	struct nomad__supervisor *s = exec->supervisor;

	free(exec);
	nomad__supervisor_unref(s);
}

/* Loop thread, after a callback. */
static void has_told(struct nomad__supervisor_exec *exec)
{
	struct nomad__supervisor *s = exec->supervisor;
	bool freed;

	pthread_mutex_lock(&s->lock);
	exec->telling = false;
	freed = exec->freed;
	pthread_cond_broadcast(&told);
	pthread_mutex_unlock(&s->lock);
	if (freed)
		destroy(exec);
}

static void tell(struct nomad__supervisor_exec *exec, int r, int code, int signal, const char *message)
{
	exec->events->exited(exec->ud, r, code, signal, message);
	has_told(exec);
}

static void message_exited(struct nomad__supervisor_exec *exec, const char *message, size_t size)
{
	const char *act = nomad__fields_get(message, size, "act");
	int errnum = (int)nomad__fields_get_num(message, size, "errno", 0);
	char text[800];

	if (errnum > 0) {
		snprintf(text, sizeof(text), "%s: %s", act ? act : "run the command", strerror(errnum));
		tell(exec, -errnum, 0, 0, text);
	} else {
		tell(exec, 0, (int)nomad__fields_get_num(message, size, "code", 0),
		     (int)nomad__fields_get_num(message, size, "signal", 0), NULL);
	}
}

static void message_terminal(struct nomad__supervisor_exec *exec, int *fds)
{
	if (fds[1] < 0)
		fds[1] = fcntl(fds[0], F_DUPFD_CLOEXEC, 3);
	if (fds[1] >= 0 && fcntl(fds[0], F_SETFL, O_NONBLOCK) == 0 && fcntl(fds[1], F_SETFL, O_NONBLOCK) == 0)
		exec->events->terminal(exec->ud, NOMAD_TAKE_FD(fds[0]), NOMAD_TAKE_FD(fds[1]));
	has_told(exec);
}

void nomad__exec_message(struct nomad__supervisor *s, const char *op, const char *message, size_t size, int *fds)
{
	int64_t id = nomad__fields_get_num(message, size, "id", -1);
	bool over = strcmp(op, "exec-exited") == 0;
	struct nomad__supervisor_exec *exec;

	if (id < 0 || (!over && (strcmp(op, "exec-terminal") != 0 || fds[0] < 0)))
		return;
	exec = take(s, id, over);
	if (!exec)
		return;
	if (over) {
		message_exited(exec, message, size);
	} else {
		message_terminal(exec, fds);
	}
}

void nomad__exec_all_over(struct nomad__supervisor *s)
{
	struct nomad__supervisor_exec *exec;

	while ((exec = take(s, -1, true)))
		tell(exec, -ESRCH, 0, 0, "the task ended while the command ran");
}

static void send_signal(struct nomad__supervisor_exec *exec, int signal)
{
	struct nomad__fields m;
	char buf[128];

	nomad__fields_init(&m, buf, sizeof(buf));
	nomad__fields_add(&m, "op", "exec-signal");
	nomad__fields_num(&m, "id", exec->id);
	nomad__fields_num(&m, "signal", signal);
	(void)nomad__supervisor_send(exec->supervisor, m.buf, m.used, NULL, 0);
}

/* One that the supervisor has not read, to which the same applies as to that of take(). */
static struct nomad__supervisor_exec *take_unanswered(struct nomad__supervisor *s)
{
	struct nomad__supervisor_exec *exec;

	pthread_mutex_lock(&s->lock);
	for (exec = s->execs; exec && exec->asked <= s->answered; exec = exec->next)
		;
	if (exec) {
		unlist(exec);
		exec->telling = true;
	}
	pthread_mutex_unlock(&s->lock);
	return exec;
}

void nomad__exec_unanswered(struct nomad__supervisor *s)
{
	struct nomad__supervisor_exec *exec;
	char text[160];

	snprintf(text, sizeof(text),
		 "run a command in the task: its supervisor (pid %d) does not answer; stop the task to end both",
		 s->pid);
	while ((exec = take_unanswered(s))) {
		send_signal(exec, SIGKILL); /* for one that wakes up and begins it */
		tell(exec, -ETIMEDOUT, 0, 0, text);
	}
}

/* Listed before it is sent: the answer may be faster than we are. */
static void list(struct nomad__supervisor_exec *exec)
{
	struct nomad__supervisor *s = exec->supervisor;

	pthread_mutex_lock(&s->lock);
	exec->id = ++s->last_exec_id;
	exec->next = s->execs;
	s->execs = exec;
	exec->listed = true;
	pthread_mutex_unlock(&s->lock);
}

/* The request was sent; its end may have come since, and the handle be freed. */
static void ask(struct nomad__supervisor *s, const struct nomad__supervisor_exec *sent)
{
	uint64_t number = nomad__answer_ask(s, -1);

	pthread_mutex_lock(&s->lock);
	for (struct nomad__supervisor_exec *exec = s->execs; exec; exec = exec->next)
		if (exec == sent)
			exec->asked = number;
	pthread_mutex_unlock(&s->lock);
}

/* True if its end was reported before it could be removed. */
static bool unlist_unsent(struct nomad__supervisor_exec *exec)
{
	struct nomad__supervisor *s = exec->supervisor;
	bool ended;

	pthread_mutex_lock(&s->lock);
	ended = !exec->listed;
	if (!ended)
		unlist(exec);
	pthread_mutex_unlock(&s->lock);
	return ended;
}

static int send_request(struct nomad__supervisor_exec *exec, const struct nomad_exec *what, int file, const int fds[3])
{
	int all[4] = { file };
	struct nomad__fields m;
	char buf[128];

	if (!what->tty)
		memcpy(all + 1, fds, 3 * sizeof(int));
	nomad__fields_init(&m, buf, sizeof(buf));
	nomad__fields_add(&m, "op", "command");
	nomad__fields_num(&m, "id", exec->id);
	nomad__fields_num(&m, "tty", what->tty);
	return nomad__supervisor_send(exec->supervisor, m.buf, m.used, all, what->tty ? 1 : 4);
}

static int request(struct nomad__supervisor_exec *exec, const struct nomad_exec *what, const int fds[3],
		   struct nomad_error **err)
{
	struct nomad__supervisor *s = exec->supervisor;
	struct nomad__keys spec = { 0 };
	int r = nomad__spec_exec(&spec, what, err), file;

	if (r < 0) {
		nomad__keys_done(&spec);
		return r;
	}
	file = nomad__keys_file(&spec);
	nomad__keys_done(&spec);
	if (file < 0)
		return nomad_error_errno(err, -file, "write the command for the supervisor");
	list(exec);
	r = send_request(exec, what, file, fds);
	close(file);
	if (r >= 0)
		ask(s, exec);
	if (r >= 0 || unlist_unsent(exec))
		return 0;
	if (r == -ENOTCONN || r == -EPIPE || r == -ECONNRESET)
		return nomad_error_set(err, ESRCH, "run a command in the task: the task has ended");
	return nomad_error_errno(err, -r, "ask the supervisor of the task (pid %d) to run a command", s->pid);
}

int nomad__supervisor_exec(struct nomad__supervisor *s, const struct nomad_exec *what, const int fds[3],
			   const struct nomad__command_events *events, void *ud, struct nomad__supervisor_exec **ret,
			   struct nomad_error **err)
{
	struct nomad__supervisor_exec *exec;
	bool understood;
	int r;

	pthread_mutex_lock(&s->lock);
	understood = s->commands;
	pthread_mutex_unlock(&s->lock);
	if (!understood)
		return nomad_error_set(
			err, EOPNOTSUPP,
			"run a command in the task: an older version of the driver started it; restart the "
			"task");
	exec = calloc(1, sizeof(*exec));
	if (!exec)
		return nomad_error_errno(err, ENOMEM, "run a command in the task");
	*exec = (struct nomad__supervisor_exec){ .supervisor = s, .events = events, .ud = ud, .asked = UINT64_MAX };
	nomad__supervisor_ref(s);
	*ret = exec;
	r = request(exec, what, fds, err);
	if (r >= 0)
		return 0;
	*ret = NULL;
	destroy(exec);
	return r;
}

void nomad__supervisor_exec_kill(struct nomad__supervisor_exec *exec, int signal)
{
	send_signal(exec, signal);
}

void nomad__supervisor_exec_resize(struct nomad__supervisor_exec *exec, int rows, int columns)
{
	struct nomad__fields m;
	char buf[128];

	nomad__fields_init(&m, buf, sizeof(buf));
	nomad__fields_add(&m, "op", "exec-resize");
	nomad__fields_num(&m, "id", exec->id);
	nomad__fields_num(&m, "rows", rows);
	nomad__fields_num(&m, "columns", columns);
	(void)nomad__supervisor_send(exec->supervisor, m.buf, m.used, NULL, 0);
}

void nomad__supervisor_exec_free(struct nomad__supervisor_exec *exec)
{
	struct nomad__supervisor *s;
	bool running, inside = false;

	if (!exec)
		return;
	s = exec->supervisor;
	pthread_mutex_lock(&s->lock);
	running = exec->listed;
	if (running)
		unlist(exec);
	while (exec->telling && !inside) {
		if (nomad__loop_is_current(s->loop))
			inside = exec->freed = true;
		else
			pthread_cond_wait(&told, &s->lock);
	}
	pthread_mutex_unlock(&s->lock);
	if (running)
		send_signal(exec, SIGKILL);
	if (!inside)
		destroy(exec);
}
