/* SPDX-License-Identifier: MPL-2.0
 *
 * Nothing survives the end: bombs, daemons, the stopped and the deaf; the
 * limits; and what the death of each party does. */
#include "supervisor/testing.h"

#include <sys/mman.h>

#include "supervisor/records.h"
#include "base/fields.h"

static void up_file(struct task *t, char *path, size_t size)
{
	snprintf(path, size, "%s/up", t->base);
	assert_int_equal(nomad_map_set(&t->env, "UP", path), 0);
}

static bool has_controller(const char *name)
{
	char path[128], list[256] = "";
	FILE *f = fopen("/sys/fs/cgroup/cgroup.controllers", "re");
	bool v2 = f && fgets(list, sizeof(list), f) && strstr(list, name);

	if (f)
		fclose(f);
	snprintf(path, sizeof(path), "/sys/fs/cgroup/%s/cgroup.procs", name);
	return v2 || access(path, W_OK) == 0;
}

static void test_bomb(void **state)
{
	struct task t;
	char up[256];

	(void)state;
	/* Never without the limit: the bomb would be the host's. */
	if (geteuid() != 0 || !has_controller("pids"))
		skip();
	task_init(&t);
	up_file(&t, up, sizeof(up));
	/* Held to 200 processes, each of which forks as fast as it can. */
	t.command.pids_max = 200;
	task_sh(&t, "echo >$UP; exec 2>/dev/null; b() { b | b & sleep #9191; }; b; sleep #9191");
	wait_until(access(up, F_OK) == 0);
	usleep(200000);
	assert_int_equal(nomad__supervisor_stop(t.s, SIGTERM, 100, NULL), 0);
	task_wait(&t);
	assert_false(sleeps("#9191"));
	task_done(&t);
}

static void test_survivors(void **state)
{
	struct task t;
	char up[256];

	(void)state;
	task_init(&t);
	up_file(&t, up, sizeof(up));
	task_sh(&t, "(setsid setsid sleep #9292 >/dev/null 2>&1 &); (trap '' TERM HUP INT; sleep #9293) & sleep #9294 "
		    "& kill -STOP $!; echo >$UP; exit 6");
	task_wait(&t);
	assert_int_equal(t.result.exit_code, 6);
	assert_false(t.result.killed);
	assert_false(sleeps("#9292") || sleeps("#9293") || sleeps("#9294"));
	task_done(&t);
}

static char process_state(int pid)
{
	char path[64], line[512] = "";
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	f = fopen(path, "re");
	if (!f)
		return 0;
	(void)!fgets(line, sizeof(line), f);
	fclose(f);
	return strrchr(line, ')') ? strrchr(line, ')')[2] : 0;
}

static void test_stopped_main(void **state)
{
	struct task t;

	(void)state;
	task_init(&t);
	assert_int_equal(task_start_argv(&t, "/bin/sleep", "9295", NULL, NULL), 0);
	assert_int_equal(kill(nomad__supervisor_leader(t.s), SIGSTOP), 0);
	wait_until(process_state(nomad__supervisor_leader(t.s)) == 'T');
	assert_int_equal(nomad__supervisor_stop(t.s, SIGTERM, 200, NULL), 0);
	task_wait(&t);
	assert_true(t.result.killed);
	task_done(&t);
}

