/* SPDX-License-Identifier: MPL-2.0
 *
 * clients.c: connections to the control socket, see ../PROTOCOL.md.  Several
 * at a time: a plugin that dies and the one that takes over, and `ps`.  A
 * client that does not read its messages is dropped, never waited for. */
#include "supervisor/program/super.h"

#include <errno.h>
#include <poll.h>
#include <unistd.h>

#include "os/socket.h"

static struct client {
	int fd;	      /* -1: none */
	bool starter; /* waits for the answer to its start */
	unsigned id;  /* its slot in the lowest bits */
} clients[MAX_CLIENTS];
static int listen_fd = -1;
static unsigned last_id;
static bool answered;

_Static_assert((MAX_CLIENTS & (MAX_CLIENTS - 1)) == 0, "a slot is the lowest bits of an id");

static void add(int slot, int fd, bool starter)
{
	last_id += MAX_CLIENTS;
	clients[slot] = (struct client){ .fd = fd, .starter = starter, .id = last_id + (unsigned)slot };
}

void clients_init(void)
{
	for (int i = 0; i < MAX_CLIENTS; i++)
		clients[i].fd = -1;
	add(0, START_FD, true);
}

int clients_listen(void)
{
	listen_fd = nomad__unix_listen(directory(), "ctl");
	return listen_fd < 0 ? listen_fd : 0;
}

void clients_accept(void)
{
	uid_t uid = 0;
	int fd = nomad__unix_accept(listen_fd, &uid);

	if (fd < 0) {
		/* Without a descriptor to spare it stays ready: do not spin. */
		if (fd == -EMFILE || fd == -ENFILE || fd == -ENOMEM)
			(void)poll(NULL, 0, 20);
		return;
	}
	if (uid == 0 || uid == geteuid())
		for (int i = 0; i < MAX_CLIENTS; i++)
			if (clients[i].fd < 0) {
				add(i, fd, false);
				return;
			}
	close(fd);
}

int clients_pollfd(int slot)
{
	return slot < 0 ? listen_fd : clients[slot].fd;
}

unsigned clients_id(int slot)
{
	return clients[slot].id;
}

bool clients_has(unsigned id)
{
	return clients[id % MAX_CLIENTS].id == id && clients[id % MAX_CLIENTS].fd >= 0;
}

void clients_drop(int slot)
{
	close(clients[slot].fd);
	clients[slot].fd = -1;
	if (clients[slot].starter && !answered)
		state_post(EV_STARTER_GONE);
	clients[slot].starter = false;
}

void clients_send(unsigned id, const struct nomad__fields *m, const int *fds, int n_fds)
{
	int slot = (int)(id % MAX_CLIENTS);

	if (clients_has(id) && !m->full && nomad__unix_send(clients[slot].fd, m->buf, m->used, fds, n_fds, false) < 0)
		clients_drop(slot);
}

void clients_broadcast(const struct nomad__fields *message)
{
	for (int i = 0; i < MAX_CLIENTS; i++)
		clients_send(clients[i].id, message, NULL, 0);
}

bool clients_any(void)
{
	bool any = false;

	for (int i = 0; i < MAX_CLIENTS; i++)
		any = any || clients[i].fd >= 0;
	return any;
}

void clients_notice(const char *text, int64_t lost)
{
	char buf[600];
	struct nomad__fields m;

	nomad__fields_init(&m, buf, sizeof(buf));
	nomad__fields_add(&m, "op", "notice");
	nomad__fields_add(&m, "text", text);
	if (lost)
		nomad__fields_num(&m, "lost", lost);
	clients_broadcast(&m);
}

void clients_drained(void)
{
	char buf[60];
	struct nomad__fields m;

	nomad__fields_init(&m, buf, sizeof(buf));
	nomad__fields_add(&m, "op", "drained");
	clients_broadcast(&m);
}

bool clients_oom(uint64_t kills)
{
	char buf[100];
	struct nomad__fields m;

	nomad__fields_init(&m, buf, sizeof(buf));
	nomad__fields_add(&m, "op", "oom");
	nomad__fields_num(&m, "kills", (int64_t)kills);
	clients_broadcast(&m);
	return clients_any();
}

void clients_answer(const struct nomad__fields *message)
{
	answered = true;
	for (int i = 0; i < MAX_CLIENTS; i++)
		if (clients[i].starter) {
			clients[i].starter = false;
			clients_send(clients[i].id, message, NULL, 0);
		}
}

bool clients_answered(void)
{
	return answered;
}

void clients_unlisten(void)
{
	if (listen_fd < 0)
		return;
	close(listen_fd);
	listen_fd = -1;
	(void)unlinkat(directory(), "ctl", 0);
}

void clients_close(void)
{
	for (int i = 0; i < MAX_CLIENTS; i++)
		if (clients[i].fd >= 0) {
			close(clients[i].fd);
			clients[i].fd = -1;
		}
}
