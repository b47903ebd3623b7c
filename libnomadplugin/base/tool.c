/* SPDX-License-Identifier: MPL-2.0
 *
 * nomad/tool.h: a program of the host, in bounded time.
 *
 * posix_spawn(), because the plugin has threads; a process group of its own,
 * because scripts have children, and a hanging download has to go with them.
 * The child gets no descriptor but its three (and one that is asked for) and
 * no variable but PATH, HOME and LC_ALL: the plugin's own environment is the
 * agent's, with the agent's secrets. */
#include "nomad/tool.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/abi.h"
#include "base/close_from.h"
#include "base/loop.h"
#include "base/tree.h"
#include "nomad/error.h"

enum {
	TAIL_LINES = 4,
	LINE_BYTES = 300,
	OUTPUT_MAX = 65536,
	DEFAULT_TIMEOUT_MS = 30000,
	TERM_MS = 2000,	  /* between SIGTERM and SIGKILL after the timeout */
	KILL_MS = 5000,	  /* a process in the kernel's hands may not even die of SIGKILL */
	HANG_ON_MS = 500, /* for output that something left behind holds open */
};

static const char usual_path[] = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/* One of the two pipes. */
struct reader {
	int fd;
	char line[LINE_BYTES];
	size_t length;
};

struct run {
	struct nomad_tool *tool;
	pid_t pid;
	struct reader readers[2];
	char tail[TAIL_LINES][LINE_BYTES];
	unsigned lines;
	size_t output_size;
	int64_t ticked_ms;
	int wait_status;
};

static int64_t now_ms(void)
{
	return nomad_monotonic_ns() / 1000000;
}

static char *find_in(const char *path, const char *name)
{
	while (path && *path) {
		int n = (int)strcspn(path, ":");
		char *file = *path == '/' ? nomad_strdupf("%.*s/%s", n, path, name) : NULL;

		if (file && access(file, X_OK) == 0)
			return file;
		free(file);
		path += n + (path[n] == ':');
	}
	return NULL;
}

char *nomad_tool_find(const char *name)
{
	char *file = find_in(getenv("PATH"), name);

	return file ? file : find_in(usual_path, name);
}

/* ---- Output ---- */

static void end_line(struct run *run, struct reader *r)
{
	const struct nomad_tool *tool = run->tool;
	const char *text = r->line;

	r->line[r->length] = 0;
	while (r->length && (unsigned char)r->line[r->length - 1] <= ' ')
		r->line[--r->length] = 0;
	for (char *p = r->line; *p; p++)
		if ((unsigned char)*p < ' ' || *p == 127)
			*p = ' ';
	if (tool->trim)
		text = tool->trim(text);
	if (*text) {
		snprintf(run->tail[run->lines++ % TAIL_LINES], LINE_BYTES, "%s", text);
		if (tool->line)
			tool->line(tool->ud, text);
	}
	r->length = 0;
}

/* False at the end of the pipe. */
static bool read_some(struct run *run, struct reader *r)
{
	char buffer[4096];
	ssize_t n = read(r->fd, buffer, sizeof(buffer));

	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	if (n == 0)
		return false;
	if (r == &run->readers[0]) {
		size_t room = OUTPUT_MAX - 1 - run->output_size, keep = (size_t)n < room ? (size_t)n : room;

		memcpy(run->tool->output + run->output_size, buffer, keep);
		run->output_size += keep;
		run->tool->output[run->output_size] = 0;
	}
	for (ssize_t i = 0; i < n; i++) {
		if (buffer[i] == '\n')
			end_line(run, r);
		else if (r->length + 1 < sizeof(r->line))
			r->line[r->length++] = buffer[i];
	}
	return true;
}

