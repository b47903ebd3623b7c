/* SPDX-License-Identifier: MPL-2.0
 *
 * Commands in a task: their streams, their identity, and a program that runs
 * them by itself and cannot be trusted. */
#include "supervisor/testing.h"

#include <arpa/inet.h>
#include <limits.h>
#include <netinet/in.h>
#include <termios.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "base/fields.h"
#include "os/socket.h"

struct run {
	pthread_mutex_t lock;
	pthread_cond_t cond;
	int ends, r, code, signal;
	char message[256];
	struct nomad__supervisor_exec *handle;
	int in, out; /* our ends */
	int terminal;
};

static void on_terminal(void *ud, int output, int input)
{
	struct run *run = ud;

	pthread_mutex_lock(&run->lock);
	close(run->in);
	run->in = input;
	__atomic_store_n(&run->terminal, output, __ATOMIC_RELEASE);
	pthread_cond_broadcast(&run->cond);
	pthread_mutex_unlock(&run->lock);
}

static void on_end(void *ud, int r, int code, int signal, const char *message)
{
	struct run *run = ud;

	pthread_mutex_lock(&run->lock);
	run->ends++;
	run->r = r;
	run->code = code;
	run->signal = signal;
	snprintf(run->message, sizeof(run->message), "%s", message ? message : "");
	pthread_cond_broadcast(&run->cond);
	pthread_mutex_unlock(&run->lock);
}

static const struct nomad__command_events command_events = { on_terminal, on_end };

static void run_wait(struct run *run)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += 60;
	pthread_mutex_lock(&run->lock);
	while (!run->ends && pthread_cond_timedwait(&run->cond, &run->lock, &until) == 0)
		;
	pthread_mutex_unlock(&run->lock);
	assert_int_equal(run->ends, 1);
}

static void run_init(struct run *run)
{
	memset(run, 0, sizeof(*run));
	pthread_mutex_init(&run->lock, NULL);
	pthread_cond_init(&run->cond, NULL);
	run->in = run->out = run->terminal = -1;
}

static void run_done(struct run *run)
{
	nomad__supervisor_exec_free(run->handle);
	if (run->in >= 0)
		close(run->in);
	if (run->out >= 0)
		close(run->out);
	if (run->terminal >= 0 && run->terminal != run->out)
		close(run->terminal);
	pthread_mutex_destroy(&run->lock);
	pthread_cond_destroy(&run->cond);
}

/* With a pipe for each of stdin and stdout + stderr. */
static int run_start(struct run *run, struct task *t, struct nomad_exec *exec, struct nomad_error **err)
{
	int in[2], out[2], fds[3], r;

	run_init(run);
	assert_int_equal(pipe2(in, O_CLOEXEC), 0);
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	fds[0] = in[0];
	fds[1] = fds[2] = out[1];
	run->in = in[1]; /* before on_terminal() replaces it */
	run->out = out[0];
	r = nomad__supervisor_exec(t->s, exec, fds, &command_events, run, &run->handle, err);
	close(in[0]);
	close(out[1]);
	return r;
}

static void read_all(int fd, char *buf, size_t size)
{
	size_t used = 0;
	ssize_t n;

	while (used < size - 1 && (n = read(fd, buf + used, size - 1 - used)) > 0)
		used += (size_t)n;
	buf[used] = 0;
}

static char *sh_argv[] = { (char *)"/bin/sh", (char *)"-c", NULL, NULL };

static void exec_sh(struct nomad_exec *exec, const char *script)
{
	static char expanded[4096];

	*exec = (struct nomad_exec){ .argv = sh_argv };
	strcpy(expanded, own_numbers(script));
	sh_argv[2] = expanded;
	assert_int_equal(nomad_map_set(&exec->env, "PATH", "/usr/bin:/bin"), 0);
	assert_int_equal(nomad_map_set(&exec->env, "COLOUR", "blue"), 0);
}

