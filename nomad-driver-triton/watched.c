/* SPDX-License-Identifier: MPL-2.0
 *
 * One task that the poller watches; see watched.h. */
#include <stdlib.h>
#include <string.h>

#include "watched.h"

enum { UNSEEN_MOST = 8 }; /* lists after which one that they do not show is asked for less often */

void triton_watched_free(struct watched *w)
{
	if (!w)
		return;
	free(w->task_id);
	free(w->machine);
	free(w->container);
	free(w->result.message);
	free(w);
}

void triton_watched_note(struct watched *w, const struct triton_seen *seen, int64_t now_ms)
{
	enum triton_state state = TRITON_UNKNOWN;

	w->listed = triton_seen_find(seen, w->machine, &state);
	if (w->ended)
		return;
	w->unseen = w->listed ? 0 : w->unseen + 1;
	if (!w->listed || state == TRITON_STOPPED || state == TRITON_STOPPING || state == TRITON_FAILED ||
	    state == TRITON_DELETED || state == TRITON_READY) {
		/* Tags are shown late. */
		if (w->listed || w->unseen < UNSEEN_MOST || w->unseen % UNSEEN_MOST == 0)
			w->look_ms = now_ms;
		return;
	}
	if (state != TRITON_UNKNOWN)
		w->state = state;
	w->looks = 0;
	if (!w->expected && state == TRITON_RUNNING)
		w->look_ms = INT64_MAX;
}

char *triton_watched_query(const struct watched *first, const char *owner)
{
	/* Those of an earlier version, or of another state directory, do not carry the name of this plugin. */
	for (const struct watched *w = first; w && owner; w = w->next)
		if (!w->owned)
			owner = NULL;
	return owner ? nomad_strdupf("tag.nomad_owner=%s", owner) : strdup("tag.nomad_driver=triton");
}
