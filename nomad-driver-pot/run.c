/* SPDX-License-Identifier: MPL-2.0
 *
 * run.c: run a short command, in bounded time.
 *
 * For the calls of pot that are over in seconds, and for `pot prepare`; what
 * runs for as long as a task does belongs to the supervisor.  posix_spawn()
 * because the plugin has threads; a process group of its own because pot's
 * scripts have children, and a hanging fetch(1) has to go with them.  The
 * child gets no descriptor but its three (and a hold) and no variable but PATH
 * and HOME. */
#include "run.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "hold.h"
#include "nomad/error.h"

#define TAIL_LINES 4
#define LINE_MAX_BYTES 300

struct lines {
	char tail[TAIL_LINES][LINE_MAX_BYTES];
	unsigned count;
};

/* One of the two pipes. */
struct reader {
	int fd;
	char line[LINE_MAX_BYTES];
	size_t length;
};

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t) ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* "###>  ", "===>  ": pot's marks in front of what it says. */
static const char *without_mark(const char *s)
{
	const char *p = s + strspn(s, "#=");

	return p > s && *p == '>' ? p + 1 + strspn(p + 1, " ") : s;
}

static void end_line(struct reader *r, struct lines *lines, struct pot_run *run)
{
	char *line = r->line;
	const char *text;

	line[r->length] = '\0';
	while (r->length > 0 && (unsigned char) line[r->length - 1] <= ' ')
		line[--r->length] = '\0';
	for (char *p = line; *p; p++) {
		if ((unsigned char) *p < ' ' || *p == 127)
			*p = ' ';
	}
	text = without_mark(line);
	if (*text) {
		snprintf(lines->tail[lines->count++ % TAIL_LINES], LINE_MAX_BYTES, "%s", text);
		if (run->line)
			run->line(run->ud, text);
	}
	r->length = 0;
}

/* False at the end of the pipe. */
static bool read_some(struct reader *r, struct lines *lines, struct pot_run *run, bool is_stdout, size_t *output_size)
{
	char buffer[4096];
	ssize_t n = read(r->fd, buffer, sizeof(buffer));

	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	if (n == 0)
		return false;
	if (is_stdout && run->output && *output_size + (size_t) n < POT_RUN_OUTPUT_MAX) {
		memcpy(run->output + *output_size, buffer, (size_t) n);
		*output_size += (size_t) n;
		run->output[*output_size] = '\0';
	}
	for (ssize_t i = 0; i < n; i++) {
		if (buffer[i] == '\n')
			end_line(r, lines, run);
		else if (r->length + 1 < sizeof(r->line))
			r->line[r->length++] = buffer[i];
	}
	return true;
}

static int spawn(const struct pot_run *run, int out, int err, pid_t *ret_pid)
{
	NOMAD_AUTO_FREE char *path = nomad_strdupf("PATH=%s", run->path);
	char home[] = "HOME=/root";
	char *env[] = { path, home, NULL };
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	NOMAD_AUTO_FREE char *program = NULL;
	sigset_t none, all;
	int r;

	if (!path)
		return -ENOMEM;
	/* posix_spawnp() would look into the plugin's PATH. */
	if (strchr(run->argv[0], '/')) {
		program = strdup(run->argv[0]);
	} else {
		for (const char *p = run->path; *p && !program; p += strcspn(p, ":"), p += *p == ':') {
			program = nomad_strdupf("%.*s/%s", (int) strcspn(p, ":"), p, run->argv[0]);
			if (program && access(program, X_OK) < 0) {
				free(program);
				program = NULL;
			}
		}
		if (!program)
			return -ENOENT;
	}
	if (!program)
		return -ENOMEM;
	if (posix_spawn_file_actions_init(&actions) != 0)
		return -ENOMEM;
	if (posix_spawnattr_init(&attr) != 0) {
		posix_spawn_file_actions_destroy(&actions);
		return -ENOMEM;
	}
	sigemptyset(&none);
	sigfillset(&all);
	r = posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
	if (r == 0)
		r = posix_spawn_file_actions_adddup2(&actions, out, 1);
	if (r == 0)
		r = posix_spawn_file_actions_adddup2(&actions, err, 2);
	if (r == 0 && run->hold_fd > 0)
		r = posix_spawn_file_actions_adddup2(&actions, run->hold_fd, 3);
	if (r == 0)
		r = posix_spawn_file_actions_addclosefrom_np(&actions, run->hold_fd > 0 ? 4 : 3);
	if (r == 0)
		r = posix_spawn_file_actions_addchdir_np(&actions, run->cwd ? run->cwd : "/");
	if (r == 0)
		r = posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
	if (r == 0)
		r = posix_spawnattr_setpgroup(&attr, 0);
	if (r == 0)
		r = posix_spawnattr_setsigmask(&attr, &none);
	if (r == 0)
		r = posix_spawnattr_setsigdefault(&attr, &all);
	if (r == 0)
		r = posix_spawn(ret_pid, program, &actions, &attr, (char *const *) run->argv, env);
	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&actions);
	return -r;
}

