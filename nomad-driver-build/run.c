/* SPDX-License-Identifier: MPL-2.0
 *
 * One engine command.  What it writes is passed on at once; whole lines are
 * also looked at: "STEP n/m: ..." begins a step, "Copying blob" is progress
 * of a push, and the last line "Error: ..." says why it failed.  A step of
 * the Containerfile can print such lines as well: see place_of(). */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/close_range.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine.h"
#include "features.h"
#include "step.h"

enum { LINE_SIZE = 4096, STEPS_MAX = 1000, USED_MAX = 4000, ERROR_SIZE = 400, EVENT_SIZE = 4096 };

struct stream {
	int from, to; /* to < 0: nobody wants it */
	char line[LINE_SIZE];
	size_t used;
};

struct watch {
	struct build_run *run;
	const struct build_action *action;
	struct stream out, errors;
	char *last_error;
	int64_t began;
	unsigned blobs;
	int64_t moved_ms;	  /* when a pull or push last made progress */
	unsigned long long moved; /* what it had read and written then */
};

static int64_t now_ms(void)
{
	return nomad_monotonic_ns() / 1000000;
}

void build_run_event(struct build_run *run, const char *fmt, ...)
{
	char text[EVENT_SIZE];
	va_list args;
	size_t n, i;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text) - 1, fmt, args);
	va_end(args);
	n = strlen(text);
	for (i = 0; i < n; i++)
		if (iscntrl((unsigned char)text[i]))
			text[i] = ' ';
	text[n] = '\n';
	(void)!write(run->events, text, n + 1);
}

/* ---- Lines ---- */

/* "[linux/arm64] " in front, where several are built: its place among them from 1, and *text behind it; else 0. */
static int platform_of(char *const *platforms, const char **text)
{
	for (int i = 0; platforms && platforms[i]; i++) {
		size_t n = strlen(platforms[i]);

		if (**text != '[' || strncmp(*text + 1, platforms[i], n) != 0 || strncmp(*text + 1 + n, "] ", 2) != 0)
			continue;
		*text += n + 3;
		return i + 1;
	}
	return 0;
}

/* "STEP 2/5: RUN x", "[1/3] STEP 2/5: RUN x", "COMMIT" or "[3/3] COMMIT name", which is the step behind the last one.
 */
static bool parse_step(char *const *platforms, const struct build_result *result, const char *line,
		       struct build_timing *ret)
{
	const struct build_timing *last = result->n_steps ? &result->steps[result->n_steps - 1] : NULL;
	const char *text = line;

	*ret = (struct build_timing){ .platform = platform_of(platforms, &text) };
	if (*text == '[') {
		line = text;
		text = strstr(line, "] ");
		if (!text || sscanf(line, "[%d/%d]", &ret->stage, &ret->stages) != 2)
			return false;
		text += 2;
	}
	if (sscanf(text, "STEP %d/%d: ", &ret->n, &ret->of) == 2)
		return ret->n > 0 && ret->n <= ret->of && ret->of < STEPS_MAX;
	if (strncmp(text, "COMMIT", 6) != 0 || (text[6] && text[6] != ' ') || !last)
		return false;
	ret->of = last->of;
	ret->n = last->of + 1;
	return true;
}

/* Its place among the steps, or -1.  Steps come in order, each once.  A RUN can print such lines as well: those of
 * later steps are written over when these begin, so there are never more than the engine has, and in the end what it
 * said last.  What a step prints of earlier ones cannot be told from the engine's words. */
static ssize_t place_of(const struct build_result *result, const struct build_timing *step)
{
	const struct build_timing *last = result->n_steps ? &result->steps[result->n_steps - 1] : NULL;

	for (size_t i = 0; i < result->n_steps; i++)
		if (result->steps[i].platform == step->platform && result->steps[i].stage == step->stage &&
		    result->steps[i].n == step->n)
			return result->steps[i].of == step->of ? (ssize_t)i : -1;
	if (!last)
		return step->n == 1 ? 0 : -1;
	if (last->platform != step->platform)
		return step->n == 1 && result->n_steps < STEPS_MAX ? (ssize_t)result->n_steps : -1;
	if (last->stages != step->stages || step->stage > step->stages || result->n_steps >= STEPS_MAX)
		return -1;
	if (last->stage == step->stage ? last->of == step->of && last->n + 1 == step->n
				       : step->n == 1 && step->stage > last->stage)
		return (ssize_t)result->n_steps;
	return -1;
}

