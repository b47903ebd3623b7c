/* SPDX-License-Identifier: MPL-2.0
 *
 * loop.c: wait, and turn what happened into events of the table.
 *
 * SIGCHLD is blocked but while waiting.  One round handles, in this order:
 * dead children, times that are up, descriptors.  So whatever a process wrote
 * before it died (READY=1, why exec failed) is looked at by reap() itself,
 * before its death is made an event. */
#include "supervisor/program/super.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "supervisor/crash.h"

/* A task that is over before needs no place for its record, and a start is not to meet a busy disk. */
static const int64_t record_delay_ns = 100 * 1000000;

static void act(enum super_action action)
{
	switch (action) {
	case ACT_WAIT:
		nomad__crash_at("super-execed");
		if (!S.notify)
			dispatch(EV_READY);
		break;
	case ACT_STARTED:
		timer_set(TIMER_READY, -1);
		if (!S.leader_pid && !S.leader_key[0]) {
			S.leader_pid = S.main_pid;
			S.leader_start = S.main_start;
		}
		(void)munmap((void *)S.spec, S.spec_size);
		S.spec = NULL;
		S.spec_size = 0;
		logs_started();
		ctl_started();
		nomad__crash_at("super-started");
		timer_set(TIMER_RECORD, record_delay_ns);
		break;
	case ACT_FAIL:
		(void)fail(ECHILD, "the process ended before it was ready", NULL);
		sweep_begin();
		break;
	case ACT_STOP:
		stop_main(S.ask_signal ? S.ask_signal : S.stop_signal);
		timer_set(TIMER_STOP, S.ask_timeout_ns);
		nomad__crash_at("super-stop");
		break;
	case ACT_SOONER:
		if (!S.deadline[TIMER_STOP] || nomad_monotonic_ns() + S.ask_timeout_ns < S.deadline[TIMER_STOP])
			timer_set(TIMER_STOP, S.ask_timeout_ns);
		break;
	case ACT_KILL:
		S.killed = true;
		sweep_begin();
		break;
	case ACT_SWEEP:
		sweep_begin();
		break;
	case ACT_FINISH:
		finish();
		break;
	case ACT_NONE:
	case ACT_MAX:
		break;
	}
}

void dispatch(enum super_event event)
{
	const struct super_cell *cell = &super_table[S.state][event];

	S.state = cell->next;
	act(cell->action);
}

void timer_set(enum super_timer timer, int64_t delay_ns)
{
	S.deadline[timer] = delay_ns < 0 ? 0 : nomad_monotonic_ns() + delay_ns;
}

static void timer_fired(enum super_timer timer)
{
	switch (timer) {
	case TIMER_READY:
		(void)fail(ETIMEDOUT, "wait for the process to be ready", NULL);
		dispatch(EV_READY_LATE);
		break;
	case TIMER_STOP:
		dispatch(EV_STOP_LATE);
		break;
	case TIMER_KILL:
		sweep();
		break;
	case TIMER_STALL:
		logs_stall_check();
		break;
	case TIMER_LINGER:
		S.lingers = false;
		break;
	case TIMER_RECORD:
		prepare_exit_record();
		break;
	case TIMER_MAX:
		break;
	}
}

/* Take all dead children, whoever they were. */
void reap(void)
{
	struct rusage usage;
	int status, pid;
	bool any = false;

	while ((pid = wait4(-1, &status, WNOHANG, &usage)) > 0) {
		struct super_exec *exec = NULL;

		any = true;
		if (pid == S.main_pid && !S.main_reaped) {
			/* What it had to say comes before its end. */
			if (S.exec_fd >= 0)
				spawn_read_status();
			if (S.notify_fd >= 0)
				notify_read();
			S.main_reaped = true;
			S.main_status = status;
			S.usage = usage;
			S.ended_wall_ns = nomad_wall_ns();
			dispatch(EV_MAIN_EXIT);
			continue;
		}
		exec = exec_find(pid);
		if (exec)
			exec_reaped(exec, status);
	}
	if (any && S.state == ST_KILLING)
		sweep();
}

static void on_sigchld(int sig)
{
	(void)sig;
}

enum slot_kind { SLOT_CTL, SLOT_NOTIFY, SLOT_EXEC_FD, SLOT_CLIENT, SLOT_EXEC, SLOT_LOG };

struct slot {
	unsigned char kind;
	short index;
};

