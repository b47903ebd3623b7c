/* SPDX-License-Identifier: MPL-2.0
 *
 * kill.c: signals, the end of everything, the exit record.
 *
 * The record is on the disk before anybody is told.  To make a file and sync
 * it takes a commit of the file system's journal, which writes what others
 * left to be written as well: an image that was just built, say.  So its
 * place, blocks and name, is made while the task runs, and the end costs one
 * write in place.  The name `exit` follows without a wait.  A power cut may
 * leave the record under its first name only, whole or not, which its seal
 * tells; readers of a running host see the record whole or not at all.
 *
 * What belongs to the task: what is in its cgroups, and, since we are the
 * reaper, whatever descends from us.  The second holds without cgroups too:
 * a daemonised child becomes ours when its parent dies. */
#include "supervisor/program/super.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/process.h"
#include "supervisor/crash.h"

enum {
	EXIT_SIZE = 1024,
	FIRST_DELAY_NS = 1000000,
	LAST_DELAY_NS = 200000000,
};

/* After this the end is told although something could not be killed. */
static const int64_t give_up_ns = 30ll * 1000000000;
/* How long full log pipes are held open for a reader that is late. */
static const int64_t linger_ns = 3ll * 1000000000;

void stop_main(int signal)
{
	/* Our own child, not reaped yet: the pid is its own. */
	if (S.main_pid && !S.main_reaped)
		(void)kill(S.main_pid, signal);
}

void signal_leader(int signal)
{
	if (signal < 0 || signal >= NSIG)
		return;
	if (S.leader_pid && S.leader_pid != S.main_pid)
		(void)nomad__process_signal(S.leader_pid, S.leader_start, signal);
	else
		stop_main(signal);
}

/* Signal all below `pid`, deepest last: a parent that is stopped first does not fork on. */
static int signal_tree(int pid, int signal, int depth)
{
	int children[128], n = nomad__process_children(pid, children, 128), count = 0;

	for (int i = 0; i < n; i++) {
		(void)kill(children[i], signal);
		count++;
		if (depth < 32)
			count += signal_tree(children[i], signal, depth + 1);
	}
	return count;
}

static bool has_children(void)
{
	siginfo_t info;

	return !(waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) < 0 && errno == ECHILD);
}

void sweep_begin(void)
{
	timer_set(TIMER_READY, -1);
	timer_set(TIMER_STOP, -1);
	S.kill_since = nomad_monotonic_ns();
	S.kill_delay = 0;
	nomad__crash_at("super-kill");
	sweep();
}

/* One round; the next one is at the next death of a child or soon. */
void sweep(void)
{
	bool thorough = S.kill_delay > 0;

	if (S.state != ST_KILLING)
		return;
	if (!has_children() && limits_empty()) {
		timer_set(TIMER_KILL, -1);
		dispatch(EV_EMPTY);
		return;
	}
	if (nomad_monotonic_ns() - S.kill_since > give_up_ns && (S.main_reaped || !S.main_pid)) {
		S.survivors = true;
		ctl_notice("processes of the task cannot be killed (they wait for the kernel), giving up on them");
		timer_set(TIMER_KILL, -1);
		dispatch(EV_EMPTY);
		return;
	}
	limits_kill(thorough);
	/* Stop them before they are killed, or a fork bomb outruns us. */
	if (thorough)
		(void)signal_tree(getpid(), SIGSTOP, 0);
	(void)signal_tree(getpid(), SIGKILL, 0);
	if (S.kill_delay == 0)
		S.kill_delay = FIRST_DELAY_NS;
	else if (S.kill_delay < LAST_DELAY_NS)
		S.kill_delay *= 2;
	timer_set(TIMER_KILL, S.kill_delay);
}

/* "<exit code> <signal>" that the process left, where its own status does not tell. */
static void read_exit_file(int *code, int *signal)
{
	char buf[64];
	int fd;
	ssize_t n;
	const char *second;
	int64_t c, s;

	if (!S.exit_file[0])
		return;
	fd = open(S.exit_file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0)
		return;
	n = read(fd, buf, sizeof(buf) - 1);
	close(fd);
	if (n <= 0)
		return;
	buf[n] = 0;
	second = strchr(buf, ' ');
	c = nomad__parse_num(buf, -1);
	s = nomad__parse_num(second ? second + 1 : NULL, -1);
	if (c >= 0 && c < 65536 && s >= 0 && s < NSIG) {
		*code = (int)c;
		*signal = (int)s;
	}
}

static int64_t timeval_ns(struct timeval t)
{
	return (int64_t)t.tv_sec * 1000000000 + (int64_t)t.tv_usec * 1000;
}

static int open_exit_record(void)
{
	int fd = openat(S.dirfd, ".exit.new", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);

	return fd < 0 ? -errno : fd;
}