/* Wait for `pid` until `deadline`, following what it says.  True if it ended. */
static bool follow(pid_t pid, struct reader readers[2], struct lines *lines, struct pot_run *run, int64_t deadline,
		   int *ret_wait_status, size_t *output_size)
{
	bool ended = false;
	int64_t drain_until = 0;

	for (;;) {
		struct pollfd fds[2] = { { .fd = readers[0].fd, .events = POLLIN }, { .fd = readers[1].fd, .events = POLLIN } };
		bool open_pipe = readers[0].fd >= 0 || readers[1].fd >= 0;
		int64_t now = now_ms(), left = (ended ? drain_until : deadline) - now;

		if (!ended) {
			pid_t w = waitpid(pid, ret_wait_status, WNOHANG);

			if (w == pid || (w < 0 && errno != EINTR)) {
				if (w < 0)
					*ret_wait_status = 0;
				ended = true;
				/* Something left behind may hold the pipes: not for long. */
				drain_until = now + 500;
				continue;
			}
		}
		if (ended && !open_pipe)
			return true;
		if (left <= 0)
			return ended;
		/* The end of a child is no event of poll(): look after it, rarely while the pipes are open. */
		poll(fds, 2, (int) (open_pipe ? (left < 100 ? left : 100) : (left < 5 ? left : 5)));
		for (int i = 0; i < 2; i++) {
			if (fds[i].revents && !read_some(&readers[i], lines, run, i == 0, output_size)) {
				close(readers[i].fd);
				readers[i].fd = -1;
			}
		}
	}
}

/* What it said last, "; " between the lines. */
static void tail_of(const struct lines *lines, char *buffer, size_t size)
{
	unsigned n = lines->count < TAIL_LINES ? lines->count : TAIL_LINES;
	size_t length = 0;

	buffer[0] = '\0';
	for (unsigned i = lines->count - n; i < lines->count && length < size; i++)
		length += (size_t) snprintf(buffer + length, size - length, "%s%s", length ? "; " : "",
					    lines->tail[i % TAIL_LINES]);
}

int pot_run(struct pot_run *run, struct nomad_error **err)
{
	struct reader readers[2] = { { .fd = -1 }, { .fd = -1 } };
	const char *what = run->argv[1] ? run->argv[1] : "";
	const char *program = strrchr(run->argv[0], '/') ? strrchr(run->argv[0], '/') + 1 : run->argv[0];
	struct lines *lines;
	char said[TAIL_LINES * LINE_MAX_BYTES + 16];
	int out[2] = { -1, -1 }, errs[2] = { -1, -1 };
	int r, wait_status = 0;
	size_t output_size = 0;
	bool ended = false;
	pid_t pid;

	run->status = -1;
	run->output = calloc(1, POT_RUN_OUTPUT_MAX);
	lines = calloc(1, sizeof(*lines));
	if (!run->output || !lines) {
		free(lines);
		return nomad_error_errno(err, ENOMEM, "run '%s %s'", program, what);
	}
	if (pipe2(out, O_CLOEXEC) < 0 || pipe2(errs, O_CLOEXEC) < 0) {
		r = nomad_error_errno(err, errno, "run '%s %s': make a pipe", program, what);
		goto out;
	}
	r = spawn(run, out[1], errs[1], &pid);
	close(out[1]);
	close(errs[1]);
	out[1] = errs[1] = -1;
	if (r < 0) {
		r = nomad_error_errno(err, -r, "run '%s %s'", run->argv[0], what);
		goto out;
	}
	if (run->hold_fd > 0)
		pot_hold_write(run->hold_fd, pid);
	readers[0].fd = NOMAD_TAKE_FD(out[0]);
	readers[1].fd = NOMAD_TAKE_FD(errs[0]);
	fcntl(readers[0].fd, F_SETFL, O_NONBLOCK);
	fcntl(readers[1].fd, F_SETFL, O_NONBLOCK);

	ended = follow(pid, readers, lines, run, now_ms() + run->timeout_ms, &wait_status, &output_size);
	if (!ended) {
		int ignored;

		r = -ETIMEDOUT;
		kill(-pid, SIGTERM);
		if (!follow(pid, readers, lines, run, now_ms() + 2000, &ignored, &output_size)) {
			kill(-pid, SIGKILL);
			/* A process in the kernel's hands may not even die of this. */
			(void) follow(pid, readers, lines, run, now_ms() + 5000, &ignored, &output_size);
		} else {
			kill(-pid, SIGKILL);
		}
	}
	for (int i = 0; i < 2; i++) {
		if (readers[i].length > 0)
			end_line(&readers[i], lines, run);
	}
	tail_of(lines, said, sizeof(said));
	if (!ended) {
		nomad_error_set(err, ETIMEDOUT, "'%s %s' did not end within %u s%s%s", program, what, run->timeout_ms / 1000,
				*said && !run->quiet ? "; it said: " : "", run->quiet ? "" : said);
		goto out;
	}
	run->status = WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) : 128 + WTERMSIG(wait_status);
	r = 0;
	if (run->status != 0)
		r = nomad_error_set(err, EIO, "'%s %s' ended with %d%s%s", program, what, run->status,
				    *said && !run->quiet ? ": " : "", run->quiet ? "" : said);
out:
	for (int i = 0; i < 2; i++) {
		if (readers[i].fd >= 0)
			close(readers[i].fd);
		if (out[i] >= 0)
			close(out[i]);
		if (errs[i] >= 0)
			close(errs[i]);
	}
	free(lines);
	return r;
}
