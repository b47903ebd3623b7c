/* SPDX-License-Identifier: MPL-2.0
 *
 * task.c: the processes of the task that are recorded: the main one, our
 * child, and the leader, which is the main one unless it names another. */
#include "supervisor/program/super.h"

#include <signal.h>

#include "supervisor/identity.h"

static struct task the_task;

const struct task *task(void)
{
	return &the_task;
}

int task_born(int pid)
{
	int r;

	the_task.started_wall_ns = nomad_wall_ns();
	the_task.main.pid = pid;
	r = nomad__process_find(pid, &the_task.main);
	return r < 0 ? r : nomad__identity_add(directory(), NOMAD__MAIN, &the_task.main);
}

void task_ended(int status, const struct rusage *usage)
{
	the_task.reaped = true;
	the_task.status = status;
	the_task.usage = *usage;
	the_task.ended_wall_ns = nomad_wall_ns();
}

void task_lead(int pid)
{
	if (the_task.leader.pid)
		return;
	if (pid == the_task.main.pid)
		the_task.leader = the_task.main;
	else if (nomad__process_find(pid, &the_task.leader) >= 0)
		(void)nomad__identity_add(directory(), NOMAD__LEADER, &the_task.leader);
}

void task_without_leader(void)
{
	the_task.leader.pid = 0;
}

void task_stop(int signal)
{
	/* Our own child, not reaped yet: the pid is its own. */
	if (the_task.main.pid && !the_task.reaped)
		(void)kill(the_task.main.pid, signal);
}

void task_signal(int signal)
{
	if (signal < 0 || signal >= NOMAD__NSIG)
		return;
	if (the_task.leader.pid && the_task.leader.pid != the_task.main.pid)
		(void)nomad__process_signal(&the_task.leader, signal);
	else
		task_stop(signal);
}