/* Follow what it says until it ends and its pipes do, or until `deadline`.  True if it has ended. */
static bool follow(struct run *run, int64_t deadline)
{
	bool ended = false;

	for (;;) {
		struct pollfd fds[2] = { { .fd = run->readers[0].fd, .events = POLLIN },
					 { .fd = run->readers[1].fd, .events = POLLIN } };
		bool open_pipe = fds[0].fd >= 0 || fds[1].fd >= 0;
		int64_t now = now_ms(), left;

		if (!ended) {
			pid_t w = waitpid(run->pid, &run->wait_status, WNOHANG);

			if (w == run->pid || (w < 0 && errno != EINTR)) {
				if (w < 0)
					run->wait_status = 0;
				ended = true;
				deadline = now + HANG_ON_MS;
			}
		}
		left = deadline - now;
		if ((ended && !open_pipe) || left <= 0)
			return ended;
		if (run->tool->tick && now >= run->ticked_ms + 1000) {
			run->ticked_ms = now;
			run->tool->tick(run->tool->ud);
		}
		/* poll() does not report the end of a child, so check for it periodically. */
		poll(fds, 2, (int)(open_pipe ? (left < 100 ? left : 100) : (left < 5 ? left : 5)));
		for (int i = 0; i < 2; i++)
			if (fds[i].revents && !read_some(run, &run->readers[i])) {
				close(run->readers[i].fd);
				run->readers[i].fd = -1;
			}
	}
}

/* ---- Start ---- */

/* An unlinked file: the input may be longer than a pipe holds. */
static int input_file(const char *text)
{
	char name[] = "/tmp/.nomad-tool-XXXXXX";
	int fd = mkostemp(name, O_CLOEXEC);
	size_t size = strlen(text), done = 0;

	if (fd < 0)
		return -errno;
	(void)unlink(name);
	while (done < size) {
		ssize_t n = write(fd, text + done, size - done);

		if (n < 0 && errno != EINTR) {
			int r = -errno;

			close(fd);
			return r;
		}
		done += n > 0 ? (size_t)n : 0;
	}
	return lseek(fd, 0, SEEK_SET) < 0 ? -errno : fd;
}

static int spawn(struct run *run, int in, int out, int err)
{
	const struct nomad_tool *tool = run->tool;
	const char *search = tool->path ? tool->path : usual_path;
	NOMAD_AUTO_FREE char *path = nomad_strdupf("PATH=%s", search);
	NOMAD_AUTO_FREE char *program =
		strchr(tool->argv[0], '/') ? strdup(tool->argv[0]) : find_in(search, tool->argv[0]);
	char home[] = "HOME=/root", locale[] = "LC_ALL=C.UTF-8";
	char *env[] = { path, home, locale, NULL };
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	sigset_t none, all;
	int r;

	if (!path)
		return -ENOMEM;
	if (!program)
		return -ENOENT;
	if (posix_spawn_file_actions_init(&actions) != 0)
		return -ENOMEM;
	if (posix_spawnattr_init(&attr) != 0) {
		posix_spawn_file_actions_destroy(&actions);
		return -ENOMEM;
	}
	sigemptyset(&none);
	sigfillset(&all);
	r = posix_spawn_file_actions_adddup2(&actions, in, 0);
	if (r == 0)
		r = posix_spawn_file_actions_adddup2(&actions, out, 1);
	if (r == 0)
		r = posix_spawn_file_actions_adddup2(&actions, err, 2);
	if (r == 0 && tool->keep_fd > 0)
		r = posix_spawn_file_actions_adddup2(&actions, tool->keep_fd, 3);
	if (r == 0)
		r = nomad__spawn_close_from(&actions, tool->keep_fd > 0 ? 4 : 3);
	if (r == 0)
		r = posix_spawn_file_actions_addchdir_np(&actions, tool->cwd ? tool->cwd : "/");
	if (r == 0)
		r = posix_spawnattr_setflags(&attr,
					     POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
	if (r == 0)
		r = posix_spawnattr_setpgroup(&attr, 0);
	if (r == 0)
		r = posix_spawnattr_setsigmask(&attr, &none);
	if (r == 0)
		r = posix_spawnattr_setsigdefault(&attr, &all);
	if (r == 0)
		r = posix_spawn(&run->pid, program, &actions, &attr, (char *const *)tool->argv, env);
	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&actions);
	return -r;
}

static int start(struct run *run)
{
	const struct nomad_tool *tool = run->tool;
	NOMAD_AUTO_FD int in = tool->input ? input_file(tool->input) : open("/dev/null", O_RDONLY | O_CLOEXEC);
	NOMAD_AUTO_FD int out_w = -1;
	NOMAD_AUTO_FD int err_w = -1;
	int fds[2];

	if (in < 0)
		return tool->input ? in : -errno;
	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	run->readers[0].fd = fds[0];
	out_w = fds[1];
	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	run->readers[1].fd = fds[0];
	err_w = fds[1];
	for (int i = 0; i < 2; i++)
		if (fcntl(run->readers[i].fd, F_SETFL, O_NONBLOCK) < 0)
			return -errno;
	return spawn(run, in, out_w, err_w);
}

