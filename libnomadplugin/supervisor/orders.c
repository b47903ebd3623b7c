/* SPDX-License-Identifier: MPL-2.0
 *
 * orders.c: requests to a supervisor. */
#include <errno.h>
#include <signal.h>

#include "base/fields.h"
#include "os/process.h"
#include "supervisor/handle.h"

/* What is over needs no order any more. */
static int order(struct nomad__supervisor *s, const char *op, int signal, int64_t timeout_ms, struct nomad_error **err)
{
	char buf[128];
	struct nomad__fields m;
	int r;

	nomad__fields_init(&m, buf, sizeof(buf));
	nomad__fields_add(&m, "op", op);
	nomad__fields_num(&m, "signal", signal);
	nomad__fields_num(&m, "timeout_ms", timeout_ms);
	r = nomad__supervisor_send(s, m.buf, m.used, NULL, 0);
	if (r == -ENOTCONN || r == -EPIPE || r == -ECONNRESET)
		return 0;
	if (r < 0)
		return nomad_error_errno(err, -r, "request the supervisor of the task (pid %d) to %s", s->pid, op);
	return 0;
}

/* An order to end the task.  It counts even where there is no room for it any more: then the supervisor is silent. */
static int order_end(struct nomad__supervisor *s, const char *op, int signal, int64_t timeout_ms,
		     struct nomad_error **err)
{
	struct nomad_error *why = NULL;
	int r = order(s, op, signal, timeout_ms, &why);

	(void)nomad__answer_ask(s, timeout_ms * 1000000);
	if (r != -EAGAIN) {
		if (err)
			*err = NOMAD_TAKE_PTR(why);
	} else {
		r = 0;
	}
	nomad_error_free(why);
	return r;
}

int nomad__supervisor_stop(struct nomad__supervisor *s, int signal, uint64_t timeout_ms, struct nomad_error **err)
{
	const uint64_t longest = 10ull * 365 * 86400 * 1000;

	return order_end(s, "stop", signal, (int64_t)(timeout_ms < longest ? timeout_ms : longest), err);
}

int nomad__supervisor_kill(struct nomad__supervisor *s, struct nomad_error **err)
{
	return order_end(s, "kill", SIGKILL, 0, err);
}

int nomad__supervisor_signal(struct nomad__supervisor *s, int signal, struct nomad_error **err)
{
	int r;

	if (signal < 0 || signal >= NOMAD__NSIG)
		return nomad_error_set(err, EINVAL, "signal the task: no signal %d", signal);
	r = order(s, "signal", signal, 0, err);
	if (r >= 0 && nomad__answer_await(s, nomad__answer_ask(s, -1)) < 0)
		r = nomad_error_set(
			err, ETIMEDOUT,
			"signal the task: its supervisor (pid %d) does not answer; stop the task to end both", s->pid);
	return r;
}
