/* SPDX-License-Identifier: MPL-2.0
 *
 * Commands in a task, with pipes and a terminal, in its namespaces. */
#include "supervisor/testing.h"

#include <pty.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

struct run {
	pthread_mutex_t lock;
	pthread_cond_t cond;
	int ends, r, code, signal;
	char message[256];
	struct nomad__supervisor_exec *handle;
	int in, out; /* our ends */
};

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
	run->in = run->out = -1;
}

static void run_done(struct run *run)
{
	nomad__supervisor_exec_free(run->handle);
	if (run->in >= 0)
		close(run->in);
	if (run->out >= 0)
		close(run->out);
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
	r = nomad__supervisor_exec(t->s, exec, fds, on_end, run, &run->handle, err);
	close(in[0]);
	close(out[1]);
	run->in = in[1];
	run->out = out[0];
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
	int master, slave, fds[3];

	(void)state;
	task_init(&t);
	task_sh(&t, "sleep 1000");
	exec_sh(&exec, "stty size; tty -s && echo yes; read x </dev/tty; echo got $x; exit 5");
	exec.tty = true;
	assert_int_equal(openpty(&master, &slave, NULL, NULL, &size), 0);
	assert_int_equal(fcntl(master, F_SETFD, FD_CLOEXEC), 0);
	assert_int_equal(fcntl(slave, F_SETFD, FD_CLOEXEC), 0);
	fds[0] = fds[1] = fds[2] = slave;
	run_init(&run);
	assert_int_equal(nomad__supervisor_exec(t.s, &exec, fds, on_end, &run, &run.handle, NULL), 0);
	close(slave);
	assert_int_equal(write(master, "abc\n", 4), 4);
	run.out = master;
	read_all(master, buf, sizeof(buf));
	assert_non_null(strstr(buf, "33 99\r\nyes\r\n"));
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

/* The command shares the task's namespaces, cgroups and bounding set. */
static void test_namespaces(void **state)
{
	struct nomad_exec exec;
	struct task t;
	struct run run;
	char buf[2048], uts[64], path[64];
	struct nomad_map *env;
	ssize_t n;

	(void)state;
	if (geteuid() != 0)
		skip();
	task_init(&t);
	t.argv[0] = "/usr/bin/unshare";
	t.argv[1] = "-mui";
	t.argv[2] = "/bin/sh";
	t.argv[3] = "-c";
	t.argv[4] = "exec setpriv --bounding-set -sys_time --no-new-privs sh -c 'hostname inside; echo >$UP; sleep "
		    "1000 & wait'";
	env = &t.env;
	snprintf(buf, sizeof(buf), "%s/up", t.base);
	assert_int_equal(nomad_map_set(env, "UP", buf), 0);
	assert_int_equal(nomad__supervisor_start(t.loop, &t.what, &test_events, &t, &t.s, NULL), 0);
	wait_until(access(buf, F_OK) == 0);

	exec_sh(&exec, "readlink /proc/self/ns/uts; hostname; grep CapBnd /proc/self/status; cat /proc/self/cgroup");
	exec.enter_leader = true;
	exec.user = (char *)"daemon";
	assert_int_equal(run_start(&run, &t, &exec, NULL), 0);
	read_all(run.out, buf, sizeof(buf));
	run_wait(&run);
	assert_int_equal(run.r, 0);
	assert_int_equal(run.code, 0);
	snprintf(path, sizeof(path), "/proc/%d/ns/uts", nomad__supervisor_leader(t.s));
	n = readlink(path, uts, sizeof(uts) - 1);
	assert_true(n > 0);
	uts[n] = 0;
	assert_memory_equal(buf, uts, (size_t)n);
	assert_non_null(strstr(buf, "\ninside\n"));
	assert_non_null(strstr(buf, task_tag(&t)));
	run_done(&run);
	nomad_map_done(&exec.env);
	task_done(&t);
}

/* With a leader in another pid namespace, told by READY=1. */
static void test_pid_namespace(void **state)
{
	struct nomad_exec exec;
	struct task t;
	struct run run;
	char buf[2048];

	(void)state;
	if (geteuid() != 0)
		skip();
	task_init(&t);
	t.command.notify = true;
	t.command.leader_key = "LEADER";
	task_sh(&t, "unshare -fpm --mount-proc setpriv --bounding-set -sys_time --no-new-privs sh -c 'sleep #8181 & "
		    "wait' & while ! pgrep -P $! >/dev/null; do sleep 0.01; done; p=$(pgrep -P $!); while ! grep -q "
		    "NoNewPrivs:.1 /proc/$p/status; do sleep 0.01; done; python3 -c \"import os,socket,sys; "
		    "s=socket.socket(socket.AF_UNIX,socket.SOCK_DGRAM); s.sendto(b'STATUS=fine\\nLEADER=%s\\nREADY=1' "
		    "% sys.argv[1].encode(), os.environ['NOTIFY_SOCKET'])\" $p; wait");
	assert_true(nomad__supervisor_leader(t.s) > 1);
	exec_sh(&exec, "echo $$; ps ax | grep -cE ':[0-9]+ sleep [0-9]*818[1]'; grep -E 'CapBnd|NoNewPrivs' "
		       "/proc/self/status; kill -USR1 $$");
	exec.enter_leader = true;
	assert_int_equal(run_start(&run, &t, &exec, NULL), 0);
	read_all(run.out, buf, sizeof(buf));
	run_wait(&run);
	assert_int_equal(run.r, 0);
	assert_int_equal(run.signal, SIGUSR1);
	/* A small pid, the neighbour seen, without sys_time (bit 25). */
	assert_true(atoi(buf) > 1 && atoi(buf) < 40);
	assert_non_null(strstr(buf, "\n1\n"));
	assert_non_null(strstr(buf, "NoNewPrivs:\t1"));
	assert_int_equal(strtoull(strstr(buf, "CapBnd:\t") + 8, NULL, 16) >> 25 & 1, 0);
	run_done(&run);
	nomad_map_done(&exec.env);
	task_done(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pipes),	   cmocka_unit_test(test_failures),	 cmocka_unit_test(test_tty),
		cmocka_unit_test(test_vanish),	   cmocka_unit_test(test_lost),		 cmocka_unit_test(test_many),
		cmocka_unit_test(test_namespaces), cmocka_unit_test(test_pid_namespace),
	};

	return cmocka_run_group_tests_name("supervisor/exec", tests, NULL, NULL);
}
