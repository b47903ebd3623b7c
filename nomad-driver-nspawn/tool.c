/* SPDX-License-Identifier: MPL-2.0
 *
 * Programs of the host: ip, nft, tar, ... run by posix_spawn(), which is
 * safe beside the threads of the library. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tool.h"

enum { OUTPUT_MAX = 64 << 10 };

static const char search_path[] = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

char *nspawn_tool_find(const char *name)
{
	const char *paths[] = { getenv("PATH"), search_path };
	size_t i;

	for (i = 0; i < NOMAD_ARRAY_LEN(paths); i++) {
		const char *p = paths[i];

		while (p && *p) {
			int n = (int)strcspn(p, ":");
			char *file = nomad_strdupf("%.*s/%s", n, p, name);

			if (file && *p == '/' && !access(file, X_OK))
				return file;
			free(file);
			p += n + (p[n] == ':');
		}
	}
	return NULL;
}

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static int start(const char *const *argv, int in, int out, int errors, pid_t *ret_pid)
{
	char *env[] = { NULL, (char *)"LC_ALL=C.UTF-8", (char *)"HOME=/root", NULL };
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	sigset_t none, all;
	int r;

	env[0] = nomad_strdupf("PATH=%s", search_path);
	if (!env[0])
		return ENOMEM;
	sigemptyset(&none);
	sigfillset(&all);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, in, 0);
	posix_spawn_file_actions_adddup2(&actions, out, 1);
	posix_spawn_file_actions_adddup2(&actions, errors, 2);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setsigdefault(&attr, &all);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
	r = posix_spawn(ret_pid, argv[0], &actions, &attr, (char *const *)argv, env);
	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&actions);
	free(env[0]);
	return r;
}

struct stream {
	int fd;
	char *data;
	size_t size;
};

/* Read what is there; the last OUTPUT_MAX/2 bytes at least are kept. */
static void drain(struct stream *s)
{
	ssize_t got;

	if (s->size > OUTPUT_MAX) {
		memmove(s->data, s->data + s->size - OUTPUT_MAX / 2, OUTPUT_MAX / 2);
		s->size = OUTPUT_MAX / 2;
	}
	got = read(s->fd, s->data + s->size, 4096);
	if (got > 0) {
		s->size += (size_t)got;
	} else if (got == 0 || (errno != EAGAIN && errno != EINTR)) {
		close(s->fd);
		s->fd = -1;
	}
}

/* The last line that says something, for the error. */
static const char *last_line(struct stream *s)
{
	char *end = s->data + s->size, *p;

	while (end > s->data && (end[-1] == '\n' || end[-1] == ' '))
		end--;
	*end = 0;
	p = strrchr(s->data, '\n');
	return p ? p + 1 : s->data;
}

static int write_input(const char *text, struct nomad_error **err)
{
	int fd = (int)syscall(SYS_memfd_create, "input", 1 /* MFD_CLOEXEC */);
	size_t n = strlen(text);

	if (fd < 0 || write(fd, text, n) != (ssize_t)n || lseek(fd, 0, SEEK_SET) < 0) {
		if (fd >= 0)
			close(fd);
		return nomad_error_errno(err, errno, "write the input of a program");
	}
	return fd;
}

static int finish(const char *what, bool status_only, pid_t pid, bool timed_out, struct stream *errors,
		  struct nomad_error **err)
{
	int status;

	if (timed_out)
		kill(pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (timed_out)
		return nomad_error_set(err, ETIMEDOUT, "%s: did not end in time", what);
	if (WIFSIGNALED(status))
		return nomad_error_set(err, EIO, "%s: killed by signal %d", what, WTERMSIG(status));
	if (WEXITSTATUS(status) && !status_only)
		return nomad_error_set(err, EIO, "%s: exit status %d: %s", what, WEXITSTATUS(status),
				       last_line(errors));
	return WEXITSTATUS(status);
}

int nspawn_tool_run(const char *const *argv, const struct nspawn_tool *options, char **ret_output,
		    struct nomad_error **err)
{
	static const struct nspawn_tool defaults;
	const struct nspawn_tool *o = options ? options : &defaults;
	const char *what = o->what ? o->what : argv[0];
	int64_t ticked = now_ms(), until = ticked + (o->timeout_ms ? o->timeout_ms : 30000);
	NOMAD_AUTO_FREE char *out_data = malloc(OUTPUT_MAX + 8192), *err_data = malloc(OUTPUT_MAX + 8192);
	NOMAD_AUTO_FD int in = -1;
	struct stream s[2] = { { -1, out_data, 0 }, { -1, err_data, 0 } };
	int out[2], errors[2], r;
	bool timed_out = false;
	pid_t pid;

	if (!out_data || !err_data)
		return nomad_error_errno(err, ENOMEM, "run %s", what);
	in = o->input ? write_input(o->input, err) : open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (in < 0)
		return o->input ? in : nomad_error_errno(err, errno, "open '/dev/null'");
	if (pipe2(out, O_CLOEXEC) < 0)
		return nomad_error_errno(err, errno, "run %s", what);
	if (pipe2(errors, O_CLOEXEC) < 0) {
		r = errno;
		close(out[0]);
		close(out[1]);
		return nomad_error_errno(err, r, "run %s", what);
	}
	r = start(argv, in, out[1], errors[1], &pid);
	close(out[1]);
	close(errors[1]);
	s[0].fd = out[0];
	s[1].fd = errors[0];
	if (r) {
		close(out[0]);
		close(errors[0]);
		return nomad_error_errno(err, r, "run '%s'", argv[0]);
	}
	while (s[0].fd >= 0 || s[1].fd >= 0) {
		struct pollfd p[2] = { { s[0].fd, POLLIN, 0 }, { s[1].fd, POLLIN, 0 } };
		int64_t left = until - now_ms();
		int i;

		timed_out = left <= 0;
		if (timed_out)
			break;
		if (o->tick && now_ms() >= ticked + 1000) {
			ticked = now_ms();
			o->tick(o->ud);
		}
		if (poll(p, 2, (int)(left > 1000 ? 1000 : left)) < 0 && errno != EINTR)
			break;
		for (i = 0; i < 2; i++)
			if (s[i].fd >= 0 && p[i].revents)
				drain(&s[i]);
	}
	if (s[0].fd >= 0)
		close(s[0].fd);
	if (s[1].fd >= 0)
		close(s[1].fd);
	r = finish(what, o->status_only, pid, timed_out, &s[1], err);
	if (r >= 0 && ret_output) {
		out_data[s[0].size] = 0;
		*ret_output = NOMAD_TAKE_PTR(out_data);
	}
	return r;
}
