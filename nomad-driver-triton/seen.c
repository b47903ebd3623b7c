/* SPDX-License-Identifier: MPL-2.0
 *
 * The states of a list of machines; see seen.h. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "seen.h"

static int take(void *ud, struct triton_machine *machine)
{
	struct triton_seen *seen = ud;
	struct triton_seen_machine *it;

	if (seen->count == seen->room) {
		size_t room = seen->room ? seen->room * 2 : 64;

		it = reallocarray(seen->items, room, sizeof(*it));
		if (!it)
			return -ENOMEM;
		seen->items = it;
		seen->room = room;
	}
	it = &seen->items[seen->count++];
	snprintf(it->id, sizeof(it->id), "%s", machine->id);
	it->state = (uint8_t)machine->state;
	return 0;
}

static int by_id(const void *a, const void *b)
{
	return strcmp(((const struct triton_seen_machine *)a)->id, ((const struct triton_seen_machine *)b)->id);
}

int triton_seen_read(const struct triton_cloud *cloud, const char *query, struct triton_seen *ret,
		     struct nomad_error **err)
{
	struct triton_seen seen = { 0 };
	size_t unreadable;
	int r = triton_cloud_each(cloud, query, take, &seen, &unreadable, err);

	if (r < 0) {
		triton_seen_done(&seen);
		return r;
	}
	if (seen.count)
		qsort(seen.items, seen.count, sizeof(*seen.items), by_id);
	*ret = seen;
	return 0;
}

bool triton_seen_find(const struct triton_seen *seen, const char *id, enum triton_state *ret)
{
	struct triton_seen_machine key, *it;

	snprintf(key.id, sizeof(key.id), "%s", id);
	it = seen->count ? bsearch(&key, seen->items, seen->count, sizeof(*seen->items), by_id) : NULL;
	if (it)
		*ret = (enum triton_state)it->state;
	return it != NULL;
}

void triton_seen_done(struct triton_seen *seen)
{
	free(seen->items);
	*seen = (struct triton_seen){ 0 };
}
