/* SPDX-License-Identifier: MPL-2.0
 *
 * end.c: kill all that is left of the task, record the end, tell it.
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

#include "supervisor/crash.h"

enum {
	FIRST_DELAY_NS = 1000000,
	LAST_DELAY_NS = 200000000,
};

/* After this time the end is reported even if a process could not be killed. */
static const int64_t give_up_ns = 30ll * 1000000000;
/* Log pipes that are not empty are held open for a reader: as long as the task is not destroyed, and for this time
 * after that.  The agent may be down, and its log collectors with it; they are there again before it destroys a task
 * that has ended. */
static const int64_t linger_ns = 3ll * 1000000000;
static const int64_t linger_look_ns = 500 * 1000000;
static const int64_t longest_linger_ns = 24 * 3600ll * 1000000000;

static bool by_us, survivors;
static int64_t kill_delay, kill_since;
static enum { LINGER_NOT, LINGER_RECORDED, LINGER_LAST } lingers;
static int64_t lingers_since;

static char record_buf[EXIT_SIZE];
static struct nomad__fields record; /* without what is lost, which may change, and without its seal */

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

/* Nothing is left, or nothing that can be killed. */
static void empty(void)
{
	timer_set(TIMER_KILL, -1);
	state_post(EV_EMPTY);
}

/* One round; the next one is at the next death of a child or soon. */
void end_sweep(void)
{
	bool thorough = kill_delay > 0;

	if (state_now() != ST_KILLING)
		return;
	if (!has_children() && limits_empty()) {
		empty();
		return;
	}
	if (nomad_monotonic_ns() - kill_since > give_up_ns && (task()->reaped || !task()->main.pid)) {
		survivors = true;
		clients_notice(
			"processes of the task cannot be killed because they wait for the kernel; giving up on them",
			0);
		empty();
		return;
	}
	limits_kill(thorough);
	/* Stop them before they are killed, or a fork bomb outruns us. */
	if (thorough)
		(void)signal_tree(getpid(), SIGSTOP, 0);
	(void)signal_tree(getpid(), SIGKILL, 0);
	if (kill_delay == 0)
		kill_delay = FIRST_DELAY_NS;
	else if (kill_delay < LAST_DELAY_NS)
		kill_delay *= 2;
	timer_set(TIMER_KILL, kill_delay);
}

void end_begin(bool is_by_us)
{
	by_us = is_by_us;
	timer_set(TIMER_READY, -1);
	timer_set(TIMER_STOP, -1);
	timer_set(TIMER_MEMORY, -1);
	kill_since = nomad_monotonic_ns();
	kill_delay = 0;
	nomad__crash_at("super-kill");
	end_sweep();
}

static int64_t timeval_ns(struct timeval t)
{
	return (int64_t)t.tv_sec * 1000000000 + (int64_t)t.tv_usec * 1000;
}

static void make_record(void)
{
	const struct task *t = task();
	int code = 0, sig = 0;
	bool oom;

	if (t->reaped && WIFSIGNALED(t->status)) {
		sig = WTERMSIG(t->status);
		code = 128 + sig;
	} else if (t->reaped) {
		code = WEXITSTATUS(t->status);
	}
	oom = channel_exit_read(&code, &sig);
	nomad__fields_init(&record, record_buf, EXIT_SIZE);
	nomad__fields_add(&record, "op", "exited"); /* it is the message as well */
	nomad__fields_add(&record, "version", NOMAD_VERSION);
	nomad__fields_num(&record, "exit_code", code);
	nomad__fields_num(&record, "signal", sig);
	limits_oom_report();
	nomad__fields_num(&record, "oom_killed", (code || sig) && (oom || limits_oom_killed()));
	nomad__fields_num(&record, "killed", by_us);
	nomad__fields_num(&record, "survivors", survivors);
	nomad__fields_num(&record, "started_ns", t->started_wall_ns);
	nomad__fields_num(&record, "ended_ns", t->ended_wall_ns ? t->ended_wall_ns : nomad_wall_ns());
	nomad__fields_num(&record, "user_ns", timeval_ns(t->usage.ru_utime));
	nomad__fields_num(&record, "system_ns", timeval_ns(t->usage.ru_stime));
	nomad__fields_num(&record, "max_rss_bytes", (int64_t)t->usage.ru_maxrss * 1024);
}

