/* SPDX-License-Identifier: MPL-2.0
 *
 * The health check of a container image, by docker's rules: a command of the
 * image that is run again and again beside the task, as the task.
 *
 * A helper runs it.  When the health has changed the helper ends, PID 1 tells
 * the host, since systemd-nspawn hears nobody else, and forks the next one.
 * The words go through memory that both share and no program of the image
 * has; the host takes them for words of the image all the same. */
#include "health.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "channels.h"
#include "init.h"
#include "nomad/base.h"

enum { WORDS_MAX = 160, MS = 1000000, TOO_LONG = 254 };

struct shared {
	enum { STARTING, HEALTHY, UNHEALTHY } health;
	char words[WORDS_MAX];
};

static struct {
	struct task *task;
	const struct health *check;
	struct shared *shared;
	int64_t begun_ns;
	unsigned told; /* the health */
	pid_t pid;
} state;

/* The last line that it has written, without what no log should show. */
static void take_words(int fd)
{
	char text[4096];
	ssize_t n = read(fd, text, sizeof(text) - 1);
	char *line;

	for (text[n > 0 ? n : 0] = 0; n > 0 && strchr("\n\r ", text[n - 1]); n--)
		text[n - 1] = 0;
	line = strrchr(text, '\n');
	snprintf(state.shared->words, WORDS_MAX, "%.*s", WORDS_MAX - 1, line ? line + 1 : text);
	for (char *p = state.shared->words; *p; p++)
		if ((unsigned char)*p < ' ' || *p == 127)
			*p = '?';
}

static void __attribute__((noreturn)) run(int out)
{
	const char *object;

	setsid();
	if (dup2(out, 1) < 0 || dup2(out, 2) < 0)
		_exit(125);
	(void)task_become(state.task, state.check->argv, 0, &object);
	dprintf(2, "cannot run '%s': %s\n", state.check->argv[0], strerror(errno));
	_exit(127);
}

/* Waits for the process, which is killed when it takes too long.  Its exit code, TOO_LONG for that. */
static int await(pid_t pid)
{
	const int64_t end = nomad_monotonic_ns() + state.check->timeout_ms * MS;
	int status;

	while (waitpid(pid, &status, WNOHANG) == 0) {
		if (nomad_monotonic_ns() < end) {
			poll(NULL, 0, 20);
			continue;
		}
		kill(-pid, SIGKILL);
		kill(pid, SIGKILL);
		(void)waitpid(pid, &status, 0);
		return TOO_LONG;
	}
	kill(-pid, SIGKILL);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int check_once(void)
{
	int out[2], code;
	pid_t pid;

	if (pipe2(out, O_CLOEXEC) < 0)
		return 125;
	(void)fcntl(out[0], F_SETFL, O_NONBLOCK);
	(void)fcntl(out[1], F_SETFL, O_NONBLOCK);
	pid = fork();
	if (!pid)
		run(out[1]);
	code = pid < 0 ? 125 : await(pid);
	take_words(out[0]);
	close(out[0]);
	close(out[1]);
	return code;
}

static bool in_start_period(void)
{
	return state.shared->health == STARTING && nomad_monotonic_ns() - state.begun_ns < state.check->start_ms * MS;
}

/* The helper: until the health changes. */
static void __attribute__((noreturn)) watch(void)
{
	const struct health *c = state.check;
	int failed = 0, code, null;

	die_with_parent();
	prctl(PR_SET_NAME, "nspawn-health");
	channels_close();
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	/* The task's log ends with the task. */
	for (int i = 0; i < 3; i++)
		if (null < 0 || dup2(null, i) < 0)
			_exit(125);
	for (;;) {
		poll(NULL, 0, in_start_period() ? c->start_interval_ms : c->interval_ms);
		code = check_once();
		if (!code && state.shared->health != HEALTHY) {
			state.shared->health = HEALTHY;
			_exit(0);
		}
		if (!code || in_start_period() || ++failed < c->retries) {
			failed = code ? failed : 0;
			continue;
		}
		if (state.shared->health == UNHEALTHY)
			continue;
		state.shared->health = UNHEALTHY;
		_exit(code);
	}
}

static void begin(void)
{
	state.pid = fork();
	if (!state.pid)
		watch();
}

void health_start(const struct health *check, struct task *task)
{
	if (!check->argv)
		return;
	state.task = task;
	state.check = check;
	state.begun_ns = nomad_monotonic_ns();
	state.shared = mmap(NULL, sizeof(*state.shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (state.shared == MAP_FAILED) {
		dprintf(2, "cannot check the health of the container: %s\n", strerror(errno));
		return;
	}
	*state.shared = (struct shared){ 0 };
	begin();
}

bool health_ended(pid_t pid, int status, char *ret, size_t size)
{
	const struct shared *s = state.shared;

	if (!state.pid || pid != state.pid)
		return false;
	state.pid = 0;
	*ret = 0;
	if (!WIFEXITED(status) || (unsigned)s->health == state.told) {
		snprintf(ret, size, HEALTH_STATUS "the health check was killed and runs no more");
		return true;
	}
	state.told = (unsigned)s->health;
	if (s->health == HEALTHY)
		snprintf(ret, size, HEALTH_STATUS "healthy");
	else if (WEXITSTATUS(status) == TOO_LONG)
		snprintf(ret, size, HEALTH_STATUS "unhealthy: no answer within %lld ms",
			 (long long)state.check->timeout_ms);
	else
		snprintf(ret, size, HEALTH_STATUS "unhealthy: exit code %d%s%s", WEXITSTATUS(status),
			 *s->words ? ": " : "", s->words);
	begin();
	return true;
}
