/* SPDX-License-Identifier: MPL-2.0
 *
 * supervisor/handle.h: what the files of the plugin's side share. */
#ifndef NOMAD_SUPERVISOR_HANDLE_H
#define NOMAD_SUPERVISOR_HANDLE_H

#include <pthread.h>

#include "base/loop.h"
#include "os/cgroup.h"
#include "os/process.h"
#include "supervisor/client.h"

enum { NOMAD__MESSAGE_SIZE = 8192 };

struct nomad__supervisor_exec;

struct nomad__supervisor {
	struct nomad__loop *loop;
	const struct nomad__supervisor_events *events;
	void *ud;
	int dirfd;
	char *dir;
	int pid; /* of the supervisor */
	int64_t started_ns;

	pthread_mutex_t lock; /* of all below */
	unsigned refs;
	int fd; /* -1: no connection (any more) */
	int leader, main_pid;
	bool over;   /* the end is known */
	bool ending; /* it was lost, a thread kills what is left */
	int64_t last_exec_id;
	struct nomad__supervisor_exec *execs;

	/* Loop thread only. */
	struct nomad__watch *watch;
	bool freed, told;
	bool has_result; /* the message brought it */
	struct nomad__supervisor_exit result;
	struct nomad__posted end_post; /* the end of a lost task is told even without memory */
};

/* What `dir`/supervisor says. */
struct nomad__identity {
	int pid, main_pid, leader_pid;
	uint64_t start, main_start, leader_start;
	bool this_boot;
};
int nomad__identity_read(int dirfd, struct nomad__identity *ret); /* 0 or -errno */
int nomad__exit_read(int dirfd, struct nomad__supervisor_exit *ret);
int nomad__exit_parse(const char *data, size_t size, struct nomad__supervisor_exit *ret);
int nomad__task_dir_open(const char *dir);
/* Read the record of cgroups (key "cg", or "supercg") into ret[NOMAD__MAX_CGROUPS]; how many, or
 * -errno.  Without a record there are none. */
int nomad__cgroups_read(int dirfd, const char *key, struct nomad__cgroup *ret);
/* Kill all of a task whose supervisor is dead, until `deadline_ns`.  0, -EBUSY, or why it is not known. */
int nomad__leftovers_kill(int dirfd, int64_t deadline_ns);

/* Fork the program for the task of `dirfd`.  The connection's own end into *ret_fd. */
int nomad__supervisor_launch(int dirfd, const char *title, int *ret_fd, struct nomad_error **err);

/* A message came for an exec; the connection ended. */
void nomad__exec_message(struct nomad__supervisor *s, const char *op, const char *message, size_t size);
void nomad__exec_all_over(struct nomad__supervisor *s);

void nomad__supervisor_ref(struct nomad__supervisor *s);
void nomad__supervisor_unref(struct nomad__supervisor *s);
/* Send a message under the lock.  -ENOTCONN if the task is over. */
int nomad__supervisor_send(struct nomad__supervisor *s, const char *data, size_t size, const int *fds, int n_fds);

#endif
