/* SPDX-License-Identifier: MPL-2.0
 *
 * supervisor/program/table.h: the life of a task, see table.c. */
#ifndef NOMAD_SUPERVISOR_TABLE_H
#define NOMAD_SUPERVISOR_TABLE_H

enum super_state {
	ST_STARTING, /* forked, the program does not run yet */
	ST_WAITING,  /* it runs, READY=1 has not come yet */
	ST_RUNNING,
	ST_STOPPING, /* stop requested, a timeout runs */
	ST_KILLING,  /* everything gets SIGKILL until nothing is left */
	ST_OVER,     /* nothing is left */
	ST_MAX,
};

enum super_event {
	EV_EXECED, /* the program runs */
	EV_EXEC_FAILED,
	EV_READY, /* READY=1; or the program runs and none is expected */
	EV_READY_LATE,
	EV_MAIN_EXIT, /* the process was reaped */
	EV_STOP,      /* a client asks */
	EV_STOP_LATE,
	EV_KILL,	 /* a client asks */
	EV_STARTER_GONE, /* who asked for the start is gone before it got an answer */
	EV_EMPTY,	 /* no process of the task is left */
	EV_MAX,
};

enum super_action {
	ACT_NONE,
	ACT_EXECED,
	ACT_STARTED, /* answer who asked for the start */
	ACT_FAIL,    /* keep why the start failed, then as ACT_SWEEP */
	ACT_STOP,    /* send the signal, set the deadline */
	ACT_SOONER,  /* a second stop may shorten the deadline */
	ACT_KILL,    /* the end is our doing; then as ACT_SWEEP */
	ACT_SWEEP,   /* kill the remaining processes of the task */
	ACT_FINISH,  /* write the exit record, tell it */
	ACT_MAX,
};

struct super_cell {
	unsigned char next, action;
};

extern const struct super_cell super_table[ST_MAX][EV_MAX];

#endif
