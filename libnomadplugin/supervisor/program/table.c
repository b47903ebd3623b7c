/* SPDX-License-Identifier: MPL-2.0
 *
 * table.c: what the supervisor does, all of it on one screen.
 *
 *                  exec ok            READY=1
 *   STARTING ------------> WAITING ------------> RUNNING
 *      |                     |  |                 |   |
 *      | exec failed, late,  |  | stop       stop |   | the process ended, or kill
 *      | ended, kill, the    |  +---> STOPPING <--+   |
 *      | asker is gone       |           |            |
 *      |                     |           | ended, deadline, kill
 *      +---------------------+-----------+------------+--> KILLING ---> OVER
 *                                                             nothing left
 *
 * There is one way to the end, through KILLING: whether the process ended by
 * itself, was stopped, or never began, all remaining processes are killed and
 * reaped before the end is reported.  So no child survives a reported end.
 *
 * A start without a waiting client is undone: its plugin died, and Nomad will ask
 * the next one to start the task again. */
#include "supervisor/program/table.h"

#define STAY(state)                                                                                                    \
	{                                                                                                              \
		state, ACT_NONE                                                                                        \
	}

const struct super_cell super_table[ST_MAX][EV_MAX] = {
	[ST_STARTING] = {
		[EV_EXECED]       = { ST_WAITING,  ACT_EXECED },
		[EV_EXEC_FAILED]  = { ST_KILLING,  ACT_FAIL },
		[EV_READY]        = { ST_RUNNING,  ACT_STARTED },
		[EV_READY_LATE]   = { ST_KILLING,  ACT_FAIL },
		[EV_MAIN_EXIT]    = { ST_KILLING,  ACT_FAIL },
		[EV_STOP]         = { ST_KILLING,  ACT_KILL },
		[EV_STOP_LATE]    = STAY(ST_STARTING),
		[EV_KILL]         = { ST_KILLING,  ACT_KILL },
		[EV_STARTER_GONE] = { ST_KILLING,  ACT_KILL },
		[EV_EMPTY]        = STAY(ST_STARTING),
	},
	[ST_WAITING] = {
		[EV_EXECED]       = STAY(ST_WAITING),
		[EV_EXEC_FAILED]  = { ST_KILLING,  ACT_FAIL },
		[EV_READY]        = { ST_RUNNING,  ACT_STARTED },
		[EV_READY_LATE]   = { ST_KILLING,  ACT_FAIL },
		[EV_MAIN_EXIT]    = { ST_KILLING,  ACT_FAIL },
		[EV_STOP]         = { ST_STOPPING, ACT_STOP },
		[EV_STOP_LATE]    = STAY(ST_WAITING),
		[EV_KILL]         = { ST_KILLING,  ACT_KILL },
		[EV_STARTER_GONE] = { ST_KILLING,  ACT_KILL },
		[EV_EMPTY]        = STAY(ST_WAITING),
	},
	[ST_RUNNING] = {
		[EV_EXECED]       = STAY(ST_RUNNING),
		[EV_EXEC_FAILED]  = STAY(ST_RUNNING),
		[EV_READY]        = STAY(ST_RUNNING),
		[EV_READY_LATE]   = STAY(ST_RUNNING),
		[EV_MAIN_EXIT]    = { ST_KILLING,  ACT_SWEEP },
		[EV_STOP]         = { ST_STOPPING, ACT_STOP },
		[EV_STOP_LATE]    = STAY(ST_RUNNING),
		[EV_KILL]         = { ST_KILLING,  ACT_KILL },
		[EV_STARTER_GONE] = STAY(ST_RUNNING),
		[EV_EMPTY]        = STAY(ST_RUNNING),
	},
	[ST_STOPPING] = {
		[EV_EXECED]       = STAY(ST_STOPPING),
		[EV_EXEC_FAILED]  = STAY(ST_STOPPING),
		[EV_READY]        = STAY(ST_STOPPING),
		[EV_READY_LATE]   = STAY(ST_STOPPING),
		[EV_MAIN_EXIT]    = { ST_KILLING,  ACT_SWEEP },
		[EV_STOP]         = { ST_STOPPING, ACT_SOONER },
		[EV_STOP_LATE]    = { ST_KILLING,  ACT_KILL },
		[EV_KILL]         = { ST_KILLING,  ACT_KILL },
		[EV_STARTER_GONE] = STAY(ST_STOPPING),
		[EV_EMPTY]        = STAY(ST_STOPPING),
	},
	[ST_KILLING] = {
		[EV_EXECED]       = STAY(ST_KILLING),
		[EV_EXEC_FAILED]  = STAY(ST_KILLING),
		[EV_READY]        = STAY(ST_KILLING),
		[EV_READY_LATE]   = STAY(ST_KILLING),
		[EV_MAIN_EXIT]    = STAY(ST_KILLING),
		[EV_STOP]         = STAY(ST_KILLING),
		[EV_STOP_LATE]    = STAY(ST_KILLING),
		[EV_KILL]         = STAY(ST_KILLING),
		[EV_STARTER_GONE] = STAY(ST_KILLING),
		[EV_EMPTY]        = { ST_OVER,     ACT_FINISH },
	},
	[ST_OVER] = {
		[EV_EXECED]       = STAY(ST_OVER),
		[EV_EXEC_FAILED]  = STAY(ST_OVER),
		[EV_READY]        = STAY(ST_OVER),
		[EV_READY_LATE]   = STAY(ST_OVER),
		[EV_MAIN_EXIT]    = STAY(ST_OVER),
		[EV_STOP]         = STAY(ST_OVER),
		[EV_STOP_LATE]    = STAY(ST_OVER),
		[EV_KILL]         = STAY(ST_OVER),
		[EV_STARTER_GONE] = STAY(ST_OVER),
		[EV_EMPTY]        = STAY(ST_OVER),
	},
};
