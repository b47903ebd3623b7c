/* SPDX-License-Identifier: MPL-2.0
 *
 * orders.c: what clients ask for, see ../PROTOCOL.md. */
#include "supervisor/program/super.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "os/socket.h"

enum { MESSAGE_SIZE = 8192 }; /* longest control message */

static const int64_t longest_ms = 10ll * 365 * 86400 * 1000; /* the plugin's; it fits into nanoseconds */

static int stop_signal; /* of the specification */
static struct {
	int signal; /* 0: that one */
	int64_t timeout_ns;
} asked; /* by the last stop */

void orders_init(void)
{
	stop_signal = (int)spec_num("stop_signal", SIGTERM);
}

static void send_state(unsigned client, const char *op)
{
	static const char *const names[ST_MAX] = { "starting", "waiting", "running", "stopping", "killing", "over" };
	const struct task *t = task();
	char buf[1024];
	struct nomad__fields m;

	nomad__fields_init(&m, buf, sizeof(buf));
	nomad__fields_add(&m, "op", op);
	nomad__fields_add(&m, "version", NOMAD_VERSION);
	nomad__fields_add(&m, "state", names[state_now()]);
	nomad__fields_num(&m, "pid", getpid());
	nomad__fields_num(&m, "main_pid", t->reaped ? 0 : t->main.pid);
	nomad__fields_num(&m, "leader_pid", t->leader.pid);
	nomad__fields_num(&m, "leader_start", (int64_t)t->leader.start);
	nomad__fields_num(&m, "started_ns", t->started_wall_ns);
	nomad__fields_add(&m, "status", notify_status());
	nomad__fields_num(&m, "commands", 1); /* how they are asked for, see PROTOCOL.md */
	if (client)
		clients_send(client, &m, NULL, 0);
	else
		clients_answer(&m);
}

void orders_started(void)
{
	send_state(0, "started");
}

void orders_stop(void)
{
	task_stop(asked.signal ? asked.signal : stop_signal);
	timer_set(TIMER_STOP, asked.timeout_ns);
}

void orders_stop_sooner(void)
{
	timer_sooner(TIMER_STOP, asked.timeout_ns);
}

static int64_t within(int64_t number, int64_t most)
{
	return number < 0 ? 0 : number < most ? number : most;
}

static void obey(unsigned client, const char *message, size_t size, const int *fds)
{
	const char *op = nomad__fields_get(message, size, "op");
	int signal = (int)within(nomad__fields_get_num(message, size, "signal", 0), NOMAD__NSIG);

	if (op && state_now() == ST_OVER && strcmp(op, "release") == 0)
		end_release();
	if (!op || state_now() == ST_OVER)
		return;
	if (strcmp(op, "hello") == 0) {
		send_state(client, "state");
	} else if (strcmp(op, "stop") == 0) {
		asked.signal = signal < NOMAD__NSIG ? signal : 0;
		asked.timeout_ns = within(nomad__fields_get_num(message, size, "timeout_ms", 0), longest_ms) * 1000000;
		state_post(EV_STOP);
	} else if (strcmp(op, "signal") == 0) {
		task_signal(signal);
	} else if (strcmp(op, "kill") == 0) {
		state_post(EV_KILL);
	} else if (strcmp(op, "command") == 0) {
		exec_start(client, message, size, fds);
	} else if (strcmp(op, "exec-signal") == 0) {
		exec_signal(client, nomad__fields_get_num(message, size, "id", -1), signal);
	} else if (strcmp(op, "exec-resize") == 0) {
		exec_resize(client, message, size);
	}
	/* Others are from a newer plugin, which can do without an answer. */
}

void orders_read(int slot)
{
	/* Not on the stack: one page is touched, not three. */
	static char message[MESSAGE_SIZE];
	int fds[NOMAD__MAX_FDS], fd = clients_pollfd(slot);
	ssize_t n = fd < 0 ? -EAGAIN : nomad__unix_receive(fd, message, sizeof(message), fds, false);

	if (n == -EAGAIN || n == -EMSGSIZE)
		return;
	if (n <= 0) {
		clients_drop(slot);
		return;
	}
	obey(clients_id(slot), message, (size_t)n, fds);
	for (int i = 0; i < NOMAD__MAX_FDS; i++)
		if (fds[i] >= 0)
			close(fds[i]);
}
