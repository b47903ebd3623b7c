/* SPDX-License-Identifier: MPL-2.0
 *
 * start.c: start a supervisor and wait until its task runs. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fields.h"
#include "os/socket.h"
#include "supervisor/crash.h"
#include "supervisor/handle.h"
#include "supervisor/limits.h"

/* How often to look whether the start is cancelled. */
#define LOOK_NS INT64_C(200000000)

static void sanitize(char *text)
{
	size_t n = strlen(text);

	while (n > 0 && (text[n - 1] == '\n' || text[n - 1] == '\r'))
		text[--n] = 0;
	for (char *p = text; *p; p++)
		if ((unsigned char)*p < ' ' || *p == 127)
			*p = *p == '\n' ? '|' : ' ';
}

static int start_failed(const char *buf, size_t size, struct nomad_error **err)
{
	int errnum = (int)nomad__fields_get_num(buf, size, "errno", EIO);
	const char *act = nomad__fields_get(buf, size, "act"), *tail = nomad__fields_get(buf, size, "tail");
	char last[2100] = "";
	bool own_words = errnum == ECHILD || errnum == EINTR || errnum == EEXIST;

	if (tail && *tail) {
		snprintf(last, sizeof(last), "%s", tail);
		sanitize(last);
	}
	if (errnum <= 0 || errnum > 4095)
		errnum = EIO;
	if (errnum == EEXIST)
		return nomad_error_set(err, EEXIST, "%s: another supervisor holds it", act ? act : "start");
	return nomad_error_set(err, own_words ? EIO : errnum, "%s%s%s%s%s%s", act ? act : "start the process",
			       own_words ? "" : ": ", own_words ? "" : strerror(errnum), *last ? "; it said '" : "",
			       last, *last ? "'" : "");
}

static int record_cgroups(int dirfd, const struct nomad__keys *spec)
{
	char buf[8192];
	struct nomad__fields record;
	const char *s;
	size_t pos = 0;

	nomad__fields_init(&record, buf, sizeof(buf));
	while ((s = nomad__fields_next(spec->data, spec->size, "cg", &pos)))
		nomad__fields_add(&record, "cg", s);
	return nomad__fields_write(dirfd, "cgroups", &record, false);
}

/* The supervisor's answer, or -ETIMEDOUT, or -ECANCELED. */
static ssize_t await_answer(const struct nomad__supervisor *s, const struct nomad__supervise *what, char *buf,
			    size_t size, int64_t patience_ns)
{
	for (;;) {
		int64_t slice_ns = patience_ns < LOOK_NS ? patience_ns : LOOK_NS;
		ssize_t n = nomad__reply_receive(s->fd, buf, size, slice_ns);

		patience_ns -= slice_ns;
		if (n != -ETIMEDOUT || patience_ns <= 0)
			return n;
		if (what->is_cancelled && what->is_cancelled(s->ud))
			return -ECANCELED;
	}
}

/* Give the program its specification and wait for the answer. */
static int start_and_wait(struct nomad__supervisor *s, const struct nomad__supervise *what,
			  const struct nomad__keys *spec, struct nomad_error **err)
{
	int64_t patience = (what->command->ready_timeout_ms ? what->command->ready_timeout_ms : 60000) * 1000000ll;
	char buf[NOMAD__MESSAGE_SIZE];
	struct nomad__fields m;
	const char *op;
	ssize_t n;
	int file = nomad__keys_file(spec), pid, status, r;

	if (file < 0)
		return nomad_error_errno(err, -file, "write the specification for the supervisor");
	pid = nomad__supervisor_launch(s->dirfd, what->title ? what->title : "nomad-supervisor", &s->fd, err);
	if (pid < 0) {
		close(file);
		return pid;
	}
	nomad__crash_at("start-launched");
	nomad__fields_init(&m, buf, sizeof(buf));
	nomad__fields_add(&m, "op", "start");
	r = nomad__unix_send(s->fd, m.buf, m.used, &file, 1, true);
	close(file);
	nomad__crash_at("start-sent");
	/* A supervisor without a specification exits when its connection closes. */
	if (r < 0) {
		close(s->fd);
		s->fd = -1;
	}
	/* It forks at once and goes; if it does not, the connection tells. */
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (r < 0)
		return nomad_error_errno(err, -r, "send the specification to the supervisor");
	n = await_answer(s, what, buf, sizeof(buf), patience + 60 * 1000000000ll);
	nomad__crash_at("start-answered");
	if (n == -ECANCELED)
		return nomad_error_set(err, ECANCELED, "the start was cancelled before the process was ready");
	if (n <= 0)
		return nomad_error_set(err, n == -ETIMEDOUT ? ETIMEDOUT : EIO, "the supervisor %s",
				       n == -ETIMEDOUT ? "does not answer" : "died while it started the task");
	op = nomad__fields_get(buf, (size_t)n, "op");
	if (!op || strcmp(op, "started") != 0)
		return start_failed(buf, (size_t)n, err);
	nomad__supervisor_take_state(s, buf, (size_t)n);
	return 0;
}

int nomad__supervisor_start(struct nomad__loop *loop, const struct nomad__supervise *what,
			    const struct nomad__supervisor_events *events, void *ud, struct nomad__supervisor **ret,
			    struct nomad_error **err)
{
	struct nomad__keys spec = { 0 };
	struct nomad__supervisor *s = NULL;
	const struct nomad__hierarchy *hierarchies;
	int n_hierarchies = nomad__hierarchies(&hierarchies);
	int r = nomad__supervisor_new(loop, what->dir, events, ud, &s);

	if (r < 0)
		return nomad_error_errno(err, -r, "open directory '%s'", what->dir);
	r = nomad__spec_start(&spec, what, err);
	if (r >= 0)
		r = nomad__limits_plan(hierarchies, n_hierarchies, what, &spec, err);
	if (r >= 0 && spec.failed)
		r = nomad_error_errno(err, ENOMEM, "write the specification for the supervisor");
	if (r >= 0) {
		r = record_cgroups(s->dirfd, &spec);
		if (r < 0)
			nomad_error_errno(err, -r, "write to directory '%s'", what->dir);
	}
	if (r < 0)
		goto out;
	nomad__crash_at("start-recorded");
	r = start_and_wait(s, what, &spec, err);
	if (r >= 0) {
		r = nomad__connection_watch(s);
		if (r < 0)
			nomad_error_errno(err, -r, "watch the supervisor");
	}
	if (r < 0) {
		/* Close our end first: a supervisor that still runs then stops. */
		if (s->fd >= 0)
			close(s->fd);
		s->fd = -1;
		(void)nomad__supervisor_clean(what->dir, NULL);
	}
out:
	nomad__keys_done(&spec);
	if (r < 0)
		nomad__supervisor_unref(s);
	else
		*ret = s;
	return r;
}
