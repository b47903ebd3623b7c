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

static const int64_t memory_period_ns = 10 * INT64_C(1000000000);

static void started(void)
{
	const char *leader_key = spec_get("leader_key");

	timer_set(TIMER_READY, -1);
	if (!leader_key || !*leader_key)
		task_lead(task()->main.pid);
	logs_started();
	orders_started();
	nomad__crash_at("super-started");
	timer_set(TIMER_RECORD, record_delay_ns);
	timer_set(TIMER_MEMORY, memory_period_ns);
}

static void act(enum super_action action)
{
	switch (action) {
	case ACT_EXECED:
		nomad__crash_at("super-execed");
		break;
	case ACT_STARTED:
		started();
		break;
	case ACT_FAIL:
		(void)fail(ECHILD, "the process ended before it was ready", NULL);
		end_begin(false);
		break;
	case ACT_STOP:
		orders_stop();
		nomad__crash_at("super-stop");
		break;
	case ACT_SOONER:
		orders_stop_sooner();
		break;
	case ACT_KILL:
		end_begin(true);
		break;
	case ACT_SWEEP:
		end_begin(false);
		break;
	case ACT_FINISH:
		end_finish();
		break;
	case ACT_NONE:
	case ACT_MAX:
		break;
	}
}

/* Act on all that was posted, and what is posted by that. */
static void run_events(void)
{
	enum super_action action;

	while (state_step(&action))
		act(action);
}

static void timer_fired(enum super_timer timer)
{
	switch (timer) {
	case TIMER_READY:
		(void)fail(ETIMEDOUT, "wait for the process to be ready", NULL);
		state_post(EV_READY_LATE);
		break;
	case TIMER_STOP:
		state_post(EV_STOP_LATE);
		break;
	case TIMER_KILL:
		end_sweep();
		break;
	case TIMER_STALL:
		logs_stall_check();
		break;
	case TIMER_LINGER:
		end_linger_check();
		break;
	case TIMER_RECORD:
		if (state_now() < ST_KILLING)
			exit_record_prepare();
		break;
	case TIMER_EXEC:
		exec_check_deadlines();
		break;
	case TIMER_MEMORY:
		limits_oom_report();
		notify_report();
		timer_set(TIMER_MEMORY, memory_period_ns);
		break;
	case TIMER_MAX:
		break;
	}
}

/* Reap all dead children, known or not. */
static void reap(void)
{
	struct rusage usage;
	int status, pid;
	bool any = false;

	while ((pid = wait4(-1, &status, WNOHANG, &usage)) > 0) {
		any = true;
		if (pid != task()->main.pid || task()->reaped) {
			exec_reaped(pid, status);
			continue;
		}
		/* What it had to say comes before its end. */
		spawn_read_status();
		notify_read();
		run_events();
		task_ended(status, &usage);
		state_post(EV_MAIN_EXIT);
		run_events();
	}
	if (any)
		end_sweep();
	run_events();
}

static void on_sigchld(int sig)
{
	(void)sig;
}

enum slot_kind { SLOT_LISTEN, SLOT_NOTIFY, SLOT_SPAWN, SLOT_CLIENT, SLOT_EXEC, SLOT_LOG };

struct slot {
	unsigned char kind;
	short index;
};

enum { MAX_SLOTS = 3 + MAX_CLIENTS + 2 + 2 * STREAMS };

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

	n = add_slot(fds, slots, n, SLOT_LISTEN, 0, clients_pollfd(-1), POLLIN);
	n = add_slot(fds, slots, n, SLOT_NOTIFY, 0, notify_pollfd(), POLLIN);
	n = add_slot(fds, slots, n, SLOT_SPAWN, 0, spawn_pollfd(), POLLIN);
	for (int i = 0; i < MAX_CLIENTS; i++)
		n = add_slot(fds, slots, n, SLOT_CLIENT, i, clients_pollfd(i), POLLIN);
	for (int i = 0; i < 2 * STREAMS; i++) {
		int fd = logs_pollfd(i, &events);

		n = add_slot(fds, slots, n, SLOT_LOG, i, fd, events);
	}
	for (int i = 0; i < 2; i++)
		n = add_slot(fds, slots, n, SLOT_EXEC, i, exec_pollfd(i), POLLIN);
	return n;
}

static void slot_ready(const struct slot *slot, short events)
{
	switch ((enum slot_kind)slot->kind) {
	case SLOT_LISTEN:
		clients_accept();
		break;
	case SLOT_NOTIFY:
		notify_read();
		break;
	case SLOT_SPAWN:
		spawn_read_status();
		break;
	case SLOT_CLIENT:
		orders_read(slot->index);
		break;
	case SLOT_EXEC:
		exec_read(slot->index);
		break;
	case SLOT_LOG:
		logs_ready(slot->index, events);
		break;
	}
	run_events();
}

/* Runs until the end is reported, and the log pipes are empty or their timeout has
 * passed. */
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
		enum super_timer timer;
		int64_t next, now;
		int n, ready;

		reap();
		now = nomad_monotonic_ns();
		while (timer_due(now, &timer)) {
			timer_fired(timer);
			run_events();
		}
		if (state_now() == ST_OVER && !(end_lingers() && logs_pending())) {
			end_leave();
			return;
		}
		exec_kill_orphans();
		n = fill_slots(fds, slots);
		next = timer_next();
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