/* ---- Run ---- */

/* What it said last, "; " between the lines. */
static void tail_of(const struct run *run, char *buffer, size_t size)
{
	unsigned n = run->lines < TAIL_LINES ? run->lines : TAIL_LINES;
	size_t length = 0;

	buffer[0] = 0;
	if (run->tool->quiet)
		return;
	for (unsigned i = run->lines - n; i < run->lines && length < size; i++)
		length += (size_t)snprintf(buffer + length, size - length, "%s%s", length ? "; " : "",
					   run->tail[i % TAIL_LINES]);
}

/* False if it had to be ended. */
static bool wait_for_end(struct run *run)
{
	unsigned timeout = run->tool->timeout_ms ? run->tool->timeout_ms : DEFAULT_TIMEOUT_MS;

	if (follow(run, now_ms() + timeout))
		return true;
	kill(-run->pid, SIGTERM);
	if (!follow(run, now_ms() + TERM_MS)) {
		kill(-run->pid, SIGKILL);
		(void)follow(run, now_ms() + KILL_MS);
	} else {
		kill(-run->pid, SIGKILL); /* its children */
	}
	return false;
}

static int run_tool(struct nomad_tool *tool, struct nomad_error **err)
{
	const char *slash = strrchr(tool->argv[0], '/');
	NOMAD_AUTO_FREE char *what =
		tool->what ? strdup(tool->what)
			   : nomad_strdupf("'%s%s%s'", slash ? slash + 1 : tool->argv[0], tool->argv[1] ? " " : "",
					   tool->argv[1] ? tool->argv[1] : "");
	NOMAD_AUTO_FREE struct run *run = calloc(1, sizeof(*run));
	char said[TAIL_LINES * LINE_BYTES + 16];
	bool ended;
	int r;

	tool->status = -1;
	tool->output = calloc(1, OUTPUT_MAX);
	if (!run || !what || !tool->output)
		return nomad_error_errno(err, ENOMEM, "run '%s'", tool->argv[0]);
	run->tool = tool;
	run->readers[0].fd = run->readers[1].fd = -1;
	run->ticked_ms = now_ms();
	r = start(run);
	if (r < 0) {
		nomad_error_errno(err, -r, "run '%s'", tool->argv[0]);
		goto out;
	}
	if (tool->started)
		tool->started(tool->ud, run->pid);
	ended = wait_for_end(run);
	for (int i = 0; i < 2; i++)
		if (run->readers[i].length)
			end_line(run, &run->readers[i]);
	tail_of(run, said, sizeof(said));
	if (!ended) {
		r = nomad_error_set(err, ETIMEDOUT, "%s did not end within %.3g s%s%s", what,
				    (tool->timeout_ms ? tool->timeout_ms : DEFAULT_TIMEOUT_MS) / 1000.0,
				    *said ? "; it said: " : "", said);
		goto out;
	}
	tool->status = WIFEXITED(run->wait_status) ? WEXITSTATUS(run->wait_status) : 128 + WTERMSIG(run->wait_status);
	r = 0;
	if (tool->status && !tool->any_status)
		r = nomad_error_set(err, EIO, "%s ended with %d%s%s", what, tool->status, *said ? ": " : "", said);
out:
	for (int i = 0; i < 2; i++)
		if (run->readers[i].fd >= 0)
			close(run->readers[i].fd);
	return r;
}

int nomad_tool_run(struct nomad_tool *tool, struct nomad_error **err)
{
	struct nomad_tool whole;
	int r;

	nomad__abi_copy(&whole, sizeof(whole), tool, nomad__abi.tool);
	r = run_tool(&whole, err);
	tool->output = whole.output;
	tool->status = whole.status;
	return r;
}

/* ---- Directories ---- */

int nomad_make_dirs(const char *path, mode_t mode, struct nomad_error **err)
{
	int r = nomad__make_dirs(path, mode);

	return r < 0 ? nomad_error_errno(err, -r, "make directory '%s'", path) : 0;
}

int nomad_remove_tree(const char *path, struct nomad_error **err)
{
	int r = nomad__remove_tree(path);

	return r < 0 ? nomad_error_errno(err, -r, "remove '%s'", path) : 0;
}