static void test_pipes(void **state)
{
	struct nomad_exec exec;
	struct task t;
	struct run run;
	char buf[256];

	(void)state;
	task_init(&t);
	task_sh(&t, "sleep 1000");
	exec_sh(&exec, "read a; echo \"<$a $COLOUR>\"; pwd; echo err >&2; exit 43");
	exec.cwd = (char *)"/usr";
	assert_int_equal(run_start(&run, &t, &exec, NULL), 0);
	assert_int_equal(write(run.in, "line\n", 5), 5);
	read_all(run.out, buf, sizeof(buf));
	assert_string_equal(buf, "<line blue>\n/usr\nerr\n");
	run_wait(&run);
	assert_int_equal(run.r, 0);
	assert_int_equal(run.code, 43);
	assert_int_equal(run.signal, 0);
	run_done(&run);
	nomad_map_done(&exec.env);
	exec_sh(&exec, "kill -TERM $$");
	assert_int_equal(run_start(&run, &t, &exec, NULL), 0);
	run_wait(&run);
	assert_int_equal(run.signal, SIGTERM);
	run_done(&run);
	nomad_map_done(&exec.env);
	task_done(&t);
}

static void test_failures(void **state)
{
	static char *argv[] = { (char *)"/no/such", NULL };
	struct nomad_error *err = NULL;
	struct nomad_exec exec = { .argv = argv };
	struct task t;
	struct run run;

	(void)state;
	task_init(&t);
	task_sh(&t, "sleep 1000");
	assert_int_equal(run_start(&run, &t, &exec, NULL), 0);
	run_wait(&run);
	assert_int_equal(run.r, -ENOENT);
	assert_string_equal(run.message, "execute '/no/such': No such file or directory");
	run_done(&run);
	exec.cwd = (char *)"/nowhere";
	assert_int_equal(run_start(&run, &t, &exec, NULL), 0);
	run_wait(&run);
	assert_string_equal(run.message, "change to directory '/nowhere': No such file or directory");
	run_done(&run);
	nomad__supervisor_kill(t.s, NULL);
	task_wait(&t);
	exec.cwd = NULL;
	assert_int_equal(run_start(&run, &t, &exec, &err), -ESRCH);
	assert_non_null(strstr(nomad_error_message(err), "ended"));
	nomad_error_free(err);
	run_done(&run);
	task_done(&t);
}

static void test_tty(void **state)
{
	struct winsize size = { .ws_row = 33, .ws_col = 99 };
	struct nomad_exec exec;
	struct task t;
	struct run run;
	char buf[256];

	(void)state;
	task_init(&t);
	task_sh(&t, "sleep 1000");
	exec_sh(&exec, "read x </dev/tty; stty size; tty; echo got $x; exit 5");
	exec.tty = true;
	assert_int_equal(run_start(&run, &t, &exec, NULL), 0);
	wait_until(__atomic_load_n(&run.terminal, __ATOMIC_ACQUIRE) >= 0);
	close(run.out);
	run.out = run.terminal;
	assert_true(fcntl(run.out, F_GETFL) & O_NONBLOCK);
	assert_int_equal(fcntl(run.out, F_SETFL, 0), 0);
	assert_int_equal(ioctl(run.out, TIOCSWINSZ, &size), 0);
	assert_int_equal(write(run.out, "abc\n", 4), 4);
	read_all(run.out, buf, sizeof(buf));
	assert_non_null(strstr(buf, "33 99\r\n/dev/pts/"));
	assert_non_null(strstr(buf, "got abc\r\n"));
	run_wait(&run);
	assert_int_equal(run.code, 5);
	run_done(&run);
	nomad_map_done(&exec.env);
	task_done(&t);
}

/* A command dies with its handle, and with the connection. */
static void test_vanish(void **state)
{
	struct nomad_exec exec;
	struct task t;
	struct run run;
	char buf[64];

	(void)state;
	task_init(&t);
	task_sh(&t, "sleep 1000");
	exec_sh(&exec, "echo up; sleep #7171 & sleep #7172");
	assert_int_equal(run_start(&run, &t, &exec, NULL), 0);
	assert_int_equal(read(run.out, buf, 3), 3);
	assert_true(sleeps("#7171"));
	run_done(&run);
	assert_int_equal(run.ends, 0);
	wait_until(!sleeps("#7171") && !sleeps("#7172"));
	nomad_map_done(&exec.env);

	exec_sh(&exec, "echo up; sleep #7173 & sleep #7174");
	assert_int_equal(run_start(&run, &t, &exec, NULL), 0);
	assert_int_equal(read(run.out, buf, 3), 3);
	assert_true(sleeps("#7173"));
	nomad__supervisor_free(t.s);
	wait_until(!sleeps("#7173") && !sleeps("#7174"));
	run_done(&run);
	nomad_map_done(&exec.env);
	assert_int_equal(nomad__supervisor_attach(t.loop, t.dir, &test_events, &t, &t.s, NULL), 0);
	assert_int_equal(t.exits, 0);
	task_done(&t);
}