static void test_oom(void **state)
{
	struct nomad_resources resources = { .memory_mb = 32 };
	struct task t;

	(void)state;
	if (!has_controller("memory"))
		skip();
	task_init(&t);
	t.what.resources = &resources;
	task_sh(&t, "exec python3 -c 'b = bytearray(500 << 20)'");
	task_wait(&t);
	assert_int_equal(t.result.signal, SIGKILL);
	assert_true(t.result.oom_killed);
	assert_false(t.result.killed);
	task_done(&t);
	/* In a cgroup that the task has made below its own. */
	task_init(&t);
	t.what.resources = &resources;
	task_sh(&t,
		"d=$(sed -n 's/^[0-9]*:memory://p' /proc/self/cgroup); d=/sys/fs/cgroup/memory$d/inner; [ \"$d\" != "
		"/sys/fs/cgroup/memory/inner ] && mkdir $d || { echo $$ >/dev/null; exec python3 -c 'b = bytearray(500 "
		"<< 20)'; }; sh -c \"echo 0 >$d/tasks; exec python3 -c 'b = bytearray(500 << 20)'\"; exit 9");
	task_wait(&t);
	assert_true(t.result.oom_killed);
	task_done(&t);
	/* A child ran out of memory, and the task made the best of it. */
	task_init(&t);
	t.what.resources = &resources;
	task_sh(&t, "python3 -c 'b = bytearray(500 << 20)'; [ $? = 137 ] || exit 9; exit 0");
	task_wait(&t);
	assert_int_equal(t.result.exit_code, 0);
	assert_false(t.result.oom_killed);
	assert_int_equal(t.oom_kills, 1);
	task_done(&t);
	/* Within its limit. */
	task_init(&t);
	t.what.resources = &resources;
	task_sh(&t, "exit 1");
	task_wait(&t);
	assert_false(t.result.oom_killed);
	task_done(&t);
}

static void test_stats(void **state)
{
	struct nomad_resources resources = { .memory_mb = 64, .cpu_shares = 500 };
	struct nomad__stats_cache cache = { .open = false };
	struct nomad_stats stats = { 0 };
	struct task t;
	char up[256];
	double most = 0;
	int shell;

	(void)state;
	task_init(&t);
	up_file(&t, up, sizeof(up));
	t.what.resources = &resources;
	task_sh(&t, "sleep 300 & echo >$UP; while :; do :; done");
	wait_until(access(up, F_OK) == 0);
	/* The kernel brings its memory counters up to date every 2 s. */
	for (int i = 0; i < 300 && (most < 5 || stats.rss_bytes < 10000); i++) {
		assert_int_equal(nomad__supervisor_stats(t.s, &cache, &stats, NULL), 0);
		if (stats.cpu_percent > most)
			most = stats.cpu_percent;
		usleep(100000);
	}
	assert_true(stats.measured & NOMAD_STAT_CPU && stats.measured & NOMAD_STAT_RSS &&
		    stats.measured & NOMAD_STAT_USAGE);
	assert_true(most >= 5 && most < 2000);
	assert_true(stats.rss_bytes >= 10000 && stats.rss_bytes < 64 << 20);
	assert_true(stats.usage_bytes > 0 && stats.max_usage_bytes > 0);
	/* Each process is measured again after 5 s: the shell works, and its child sleeps. */
	cache.pids_time_ns -= INT64_C(6000000000);
	assert_int_equal(nomad__supervisor_stats(t.s, &cache, &stats, NULL), 0);
	assert_int_equal(stats.n_pids, 2);
	shell = stats.pids[1].cpu_percent > stats.pids[0].cpu_percent;
	assert_true(stats.pids[shell].cpu_percent > 0 && stats.pids[shell].rss_bytes > 10000);
	assert_true(stats.pids[!shell].cpu_percent < 1);
	for (size_t i = 0; i < stats.n_pids; i++)
		assert_true(stats.pids[i].pid > 1 && kill(stats.pids[i].pid, 0) == 0);
	assert_int_not_equal(stats.pids[0].pid, stats.pids[1].pid);
	nomad__stats_cache_done(&cache);
	nomad__supervisor_kill(t.s, NULL);
	task_wait(&t);
	assert_int_equal(nomad__supervisor_stats(t.s, &cache, &stats, NULL), -ESRCH);
	task_done(&t);
}

