/* SPDX-License-Identifier: MPL-2.0
 *
 * host.c: what is outside of the plugin: processes, sockets, and a supervisor
 * program that does what supervisor/PROTOCOL.md says, at a pace that the seed
 * gives.  It writes its records by base/fields.h into the files of files.c. */
#include "det.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fields.h"
#include "nomad/log.h"
#include "os/hierarchy.h"
#include "os/process.h"
#include "os/socket.h"
#include "supervisor/handle.h"
#include "supervisor/identity.h"
#include "supervisor/limits.h"
#include "supervisor/spec.h"

enum { SOCKETS = 256, QUEUE = 8, MESSAGE_BYTES = 512, TASKS = 256, SUPERVISORS = 256, CONNECTIONS = 8 };
static const int64_t ms = 1000000;

/* ---- Sockets: each end has a number ---- */

struct socket {
	bool used, closed;
	int peer;
	unsigned count;
	struct {
		size_t size;
		char data[MESSAGE_BYTES];
	} queue[QUEUE]; /* to be read */
};

static struct socket sockets[SOCKETS];
static unsigned n_sockets;

static int socket_new(int peer)
{
	int i = 0;

	/* Both ends are over before a number is used again. */
	while (i < SOCKETS && sockets[i].used)
		i++;
	if (i == SOCKETS)
		det_fail("more than %d sockets", SOCKETS);
	if ((unsigned)i >= n_sockets)
		n_sockets = (unsigned)i + 1;
	sockets[i].used = true;
	sockets[i].closed = false;
	sockets[i].peer = peer;
	sockets[i].count = 0;
	return i;
}

static void socket_pair(int ret[2])
{
	ret[0] = socket_new(-1);
	ret[1] = socket_new(ret[0]);
	sockets[ret[0]].peer = ret[1];
}

void host_socket_closed(int number)
{
	struct socket *s = number < 0 ? NULL : &sockets[number];

	if (!s || s->closed)
		return;
	s->closed = true;
	if (sockets[s->peer].closed)
		s->used = sockets[s->peer].used = false;
	det_wake(&det_sockets);
}

static bool hung_up(int number)
{
	return sockets[sockets[number].peer].closed;
}

bool host_socket_readable(int number)
{
	return sockets[number].count || hung_up(number);
}

static int put(int number, const void *data, size_t size)
{
	struct socket *to = &sockets[sockets[number].peer];

	if (to->closed)
		return -EPIPE;
	if (to->count == QUEUE)
		return -EAGAIN;
	if (size > MESSAGE_BYTES)
		det_fail("a message of %zu bytes", size);
	memcpy(to->queue[to->count].data, data, size);
	to->queue[to->count++].size = size;
	det_wake(&det_sockets);
	return 0;
}

static ssize_t get(int number, void *data, size_t size)
{
	struct socket *s = &sockets[number];
	size_t n;

	if (!s->count)
		return hung_up(number) ? 0 : -EAGAIN;
	n = s->queue[0].size < size ? s->queue[0].size : size;
	memcpy(data, s->queue[0].data, n);
	memmove(&s->queue[0], &s->queue[1], --s->count * sizeof(s->queue[0]));
	return (ssize_t)n;
}

/* ---- Tasks ---- */

static struct det_task tasks[TASKS];
static unsigned n_tasks;
static int last_pid;

struct det_task *host_task(const char *id)
{
	for (unsigned i = n_tasks; i--;)
		if (strcmp(tasks[i].id, id) == 0)
			return &tasks[i];
	return NULL;
}

struct det_task *host_announce(const char *slug, const char *id, int alloc)
{
	struct det_task *task = host_task(id);

	if (task && !task->lives)
		task->lost = task->born = false;
	if (task)
		return task;
	if (n_tasks == TASKS)
		det_fail("more than %d tasks", TASKS);
	task = &tasks[n_tasks++];
	*task = (struct det_task){ .alloc = alloc };
	snprintf(task->id, sizeof(task->id), "%s", id);
	snprintf(task->slug, sizeof(task->slug), "%s", slug);
	return task;
}