/* The supervisor dies just when it has forked a command. */
static void test_lost(void **state)
{
	struct nomad_exec exec;
	struct task t;
	struct run run;

	(void)state;
	if (geteuid() != 0)
		skip();
	task_init(&t);
	assert_int_equal(setenv("NOMAD_DRIVER_CRASH_AT", "super-exec", 1), 0);
	task_sh(&t, "sleep #7575");
	assert_int_equal(unsetenv("NOMAD_DRIVER_CRASH_AT"), 0);
	exec_sh(&exec, "sleep #7576");
	assert_int_equal(run_start(&run, &t, &exec, NULL), 0);
	run_wait(&run);
	assert_int_equal(run.r, -ESRCH);
	task_wait(&t);
	assert_true(t.result.lost);
	assert_false(sleeps("#7575") || sleeps("#7576"));
	run_done(&run);
	nomad_map_done(&exec.env);
	task_done(&t);
}

static void test_many(void **state)
{
	enum { MANY = 50 };
	static struct run runs[MANY];
	struct nomad_exec exec;
	struct task t;

	(void)state;
	task_init(&t);
	task_sh(&t, "sleep 1000");
	for (int i = 0; i < MANY; i++) {
		char script[64];

		snprintf(script, sizeof(script), "read x; exit %d", i);
		exec_sh(&exec, script);
		assert_int_equal(run_start(&runs[i], &t, &exec, NULL), 0);
		nomad_map_done(&exec.env);
	}
	for (int i = 0; i < MANY; i++) {
		close(runs[i].in);
		runs[i].in = -1;
	}
	for (int i = 0; i < MANY; i++) {
		run_wait(&runs[i]);
		assert_int_equal(runs[i].code, i);
		run_done(&runs[i]);
	}
	task_done(&t);
}

/* What the command does not say is as it is for the task's process. */
static void test_identity(void **state)
{
	static const struct nomad_rlimit limit = { .resource = RLIMIT_NOFILE, .soft = 111, .hard = 222 };
	static const char script[] =
		"id -u; id -g; id -G; pwd; ulimit -n; ulimit -Hn; umask; echo $COLOUR; "
		"cat /proc/self/oom_score_adj; cat /proc/self/cgroup; grep ^Cap /proc/self/status; "
		"ls /proc/self/fd | wc -l";
	char of_task[4096], of_command[4096];
	struct nomad_exec exec = { .argv = sh_argv };
	struct task t;
	struct run run;
	int fd;

	(void)state;
	if (geteuid() != 0)
		skip();
	task_init(&t);
	t.command.user = "daemon";
	t.command.cwd = "/usr/share";
	t.command.rlimits = &limit;
	t.command.n_rlimits = 1;
	t.command.oom_score_adj = 77;
	assert_int_equal(nomad_map_set(&t.env, "COLOUR", "green"), 0);
	snprintf(of_task, sizeof(of_task), "%s/of-task", t.base);
	assert_int_equal(chmod(t.base, 0777), 0);
	assert_int_equal(nomad_map_set(&t.env, "OUT", of_task), 0);
	snprintf(of_command, sizeof(of_command), "(%s) >$OUT.new && mv $OUT.new $OUT; sleep 1000", script);
	task_sh(&t, of_command);
	wait_until(access(of_task, F_OK) == 0);
	fd = open(of_task, O_RDONLY | O_CLOEXEC);
	read_all(fd, of_task, sizeof(of_task));
	close(fd);
	sh_argv[2] = (char *)script;
	assert_int_equal(run_start(&run, &t, &exec, NULL), 0);
	read_all(run.out, of_command, sizeof(of_command));
	run_wait(&run);
	assert_int_equal(run.code, 0);
	assert_string_equal(of_command, of_task);
	assert_memory_equal(of_task, "1\n1\n1\n/usr/share\n111\n222\n", 24);
	run_done(&run);
	task_done(&t);
}

