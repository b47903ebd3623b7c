/* SPDX-License-Identifier: MPL-2.0
 *
 * supervisor/unread.h: what is lost of a task's output when its supervisor
 * dies and nobody reads the log pipes. */
#ifndef NOMAD_SUPERVISOR_UNREAD_H
#define NOMAD_SUPERVISOR_UNREAD_H

#include <stdbool.h>
#include <stdint.h>

struct nomad__unread {
	int fds[2];	  /* -1: there is no pipe */
	bool too_late[2]; /* no other process had it open: its data is lost */
};

/* Opens the pipes with these paths of stdout and stderr (NULL: none).  Reads nothing, never waits. */
void nomad__unread_hold(struct nomad__unread *unread, char *const paths[2]);
void nomad__unread_close(struct nomad__unread *unread);
/* The task is dead, and so is its supervisor.  Calls `notice` for each pipe that has no reader, if something is in it
 * or was lost before (`lost_bytes` -1); closes them. */
void nomad__unread_tell(struct nomad__unread *unread, char *const paths[2],
			void (*notice)(void *ud, const char *message, int64_t lost_bytes), void *ud);

#endif