void host_born(struct det_task *task)
{
	det_trace("%s lives", task->id);
	for (unsigned i = 0; i < n_tasks; i++)
		if (tasks[i].lives && tasks[i].alloc == task->alloc)
			det_fail("two instances: %s is started while %s lives", task->id, tasks[i].id);
	task->born = task->lives = true;
	task->lost = task->left_alone = false;
	task->pid = ++last_pid;
	task->ends_at = !det_mood.quiet && det_one_in(3) ? det_now() + (int64_t)det_random(20000) * ms : INT64_MAX;
}

void host_ended(struct det_task *task, int code, int signal)
{
	if (!task->lives)
		return;
	det_trace("%s ends: code %d, signal %d", task->id, code, signal);
	task->lives = false;
	task->code = code;
	task->signal = signal;
	det_wake(&det_sockets);
}

unsigned host_living(int alloc)
{
	unsigned n = 0;

	for (unsigned i = 0; i < n_tasks; i++)
		n += tasks[i].lives && (alloc < 0 || tasks[i].alloc == alloc);
	return n;
}

/* ---- Supervisors ---- */

struct supervisor {
	struct det_thread *thread; /* NULL: it is over */
	int pid, node, dirfd;
	char dir[128];
	struct det_task *task;
	bool listens, stopped;
	int connections[CONNECTIONS];
	unsigned n_connections;
	int64_t kill_at;
	bool killed;
	int64_t started_ns;
};

static struct supervisor supervisors[SUPERVISORS];
static unsigned n_supervisors;

static void say(struct supervisor *s, const char *op, int connection)
{
	char buf[MESSAGE_BYTES];
	struct nomad__fields m;

	nomad__fields_init(&m, buf, sizeof(buf));
	nomad__fields_add(&m, "op", op);
	nomad__fields_num(&m, "pid", s->pid);
	nomad__fields_num(&m, "main_pid", s->task->pid);
	nomad__fields_num(&m, "leader_pid", s->task->pid);
	nomad__fields_num(&m, "started_ns", s->started_ns);
	nomad__fields_num(&m, "errno", EIO);
	(void)put(connection, m.buf, m.used);
}

static void listen_to(struct supervisor *s, int connection)
{
	char buf[MESSAGE_BYTES];
	const char *op;
	ssize_t n = get(connection, buf, sizeof(buf));

	if (n <= 0)
		return;
	op = nomad__fields_get(buf, (size_t)n, "op");
	det_trace("is told to %s", op);
	if (strcmp(op, "hello") == 0) {
		say(s, "state", connection);
	} else if (strcmp(op, "kill") == 0) {
		s->killed = true;
		s->kill_at = det_now();
	} else if (strcmp(op, "stop") == 0) {
		/* The task heeds the signal after a while, or never. */
		int64_t timeout = nomad__fields_get_num(buf, (size_t)n, "timeout_ms", 0) * ms;

		if (det_now() + timeout < s->kill_at)
			s->kill_at = det_now() + timeout;
		if (!det_one_in(4) && s->task->lives)
			s->task->ends_at = det_now() + (int64_t)det_random(2000) * ms;
	}
}

/* Waits for what comes next; false: nothing came by then. */
static bool attend(struct supervisor *s, int64_t due)
{
	struct det_task *task = s->task;

	if (task->lives && (s->kill_at <= det_now() || task->ends_at <= det_now())) {
		bool by_itself = s->kill_at > det_now();

		host_ended(task, by_itself ? (int)det_random(3) : 137, by_itself ? 0 : SIGKILL);
		return true;
	}
	for (unsigned i = 0; i < s->n_connections; i++) {
		int c = s->connections[i];

		if (sockets[c].count) {
			listen_to(s, c);
			return true;
		}
		if (hung_up(c)) {
			host_socket_closed(c);
			s->connections[i] = s->connections[--s->n_connections];
			return true;
		}
	}
	if (task->lives) {
		due = s->kill_at < due ? s->kill_at : due;
		due = task->ends_at < due ? task->ends_at : due;
	}
	return det_now() < due && det_wait(&det_sockets, due);
}