/* The record with what is lost by now, in `buf`; zeros behind it. */
static struct nomad__fields sealed(char buf[EXIT_SIZE])
{
	static const char *const keys[STREAMS] = { "lost_stdout", "lost_stderr" };
	struct nomad__fields m = record;

	memset(buf, 0, EXIT_SIZE);
	memcpy(buf, record.buf, record.used);
	m.buf = buf;
	for (int i = 0; i < STREAMS; i++)
		if (logs_lost(i) > 0)
			nomad__fields_num(&m, keys[i], logs_lost(i));
	nomad__fields_seal(&m);
	return m;
}

static void write_exit_record(const struct nomad__fields *m)
{
	int r = m->full ? -EMSGSIZE : exit_record_save(m->buf);

	/* A full disk must not turn an end into a loss: without the sync, then. */
	if (r < 0)
		r = nomad__fields_write(directory(), "exit", m, false);
	if (r < 0)
		clients_notice("the exit record cannot be written to the state directory: the exit code is lost if the "
			       "plugin restarts",
			       0);
}

static void leave_directory(void)
{
	clients_unlisten();
	notify_close();
	directory_close();
}

static void answer_failed(void)
{
	char buf[4096];
	struct nomad__fields m;
	int errnum;
	const char *act = failure(&errnum);

	nomad__fields_init(&m, buf, sizeof(buf));
	nomad__fields_add(&m, "op", "failed");
	nomad__fields_num(&m, "errno", errnum);
	nomad__fields_add(&m, "act", act);
	nomad__fields_add(&m, "tail", logs_tail());
	clients_answer(&m);
}

void end_undone(void)
{
	leave_directory();
	answer_failed();
}

/* The directory is somebody else's from now on, but a plugin that comes finds the socket. */
static void linger(void)
{
	notify_close();
	directory_unlock();
	lingers = LINGER_RECORDED;
	lingers_since = nomad_monotonic_ns();
	end_linger_check();
}

void end_linger_check(void)
{
	if (lingers == LINGER_LAST || nomad_monotonic_ns() - lingers_since > longest_linger_ns) {
		lingers = LINGER_NOT;
	} else if (exit_record_exists()) {
		timer_set(TIMER_LINGER, linger_look_ns);
	} else {
		lingers = LINGER_LAST;
		timer_set(TIMER_LINGER, linger_ns);
	}
}

void end_release(void)
{
	lingers = LINGER_NOT;
}

void end_finish(void)
{
	char buf[EXIT_SIZE];
	struct nomad__fields end;

	task_without_leader();
	timer_set(TIMER_RECORD, -1);
	/* All writers are dead: what is in the pipes is all that comes. */
	logs_drain();
	nomad__crash_at("super-empty");
	make_record();
	end = sealed(buf);
	write_exit_record(&end);
	nomad__crash_at("super-exit");
	timer_set(TIMER_STALL, -1);
	/* From the answer on the directory is somebody else's. */
	if (clients_answered() && logs_pending())
		linger();
	else
		leave_directory();
	if (!clients_answered()) {
		/* The task never started. */
		(void)fail(ECANCELED, "the task was ended while it was started", NULL);
		answer_failed();
	}
	clients_broadcast(&end);
}

bool end_lingers(void)
{
	return lingers != LINGER_NOT;
}

void end_leave(void)
{
	char buf[EXIT_SIZE];
	struct nomad__fields end;

	if (directory() >= 0) {
		end = sealed(buf);
		if (!end.full)
			exit_record_update(buf);
	}
	logs_give_up();
	if (directory() >= 0)
		clients_drained();
	/* The socket may be that of the next run. */
	if (directory() >= 0 && directory_lock())
		leave_directory();
	clients_close();
}