/* ---- The program of the task runs commands by itself ---- */

static void answer(const char *op, int64_t id, const char *key, int64_t value, int fd)
{
	struct nomad__fields m;
	char buf[256];

	nomad__fields_init(&m, buf, sizeof(buf));
	nomad__fields_add(&m, "op", op);
	nomad__fields_num(&m, "id", id);
	if (key)
		nomad__fields_num(&m, key, value);
	(void)nomad__unix_send(NOMAD_EXEC_FD, m.buf, m.used, &fd, fd >= 0, true);
}

/* A connection whose close() waits for ever for its data to be read. */
static int lingering_socket(void)
{
	struct linger linger = { .l_onoff = 1, .l_linger = 30000 };
	struct sockaddr_in here = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int listener = socket(AF_INET, SOCK_STREAM, 0), fd = socket(AF_INET, SOCK_STREAM, 0);
	static char data[1 << 20];
	socklen_t size = sizeof(here);

	if (bind(listener, (struct sockaddr *)&here, size) < 0 || listen(listener, 1) < 0 ||
	    getsockname(listener, (struct sockaddr *)&here, &size) < 0 ||
	    connect(fd, (struct sockaddr *)&here, size) < 0 || accept(listener, NULL, NULL) < 0)
		_exit(9);
	while (send(fd, data, sizeof(data), MSG_DONTWAIT) > 0)
		;
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
	return fd;
}

/* The first argument of the command says how to answer. */
static void answer_request(int64_t id, const int *fds)
{
	char text[256] = "";
	const char *how;
	ssize_t n = pread(fds[0], text, sizeof(text) - 1, 0);

	how = n > 0 ? nomad__fields_get(text, (size_t)n, "arg") : NULL;
	if (!how)
		_exit(9);
	if (strcmp(how, "silent") == 0)
		return;
	if (strcmp(how, "vanish") == 0) {
		close(NOMAD_EXEC_FD);
		pause();
	}
	answer("started", id, NULL, 0, -1);
	if (strcmp(how, "linger") == 0) {
		int fd = lingering_socket();

		answer("noise", id, NULL, 0, fd);
		close(fd);
	}
	if (strcmp(how, "good") == 0 || strcmp(how, "linger") == 0) {
		answer("exited", id, "code", 7, -1);
	} else if (strcmp(how, "hostile") == 0) {
		int zero = open("/dev/zero", O_RDONLY | O_CLOEXEC);

		/* Others' commands, numbers that are pids, descriptors, noise; ends of pipes that block. */
		for (int i = 1; i < NOMAD__MAX_FDS; i++)
			(void)fcntl(fds[i], F_SETFL, 0);
		for (int i = -3; i < 300; i++)
			if (i != id)
				answer("exited", i, "code", 0, -1);
		answer("terminal", id, NULL, 0, zero);
		answer("terminal", id, NULL, 0, -1);
		(void)nomad__unix_send(NOMAD_EXEC_FD, "P1\0E0", 5, NULL, 0, true);
		(void)nomad__unix_send(NOMAD_EXEC_FD, "", 1, NULL, 0, true);
		answer("failed", id, "errno", -5, -1);
		answer("exited", id, "signal", 1 << 20, -1);
		answer("exited", id, "code", 0, -1);
	}
}

static int serve_commands(void)
{
	char m[1024];
	int fds[NOMAD__MAX_FDS];
	ssize_t n;

	/* Half a message, two messages: the first one counts. */
	(void)send(NOMAD_EXIT_FD, "42 0\n", 5, 0);
	(void)send(NOMAD_EXIT_FD, "0 0\n", 4, 0);
	while ((n = nomad__unix_receive(NOMAD_EXEC_FD, m, sizeof(m), fds, true)) > 0) {
		if (strcmp(nomad__fields_get(m, (size_t)n, "op"), "run") == 0)
			answer_request(nomad__fields_get_num(m, (size_t)n, "id", -1), fds);
		for (int i = 0; i < NOMAD__MAX_FDS; i++)
			if (fds[i] >= 0)
				close(fds[i]);
	}
	return 1;
}

static void run_how(struct run *run, struct task *t, const char *how, bool tty)
{
	char *argv[] = { (char *)how, NULL };
	struct nomad_exec exec = { .argv = argv, .tty = tty };

	assert_int_equal(run_start(run, t, &exec, NULL), 0);
	run_wait(run);
}

