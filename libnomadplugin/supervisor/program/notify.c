/* SPDX-License-Identifier: MPL-2.0
 *
 * notify.c: the service side of sd_notify(3).
 *
 * A message counts only if its sender is the task's process or comes from
 * it, which the kernel says.  One that has died since cannot be asked about
 * its parents any more: it had reached a socket that is in a directory of
 * ours alone, which has to do.  READY=1, STATUS= and the key that names
 * the leader are looked at, all else is ignored. */
#include "supervisor/program/super.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "os/socket.h"

static int notify_fd = -1;
static char status[256];
static char told[sizeof(status)];
static int64_t told_ns;

/* The environment string for the task. */
int notify_open(char *ret_env, size_t size)
{
	struct nomad__text t;
	const char *dir = spec_get("dir");

	notify_fd = nomad__unix_datagram(directory(), "notify");
	if (notify_fd < 0)
		return fail(-notify_fd, "create the notify socket", NULL);
	nomad__text_init(&t, ret_env, size);
	nomad__text_add(&t, "NOTIFY_SOCKET=");
	if (strlen(dir) + sizeof("/notify") <= 108) {
		nomad__text_add(&t, dir);
	} else {
		/* Longer than a socket address: use the same directory through our current one. */
		nomad__text_add(&t, "/proc/");
		nomad__text_num(&t, getpid());
		nomad__text_add(&t, "/fd/");
		nomad__text_num(&t, directory());
	}
	nomad__text_add(&t, "/notify");
	return t.full ? fail(ENAMETOOLONG, "create the notify socket", NULL) : 0;
}

static bool is_ours(int pid)
{
	/* No deeper than any sane tree; a loop cannot be, but a race could look like one. */
	for (int depth = 0; pid > 1 && depth < 64; depth++) {
		if (pid == task()->main.pid)
			return true;
		if (pid == getpid())
			return depth > 0;
		pid = nomad__process_parent(pid);
	}
	return false;
}

static bool handle(char *message)
{
	const char *leader_key = spec_get("leader_key");
	size_t key = leader_key ? strlen(leader_key) : 0;
	bool ready = false;

	for (char *line = strtok(message, "\n"); line; line = strtok(NULL, "\n")) {
		if (strcmp(line, "READY=1") == 0) {
			ready = true;
		} else if (strncmp(line, "STATUS=", 7) == 0) {
			struct nomad__text t;

			nomad__text_init(&t, status, sizeof(status));
			nomad__text_add(&t, line + 7);
		} else if (key && strncmp(line, leader_key, key) == 0 && line[key] == '=') {
			int pid = (int)nomad__parse_num(line + key + 1, 0);

			if (is_ours(pid))
				task_lead(pid);
		}
	}
	return ready;
}

void notify_report(void)
{
	const char *prefix = spec_get("event_prefix");
	size_t n = prefix ? strlen(prefix) : 0;
	int64_t now = nomad_monotonic_ns();

	if (!n || strncmp(status, prefix, n) != 0 || strcmp(status, told) == 0 || !clients_any() ||
	    (told_ns && now - told_ns < 1000000000))
		return;
	told_ns = now;
	memcpy(told, status, sizeof(told));
	clients_notice(status + n, 0);
}

int notify_pollfd(void)
{
	return notify_fd;
}

const char *notify_status(void)
{
	return status;
}

void notify_read(void)
{
	bool late = false;
	char buf[4096];
	int pid;
	ssize_t n;

	/* Bounded: a flood must not keep the loop from the task's end. */
	for (int i = 0; i < 64 && notify_fd >= 0 && !late; i++) {
		channel_begin();
		n = nomad__unix_receive_from(notify_fd, buf, sizeof(buf) - 1, &pid);
		late = channel_end();
		if (n < 0)
			break;
		buf[n] = 0;
		if ((is_ours(pid) || nomad__process_parent(pid) == -ESRCH) && handle(buf)) {
			/* It may come before the end of the exec pipe was seen. */
			spawn_read_status();
			state_post(EV_READY);
		}
	}
	notify_report();
}

void notify_close(void)
{
	if (notify_fd < 0)
		return;
	close(notify_fd);
	notify_fd = -1;
	(void)unlinkat(directory(), "notify", 0);
}
