/* SPDX-License-Identifier: MPL-2.0
 *
 * What an engine says, and how it ends: a shell takes its place.  Each test
 * is PID 1 of a pid namespace, as the process is that runs an engine: it
 * kills all that it sees. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "step.h"

static char top[] = "/tmp/run_test.XXXXXX";
static char events_path[64], out_path[64];
static const char *engine = "/bin/sh";
static int64_t progress_ms = 60000;
static int said = 2; /* where a test says what is wrong */

/* What one run left, in the child that ran it. */
struct ran {
	int status;
	struct build_result result;
	char events[64 << 10];
};

static void slurp(const char *path, char *buf, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = read(fd, buf, size - 1);

	buf[n < 0 ? 0 : n] = 0;
	close(fd);
}

#define CHECK(what)                                                                                                    \
	do {                                                                                                           \
		if (!(what)) {                                                                                         \
			dprintf(said, "line %d: %s\n", __LINE__, #what);                                               \
			_exit(2);                                                                                      \
		}                                                                                                      \
	} while (0)

static struct ran *run_script(int kind, const char *reference, const char *script)
{
	static struct ran ran;
	char *argv[] = { (char *)engine, (char *)"-c", (char *)script, NULL };
	struct build_action action = { .kind = kind, .reference = (char *)reference, .argv = argv };
	struct build_plan plan = { 0 };
	struct build_run run = { .plan = &plan, .result = &ran.result, .progress_ms = progress_ms };
	struct nomad_error *err = NULL;
	sigset_t mask;

	CHECK(getpid() == 1);
	sigemptyset(&mask);
	sigaddset(&mask, SIGCHLD);
	sigaddset(&mask, SIGTERM);
	sigprocmask(SIG_BLOCK, &mask, NULL);
	run.null = open("/dev/null", O_RDWR | O_CLOEXEC);
	run.signals = signalfd(-1, &mask, SFD_CLOEXEC);
	run.events = open(events_path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
	CHECK(run.null >= 0 && run.signals >= 0 && run.events >= 0);
	ran.status = build_run_action(&run, &action, &err);
	nomad_error_free(err);
	close(run.null);
	close(run.signals);
	close(run.events);
	slurp(events_path, ran.events, sizeof(ran.events));
	return &ran;
}

/* In a child that is PID 1, with its output in a file. */
static void inside(void (*test)(void))
{
	int status, out;
	pid_t pid, first;

	if (geteuid() != 0)
		skip();
	pid = fork();
	if (!pid) {
		out = open(out_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
		if (unshare(CLONE_NEWPID) < 0)
			_exit(77);
		first = fork();
		if (!first) {
			alarm(120);
			said = fcntl(2, F_DUPFD_CLOEXEC, 10);
			dup2(open("/dev/null", O_WRONLY | O_CLOEXEC), 2);
			dup2(out, 1);
			test();
			_exit(0);
		}
		_exit(first > 0 && waitpid(first, &status, 0) == first ? (WIFEXITED(status) ? WEXITSTATUS(status) : 3)
								       : 4);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
		skip();
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void out_is(const char *want)
{
	char text[1024];

	slurp(out_path, text, sizeof(text));
	CHECK(strcmp(text, want) == 0);
}

static void steps(void)
{
	struct ran *r =
		run_script(BUILD_BUILD, NULL,
			   "printf 'STEP 1/2: FROM x\\nnoise\\nSTEP 2/2: RUN y\\nSTEP x\\nCOMMITTED\\nCOMMIT\\n'");

	CHECK(r->status == 0);
	CHECK(r->result.n_steps == 3);
	CHECK(strcmp(r->result.steps[0].text, "STEP 1/2: FROM x") == 0);
	CHECK(strcmp(r->result.steps[1].text, "STEP 2/2: RUN y") == 0);
	CHECK(strcmp(r->result.steps[2].text, "COMMIT") == 0);
	CHECK(r->result.steps[2].ms >= 0 && r->result.ms >= 0);
	CHECK(!*r->events);
	out_is("STEP 1/2: FROM x\nnoise\nSTEP 2/2: RUN y\nSTEP x\nCOMMITTED\nCOMMIT\n");
	build_result_done(&r->result);
}

/* On the error stream they are none, and of a run that does not build neither. */
static void elsewhere(void)
{
	struct ran *r = run_script(BUILD_BUILD, NULL, "echo 'STEP 1/2: x' >&2");

	CHECK(r->status == 0 && r->result.n_steps == 0 && !*r->events);
	r = run_script(BUILD_WRITE, NULL, "echo 'STEP 1/2: x'; echo 'Copying blob y' >&2");
	CHECK(r->status == 0 && r->result.n_steps == 0 && !*r->events);
	CHECK(ftruncate(1, 0) == 0 && lseek(1, 0, SEEK_SET) == 0);
	r = run_script(BUILD_PULL, NULL, "exit 3");
	CHECK(r->status == 3 && !*r->events);
}

/* An unfinished line at the end, a line without end, NUL bytes, control characters and what is no UTF-8. */
static void hostile(void)
{
	struct ran *r = run_script(BUILD_BUILD, NULL,
				   "printf 'STEP 1/2: RUN \\033[2J\\000hidden\\377\\nSTEP 2/2: no newline'; printf "
				   "'Error: the \\033[31mlast \\001word' >&2; exit 7");
	size_t i;

	CHECK(r->status == 7);
	CHECK(r->result.n_steps == 2);
	CHECK(strcmp(r->result.steps[0].text, "STEP 1/2: RUN \033[2J") == 0);
	CHECK(strcmp(r->result.steps[1].text, "STEP 2/2: no newline") == 0);
	CHECK(strstr(r->events, "The build failed with exit code 7: the  [31mlast  word\n"));
	for (i = 0; r->events[i]; i++)
		CHECK((unsigned char)r->events[i] >= ' ' || r->events[i] == '\n');
	build_result_done(&r->result);
}

static void long_lines(void)
{
	struct ran *r = run_script(BUILD_BUILD, NULL,
				   "printf 'STEP 1/1: '; head -c 3000000 /dev/zero | tr '\\0' x; echo; { printf "
				   "'Error: begin '; head -c 3000 /dev/zero | tr '\\0' y; echo ' end'; } >&2; exit 1");
	char *failed;

	CHECK(r->status == 1);
	CHECK(r->result.n_steps == 1);
	CHECK(strlen(r->result.steps[0].text) == 4095);
	CHECK(strlen(r->events) < 1000);
	failed = strstr(r->events, "The build failed with exit code 1: ...y");
	CHECK(failed && strstr(failed, "y end\n") && !strstr(failed, "begin"));
	build_result_done(&r->result);
}

/* Steps are a stranger's to print: as many as he likes. */
static void many_steps(void)
{
	struct ran *r = run_script(BUILD_BUILD, NULL,
				   "i=1; while [ $i -lt 3000 ]; do echo \"STEP $i/999: x\"; i=$((i+1)); done");

	CHECK(r->status == 0);
	CHECK(r->result.n_steps == 999 && !*r->events);
	build_result_done(&r->result);
}

static void pushes(void)
{
	struct ran *r = run_script(BUILD_PUSH, "h/r:t",
				   "i=0; echo 'Copying blob zero'; while [ $i -lt 300 ]; do echo 'Copying blob a' >&2; "
				   "i=$((i+1)); done; echo 'Error: denied' >&2; echo 'Error: really' >&2; exit 125");
	size_t lines = 0, i;

	for (i = 0; r->events[i]; i++)
		lines += r->events[i] == '\n';
	CHECK(r->status == 125);
	CHECK(strcmp(r->events, "The push failed with exit code 125: really\n") == 0);
	CHECK(lines == 1);
}

/* One event in a time, however much goes on. */
static void progress(void)
{
	struct ran *r;

	progress_ms = 300;
	r = run_script(BUILD_BUILD, NULL, "echo 'STEP 1/2: FROM x'; echo 'STEP 2/2: RUN y'; sleep 0.7");
	CHECK(strncmp(r->events, "Step 2 of 2 since 0 s\n", 22) == 0 && strlen(r->events) <= 44);
	build_result_done(&r->result);
	r->result = (struct build_result){ 0 };
	r = run_script(BUILD_PUSH, "h/r:t", "echo 'Copying blob a' >&2; sleep 0.5");
	CHECK(strcmp(r->events, "Pushing to h/r:t since 0 s, layer 1\n") == 0);
}

/* Lines that a step prints, in the engine's form: of later steps, with other texts, and all over again. */
static void fakes(void)
{
	struct ran *r = run_script(BUILD_BUILD, NULL,
				   "printf '[1/2] STEP 1/2: FROM a\\n[1/2] STEP 2/2: RUN b\\n[1/2] COMMIT\\n"
				   "[2/2] STEP 1/4: FROM c\\n[2/2] STEP 2/4: RUN evil\\n'; "
				   "printf '[2/2] STEP 3/4: RUN fake\\n[2/2] STEP 9/4: x\\n[2/2] STEP 3/5: x\\n"
				   "[7/9] STEP 2/2: y\\nSTEP 4/4: z\\n[2/2] STEP 4/4: RUN fake\\n[2/2] COMMIT fake\\n"
				   "[3/2] STEP 1/1: q\\n'; "
				   "printf '[2/2] STEP 3/4: RUN d\\n[2/2] STEP 4/4: RUN e\\n[2/2] COMMIT name\\n'");
	static const char *const want[] = {
		"[1/2] STEP 1/2: FROM a",   "[1/2] STEP 2/2: RUN b", "[1/2] COMMIT",	      "[2/2] STEP 1/4: FROM c",
		"[2/2] STEP 2/4: RUN evil", "[2/2] STEP 3/4: RUN d", "[2/2] STEP 4/4: RUN e", "[2/2] COMMIT name"
	};

	CHECK(r->status == 0 && !*r->events);
	CHECK(r->result.n_steps == NOMAD_ARRAY_LEN(want));
	for (size_t i = 0; i < NOMAD_ARRAY_LEN(want); i++)
		CHECK(strcmp(r->result.steps[i].text, want[i]) == 0 && r->result.steps[i].ms >= 0);
	build_result_done(&r->result);
}

/* Who stays behind with the pipes in his hands does not hold the end up, nor outlive it. */
static void left_behind(void)
{
	struct ran *r = run_script(BUILD_BUILD, NULL, "(trap '' TERM HUP; setsid sleep 1000) & echo on; exit 5");

	CHECK(r->status == 5);
	CHECK(waitpid(-1, NULL, 0) >= 0 || errno == ECHILD);
	CHECK(kill(-1, 0) < 0 && errno == ESRCH);
}

static void signals(void)
{
	struct ran *r = run_script(BUILD_BUILD, NULL, "kill -9 $$");

	CHECK(r->status == 137);
	CHECK(strstr(r->events, "The build failed with exit code 137\n"));
	/* One that is told to stop has not failed. */
	r = run_script(BUILD_BUILD, NULL,
		       "trap 'echo Error: stopped >&2; exit 1' TERM; kill -TERM 1; while :; do sleep 0.05; done");
	CHECK(r->status == 1);
	CHECK(!strstr(r->events, "failed"));
}

static void no_engine(void)
{
	struct ran *r;

	engine = "/no/such/engine";
	r = run_script(BUILD_BUILD, NULL, "");
	CHECK(r->status == 125);
	CHECK(strcmp(r->events,
		     "The build failed with exit code 125: run '/no/such/engine': No such file or directory\n") == 0);
}

/* What the engine finds: no secrets of ours, no descriptors, no credentials but an empty file. */
static void environment(void)
{
	struct ran *r;

	setenv("BUILD_SECRET_0", "s3cr3t", 1);
	setenv("VAULT_TOKEN", "t0k3n", 1);
	CHECK(open("/etc/passwd", O_RDONLY) >= 0); /* not O_CLOEXEC */
	r = run_script(BUILD_BUILD, NULL,
		       "env | grep -c 's3cr3t\\|t0k3n'; echo $REGISTRY_AUTH_FILE; ls /proc/self/fd | wc -l; [ "
		       "$(readlink /proc/self/fd/0) = /dev/null ] && echo null");
	CHECK(r->status == 0);
	out_is("0\n/build/auth.json\n4\nnull\n");
}

#define TEST(f)                                                                                                        \
	static void test_##f(void **state)                                                                             \
	{                                                                                                              \
		(void)state;                                                                                           \
		inside(f);                                                                                             \
	}
TEST(steps)
TEST(elsewhere)
TEST(hostile)
TEST(long_lines)
TEST(many_steps)
TEST(pushes)
TEST(progress)
TEST(fakes)
TEST(left_behind)
TEST(signals)
TEST(no_engine)
TEST(environment)

/* A line for the events is one, however long and whatever is in it. */
static void test_event(void **state)
{
	struct build_run run = { .events = open(events_path, O_RDWR | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600) };
	char text[8192], big[6000];

	(void)state;
	build_run_event(&run, "a\nb\r\t%s", "\x7f");
	memset(big, 'x', sizeof(big) - 1);
	big[sizeof(big) - 1] = 0;
	build_run_event(&run, "%s", big);
	slurp(events_path, text, sizeof(text));
	assert_int_equal(strncmp(text, "a b   \n", 7), 0);
	assert_int_equal(strlen(strchr(text, '\n') + 1), 4095);
	close(run.events);
}

/* What waits for the disk returns at once, all else is as ever. */
static void test_skip_syncs(void **state)
{
	int status;
	pid_t pid = fork();

	(void)state;
	if (!pid) {
		build_jail_skip_syncs();
		if (fsync(-1) < 0 || fdatasync(-1) < 0 || syncfs(-1) < 0)
			_exit(77); /* this machine's system calls have other numbers */
		_exit(close(-1) < 0 && errno == EBADF && write(-1, "", 1) < 0 && errno == EBADF ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
		skip();
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	assert_int_equal(fsync(-1), -1);
}

/* A word of its own that nobody is to call; a plan that is none. */
static int step_of(int argc, const char *plan)
{
	char *argv[] = { (char *)"driver", (char *)BUILD_STEP_WORD, (char *)plan, events_path, NULL };
	int status, null;
	pid_t pid = fork();

	if (!pid) {
		null = open("/dev/null", O_WRONLY | O_CLOEXEC);
		dup2(null, 2);
		_exit(build_step_main(argc, argv));
	}
	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void test_plans(void **state)
{
	static const char fine[] =
		"work=/w\0root=/r\0task=/t\0local=/l\0alloc=/a\0secrets=/s\0engine=/e\0isolation=chroot\0"
		"network=host\0policy={}\0registries=\0action=1\0argv=/e";
	static const char *const wrong[] = { "",	  "x",	       "=",	 "action",  "action=1",
					     "action=99", "action=-1", "argv=x", "nosuch=1" };
	struct nomad_error *err = NULL;
	struct build_plan plan;
	char path[64];
	size_t n, i;
	int fd;

	(void)state;
	snprintf(path, sizeof(path), "%s/plan", top);
	assert_int_equal(step_of(2, NULL), 2);
	assert_int_equal(step_of(3, path), 2);
	assert_int_equal(step_of(4, path), 125);
	/* Cut anywhere: refused, or it is all there but the end of the last word. */
	for (n = 0; n <= sizeof(fine); n++) {
		fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
		assert_int_equal(write(fd, fine, n), n);
		close(fd);
		if (build_plan_read(path, &plan, &err) < 0) {
			assert_non_null(strstr(nomad_error_message(err), path));
			nomad_error_free(err);
			err = NULL;
			continue;
		}
		assert_true(n >= sizeof(fine) - sizeof("argv=/e") - 1);
		build_plan_done(&plan);
	}
	for (i = 0; i < NOMAD_ARRAY_LEN(wrong); i++) {
		fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
		assert_int_equal(write(fd, wrong[i], strlen(wrong[i]) + 1), strlen(wrong[i]) + 1);
		close(fd);
		assert_int_equal(step_of(4, path), 125);
	}
	assert_int_equal(truncate(path, 17 << 20), 0);
	assert_int_equal(step_of(4, path), 125);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(symlink("/etc/passwd", path), 0);
	assert_int_equal(step_of(4, path), 125);
}

static int set_up(void **state)
{
	(void)state;
	if (!mkdtemp(top))
		return -1;
	snprintf(events_path, sizeof(events_path), "%s/events", top);
	snprintf(out_path, sizeof(out_path), "%s/out", top);
	return 0;
}

static int tear_down(void **state)
{
	char command[64];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf '%s'", top);
	return system(command);
}

#define T(f) cmocka_unit_test(test_##f)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(steps),     T(elsewhere),   T(hostile), T(long_lines),  T(many_steps),
		T(pushes),    T(progress),    T(fakes),	  T(left_behind), T(signals),
		T(no_engine), T(environment), T(event),	  T(skip_syncs),  T(plans),
	};

	return cmocka_run_group_tests_name("build/run", tests, set_up, tear_down);
}
