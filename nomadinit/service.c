/* SPDX-License-Identifier: MPL-2.0 */
/* Supervision of the agent.
 *
 *   WAITING --timer--> RUNNING --it ends--> WAITING (longer each time it fails soon)
 *      |                  |
 *    stop               stop: SIGTERM
 *      v                  v
 *   STOPPED <--it ends-- STOPPING
 *
 * Its output comes through a pipe and goes to the log line by line.  Readiness is the sd_notify
 * protocol, which Nomad speaks.  Tasks of raw_exec outlive an agent that ends: they become our children,
 * and the next agent finds them again. */
#include "service.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "log.h"
#include "loop.h"
#include "util.h"

#define NOTIFY_SOCKET "/run/nomadinit/notify"

static struct {
	const struct config *config;
	struct service_hooks hooks;
	enum { IDLE, WAITING, RUNNING, STOPPING, STOPPED } state;
	pid_t pid;
	bool ready;
	uint64_t started_ms, wait_ms;
	unsigned int failures;
	int out, notify;
	struct loop_timer restart, healthy;
	struct log_splitter lines;
} agent = { .out = -1, .notify = -1 };

uint64_t service_backoff(uint64_t last_ms, uint64_t ran_ms, uint64_t min_ms, uint64_t max_ms, uint64_t healthy_ms)
{
	if (last_ms == 0 || ran_ms >= healthy_ms)
		return min_ms;
	return last_ms * 2 < max_ms ? last_ms * 2 : max_ms;
}

void service_explain(int status, char *buf, size_t size)
{
	if (WIFSIGNALED(status))
		snprintf(buf, size, "killed by signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
	else if (WEXITSTATUS(status) == 127)
		snprintf(buf, size, "exit status 127: the program, its loader or a library is missing");
	else if (WEXITSTATUS(status) == 126)
		snprintf(buf, size, "exit status 126: the program cannot be executed");
	else
		snprintf(buf, size, "exit status %d", WEXITSTATUS(status));
}

static void on_output(void *data)
{
	char buf[4096];
	ssize_t n;
	int turn;

	(void)data;
	for (turn = 0; turn < 16; turn++) {
		n = read(agent.out, buf, sizeof(buf));
		if (n > 0) {
			log_split(&agent.lines, "agent", buf, (size_t)n);
			continue;
		}
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		log_split_end(&agent.lines, "agent");
		loop_unwatch(agent.out);
		close(agent.out);
		agent.out = -1;
		return;
	}
}

static void on_notify(void *data)
{
	union {
		struct cmsghdr h;
		char bytes[CMSG_SPACE(sizeof(struct ucred))];
	} control;
	char text[512], *line, *save = NULL;
	struct iovec part = { .iov_base = text, .iov_len = sizeof(text) - 1 };
	struct msghdr m = {
		.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)
	};
	struct ucred who = { 0 };
	struct cmsghdr *c;
	ssize_t n;

	(void)data;
	n = recvmsg(agent.notify, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	if (n <= 0)
		return;
	text[n] = '\0';
	for (c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c))
		if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_CREDENTIALS)
			memcpy(&who, CMSG_DATA(c), sizeof(who));
	/* A task could find the socket; only the agent itself is heard. */
	if (who.pid != agent.pid || agent.pid <= 0)
		return;
	for (line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		if (strcmp(line, "READY=1") == 0 && !agent.ready) {
			agent.ready = true;
			log_info("the agent is ready");
		}
	}
}

static int open_notify(void)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX, .sun_path = NOTIFY_SOCKET };
	int on = 1, fd;

	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	unlink(NOTIFY_SOCKET);
	if (bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) < 0) {
		on = -errno;
		close(fd);
		return on;
	}
	return fd;
}

static void child(int out) __attribute__((noreturn));
static void child(int out)
{
	struct rlimit files = { 65536, 1048576 };
	const struct nomad_map *env = &agent.config->agent.environment;
	sigset_t none;
	size_t i;
	int null;

	setsid();
	null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (null >= 0)
		dup2(null, 0);
	dup2(out, 1);
	dup2(out, 2);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	setrlimit(RLIMIT_NOFILE, &files);
	/* Tasks first: every driver gives theirs a score of its own. */
	util_write_knob("/proc/self/oom_score_adj", "-900");
	if (chdir("/") < 0)
		_exit(126);
	clearenv();
	setenv("PATH", "/opt/nomad:/usr/sbin:/usr/bin:/sbin:/bin", 1);
	setenv("HOME", "/state", 1);
	setenv("TMPDIR", "/var/tmp", 1);
	if (agent.notify >= 0)
		setenv("NOTIFY_SOCKET", NOTIFY_SOCKET, 1);
	for (i = 0; i < env->count; i++)
		setenv(env->pairs[i].key, env->pairs[i].value, 1);
	execv(agent.config->agent.command[0], agent.config->agent.command);
	dprintf(2, "cannot start '%s': %s\n", agent.config->agent.command[0], strerror(errno));
	_exit(errno == ENOENT ? 127 : 126);
}