static void attend_for(struct supervisor *s, unsigned at_most_ms)
{
	int64_t due = det_now() + (int64_t)det_random(at_most_ms + 1) * ms;

	while (det_now() < due)
		(void)attend(s, due);
}

static void write_end(struct supervisor *s)
{
	char buf[MESSAGE_BYTES];
	struct nomad__fields record;

	nomad__fields_init(&record, buf, sizeof(buf));
	nomad__fields_add(&record, "op", "exited");
	nomad__fields_num(&record, "exit_code", s->task->code);
	nomad__fields_num(&record, "signal", s->task->signal);
	nomad__fields_num(&record, "killed", s->killed);
	nomad__fields_num(&record, "started_ns", s->started_ns);
	nomad__fields_num(&record, "ended_ns", det_wall());
	nomad__fields_seal(&record);
	(void)nomad__fields_write(s->dirfd, "exit", &record, true);
	s->task->lost = false;
	s->listens = false;
	close(s->dirfd); /* the lock */
	s->dirfd = -1;
	attend_for(s, 5);
	for (unsigned i = 0; i < s->n_connections; i++)
		(void)put(s->connections[i], record.buf, record.used);
}

/* True: the task runs, and it was said. */
static bool start(struct supervisor *s)
{
	struct nomad__process child = { .start = 1 };
	char buf[MESSAGE_BYTES];
	int starter = s->connections[0];

	while (!host_socket_readable(starter))
		(void)det_wait(&det_sockets, INT64_MAX);
	if (get(starter, buf, sizeof(buf)) <= 0)
		return false;
	s->dirfd = open(s->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (s->dirfd < 0 || files_node(s->dirfd) != s->node || flock(s->dirfd, LOCK_EX | LOCK_NB) < 0 ||
	    nomad__identity_write(s->dirfd) < 0) {
		say(s, "failed", starter);
		return false;
	}
	s->listens = true;
	if (det_one_in(2))
		det_sleep((int64_t)det_random(100) * ms);
	if (hung_up(starter))
		return false;
	if (det_one_in(30)) {
		say(s, "failed", starter);
		return false;
	}
	host_born(s->task);
	s->task->lost = true; /* until there is a record */
	s->started_ns = det_wall();
	child.pid = s->task->pid;
	(void)nomad__identity_add(s->dirfd, NOMAD__MAIN, &child);
	if (det_one_in(2))
		det_sleep((int64_t)det_random(det_one_in(4) ? 3000 : 50) * ms);
	if (hung_up(starter)) {
		host_ended(s->task, 137, SIGKILL);
		return false;
	}
	say(s, "started", starter);
	return true;
}

static void run_supervisor(void *arg)
{
	struct supervisor *s = arg;
	bool runs = start(s);

	while (runs && s->task->lives)
		(void)attend(s, INT64_MAX);
	if (runs) {
		attend_for(s, det_one_in(2) ? 0 : 20);
		write_end(s);
		attend_for(s, det_one_in(3) ? 3000 : 0);
	}
	s->listens = false;
	if (s->dirfd >= 0)
		close(s->dirfd);
	while (s->n_connections)
		host_socket_closed(s->connections[--s->n_connections]);
	s->thread = NULL;
}

static void kill_supervisor(struct supervisor *s)
{
	det_trace("supervisor %d of %s is killed", s->pid, s->task->id);
	s->listens = false;
	s->task->left_alone = true;
	det_kill_thread(s->thread);
	s->thread = NULL;
	while (s->n_connections)
		host_socket_closed(s->connections[--s->n_connections]);
}

static void stop_supervisor(struct supervisor *s, bool stop)
{
	if (s->stopped == stop)
		return;
	det_trace("supervisor %d of %s is %s", s->pid, s->task->id, stop ? "stopped" : "continued");
	s->stopped = stop;
	det_freeze(s->thread, stop);
}

static struct supervisor *any_supervisor(void)
{
	struct supervisor *s = n_supervisors ? &supervisors[det_random(n_supervisors)] : NULL;

	return s && s->thread ? s : NULL;
}

void host_kill_supervisor(void)
{
	struct supervisor *s = any_supervisor();

	if (!s)
		return;
	kill_supervisor(s);
	if (det_one_in(2)) /* its task with it, as a rule */
		host_ended(s->task, 137, SIGKILL);
}

void host_stop_supervisor(bool stop)
{
	struct supervisor *s = any_supervisor();

	if (s)
		stop_supervisor(s, stop);
}

void host_continue_all(void)
{
	for (unsigned i = 0; i < n_supervisors; i++)
		if (supervisors[i].thread)
			stop_supervisor(&supervisors[i], false);
}

bool host_is_well(const char *id)
{
	const struct det_task *task = host_task(id);

	for (unsigned i = 0; task && i < n_supervisors; i++)
		if (supervisors[i].task == task && supervisors[i].thread)
			return task->lives && !task->unwanted && !supervisors[i].stopped;
	return task && task->remote && task->lives && !task->unwanted;
}

unsigned host_supervisors(void)
{
	unsigned n = 0;

	for (unsigned i = 0; i < n_supervisors; i++)
		n += supervisors[i].thread != NULL;
	return n;
}

void host_reset(void)
{
	for (unsigned i = 0; i < n_sockets; i++)
		sockets[i].used = false;
	n_sockets = n_tasks = n_supervisors = 0;
	last_pid = 1000;
}

/* ---- What the plugin calls ---- */

int __wrap_nomad__supervisor_launch(int dirfd, const char *title, int *ret_fd, struct nomad_error **err)
{
	const char *slug = strstr(title, ": ");
	struct supervisor *s;
	int pair[2];

	det_point();
	if (det_fault("vfork", EAGAIN))
		return nomad_error_errno(err, EAGAIN, "run the supervisor program");
	if (n_supervisors == SUPERVISORS)
		det_fail("more than %d supervisors", SUPERVISORS);
	s = &supervisors[n_supervisors++];
	*s = (struct supervisor){ .pid = ++last_pid, .node = files_node(dirfd), .dirfd = -1, .kill_at = INT64_MAX };
	for (unsigned i = 0; i < n_tasks; i++)
		if (slug && strcmp(tasks[i].slug, slug + 2) == 0)
			s->task = &tasks[i];
	if (!s->task)
		det_fail("a supervisor of a task that was not announced: %s", title);
	snprintf(s->dir, sizeof(s->dir), "/state/tasks/%s", s->task->slug);
	socket_pair(pair);
	s->connections[s->n_connections++] = pair[1];
	*ret_fd = files_add_socket(pair[0]);
	s->thread = det_spawn(DET_WORLD, slug + 2, run_supervisor, s);
	return s->pid;
}

pid_t __wrap_waitpid(pid_t pid, int *status, int options)
{
	(void)options;
	*status = 0;
	return pid;
}

int __wrap_nomad__unix_connect(int dirfd, const char *name)
{
	int node = files_node(dirfd), pair[2];

	(void)name;
	det_point();
	if (det_fault("connect", EMFILE))
		return -EMFILE;
	for (unsigned i = n_supervisors; i--;) {
		struct supervisor *s = &supervisors[i];

		if (!s->thread || !s->listens || s->node != node || s->n_connections == CONNECTIONS)
			continue;
		socket_pair(pair);
		s->connections[s->n_connections++] = pair[1];
		return files_add_socket(pair[0]);
	}
	return -ECONNREFUSED;
}

int __wrap_nomad__unix_send(int fd, const void *data, size_t size, const int *fds, int n_fds, bool wait)
{
	(void)fds;
	(void)n_fds;
	(void)wait;
	det_point();
	return put(files_socket(fd), data, size);
}

ssize_t __wrap_nomad__unix_receive(int fd, void *buf, size_t size, int *fds, bool wait)
{
	(void)wait;
	for (int i = 0; i < NOMAD__MAX_FDS; i++)
		fds[i] = -1;
	det_point();
	return get(files_socket(fd), buf, size);
}

int __wrap_nomad__keys_file(const struct nomad__keys *spec)
{
	(void)spec;
	return det_fault("memfd_create", EMFILE) ? -EMFILE : files_add_socket(-1);
}

int __wrap_nomad__spec_start(struct nomad__keys *spec, const struct nomad__supervise *what, struct nomad_error **err)
{
	(void)spec;
	(void)what;
	(void)err;
	return 0;
}

int __wrap_nomad__hierarchies(const struct nomad__hierarchy **ret)
{
	*ret = NULL;
	return 0;
}

int __wrap_nomad__limits_plan(const struct nomad__hierarchy *hierarchies, int n, const struct nomad__supervise *what,
			      struct nomad__keys *spec, struct nomad_error **err)
{
	(void)hierarchies;
	(void)n;
	(void)what;
	(void)spec;
	(void)err;
	return 0;
}

int __wrap_nomad__boot_id(char ret[NOMAD__BOOT_ID_SIZE])
{
	snprintf(ret, NOMAD__BOOT_ID_SIZE, "this-boot");
	return det_fault("boot_id", EMFILE) ? -EMFILE : 0;
}

bool __wrap_nomad__same_mount(int a, int b)
{
	(void)a;
	(void)b;
	return true;
}

/* ---- Processes ---- */

static struct supervisor *supervisor_of_pid(int pid)
{
	for (unsigned i = 0; i < n_supervisors; i++)
		if (supervisors[i].thread && supervisors[i].pid == pid)
			return &supervisors[i];
	return NULL;
}

static struct det_task *task_of_pid(int pid)
{
	for (unsigned i = 0; i < n_tasks; i++)
		if (tasks[i].lives && tasks[i].pid == pid)
			return &tasks[i];
	return NULL;
}

int __wrap_nomad__process_find(int pid, struct nomad__process *ret)
{
	for (unsigned i = 0; i < n_supervisors; i++)
		if (supervisors[i].thread && supervisors[i].thread == det_self())
			pid = supervisors[i].pid; /* asks for itself */
	*ret = (struct nomad__process){ .pid = pid, .start = 1 };
	return supervisor_of_pid(pid) || task_of_pid(pid) ? 0 : -ESRCH;
}

bool __wrap_nomad__process_lives(const struct nomad__process *process)
{
	det_point();
	return supervisor_of_pid(process->pid) || task_of_pid(process->pid);
}

int __wrap_nomad__process_parent(int pid)
{
	const struct det_task *task = task_of_pid(pid);

	for (unsigned i = 0; task && i < n_supervisors; i++)
		if (supervisors[i].thread && supervisors[i].task == task)
			return supervisors[i].pid;
	return task ? 1 : -ESRCH;
}

int __wrap_nomad__process_children(int pid, int *ret, int max)
{
	const struct supervisor *s = supervisor_of_pid(pid);

	(void)max;
	det_point();
	if (!s || !s->task->lives)
		return 0;
	ret[0] = s->task->pid;
	return 1;
}

int __wrap_nomad__process_signal(const struct nomad__process *process, int signal)
{
	struct supervisor *s = supervisor_of_pid(process->pid);
	struct det_task *task = task_of_pid(process->pid);

	det_point();
	s = s ? supervisor_of_pid(process->pid) : NULL;
	if (!s && !task)
		return -ESRCH;
	if (s && signal == SIGSTOP)
		stop_supervisor(s, true);
	if (signal == SIGKILL && (s ? s->task->lives : task->lives))
		det_before_kill(s ? s->task : task);
	if (s && signal == SIGKILL)
		kill_supervisor(s);
	if (task && signal == SIGKILL)
		host_ended(task, 137, SIGKILL);
	return 0;
}

/* ---- The log ---- */

void __wrap_nomad_log(enum nomad_log_level level, const char *fmt, ...)
{
	char text[300];
	va_list ap;

	(void)level;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	det_trace("log: %s", text);
}

void __wrap_nomad_log_kv(enum nomad_log_level level, const char *message, ...)
{
	char text[300];
	const char *key, *value;
	size_t n;
	va_list ap;

	(void)level;
	n = (size_t)snprintf(text, sizeof(text), "log: %s", message);
	va_start(ap, message);
	while ((key = va_arg(ap, const char *)) && (value = va_arg(ap, const char *), n < sizeof(text)))
		n += (size_t)snprintf(text + n, sizeof(text) - n, " %s=%s", key, value ? value : "");
	va_end(ap);
	det_trace("%s", text);
}