/* A step ends where the next one begins. */
static void end_steps(struct build_result *result)
{
	for (size_t i = 0; i < result->n_steps; i++) {
		int64_t end = i + 1 < result->n_steps ? result->steps[i + 1].began_ms : now_ms();

		result->steps[i].ms = end > result->steps[i].began_ms ? end - result->steps[i].began_ms : 0;
	}
}

static void begin_step(struct watch *w, const char *line)
{
	struct build_result *result = w->run->result;
	struct build_timing *grown, step;
	ssize_t place = parse_step(w->run->plan ? w->run->plan->platforms : NULL, result, line, &step)
				? place_of(result, &step)
				: -1;

	if (place < 0)
		return;
	step.text = strdup(line);
	step.began_ms = now_ms();
	if (!step.text)
		return;
	if ((size_t)place < result->n_steps) {
		free(result->steps[place].text);
		result->steps[place] = step;
		return;
	}
	grown = reallocarray(result->steps, result->n_steps + 1, sizeof(*grown));
	if (!grown) {
		free(step.text);
		return;
	}
	result->steps = grown;
	grown[result->n_steps++] = step;
}

/* What goes on, now and then: numbers only, as texts of steps can be a stranger's. */
static void tell_progress(struct watch *w)
{
	const struct build_result *result = w->run->result;
	const struct build_timing *last = result->n_steps ? &result->steps[result->n_steps - 1] : NULL;
	int64_t now = now_ms();

	if (now - w->run->told_ms < w->run->progress_ms)
		return;
	w->run->told_ms = now;
	if (w->action->kind == BUILD_PUSH)
		build_run_event(w->run, "Pushing to %s since %" PRId64 " s, layer %u", w->action->reference,
				(now - w->began) / 1000, w->blobs);
	else if (w->action->kind == BUILD_BUILD && last)
		build_run_event(w->run, "Step %d of %d%s since %" PRId64 " s", last->n > last->of ? last->of : last->n,
				last->of, last->stage ? " of a stage" : "", (now - last->began_ms) / 1000);
}

static void look_at(struct watch *w, bool is_error, const char *line)
{
	if (is_error && (strncmp(line, "Error: ", 7) == 0 || strncmp(line, "panic: ", 7) == 0)) {
		free(w->last_error);
		w->last_error = strdup(line + 7);
	}
	if (is_error && w->action->kind == BUILD_EXPORT) {
		free(w->last_error);
		w->last_error = strdup(line);
	}
	if (strcmp(line, "Getting image source signatures") == 0)
		w->blobs = 0; /* a new attempt */
	if (w->action->kind == BUILD_PUSH && is_error && strncmp(line, "Copying blob ", 13) == 0)
		w->blobs++;
	if (w->action->kind != BUILD_BUILD || is_error)
		return;
	if (strncmp(line, "--> Using cache ", 16) == 0 && w->run->result->n_used < USED_MAX &&
	    nomad_strv_add(&w->run->result->used, line + 16) >= 0)
		w->run->result->n_used++;
	begin_step(w, line);
}

static void add_to_line(struct watch *w, struct stream *s, const char *data, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++) {
		if (data[i] == '\n') {
			s->line[s->used] = 0;
			look_at(w, s == &w->errors, s->line);
			s->used = 0;
		} else if (s->used < sizeof(s->line) - 1) {
			s->line[s->used++] = data[i];
		}
	}
}

static void pass_on(int fd, const char *data, size_t n)
{
	while (n) {
		ssize_t w = write(fd, data, n);

		if (w < 0 && errno != EINTR)
			return; /* nobody reads the logs any more */
		if (w > 0) {
			data += w;
			n -= (size_t)w;
		}
	}
}

static void pump(struct watch *w, struct stream *s)
{
	char data[16384];
	ssize_t n = read(s->from, data, sizeof(data));

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (n <= 0) {
		close(s->from);
		s->from = -1;
		if (s->used)
			add_to_line(w, s, "\n", 1);
		return;
	}
	if (s->to >= 0)
		pass_on(s->to, data, (size_t)n);
	add_to_line(w, s, data, (size_t)n);
}

/* ---- The process ---- */