static void on_settled(void *data)
{
	(void)data;
	agent.failures = 0;
	agent.hooks.settled(agent.hooks.data);
}

static void wait_again(uint64_t ran_ms)
{
	const struct config *c = agent.config;

	agent.wait_ms = service_backoff(agent.wait_ms, ran_ms, (uint64_t)c->agent.restart_min_seconds * 1000,
					(uint64_t)c->agent.restart_max_seconds * 1000,
					(uint64_t)c->agent.healthy_seconds * 1000);
	agent.state = WAITING;
	loop_timer_set(&agent.restart, agent.wait_ms);
}

static void start(void *data)
{
	int pipes[2] = { -1, -1 };
	pid_t pid;

	(void)data;
	if (agent.out >= 0) {
		/* Somebody it started still holds the old pipe. */
		loop_unwatch(agent.out);
		close(agent.out);
		agent.out = -1;
	}
	if (pipe2(pipes, O_CLOEXEC) < 0) {
		log_error("cannot make a pipe for the agent: %s", strerror(errno));
		wait_again(0);
		return;
	}
	fcntl(pipes[0], F_SETFL, O_NONBLOCK);
	log_info("starting the agent '%s'", agent.config->agent.command[0]);
	pid = fork();
	if (pid == 0)
		child(pipes[1]);
	close(pipes[1]);
	if (pid < 0) {
		log_error("cannot start the agent: %s", strerror(errno));
		close(pipes[0]);
		wait_again(0);
		return;
	}
	agent.out = pipes[0];
	if (loop_watch(agent.out, on_output, NULL) < 0)
		log_error("cannot watch the agent's output");
	agent.pid = pid;
	agent.ready = false;
	agent.state = RUNNING;
	agent.started_ms = util_now_ms();
	loop_timer_set(&agent.healthy, (uint64_t)agent.config->agent.healthy_seconds * 1000);
	agent.hooks.started(agent.hooks.data);
}

void service_start(const struct config *c, const struct service_hooks *hooks)
{
	agent.config = c;
	agent.hooks = *hooks;
	agent.restart.fn = start;
	agent.healthy.fn = on_settled;
	agent.notify = open_notify();
	if (agent.notify < 0 || loop_watch(agent.notify, on_notify, NULL) < 0)
		log_warn("no notification socket for the agent; its readiness will not be known");
	if (agent.state == IDLE)
		start(NULL);
}

bool service_reaped(pid_t pid, int status)
{
	uint64_t ran = util_now_ms() - agent.started_ms;
	char why[128];

	if (pid != agent.pid || pid <= 0)
		return false;
	if (agent.out >= 0)
		on_output(NULL); /* its last words */
	agent.pid = 0;
	agent.ready = false;
	loop_timer_stop(&agent.healthy);
	service_explain(status, why, sizeof(why));
	if (agent.state == STOPPING) {
		log_info("the agent ended: %s", why);
		agent.state = STOPPED;
		agent.hooks.gone(agent.hooks.data);
		return true;
	}
	wait_again(ran);
	agent.failures++;
	log_error("the agent ended after %llu.%llu s: %s; it is started again in %llu s (time %u)",
		  (unsigned long long)ran / 1000, (unsigned long long)ran / 100 % 10, why,
		  (unsigned long long)agent.wait_ms / 1000, agent.failures);
	return true;
}

bool service_stop(int sig)
{
	loop_timer_stop(&agent.restart);
	loop_timer_stop(&agent.healthy);
	if (agent.state == RUNNING) {
		agent.state = STOPPING;
		kill(agent.pid, sig);
	} else if (agent.state != STOPPING) {
		agent.state = STOPPED;
	}
	return agent.state == STOPPING;
}

void service_signal(int sig)
{
	if (agent.pid > 0)
		kill(agent.pid, sig);
}