/* The process that started the task dies; another one finds it. */
static void test_plugin_dies(void **state)
{
	struct task t, *shared;
	int status, pid;

	(void)state;
	task_place(&t);
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid = fork();
	if (pid == 0) {
		assert_int_equal(nomad__loop_new(&t.loop), 0);
		task_sh(&t, "trap 'exit 21' TERM; while :; do sleep 0.01; done");
		shared->exits = nomad__supervisor_leader(t.s);
		kill(getpid(), SIGKILL);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(nomad__loop_new(&t.loop), 0);
	assert_int_equal(nomad__supervisor_attach(t.loop, t.dir, &test_events, &t, &t.s, NULL), 0);
	assert_int_equal(nomad__supervisor_leader(t.s), shared->exits);
	munmap(shared, sizeof(*shared));
	usleep(100000);
	assert_int_equal(nomad__supervisor_stop(t.s, 0, 30000, NULL), 0);
	task_wait(&t);
	assert_int_equal(t.result.exit_code, 21);
	task_done(&t);
}

static ssize_t record_of(const struct task *t, const char *name, char *buf, size_t size)
{
	int dirfd = open(t->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ssize_t n = nomad__fields_read(dirfd, name, buf, size);

	close(dirfd);
	return n;
}

/* The file of the exit record is created while the task runs; a truncated record does not count, a complete one counts
 * under either name. */
static void test_place_of_the_record(void **state)
{
	char buf[4096], path[300], named[300];
	struct nomad__supervisor_exit end;
	struct task t;
	int dirfd;
	ssize_t n;

	(void)state;
	task_init(&t);
	task_sh(&t, "trap 'exit 33' TERM; while :; do sleep 0.01; done");
	wait_until((n = record_of(&t, ".exit.new", buf, sizeof(buf))) == 1024);
	for (n = 0; n < 1024; n++)
		assert_int_equal(buf[n], 0);
	dirfd = open(t.dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(nomad__exit_read(dirfd, &end), -ENOENT);
	assert_int_equal(nomad__supervisor_stop(t.s, 0, 30000, NULL), 0);
	task_wait(&t);
	assert_int_equal(t.result.exit_code, 33);
	assert_int_equal(record_of(&t, ".exit.new", buf, sizeof(buf)), -ENOENT);
	assert_int_equal(record_of(&t, "exit", buf, sizeof(buf)), 1024);
	assert_true(nomad__fields_is_sealed(buf, 1024));

	snprintf(path, sizeof(path), "%s/.exit.new", t.dir);
	snprintf(named, sizeof(named), "%s/exit", t.dir);
	assert_int_equal(rename(named, path), 0);
	assert_int_equal(nomad__exit_read(dirfd, &end), 0);
	assert_int_equal(end.exit_code, 33);
	assert_int_equal(truncate(path, 100), 0);
	assert_int_equal(nomad__exit_read(dirfd, &end), -ENOENT);
	assert_int_equal(truncate(path, 1024), 0);
	assert_int_equal(nomad__exit_read(dirfd, &end), -ENOENT);
	close(dirfd);
	task_done(&t);
}

/* One that is over before its record has a place has a record as well. */
static void test_short(void **state)
{
	char buf[4096];
	struct task t;

	(void)state;
	task_init(&t);
	task_sh(&t, "exit 3");
	task_wait(&t);
	assert_int_equal(t.result.exit_code, 3);
	assert_int_equal(record_of(&t, "exit", buf, sizeof(buf)), 1024);
	task_done(&t);
}

/* Die at each step, then clean up; nothing may be left, whatever the step. */
static void crash_at(const char *step, bool in_client)
{
	struct task t;
	int status, pid;

	task_place(&t);
	pid = fork();
	if (pid == 0) {
		alarm(60);
		assert_int_equal(nomad__loop_new(&t.loop), 0);
		setenv("NOMAD_DRIVER_CRASH_AT", step, 1);
		if (task_start_argv(
			    &t, "/bin/sh", "-c",
			    own_numbers("(setsid sleep #9393 &); trap 'exit 0' TERM; while :; do sleep 0.01; done"),
			    NULL) < 0)
			_exit(3);
		usleep(50000);
		if (strcmp(step, "attach-connected") == 0)
			(void)nomad__supervisor_attach(t.loop, t.dir, &test_events, &t, &t.s, NULL);
		(void)nomad__supervisor_stop(t.s, 0, 200, NULL);
		task_wait(&t);
		(void)nomad__supervisor_clean(t.dir, NULL);
		_exit(t.result.lost ? 4 : 5);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (in_client)
		assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	else
		assert_true(WIFEXITED(status) && WEXITSTATUS(status) >= 3 && WEXITSTATUS(status) <= 5);
	assert_int_equal(nomad__loop_new(&t.loop), 0);
	/* As the next plugin does it: look for it, kill it, clean up. */
	if (nomad__supervisor_attach(t.loop, t.dir, &test_events, &t, &t.s, NULL) == 0) {
		(void)nomad__supervisor_kill(t.s, NULL);
		task_wait(&t);
	}
	task_done(&t);
	assert_false(sleeps("#9393"));
}

static void test_crash_client(void **state)
{
	static const char *const steps[] = {
		"start-recorded",   "start-launched", "start-sent",   "start-answered",
		"attach-connected", "clean-begin",    "clean-killed", "clean-removed",
	};

	(void)state;
	for (size_t i = 0; i < NOMAD_ARRAY_LEN(steps); i++)
		crash_at(steps[i], true);
}

static void test_crash_supervisor(void **state)
{
	static const char *const steps[] = {
		"super-detached", "super-recorded", "super-listening", "super-cgroups", "super-forked",
		"super-main",	  "super-execed",   "super-started",   "super-stop",	"super-kill",
		"super-empty",	  "super-written",  "super-exit",
	};

	(void)state;
	for (size_t i = 0; i < NOMAD_ARRAY_LEN(steps); i++)
		crash_at(steps[i], false);
}

static int private_kib(int pid)
{
	char path[64], line[256];
	FILE *f;
	int sum = 0, n;

	snprintf(path, sizeof(path), "/proc/%d/smaps", pid);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "Private_%*[A-Za-z]: %d kB", &n) == 1)
			sum += n;
	if (f)
		fclose(f);
	return sum;
}

enum { MANY = 200 };

static void test_many(void **state)
{
	static struct task tasks[MANY];
	static const char *const argv[] = { "/bin/sleep", "9494", NULL };
	int most = 0;

	(void)state;
	for (int i = 0; i < MANY; i++) {
		task_init(&tasks[i]);
		tasks[i].command.argv = argv;
		assert_int_equal(nomad__supervisor_start(tasks[i].loop, &tasks[i].what, &test_events, &tasks[i],
							 &tasks[i].s, NULL),
				 0);
	}
	for (int i = 0; i < MANY; i++) {
		int kib = private_kib(nomad__supervisor_pid(tasks[i].s));

		assert_true(kib > 0);
		most = kib > most ? kib : most;
	}
	print_message("private memory of a supervisor: %d KiB at most\n", most);
	assert_true(most <= 512);
	for (int i = 0; i < MANY; i++)
		assert_int_equal(nomad__supervisor_stop(tasks[i].s, 0, 30000, NULL), 0);
	for (int i = 0; i < MANY; i++) {
		task_wait(&tasks[i]);
		assert_int_equal(tasks[i].result.signal, SIGTERM);
	}
	for (int i = MANY - 1; i >= 0; i--)
		task_done(&tasks[i]);
}

/* Only its own boot's pids count. */
static void test_foreign_boot(void **state)
{
	char path[300], buf[256];
	struct nomad_error *err = NULL;
	struct task t;
	int fd, n, victim = fork();

	if (victim == 0) {
		pause();
		_exit(0);
	}
	(void)state;
	task_init(&t);
	n = snprintf(buf, sizeof(buf), "v=1%cboot=another%cpid=%d%cmain_pid=%d%c", 0, 0, victim, 0, victim, 0);
	snprintf(path, sizeof(path), "%s/supervisor", t.dir);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(write(fd, buf, (size_t)n), n);
	close(fd);
	assert_int_equal(nomad__supervisor_attach(t.loop, t.dir, &test_events, &t, &t.s, &err), -ENOENT);
	assert_non_null(strstr(nomad_error_message(err), "restarted"));
	nomad_error_free(err);
	task_done(&t);
	assert_int_equal(kill(victim, 0), 0);
	kill(victim, SIGKILL);
	waitpid(victim, NULL, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_survivors),
		cmocka_unit_test(test_stopped_main),
		cmocka_unit_test(test_bomb),
		cmocka_unit_test(test_oom),
		cmocka_unit_test(test_stats),
		cmocka_unit_test(test_plugin_dies),
		cmocka_unit_test(test_foreign_boot),
		cmocka_unit_test(test_place_of_the_record),
		cmocka_unit_test(test_short),
		cmocka_unit_test(test_crash_client),
		cmocka_unit_test(test_crash_supervisor),
		cmocka_unit_test(test_many),
	};

	return cmocka_run_group_tests_name("supervisor/end", tests, NULL, NULL);
}
