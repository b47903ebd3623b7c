/* SPDX-License-Identifier: MPL-2.0
 *
 * ctl.c: the control socket, see ../PROTOCOL.md.  Several clients at a time:
 * a plugin that dies and the one that takes over, and `ps`.  A client that
 * does not read its messages is dropped, never waited for. */
#include "supervisor/program/super.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "os/process.h"
#include "os/socket.h"

int ctl_listen(void)
{
	int fd = nomad__unix_listen(S.dirfd, "ctl");

	if (fd >= 0)
		S.ctl_fd = fd;
	return fd < 0 ? fd : 0;
}

void ctl_accept(void)
{
	uid_t uid = 0;
	int fd = nomad__unix_accept(S.ctl_fd, &uid);

	if (fd < 0) {
		/* Without a descriptor to spare it stays ready: do not spin. */
		if (fd == -EMFILE || fd == -ENFILE || fd == -ENOMEM)
			(void)poll(NULL, 0, 20);
		return;
	}
	if (uid == 0 || uid == geteuid())
		for (int i = 0; i < MAX_CLIENTS; i++)
			if (S.clients[i].fd < 0) {
				S.clients[i] = (struct super_client){ .fd = fd };
				return;
			}
	close(fd);
}

int ctl_drop(int client)
{
	bool starter = S.clients[client].starter;

	close(S.clients[client].fd);
	S.clients[client] = (struct super_client){ .fd = -1 };
	exec_client_gone(client);
	if (starter && !S.told)
		dispatch(EV_STARTER_GONE);
	return 0;
}

void ctl_send(int client, const struct nomad__fields *message)
{
	if (S.clients[client].fd < 0 || message->full)
		return;
	if (nomad__unix_send(S.clients[client].fd, message->buf, message->used, NULL, 0, false) < 0)
		(void)ctl_drop(client);
}

void ctl_broadcast(const struct nomad__fields *message)
{
	for (int i = 0; i < MAX_CLIENTS; i++)
		ctl_send(i, message);
}

void ctl_notice(const char *text)
{
	char buf[600];
	struct nomad__fields m;

	nomad__fields_init(&m, buf, sizeof(buf));
	nomad__fields_add(&m, "op", "notice");
	nomad__fields_add(&m, "text", text);
	ctl_broadcast(&m);
}

static void add_state(struct nomad__fields *m)
{
	static const char *const names[ST_MAX] = { "starting", "waiting", "running", "stopping", "killing", "over" };

	nomad__fields_add(m, "version", NOMAD_VERSION);
	nomad__fields_add(m, "state", names[S.state]);
	nomad__fields_num(m, "pid", getpid());
	nomad__fields_num(m, "main_pid", S.main_reaped ? 0 : S.main_pid);
	nomad__fields_num(m, "leader_pid", S.leader_pid);
	nomad__fields_num(m, "leader_start", (int64_t)S.leader_start);
	nomad__fields_num(m, "started_ns", S.started_wall_ns);
	nomad__fields_add(m, "status", S.status);
}

/* Answer whoever asked for the start. */
static void answer(const struct nomad__fields *m)
{
	S.told = true;
	for (int i = 0; i < MAX_CLIENTS; i++)
		if (S.clients[i].fd >= 0 && S.clients[i].starter) {
			S.clients[i].starter = false;
			ctl_send(i, m);
		}
}

void ctl_started(void)
{
	char buf[1024];
	struct nomad__fields m;

	nomad__fields_init(&m, buf, sizeof(buf));
	nomad__fields_add(&m, "op", "started");
	add_state(&m);
	answer(&m);
}

void ctl_failed(void)
{
	char buf[4096];
	struct nomad__fields m;

	nomad__fields_init(&m, buf, sizeof(buf));
	nomad__fields_add(&m, "op", "failed");
	nomad__fields_num(&m, "errno", S.failure_errno);
	nomad__fields_add(&m, "act", S.failure);
	nomad__fields_add(&m, "tail", logs_tail());
	answer(&m);
}

void ctl_close(void)
{
	for (int i = 0; i < MAX_CLIENTS; i++)
		if (S.clients[i].fd >= 0) {
			close(S.clients[i].fd);
			S.clients[i].fd = -1;
		}
}

static void handle(int client, const char *message, size_t size, const int *fds)
{
	const char *op = nomad__fields_get(message, size, "op");
	int64_t number = nomad__fields_get_num(message, size, "signal", 0);
	char buf[1024];
	struct nomad__fields m;

	if (!op || S.state == ST_OVER)
		return;
	if (strcmp(op, "hello") == 0) {
		nomad__fields_init(&m, buf, sizeof(buf));
		nomad__fields_add(&m, "op", "state");
		add_state(&m);
		ctl_send(client, &m);
	} else if (strcmp(op, "stop") == 0) {
		S.ask_signal = (int)number;
		S.ask_timeout_ns = nomad__fields_get_num(message, size, "timeout_ms", 0) * 1000000;
		dispatch(EV_STOP);
	} else if (strcmp(op, "signal") == 0) {
		signal_leader((int)number);
	} else if (strcmp(op, "kill") == 0) {
		dispatch(EV_KILL);
	} else if (strcmp(op, "exec") == 0) {
		exec_start(client, message, size, fds);
	} else if (strcmp(op, "exec-signal") == 0) {
		exec_signal(client, nomad__fields_get_num(message, size, "id", -1), (int)number);
	}
	/* Others are from a newer plugin, which can do without an answer. */
}

void ctl_read(int client)
{
	char message[MESSAGE_SIZE];
	int fds[NOMAD__MAX_FDS];
	ssize_t n = nomad__unix_receive(S.clients[client].fd, message, sizeof(message), fds, false);

	if (n == -EAGAIN || n == -EMSGSIZE)
		return;
	if (n <= 0) {
		(void)ctl_drop(client);
		return;
	}
	handle(client, message, (size_t)n, fds);
	for (int i = 0; i < NOMAD__MAX_FDS; i++)
		if (fds[i] >= 0)
			close(fds[i]);
}