enum { MAX_SLOTS = 3 + MAX_CLIENTS + 64 + 2 * STREAMS };

static int add_slot(struct pollfd *fds, struct slot *slots, int n, enum slot_kind kind, int index, int fd, short events)
{
	if (fd < 0 || n == MAX_SLOTS)
		return n;
	fds[n] = (struct pollfd){ .fd = fd, .events = events };
	slots[n] = (struct slot){ .kind = (unsigned char)kind, .index = (short)index };
	return n + 1;
}

static int fill_slots(struct pollfd *fds, struct slot *slots)
{
	int n = 0;
	short events;

	n = add_slot(fds, slots, n, SLOT_CTL, 0, S.ctl_fd, POLLIN);
	n = add_slot(fds, slots, n, SLOT_NOTIFY, 0, S.notify_fd, POLLIN);
	n = add_slot(fds, slots, n, SLOT_EXEC_FD, 0, S.exec_fd, POLLIN);
	for (int i = 0; i < MAX_CLIENTS; i++)
		n = add_slot(fds, slots, n, SLOT_CLIENT, i, S.clients[i].fd, POLLIN);
	for (int i = 0; i < 2 * STREAMS; i++) {
		int fd = logs_pollfd(i, &events);

		n = add_slot(fds, slots, n, SLOT_LOG, i, fd, events);
	}
	/* Those that found no room have their turn in a later round. */
	for (int i = 0; i < MAX_EXECS; i++)
		if (S.execs[i].pid)
			n = add_slot(fds, slots, n, SLOT_EXEC, i, S.execs[i].status_fd, POLLIN);
	return n;
}

static void slot_ready(const struct slot *slot, short events)
{
	switch ((enum slot_kind)slot->kind) {
	case SLOT_CTL:
		ctl_accept();
		break;
	case SLOT_NOTIFY:
		notify_read();
		break;
	case SLOT_EXEC_FD:
		if (S.exec_fd >= 0)
			spawn_read_status();
		break;
	case SLOT_CLIENT:
		if (S.clients[slot->index].fd >= 0)
			ctl_read(slot->index);
		break;
	case SLOT_EXEC:
		if (S.execs[slot->index].pid && S.execs[slot->index].status_fd >= 0)
			exec_read_status(&S.execs[slot->index]);
		break;
	case SLOT_LOG:
		logs_ready(slot->index, events);
		break;
	}
}

static int64_t next_deadline(void)
{
	int64_t next = 0;

	for (int i = 0; i < TIMER_MAX; i++)
		if (S.deadline[i] && (!next || S.deadline[i] < next))
			next = S.deadline[i];
	return next;
}

/* Until nothing is left to do: the end was told, and the log pipes are empty or
 * have been waited for long enough. */
void super_loop(void)
{
	struct sigaction sa = { .sa_handler = on_sigchld };
	struct pollfd fds[MAX_SLOTS];
	struct slot slots[MAX_SLOTS];
	sigset_t blocked, open_mask;

	sigemptyset(&sa.sa_mask);
	sigaction(SIGCHLD, &sa, NULL);
	sigemptyset(&blocked);
	sigaddset(&blocked, SIGCHLD);
	sigprocmask(SIG_BLOCK, &blocked, &open_mask);
	sigdelset(&open_mask, SIGCHLD);

	for (;;) {
		struct timespec ts;
		int64_t next, now;
		int n, ready;

		reap();
		now = nomad_monotonic_ns();
		for (int i = 0; i < TIMER_MAX; i++)
			if (S.deadline[i] && S.deadline[i] <= now) {
				S.deadline[i] = 0;
				timer_fired((enum super_timer)i);
			}
		if (S.state == ST_OVER && !(S.lingers && logs_pending())) {
			logs_give_up();
			ctl_close();
			return;
		}
		n = fill_slots(fds, slots);
		next = next_deadline();
		if (next) {
			int64_t left = next - nomad_monotonic_ns();

			ts.tv_sec = left > 0 ? left / 1000000000 : 0;
			ts.tv_nsec = left > 0 ? left % 1000000000 : 0;
		}
		ready = ppoll(fds, (nfds_t)n, next ? &ts : NULL, &open_mask);
		for (int i = 0; i < n && ready > 0; i++)
			if (fds[i].revents)
				slot_ready(&slots[i], fds[i].revents);
	}
}
