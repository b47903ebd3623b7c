/* SPDX-License-Identifier: MPL-2.0
 *
 * watched.h: one task that the poller watches; for poller.c. */
#ifndef TRITON_WATCHED_H
#define TRITON_WATCHED_H

#include "nomad/task.h"

#include "seen.h"

struct watched {
	struct watched *next;
	char *task_id, *machine, *container;
	bool ends_deleted, owned, expected, killed;
	enum triton_state state;
	unsigned looks;	    /* at which it was stopped */
	int64_t stopped_ms; /* since when */
	int64_t look_ms;    /* when to look by itself; INT64_MAX: the list does */
	bool listed;	    /* the last list showed it */
	unsigned unseen;    /* lists that did not */
	int64_t asked_ms;   /* when it was last asked for by itself */
	bool illegible;	    /* it was told that what CloudAPI says of it cannot be read */
	bool ended;	    /* result stands, the log is awaited */
	int64_t ended_ms;
	struct nomad_exit result;
};

void triton_watched_free(struct watched *w);
/* Notes what a list shows of it, or that it does not show it. */
void triton_watched_note(struct watched *w, const struct triton_seen *seen, int64_t now_ms);
/* The query of a list that shows all from `first` on, malloc()ed; NULL if out of memory. */
char *triton_watched_query(const struct watched *first, const char *owner);

#endif
