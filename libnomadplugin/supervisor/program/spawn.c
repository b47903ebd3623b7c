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
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "os/process.h"
#include "os/enter.h"
#include "supervisor/crash.h"
#include "supervisor/program/child.h"

/* Tell the parent and go.  The form: errno in digits, NUL, text. */
void child_fail(int fd, int errnum, const char *act, const char *object)
{
	char buf[600];
	struct nomad__text t;
	size_t digits;

	nomad__text_init(&t, buf, sizeof(buf));
	nomad__text_num(&t, errnum);
	digits = t.used + 1;
	nomad__text_init(&t, buf + digits, sizeof(buf) - digits);
	nomad__text_add(&t, act);
	if (object) {
		nomad__text_add(&t, " '");
		nomad__text_add(&t, object);
		nomad__text_add(&t, "'");
	}
	(void)!write(fd, buf, digits + t.used);
	_exit(127);
}

/* The strings of `key`, and `extra` behind them if it is not NULL. */
char **child_strings(const char *spec, size_t size, const char *key, const char *extra)
{
	size_t pos = 0, n = 0;
	const char *s;
	char **v;

	while (nomad__fields_next(spec, size, key, &pos))
		n++;
	v = mmap(NULL, (n + 2) * sizeof(*v), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (v == MAP_FAILED)
		return NULL;
	pos = n = 0;
	while ((s = nomad__fields_next(spec, size, key, &pos)))
		v[n++] = (char *)s;
	if (extra)
		v[n] = (char *)extra;
	return v;
}

void child_defaults(void)
{
	struct sigaction sa = { .sa_handler = SIG_DFL };
	sigset_t none;

	for (int i = 1; i < NSIG; i++)
		(void)sigaction(i, &sa, NULL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Become uid, gid and "1,2,3" of the specification, if it names them. */
int child_become(const char *spec, size_t size)
{
	int64_t uid = nomad__fields_get_num(spec, size, "uid", -1);
	int64_t gid = nomad__fields_get_num(spec, size, "gid", -1);
	const char *list = nomad__fields_get(spec, size, "groups");
	gid_t groups[64];
	int n = 0;

	if (uid < 0 || gid < 0)
		return 0;
	for (const char *p = list; p && *p && n < 64; p = strchr(p, ',') ? strchr(p, ',') + 1 : NULL)
		groups[n++] = (gid_t)nomad__parse_num(p, gid);
	if (setgroups((size_t)n, groups) < 0 || setgid((gid_t)gid) < 0 || setuid((uid_t)uid) < 0)
		return -errno;
	return 0;
}

/* fds[i] becomes i.  None of them is below 3 (see super_main: 0 to 2 are taken). */
int child_stdio(const int fds[3])
{
	for (int i = 0; i < 3; i++)
		if (dup2(fds[i], i) < 0)
			return -errno;
	return 0;
}

int child_exec(char **argv, char **env)
{
	const char *path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
	char buf[4096];
	struct nomad__text t;
	int r = -ENOENT;

	if (strchr(argv[0], '/')) {
		execve(argv[0], argv, env);
		return -errno;
	}
	for (char **e = env; *e; e++)
		if (strncmp(*e, "PATH=", 5) == 0)
			path = *e + 5;
	while (path && *path) {
		const char *end = strchr(path, ':');
		size_t n = end ? (size_t)(end - path) : strlen(path);

		if (n > 0 && n < sizeof(buf)) {
			memcpy(buf, path, n);
			nomad__text_init(&t, buf + n, sizeof(buf) - n);
			nomad__text_add(&t, "/");
			nomad__text_add(&t, argv[0]);
			execve(buf, argv, env);
			if (errno != ENOENT && errno != ENOTDIR)
				r = -errno;
		}
		path = end ? end + 1 : NULL;
	}
	return r;
}

static void __attribute__((noreturn)) run_main(int hold, int status, const char *notify, int parent)
{
	const char *netns = spec_get("netns"), *cwd = spec_get("cwd");
	char **argv = child_strings(S.spec, S.spec_size, "arg", NULL);
	char **env = child_strings(S.spec, S.spec_size, "env", notify[0] ? notify : NULL);
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
		r = fd < 0 ? -errno : nomad__enter_netns(fd);
		if (r < 0)
			child_fail(status, -r, "enter network namespace", netns);
	}
	fds[0] = 0;
	fds[1] = logs_task_fd(STREAM_OUT);
	fds[2] = logs_task_fd(STREAM_ERR);
	r = fds[1] < 0 ? fds[1] : fds[2] < 0 ? fds[2] : child_stdio(fds);
	if (r < 0)
		child_fail(status, -r, "open the log pipes", NULL);
	r = child_become(S.spec, S.spec_size);
	if (r < 0)
		child_fail(status, -r, "become user number", spec_get("uid"));
	if (cwd && chdir(cwd) < 0)
		child_fail(status, errno, "change to directory", cwd);
	nomad__die_with_parent();
	/* It may be too late for that already. */
	if (getppid() != parent)
		_exit(127);
	execve(argv[0], argv, env);
	child_fail(status, errno, "execute", argv[0]);
	_exit(127);
}

int spawn_main(void)
{
	int hold[2], status[2], pid, parent = getpid(), r;
	char notify[300] = "";

	if (S.notify) {
		r = notify_open(notify, sizeof(notify));
		if (r < 0)
			return fail(-r, "make the notify socket", NULL);
	}
	if (pipe2(hold, O_CLOEXEC) < 0)
		return fail(errno, "make a pipe", NULL);
	if (pipe2(status, O_CLOEXEC) < 0) {
		r = fail(errno, "make a pipe", NULL);
		goto out_hold;
	}
	pid = limits_fork();
	if (pid == 0) {
		close(hold[1]);
		close(status[0]);
		run_main(hold[0], status[1], notify, parent);
	}
	close(status[1]);
	if (pid < 0) {
		r = fail(-pid, "fork", NULL);
		close(status[0]);
		goto out_hold;
	}
	nomad__crash_at("super-forked");
	S.exec_fd = status[0];
	S.main_pid = pid;
	S.started_wall_ns = nomad_wall_ns();
	logs_child_forked();
	r = nomad__process_start_time(pid, &S.main_start);
	if (r >= 0)
		r = add_identity("main_pid", pid, "main_start", S.main_start);
	if (r < 0) {
		/* The child sees the end of the pipe and goes; the loop reaps it. */
		(void)fail(-r, "record the process in", spec_get("dir"));
		r = 0;
		close(hold[1]);
		hold[1] = -1;
	} else {
		ssize_t n;

		do
			n = write(hold[1], "", 1);
		while (n < 0 && errno == EINTR);
		if (n != 1)
			r = fail(errno, "let the process go", NULL);
	}
	nomad__crash_at("super-main");
	timer_set(TIMER_READY, spec_num("ready_ms", 60000) * 1000000);
out_hold:
	close(hold[0]);
	if (hold[1] >= 0)
		close(hold[1]);
	return r;
}

void spawn_read_status(void)
{
	char buf[600];
	ssize_t n = read(S.exec_fd, buf, sizeof(buf) - 1);
	struct nomad__text t;

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	close(S.exec_fd);
	S.exec_fd = -1;
	/* A child that was killed before it could exec says nothing either. */
	if (n <= 0 && S.failure[0]) {
		dispatch(EV_EXEC_FAILED);
		return;
	}
	if (n <= 0) {
		dispatch(EV_EXECED);
		return;
	}
	buf[n] = 0;
	if (!S.failure[0]) {
		S.failure_errno = (int)nomad__parse_num(buf, EIO);
		nomad__text_init(&t, S.failure, sizeof(S.failure));
		nomad__text_add(&t, buf + strlen(buf) + (strlen(buf) < (size_t)n));
	}
	dispatch(EV_EXEC_FAILED);
}
