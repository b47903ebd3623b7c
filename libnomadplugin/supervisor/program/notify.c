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

#include "os/process.h"
#include "os/socket.h"

/* The environment string for the task. */
int notify_open(char *ret_env, size_t size)
{
	struct nomad__text t;
	const char *dir = spec_get("dir");
	int fd = nomad__unix_datagram(S.dirfd, "notify");

	if (fd < 0)
		return fd;
	S.notify_fd = fd;
	nomad__text_init(&t, ret_env, size);
	nomad__text_add(&t, "NOTIFY_SOCKET=");
	if (strlen(dir) + sizeof("/notify") <= 108) {
		nomad__text_add(&t, dir);
	} else {
		/* Longer than a socket address: the same directory by way of ours. */
		nomad__text_add(&t, "/proc/");
		nomad__text_num(&t, getpid());
		nomad__text_add(&t, "/fd/");
		nomad__text_num(&t, S.dirfd);
	}
	nomad__text_add(&t, "/notify");
	return t.full ? -ENAMETOOLONG : 0;
}

static bool is_ours(int pid)
{
	/* No deeper than any sane tree; a loop cannot be, but a race could look like one. */
	for (int depth = 0; pid > 1 && depth < 64; depth++) {
		if (pid == S.main_pid)
			return true;
		if (pid == getpid())
			return depth > 0;
		pid = nomad__process_parent(pid);
	}
	return false;
}

static void set_leader(int pid)
{
	uint64_t start;

	/* Once: a process does not change whom it is the keeper of. */
	if (S.leader_pid || !is_ours(pid) || nomad__process_start_time(pid, &start) < 0)
		return;
	S.leader_pid = pid;
	S.leader_start = start;
	(void)add_identity("leader_pid", pid, "leader_start", start);
}

static bool handle(char *message)
{
	size_t key = strlen(S.leader_key);
	bool ready = false;

	for (char *line = strtok(message, "\n"); line; line = strtok(NULL, "\n")) {
		if (strcmp(line, "READY=1") == 0) {
			ready = true;
		} else if (strncmp(line, "STATUS=", 7) == 0) {
			struct nomad__text t;

			nomad__text_init(&t, S.status, sizeof(S.status));
			nomad__text_add(&t, line + 7);
		} else if (key && strncmp(line, S.leader_key, key) == 0 && line[key] == '=') {
			set_leader((int)nomad__parse_num(line + key + 1, 0));
		}
	}
	return ready;
}

void notify_read(void)
{
	char buf[4096];
	int pid;
	ssize_t n;

	while ((n = nomad__unix_receive_from(S.notify_fd, buf, sizeof(buf) - 1, &pid)) >= 0) {
		buf[n] = 0;
		if ((is_ours(pid) || nomad__process_parent(pid) == -ESRCH) && handle(buf) && S.notify) {
			/* It may come before the end of the exec pipe was seen. */
			if (S.exec_fd >= 0)
				spawn_read_status();
			dispatch(EV_READY);
		}
	}
}
