/* SPDX-License-Identifier: MPL-2.0
 *
 * attach.c: find the supervisor of a directory again, or the record of the
 * end. */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "base/fields.h"
#include "os/socket.h"
#include "supervisor/crash.h"
#include "supervisor/handle.h"
#include "supervisor/records.h"

/* Connect and greet; -EAGAIN: try again, it is about to be born or to end. */
static int greet(struct nomad__supervisor *s, int64_t deadline)
{
	char buf[NOMAD__MESSAGE_SIZE];
	struct nomad__fields m;
	const char *op;
	ssize_t n;
	int r, fd = nomad__unix_connect(s->dirfd, "ctl");

	if (fd < 0)
		return fd == -ENOENT || fd == -ECONNREFUSED || fd == -EINTR ? -EAGAIN : fd;
	nomad__crash_at("attach-connected");
	nomad__fields_init(&m, buf, sizeof(buf));
	nomad__fields_add(&m, "op", "hello");
	r = nomad__unix_send(fd, m.buf, m.used, NULL, 0, false);
	while (r >= 0) {
		n = nomad__reply_receive(fd, buf, sizeof(buf), deadline - nomad_monotonic_ns());
		if (n == -ETIMEDOUT) {
			r = -ETIMEDOUT;
			break;
		}
		op = n > 0 ? nomad__fields_get(buf, (size_t)n, "op") : NULL;
		if (n <= 0 || (op && strcmp(op, "exited") == 0)) {
			r = -EAGAIN;
			break;
		}
		if (op && strcmp(op, "state") == 0) {
			if (nomad__fields_get_num(buf, (size_t)n, "v", 1) != 1) {
				r = -EPROTONOSUPPORT;
				break;
			}
			nomad__supervisor_take_state(s, buf, (size_t)n);
			s->fd = fd;
			return 0;
		}
	}
	close(fd);
	return r == -EPIPE || r == -ECONNRESET ? -EAGAIN : r;
}

/* One attempt.  0; -EAGAIN: try again; or another error, which is set. */
static int attach(struct nomad__supervisor *s, int64_t deadline, struct nomad_error **err)
{
	struct nomad__identity who = { 0 };
	const struct nomad__process *process = &who.of[NOMAD__SUPERVISOR];
	int r, known;

	if (nomad__exit_read(s->dirfd, &s->result) >= 0) {
		s->fd = nomad__unix_connect(s->dirfd, "ctl");
		if (s->fd < 0) /* it may have left just now, and its last word counts */
			(void)nomad__exit_read(s->dirfd, &s->result);
		s->started_ns = s->result.started_ns;
		r = nomad__connection_has_ended(s);
		return r < 0 ? nomad_error_errno(err, -r, "watch the supervisor") : 0;
	}
	known = nomad__identity_read(s->dirfd, &who);
	if (known == -ENOENT)
		return nomad_error_set(err, ENOENT, "no supervisor is recorded in '%s'", s->dir);
	if (known >= 0 && !who.this_boot)
		return nomad_error_set(err, ENOENT, "the task was lost: the host was restarted");
	r = greet(s, deadline);
	if (r >= 0) {
		s->pid = process->pid;
		r = nomad__connection_watch(s);
		return r < 0 ? nomad_error_errno(err, -r, "watch the supervisor") : 0;
	}
	if (r == -EAGAIN && known >= 0 && !nomad__process_lives(process) && nomad__exit_read(s->dirfd, &s->result) < 0)
		return nomad_error_set(err, ENOENT, "the supervisor of the task (pid %d) is dead", process->pid);
	if (r == -EPROTONOSUPPORT)
		return nomad_error_set(err, EPROTONOSUPPORT,
				       "attach to the supervisor of '%s' (pid %d): not version 1 of the control "
				       "protocol; use the driver that started the task, or destroy the task",
				       s->dir, process->pid);
	if (r == -EAGAIN && nomad_monotonic_ns() <= deadline)
		return -EAGAIN;
	return nomad_error_errno(err, r == -EAGAIN ? ETIMEDOUT : -r, "connect to the supervisor of '%s'", s->dir);
}

int nomad__supervisor_attach(struct nomad__loop *loop, const char *dir, const struct nomad__supervisor_events *events,
			     void *ud, struct nomad__supervisor **ret, struct nomad_error **err)
{
	int64_t deadline = nomad_monotonic_ns() + 2 * 1000000000ll;
	struct nomad__supervisor *s = NULL;
	int r = nomad__supervisor_new(loop, dir, events, ud, &s);

	if (r == -ENOENT)
		return nomad_error_set(err, ENOENT, "no record in '%s'", dir);
	if (r < 0)
		return nomad_error_errno(err, -r, "open directory '%s'", dir);
	while ((r = attach(s, deadline, err)) == -EAGAIN)
		(void)poll(NULL, 0, 5);
	if (r < 0)
		nomad__supervisor_unref(s);
	else
		*ret = s;
	return r;
}
