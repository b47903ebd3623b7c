/* SPDX-License-Identifier: MPL-2.0
 *
 * orders.c: what the plugin tells a supervisor to do.  Nothing here waits. */
#include <errno.h>
#include <signal.h>

#include "supervisor/handle.h"
#include "base/fields.h"

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
		return nomad_error_errno(err, -r, "tell the supervisor of the task (pid %d) to %s", s->pid, op);
	return 0;
}

int nomad__supervisor_stop(struct nomad__supervisor *s, int signal, uint64_t timeout_ms, struct nomad_error **err)
{
	const uint64_t longest = 10ull * 365 * 86400 * 1000;

	return order(s, "stop", signal, (int64_t)(timeout_ms < longest ? timeout_ms : longest), err);
}

int nomad__supervisor_signal(struct nomad__supervisor *s, int signal, struct nomad_error **err)
{
	if (signal < 0 || signal >= NSIG)
		return nomad_error_set(err, EINVAL, "there is no signal %d", signal);
	return order(s, "signal", signal, 0, err);
}

int nomad__supervisor_kill(struct nomad__supervisor *s, struct nomad_error **err)
{
	return order(s, "kill", SIGKILL, 0, err);
}