static void __attribute__((noreturn))
become(const struct build_run *run, const struct build_action *action, int out, int errors)
{
	static const char *const fixed[] = {
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		"HOME=/build/home",
		"TMPDIR=/build/tmp",
		"GOGC=400", /* the engine is over before its garbage matters */
		"XDG_RUNTIME_DIR=/build/run",
		"LANG=C.UTF-8",
		"CONTAINERS_CONF=/etc/containers/containers.conf",
		"CONTAINERS_REGISTRIES_CONF=/etc/containers/registries.conf",
		("REGISTRY_AUTH_FILE=" BUILD_AUTH_FILE),
	};
	char **env = NULL;
	sigset_t none;
	size_t i;
	int r = 0;

	for (i = 0; i < NOMAD_ARRAY_LEN(fixed) && r >= 0; i++)
		r = nomad_strv_add(&env, fixed[i]);
	for (i = 0; run->plan->env && run->plan->env[i] && r >= 0; i++)
		r = nomad_strv_add(&env, run->plan->env[i]);
	setpgid(0, 0);
	if (r < 0 || dup2(run->null, 0) < 0 || dup2(out, 1) < 0 || dup2(errors, 2) < 0)
		_exit(126);
	(void)syscall(SYS_close_range, 3U, ~0U, CLOSE_RANGE_CLOEXEC); /* musl has no function for it */
	(void)signal(SIGPIPE, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (!run->plan->cache) /* nothing of the store stays */
		build_jail_skip_syncs();
	if (run->plan->cache && strcmp(run->plan->isolation, "oci") == 0 && build_jail_keep_read_only() < 0)
		_exit(126);
	execve(action->argv[0], action->argv, env);
	fprintf(stderr, "Error: run '%s': %s\n", action->argv[0], strerror(errno));
	fflush(stderr);
	_exit(125);
}

/* Signals that came.  Returns true, with the status, once the engine has ended. */
static bool handle_signals(struct build_run *run, pid_t pid, int *ret_status)
{
	struct signalfd_siginfo info;
	bool ended = false;
	int status;
	pid_t got;

	if (read(run->signals, &info, sizeof(info)) != (ssize_t)sizeof(info))
		return false;
	if (info.ssi_signo != SIGCHLD) {
		/* With isolation chroot the steps are in the engine's process group: they hear it, too. */
		run->stopping = run->stopping || info.ssi_signo == SIGTERM || info.ssi_signo == SIGINT ||
				info.ssi_signo == SIGQUIT;
		if (pid > 0)
			kill(-pid, (int)info.ssi_signo);
		return false;
	}
	/* Orphans of steps come here as well. */
	while ((got = waitpid(-1, &status, WNOHANG)) > 0) {
		if (got != pid)
			continue;
		ended = true;
		*ret_status = status;
	}
	return ended;
}

/* What a process has read and written, sockets included, as the kernel counts it. */
static unsigned long long moved_by(pid_t pid)
{
	unsigned long long in = 0, out = 0;
	char path[40], text[200];
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/io", (int)pid);
	NOMAD_AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC);

	n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	text[n > 0 ? n : 0] = 0;
	return sscanf(text, "rchar: %llu wchar: %llu", &in, &out) == 2 ? in + out : 0;
}

/* Kills a pull or push whose registry does not answer. */
static void check_progress(struct watch *w, pid_t pid)
{
	int64_t patience = strtoll(w->run->plan->patience, NULL, 10) * 1000;
	unsigned long long moved = moved_by(pid);

	if (moved != w->moved) {
		w->moved = moved;
		w->moved_ms = now_ms();
	}
	if (w->run->stuck || now_ms() - w->moved_ms < patience)
		return;
	w->run->stuck = true;
	build_run_event(w->run, "The registry does not answer: no progress of the %s for %s s (registry_timeout)",
			w->action->kind == BUILD_PUSH ? "push" : "pull", w->run->plan->patience);
	kill(-pid, SIGKILL);
}