static uint64_t status_of(int pid, const char *key)
{
	char path[64], line[256];
	uint64_t value = UINT64_MAX;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	f = fopen(path, "re");
	assert_non_null(f);
	while (fgets(line, sizeof(line), f))
		if (strncmp(line, key, strlen(key)) == 0 && line[strlen(key)] == ':')
			value = strtoull(line + strlen(key) + 1, NULL, strncmp(key, "Cap", 3) == 0 ? 16 : 10);
	fclose(f);
	return value;
}

/* With a broker the supervisor starts no process any more: it keeps CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_KILL. */
static void assert_confined(int supervisor)
{
	const uint64_t kept = 1 << 1 | 1 << 2 | 1 << 5;

	assert_int_equal(status_of(supervisor, "NoNewPrivs"), 1);
	assert_int_equal(status_of(supervisor, "Seccomp"), 2);
	assert_int_equal(status_of(supervisor, "CapPrm") & ~kept, 0);
	assert_int_equal(status_of(supervisor, "CapEff") & ~kept, 0);
	assert_int_equal(status_of(supervisor, "CapInh"), 0);
	if (geteuid() == 0)
		assert_int_equal(status_of(supervisor, "CapBnd") & ~kept, 0);
}

static void test_broker(void **state)
{
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	struct stat st;
	struct task t;
	struct run run;

	(void)state;
	assert_true(n > 0);
	self[n] = 0;
	task_init(&t);
	t.command.exec_broker = t.command.exit_channel = true;
	assert_int_equal(task_start_argv(&t, self, "serve-commands", NULL, NULL), 0);
	assert_confined(nomad__supervisor_pid(t.s));
	assert_int_equal(status_of(nomad__supervisor_leader(t.s), "NoNewPrivs"), status_of(getpid(), "NoNewPrivs"));
	assert_int_equal(status_of(nomad__supervisor_leader(t.s), "Seccomp"), status_of(getpid(), "Seccomp"));
	assert_int_equal(status_of(nomad__supervisor_leader(t.s), "CapBnd"), status_of(getpid(), "CapBnd"));
	run_how(&run, &t, "good", false);
	assert_int_equal(run.r, 0);
	assert_int_equal(run.code, 7);
	run_done(&run);
	run_how(&run, &t, "hostile", true);
	assert_int_equal(run.r, -EIO);
	assert_true(fcntl(run.terminal, F_GETFL) & fcntl(run.in, F_GETFL) & O_NONBLOCK);
	assert_true(fstat(run.terminal, &st) == 0 && S_ISFIFO(st.st_mode));
	assert_true(fstat(run.in, &st) == 0 && S_ISFIFO(st.st_mode));
	assert_int_equal(read(run.terminal, self, 1), 0);
	run_done(&run);
	run_how(&run, &t, "linger", false);
	assert_int_equal(run.code, 7);
	run_done(&run);
	run_how(&run, &t, "silent", false);
	assert_int_equal(run.r, -ETIMEDOUT);
	run_done(&run);
	run_how(&run, &t, "good", false);
	assert_int_equal(run.code, 7);
	run_done(&run);
	/* From then on there is nobody to ask, and nothing else is tried. */
	run_how(&run, &t, "vanish", false);
	assert_int_equal(run.r, -ECONNRESET);
	run_done(&run);
	run_how(&run, &t, "good", false);
	assert_int_equal(run.r, -ECONNRESET);
	run_done(&run);
	assert_int_equal(t.exits, 0);
	nomad__supervisor_kill(t.s, NULL);
	task_wait(&t);
	assert_int_equal(t.result.exit_code, 42);
	assert_int_equal(t.result.signal, 0);
	task_done(&t);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pipes),	 cmocka_unit_test(test_failures), cmocka_unit_test(test_tty),
		cmocka_unit_test(test_vanish),	 cmocka_unit_test(test_lost),	  cmocka_unit_test(test_many),
		cmocka_unit_test(test_identity), cmocka_unit_test(test_broker),
	};

	if (argc > 1 && strcmp(argv[1], "serve-commands") == 0)
		return serve_commands();

	return cmocka_run_group_tests_name("supervisor/exec", tests, NULL, NULL);
}
