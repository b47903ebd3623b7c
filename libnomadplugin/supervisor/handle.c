/* SPDX-License-Identifier: MPL-2.0
 *
 * handle.c: a supervisor as the plugin sees it: its state, references to it,
 * and messages to it, which do not wait. */
#include "supervisor/handle.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fields.h"
#include "os/socket.h"
#include "supervisor/records.h"

void nomad__supervisor_ref(struct nomad__supervisor *s)
{
	pthread_mutex_lock(&s->lock);
	s->refs++;
	pthread_mutex_unlock(&s->lock);
}

void nomad__supervisor_unref(struct nomad__supervisor *s)
{
	bool last;

	pthread_mutex_lock(&s->lock);
	last = --s->refs == 0;
	pthread_mutex_unlock(&s->lock);
	if (!last)
		return;
	if (s->fd >= 0)
		close(s->fd);
	if (s->dirfd >= 0)
		close(s->dirfd);
	pthread_cond_destroy(&s->changed);
	pthread_mutex_destroy(&s->lock);
	nomad__unread_close(&s->unread);
	free(s->log_paths[0]);
	free(s->log_paths[1]);
	free(s->dir);
	free(s);
}

void nomad__supervisor_set_logs(struct nomad__supervisor *s, const char *stdout_path, const char *stderr_path)
{
	const char *paths[2] = { stdout_path, stderr_path };

	pthread_mutex_lock(&s->lock);
	for (int i = 0; i < 2; i++)
		if (paths[i] && !s->log_paths[i])
			s->log_paths[i] = strdup(paths[i]);
	if (!s->over) {
		nomad__unread_hold(&s->unread, s->log_paths);
		s->unread.too_late[0] = s->unread.too_late[1] = false;
	}
	pthread_mutex_unlock(&s->lock);
}

int nomad__supervisor_new(struct nomad__loop *loop, const char *dir, const struct nomad__supervisor_events *events,
			  void *ud, struct nomad__supervisor **ret)
{
	struct nomad__supervisor *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	*s = (struct nomad__supervisor){
		.loop = loop, .events = events, .ud = ud, .fd = -1, .refs = 1, .unread = { .fds = { -1, -1 } }
	};
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->changed, NULL);
	s->dir = strdup(dir);
	s->dirfd = nomad__task_dir_open(dir);
	if (!s->dir || s->dirfd < 0) {
		int r = s->dir ? s->dirfd : -ENOMEM;

		nomad__supervisor_unref(s);
		return r;
	}
	*ret = s;
	return 0;
}

void nomad__supervisor_take_state(struct nomad__supervisor *s, const char *message, size_t size)
{
	/* Once, before other threads see the handle: they read both without the lock. */
	if (!s->pid) {
		s->pid = (int)nomad__fields_get_num(message, size, "pid", 0);
		s->started_ns = nomad__fields_get_num(message, size, "started_ns", 0);
	}
	pthread_mutex_lock(&s->lock);
	s->leader = (int)nomad__fields_get_num(message, size, "leader_pid", 0);
	s->main_pid = (int)nomad__fields_get_num(message, size, "main_pid", 0);
	s->commands = nomad__fields_get_num(message, size, "commands", 0) > 0;
	pthread_mutex_unlock(&s->lock);
}

int nomad__supervisor_send(struct nomad__supervisor *s, const char *data, size_t size, const int *fds, int n_fds)
{
	int r;

	pthread_mutex_lock(&s->lock);
	r = s->fd < 0 || s->over ? -ENOTCONN : nomad__unix_send(s->fd, data, size, fds, n_fds, false);
	pthread_mutex_unlock(&s->lock);
	return r;
}

ssize_t nomad__reply_receive(int fd, char *buf, size_t size, int64_t timeout_ns)
{
	int64_t deadline = nomad_monotonic_ns() + timeout_ns;
	int fds[NOMAD__MAX_FDS];

	for (;;) {
		int64_t left = deadline - nomad_monotonic_ns();
		struct pollfd p = { .fd = fd, .events = POLLIN };
		ssize_t n;

		if (left <= 0)
			return -ETIMEDOUT;
		if (poll(&p, 1, (int)(left / 1000000) + 1) <= 0)
			continue;
		n = nomad__unix_receive(fd, buf, size, fds, false);
		if (n != -EAGAIN)
			return n;
	}
}

bool nomad__supervisor_lingers(struct nomad__supervisor *s)
{
	bool lingers;

	pthread_mutex_lock(&s->lock);
	lingers = s->over && s->fd >= 0;
	pthread_mutex_unlock(&s->lock);
	return lingers;
}

int64_t nomad__supervisor_started_ns(const struct nomad__supervisor *s)
{
	return s->started_ns;
}

int nomad__supervisor_pid(const struct nomad__supervisor *s)
{
	return s->pid;
}

int nomad__supervisor_leader(const struct nomad__supervisor *s)
{
	pthread_mutex_t *lock = (pthread_mutex_t *)&s->lock;
	int leader;

	pthread_mutex_lock(lock);
	leader = s->leader;
	pthread_mutex_unlock(lock);
	return leader;
}
