/* SPDX-License-Identifier: MPL-2.0 */
#include "helper.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "log.h"
#include "loop.h"
#include "util.h"

static struct helper {
	pid_t pid; /* 0: free */
	int out;
	bool timed_out;
	helper_fn *done;
	void *data;
	struct loop_timer timer;
	struct log_splitter lines;
} helpers[4];

static void close_output(struct helper *h)
{
	if (h->out < 0)
		return;
	log_split_end(&h->lines, "nomadinit");
	loop_unwatch(h->out);
	close(h->out);
	h->out = -1;
}

static void on_output(void *data)
{
	struct helper *h = data;
	char buf[512];
	ssize_t n;

	while (h->out >= 0) {
		n = read(h->out, buf, sizeof(buf));
		if (n > 0)
			log_split(&h->lines, "nomadinit", buf, (size_t)n);
		else if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		else
			close_output(h);
	}
}

static void on_timeout(void *data)
{
	struct helper *h = data;

	h->timed_out = true;
	kill(-h->pid, SIGKILL);
}

static void child(const char *const argv[], int out) __attribute__((noreturn));
static void child(const char *const argv[], int out)
{
	int null = open("/dev/null", O_RDONLY);
	sigset_t none;

	setsid();
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (null >= 0)
		dup2(null, 0);
	dup2(out, 1);
	dup2(out, 2);
	execv(argv[0][0] ? argv[0] : "/proc/self/exe", (char **)(uintptr_t)argv);
	_exit(127);
}

int helper_run(const char *const argv[], unsigned int timeout_ms, helper_fn *done, void *data)
{
	struct helper *h = helpers;
	int pipes[2], r;

	while (h < helpers + NOMAD_ARRAY_LEN(helpers) && h->pid)
		h++;
	if (h == helpers + NOMAD_ARRAY_LEN(helpers))
		return -EAGAIN;
	if (pipe2(pipes, O_CLOEXEC) < 0)
		return -errno;
	fcntl(pipes[0], F_SETFL, O_NONBLOCK);
	*h = (struct helper){ .out = pipes[0], .done = done, .data = data, .timer = { .fn = on_timeout, .data = h } };
	h->pid = fork();
	if (h->pid == 0)
		child(argv, pipes[1]);
	r = h->pid < 0 ? -errno : 0;
	close(pipes[1]);
	if (r < 0) {
		close(h->out);
		h->pid = 0;
		return r;
	}
	if (loop_watch(h->out, on_output, h) < 0)
		log_warn("cannot watch the output of '%s'", argv[0][0] ? argv[0] : argv[1]);
	loop_timer_set(&h->timer, timeout_ms);
	return 0;
}

bool helper_reaped(pid_t pid, int status)
{
	struct helper *h, ended;

	for (h = helpers; h < helpers + NOMAD_ARRAY_LEN(helpers); h++) {
		if (h->pid != pid)
			continue;
		on_output(h); /* its last words */
		close_output(h);
		loop_timer_stop(&h->timer);
		ended = *h;
		h->pid = 0;
		if (ended.done)
			ended.done(ended.data, ended.timed_out	   ? -ETIMEDOUT
					       : WIFEXITED(status) ? WEXITSTATUS(status)
								   : 128 + WTERMSIG(status));
		return true;
	}
	return false;
}
