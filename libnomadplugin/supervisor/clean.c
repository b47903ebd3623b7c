/* SPDX-License-Identifier: MPL-2.0
 *
 * clean.c: the records of a task's directory, and what to do with a task
 * that no supervisor looks after any more.
 *
 *   supervisor   who the supervisor, the process and the leader are
 *   cgroups      which cgroups there may be; written before they are made
 *   exit         how it ended
 *   ctl, notify  sockets
 *
 * Nothing here trusts a bare pid: it counts with its start time and within
 * this boot only. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "supervisor/crash.h"
#include "supervisor/handle.h"
#include "base/fields.h"

static const int64_t second = 1000000000;

int nomad__task_dir_open(const char *dir)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

	return fd < 0 ? -errno : fd;
}

int nomad__identity_read(int dirfd, struct nomad__identity *ret)
{
	char buf[4096], boot[NOMAD__BOOT_ID_SIZE];
	ssize_t n = nomad__fields_read(dirfd, "supervisor", buf, sizeof(buf));
	const char *theirs;

	if (n < 0)
		return (int)n;
	*ret = (struct nomad__identity){
		.pid = (int)nomad__fields_get_num(buf, (size_t)n, "pid", 0),
		.start = (uint64_t)nomad__fields_get_num(buf, (size_t)n, "start", 0),
		.main_pid = (int)nomad__fields_get_num(buf, (size_t)n, "main_pid", 0),
		.main_start = (uint64_t)nomad__fields_get_num(buf, (size_t)n, "main_start", 0),
		.leader_pid = (int)nomad__fields_get_num(buf, (size_t)n, "leader_pid", 0),
		.leader_start = (uint64_t)nomad__fields_get_num(buf, (size_t)n, "leader_start", 0),
	};
	theirs = nomad__fields_get(buf, (size_t)n, "boot");
	ret->this_boot = theirs && nomad__boot_id(boot) >= 0 && strcmp(theirs, boot) == 0;
	return 0;
}

int nomad__exit_parse(const char *buf, size_t size, struct nomad__supervisor_exit *ret)
{
	if (nomad__fields_get_num(buf, size, "exit_code", -1) < 0)
		return -EBADMSG;
	*ret = (struct nomad__supervisor_exit){
		.exit_code = (int)nomad__fields_get_num(buf, size, "exit_code", 0),
		.signal = (int)nomad__fields_get_num(buf, size, "signal", 0),
		.oom_killed = nomad__fields_get_num(buf, size, "oom_killed", 0) != 0,
		.killed = nomad__fields_get_num(buf, size, "killed", 0) != 0,
		.started_ns = nomad__fields_get_num(buf, size, "started_ns", 0),
		.ended_ns = nomad__fields_get_num(buf, size, "ended_ns", 0),
		.user_ns = nomad__fields_get_num(buf, size, "user_ns", 0),
		.system_ns = nomad__fields_get_num(buf, size, "system_ns", 0),
		.max_rss_bytes = nomad__fields_get_num(buf, size, "max_rss_bytes", 0),
	};
	return 0;
}

/* A record that is whole, but has not got its name: after a power cut, or as the supervisor was killed just then.
 * Whoever reads it may tell it, so it is on the disk on return. */
static ssize_t read_nameless_exit(int dirfd, char *buf, size_t size)
{
	ssize_t n = nomad__fields_read(dirfd, ".exit.new", buf, size);
	int fd;

	if (n < 0 || !nomad__fields_is_sealed(buf, (size_t)n))
		return -ENOENT;
	fd = openat(dirfd, ".exit.new", O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd >= 0) {
		(void)fsync(fd);
		close(fd);
	}
	return n;
}

int nomad__exit_read(int dirfd, struct nomad__supervisor_exit *ret)
{
	char buf[4096];
	ssize_t n = nomad__fields_read(dirfd, "exit", buf, sizeof(buf));

	if (n == -ENOENT)
		n = read_nameless_exit(dirfd, buf, sizeof(buf));
	if (n == -ENOENT) /* it may have got its name between the two looks */
		n = nomad__fields_read(dirfd, "exit", buf, sizeof(buf));
	return n < 0 ? (int)n : nomad__exit_parse(buf, (size_t)n, ret);
}

