/* SPDX-License-Identifier: MPL-2.0
 *
 * clean.c: what to do with a task that no supervisor looks after any more.
 *
 * Nothing here trusts a bare pid: it counts with its start time and within
 * this boot only. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "supervisor/crash.h"
#include "supervisor/records.h"

static const int64_t second = 1000000000;

static void nap(int64_t ns)
{
	struct timespec t = { .tv_nsec = ns };

	(void)nanosleep(&t, NULL);
}

/* All children of a process, *ret to be freed; how many, or -errno. */
static int children_of(int pid, int **ret)
{
	int max = 128, n;

	*ret = NULL;
	do {
		int *list = reallocarray(*ret, (size_t)(max *= 2), sizeof(*list));

		if (!list)
			return -ENOMEM;
		*ret = list;
		n = nomad__process_children(pid, list, max);
	} while (n == max);
	return n;
}

/* Everything below a process.  How many there were alive. */
static int kill_tree(int pid, int depth)
{
	int *children, n = children_of(pid, &children), count = 0;

	for (int i = 0; i < n; i++) {
		struct nomad__process child;

		if (nomad__process_find(children[i], &child) < 0 || nomad__process_parent(child.pid) != pid ||
		    !nomad__process_lives(&child))
			continue;
		(void)nomad__process_signal(&child, SIGSTOP);
		count++;
		if (depth < 32)
			count += kill_tree(child.pid, depth + 1);
		(void)nomad__process_signal(&child, SIGKILL);
	}
	free(children);
	return count;
}

/* With all below it, and itself last: to a supervisor that lives come the orphans that we make. */
static bool kill_one(const struct nomad__process *process)
{
	if (process->pid <= 1 || !nomad__process_lives(process))
		return false;
	(void)nomad__process_signal(process, SIGSTOP);
	for (int i = 0; i < 100 && kill_tree(process->pid, 0) > 0; i++)
		nap(second / 1000);
	return nomad__process_signal(process, SIGKILL) == 0;
}

int nomad__leftovers_kill(int dirfd, int64_t deadline_ns)
{
	struct nomad__cgroup cgroups[NOMAD__MAX_CGROUPS];
	struct nomad__identity who = { 0 };
	int n = nomad__cgroups_read(dirfd, cgroups), r = nomad__identity_read(dirfd, &who);
	int64_t delay = second / 1000;

	if (n < 0)
		return n;
	if (r < 0 && r != -ENOENT) /* who it is may be read the next time */
		return r;
	if (r < 0 || !who.this_boot)
		who = (struct nomad__identity){ 0 };
	for (;;) {
		bool left = false;

		/* The supervisor first, or it would report what we do to it. */
		for (int i = 0; i < NOMAD__WHO_MAX; i++)
			left = kill_one(&who.of[i]) || left;
		for (int i = 0; i < n; i++)
			if (cgroups[i].ours && !nomad__cgroup_is_empty(&cgroups[i])) {
				left = true;
				(void)nomad__cgroup_kill(&cgroups[i]);
			}
		if (!left)
			return 0;
		if (nomad_monotonic_ns() > deadline_ns)
			return -EBUSY;
		nap(delay);
		if (delay < second / 10)
			delay *= 2;
	}
}

/* A supervisor has the lock as long as it lives.  One that is only about to
 * be born finds it taken, or, later, that its starter is dead: it goes. */
static int kill_and_lock(int dirfd, int64_t deadline)
{
	for (;;) {
		int r = nomad__leftovers_kill(dirfd, deadline);

		if (r < 0)
			return r;
		if (flock(dirfd, LOCK_EX | LOCK_NB) == 0)
			return nomad__leftovers_kill(dirfd, deadline);
		if (nomad_monotonic_ns() > deadline)
			return -EBUSY;
		nap(second / 1000);
	}
}

/* True: the supervisor has written its exit record and only waits for the readers of the logs.  With the lock still
 * held it is between the two, for a moment or since it was stopped there. */
static bool has_ended(int dirfd)
{
	int64_t deadline = nomad_monotonic_ns() + second;
	struct nomad__supervisor_exit end;

	if (nomad__exit_read(dirfd, &end) < 0)
		return false;
	while (flock(dirfd, LOCK_EX | LOCK_NB) < 0) {
		if (nomad_monotonic_ns() > deadline)
			return false;
		nap(second / 1000);
	}
	return true;
}

int nomad__supervisor_clean(const char *dir, struct nomad_error **err)
{
	static const char *const files[] = {
		"ctl", "notify", "exit", "program", "supervisor", ".exit.new", ".supervisor.new", ".cgroups.new",
	};
	struct nomad__cgroup cgroups[NOMAD__MAX_CGROUPS];
	int64_t deadline = nomad_monotonic_ns() + 15 * second;
	int dirfd = nomad__task_dir_open(dir), n, r = 0;

	if (dirfd == -ENOENT)
		return 0;
	if (dirfd < 0)
		return nomad_error_errno(err, -dirfd, "open directory '%s'", dir);
	nomad__crash_at("clean-begin");
	n = nomad__cgroups_read(dirfd, cgroups);
	if (n < 0) {
		r = nomad_error_errno(err, -n, "read the list of cgroups in directory '%s'", dir);
		goto out;
	}
	if (has_ended(dirfd))
		(void)unlinkat(dirfd, "supervisor", 0);
	r = kill_and_lock(dirfd, deadline);
	if (r < 0) {
		nomad_error_errno(err, -r, "kill the remaining processes of the task of '%s'", dir);
		goto out;
	}
	nomad__crash_at("clean-killed");
	for (int i = 0; i < n; i++) {
		/* Nomad's may hold the next run of the task by now. */
		if (!cgroups[i].ours)
			continue;
		/* Its last process may be dead, but not quite gone. */
		while ((r = nomad__cgroup_remove(&cgroups[i])) == -EBUSY && nomad_monotonic_ns() < deadline)
			nap(second / 1000);
		if (r < 0) {
			nomad_error_errno(err, -r, "remove cgroup '%s'", cgroups[i].path);
			goto out;
		}
	}
	nomad__crash_at("clean-removed");
	for (size_t i = 0; i < NOMAD_ARRAY_LEN(files); i++)
		(void)unlinkat(dirfd, files[i], 0);
	/* Last: without it the cgroups would not be found again. */
	(void)unlinkat(dirfd, "cgroups", 0);
out:
	close(dirfd);
	return r;
}