static int supervise(struct watch *w, pid_t pid)
{
	bool remote = w->run->plan->patience && (w->action->kind == BUILD_PUSH || w->action->kind == BUILD_PULL);
	int status = 0;

	while (pid > 0 || w->out.from >= 0 || w->errors.from >= 0) {
		struct pollfd p[3] = { { w->run->signals, POLLIN, 0 },
				       { w->out.from, POLLIN, 0 },
				       { w->errors.from, POLLIN, 0 } };

		if (poll(p, 3, w->run->progress_ms < 1000 ? (int)w->run->progress_ms : 1000) < 0)
			continue;
		tell_progress(w);
		if (remote && pid > 0)
			check_progress(w, pid);
		if (p[1].revents)
			pump(w, &w->out);
		if (p[2].revents)
			pump(w, &w->errors);
		if (p[0].revents && handle_signals(w->run, pid, &status)) {
			pid = -1;
			/* What the engine left running would hold its pipes. */
			(void)kill(-1, SIGKILL);
		}
	}
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

/* Words of the engine for what may be over soon. */
static bool may_pass(const char *error)
{
	static const char *const words[] = { "connection refused",
					     "connection reset",
					     "broken pipe",
					     "timeout",
					     "EOF",
					     "network is unreachable",
					     "no route to host",
					     "Temporary failure in name resolution",
					     "server misbehaving",
					     "unexpected HTTP status: 5",
					     "toomanyrequests",
					     "Too Many Requests",
					     "Service Unavailable",
					     "Bad Gateway" };

	for (size_t i = 0; i < NOMAD_ARRAY_LEN(words); i++)
		if (strstr(error, words[i]))
			return true;
	return false;
}

bool build_run_pause(struct build_run *run, int64_t ms)
{
	int64_t end = now_ms() + ms;
	int status;

	while (!run->stopping && now_ms() < end) {
		struct pollfd p = { run->signals, POLLIN, 0 };

		if (poll(&p, 1, (int)(end - now_ms())) > 0)
			(void)handle_signals(run, -1, &status);
	}
	return run->stopping;
}

static void tell_failure(struct watch *w, int status)
{
	static const char *const names[BUILD_ACTION_MAX] = {
		[BUILD_BUILD] = "The build", [BUILD_VERIFY] = "The second build",  [BUILD_WRITE] = "Writing the image",
		[BUILD_PUSH] = "The push",   [BUILD_EXPORT] = "Writing the files",
	};

	const char *software = w->run->plan->software, *error = w->last_error ? w->last_error : "";
	NOMAD_AUTO_FREE char *meaning = NULL;
	size_t n = strlen(error);

	if (!status || w->run->stopping || w->run->stuck || !names[w->action->kind])
		return;
	/* The reason is at the end. */
	if (n > ERROR_SIZE)
		error += n - ERROR_SIZE;
	if (w->action->kind == BUILD_BUILD && software)
		meaning = build_features_explain(error, software, strncmp(software, "podman", 6) == 0);
	build_run_event(w->run, "%s failed with exit code %d%s%s%s%s%s", names[w->action->kind], status, n ? ": " : "",
			n > ERROR_SIZE ? "..." : "", error, meaning ? "; " : "", meaning ? meaning : "");
}

int build_run_action(struct build_run *run, const struct build_action *action, struct nomad_error **err)
{
	struct watch w = { .run = run, .action = action, .began = now_ms(), .moved_ms = now_ms() };
	int out[2], errors[2], status;
	pid_t pid;

	if (pipe2(out, O_CLOEXEC) < 0)
		return nomad_error_errno(err, errno, "make a pipe");
	if (pipe2(errors, O_CLOEXEC) < 0) {
		close(out[0]);
		close(out[1]);
		return nomad_error_errno(err, errno, "make a pipe");
	}
	if (!run->told_ms)
		run->told_ms = now_ms();
	pid = fork();
	if (!pid)
		become(run, action, out[1], errors[1]);
	close(out[1]);
	close(errors[1]);
	if (pid < 0) {
		close(out[0]);
		close(errors[0]);
		return nomad_error_errno(err, errno, "start a process");
	}
	setpgid(pid, pid);
	w.out.from = out[0];
	w.out.to = STDOUT_FILENO;
	w.errors.from = errors[0];
	w.errors.to = STDERR_FILENO;
	status = supervise(&w, pid);
	run->again = status && !run->stopping && action->kind == BUILD_PUSH &&
		     (run->stuck || (w.last_error && may_pass(w.last_error)));
	end_steps(run->result);
	if (action->kind == BUILD_BUILD)
		run->result->ms = now_ms() - w.began;
	tell_failure(&w, status);
	free(w.last_error);
	return status;
}