int nomad__cgroups_read(int dirfd, const char *key, struct nomad__cgroup *ret)
{
	char buf[8192];
	ssize_t n = nomad__fields_read(dirfd, "cgroups", buf, sizeof(buf));
	const char *s;
	size_t pos = 0;
	int count = 0;

	if (n < 0 && n != -ENOENT)
		return (int)n;
	while (n > 0 && count < NOMAD__MAX_CGROUPS && (s = nomad__fields_next(buf, (size_t)n, key, &pos)))
		if (nomad__cgroup_parse(s, &ret[count]) >= 0)
			count++;
	return count;
}

static void nap(int64_t ns)
{
	struct timespec t = { .tv_nsec = ns };

	(void)nanosleep(&t, NULL);
}

/* Everything below a process, the process itself last. */
static void kill_tree(int pid, int depth)
{
	int children[128], n = depth < 32 ? nomad__process_children(pid, children, 128) : 0;

	for (int i = 0; i < n; i++) {
		uint64_t start;

		if (nomad__process_start_time(children[i], &start) < 0 || nomad__process_parent(children[i]) != pid)
			continue;
		(void)nomad__process_signal(children[i], start, SIGSTOP);
		kill_tree(children[i], depth + 1);
		(void)nomad__process_signal(children[i], start, SIGKILL);
	}
}

static bool kill_one(int pid, uint64_t start)
{
	if (pid <= 1 || !nomad__process_is(pid, start))
		return false;
	(void)nomad__process_signal(pid, start, SIGSTOP);
	kill_tree(pid, 0);
	return nomad__process_signal(pid, start, SIGKILL) == 0;
}

int nomad__leftovers_kill(int dirfd, int64_t deadline_ns)
{
	struct nomad__cgroup cgroups[NOMAD__MAX_CGROUPS];
	struct nomad__identity who = { 0 };
	int n = nomad__cgroups_read(dirfd, "cg", cgroups);
	int64_t delay = second / 1000;

	if (n < 0)
		return n;
	if (nomad__identity_read(dirfd, &who) < 0 || !who.this_boot)
		who = (struct nomad__identity){ 0 };
	for (;;) {
		/* The supervisor first, or it would report what we do to it. */
		bool left = kill_one(who.pid, who.start);

		left = kill_one(who.leader_pid, who.leader_start) || left;
		left = kill_one(who.main_pid, who.main_start) || left;
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

int nomad__supervisor_clean(const char *dir, struct nomad_error **err)
{
	static const char *const files[] = {
		"ctl", "notify", "exit", "program", "supervisor", ".exit.new", ".supervisor.new", ".cgroups.new",
	};
	struct nomad__cgroup cgroups[NOMAD__MAX_CGROUPS];
	struct nomad__supervisor_exit done;
	struct nomad__identity who = { 0 };
	int64_t deadline = nomad_monotonic_ns() + 15 * second;
	int dirfd = nomad__task_dir_open(dir), n, r = 0;

	if (dirfd == -ENOENT)
		return 0;
	if (dirfd < 0)
		return nomad_error_errno(err, -dirfd, "open directory '%s'", dir);
	nomad__crash_at("clean-begin");
	n = nomad__cgroups_read(dirfd, "cg", cgroups);
	if (n < 0) {
		r = nomad_error_errno(err, -n, "read which cgroups there are, in directory '%s'", dir);
		goto out;
	}
	/* One that has written its exit record only waits for the readers of the logs. */
	if (nomad__exit_read(dirfd, &done) == 0 && nomad__identity_read(dirfd, &who) == 0)
		(void)unlinkat(dirfd, "supervisor", 0);
	else
		who = (struct nomad__identity){ 0 };
	r = kill_and_lock(dirfd, deadline);
	if (r < 0) {
		nomad_error_errno(err, -r, "kill the processes that the task of '%s' left", dir);
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