/* All of it at once, zeros behind the record. */
static int put_exit_record(int fd, const char *buf)
{
	ssize_t n;

	do
		n = pwrite(fd, buf, EXIT_SIZE, 0);
	while (n < 0 && errno == EINTR);
	return n == EXIT_SIZE ? 0 : n < 0 ? -errno : -ENOSPC;
}

/* If it cannot be done, the end does it all. */
void prepare_exit_record(void)
{
	static const char zeros[EXIT_SIZE];
	int fd;

	if (S.state == ST_KILLING || S.state == ST_OVER || S.exit_fd >= 0)
		return;
	fd = open_exit_record();
	if (fd < 0)
		return;
	if (put_exit_record(fd, zeros) < 0 || fsync(fd) < 0 || fsync(S.dirfd) < 0) {
		close(fd);
		(void)unlinkat(S.dirfd, ".exit.new", 0);
		return;
	}
	S.exit_fd = fd;
}

/* `buf`: EXIT_SIZE bytes. */
static int save_exit_record(const char *buf)
{
	bool prepared = S.exit_fd >= 0;
	int fd = prepared ? S.exit_fd : open_exit_record(), r;

	if (fd < 0)
		return fd;
	S.exit_fd = -1;
	r = put_exit_record(fd, buf);
	if (r >= 0 && (prepared ? fdatasync(fd) : fsync(fd)) < 0)
		r = -errno;
	close(fd);
	if (r < 0)
		return r;
	nomad__crash_at("super-written");
	if (renameat(S.dirfd, ".exit.new", S.dirfd, "exit") < 0)
		return -errno;
	return !prepared && fsync(S.dirfd) < 0 ? -errno : 0;
}

/* `m` holds the record afterwards, whatever became of the file; its `buf` is of EXIT_SIZE zeros. */
static void write_exit_record(struct nomad__fields *m, char *buf)
{
	int code = 0, sig = 0, r;
	uint64_t ooms = limits_oom_kills();

	if (S.main_reaped && WIFSIGNALED(S.main_status)) {
		sig = WTERMSIG(S.main_status);
		code = 128 + sig;
	} else if (S.main_reaped) {
		code = WEXITSTATUS(S.main_status);
	}
	read_exit_file(&code, &sig);
	nomad__fields_init(m, buf, EXIT_SIZE);
	nomad__fields_add(m, "op", "exited"); /* it is the message as well */
	nomad__fields_add(m, "version", NOMAD_VERSION);
	nomad__fields_num(m, "exit_code", code);
	nomad__fields_num(m, "signal", sig);
	nomad__fields_num(m, "oom_killed", ooms > S.oom_before && (code || sig));
	nomad__fields_num(m, "killed", S.killed);
	nomad__fields_num(m, "survivors", S.survivors);
	nomad__fields_num(m, "started_ns", S.started_wall_ns);
	nomad__fields_num(m, "ended_ns", S.ended_wall_ns ? S.ended_wall_ns : nomad_wall_ns());
	nomad__fields_num(m, "user_ns", timeval_ns(S.usage.ru_utime));
	nomad__fields_num(m, "system_ns", timeval_ns(S.usage.ru_stime));
	nomad__fields_num(m, "max_rss_bytes", (int64_t)S.usage.ru_maxrss * 1024);
	nomad__fields_seal(m);
	r = m->full ? -EMSGSIZE : save_exit_record(buf);
	/* A full disk must not turn an end into a loss: without the sync, then. */
	if (r < 0)
		r = nomad__fields_write(S.dirfd, "exit", m, false);
	if (r < 0)
		ctl_notice("the exit record cannot be written into the state directory: a restart of the plugin will "
			   "forget the end");
}

void leave_directory(void)
{
	if (S.dirfd < 0)
		return;
	if (S.ctl_fd >= 0) {
		close(S.ctl_fd);
		(void)unlinkat(S.dirfd, "ctl", 0);
	}
	if (S.notify_fd >= 0) {
		close(S.notify_fd);
		(void)unlinkat(S.dirfd, "notify", 0);
	}
	close(S.dirfd); /* and with it the lock */
	S.ctl_fd = S.notify_fd = S.dirfd = -1;
}

void finish(void)
{
	char buf[EXIT_SIZE] = { 0 };
	struct nomad__fields end;

	S.leader_pid = 0;
	timer_set(TIMER_RECORD, -1);
	/* All writers are dead: what is in the pipes is all that comes. */
	logs_drain();
	nomad__crash_at("super-empty");
	write_exit_record(&end, buf);
	nomad__crash_at("super-exit");
	/* From the answer on the directory is somebody else's. */
	leave_directory();
	if (S.spec) {
		/* It never got as far as to be a task. */
		if (!S.failure[0])
			(void)fail(ECANCELED, "the task was ended while it was started", NULL);
		ctl_failed();
	}
	ctl_broadcast(&end);
	if (!logs_pending())
		ctl_close();
	timer_set(TIMER_STALL, -1);
	S.lingers = true;
	timer_set(TIMER_LINGER, linger_ns);
}
