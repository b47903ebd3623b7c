/* SPDX-License-Identifier: MPL-2.0
 *
 * seen.h: the states of a list of machines, 40 bytes each and sorted: a node may have thousands. */
#ifndef TRITON_SEEN_H
#define TRITON_SEEN_H

#include "cloudapi.h"

struct triton_seen {
	struct triton_seen_machine {
		char id[37];
		uint8_t state; /* enum triton_state */
	} * items;
	size_t count, room;
};

/* Reads all machines that match `query`.  One request a page. */
int triton_seen_read(const struct triton_cloud *cloud, const char *query, struct triton_seen *ret,
		     struct nomad_error **err);
/* Whether the list has the machine, and its state. */
bool triton_seen_find(const struct triton_seen *seen, const char *id, enum triton_state *ret);
void triton_seen_done(struct triton_seen *seen);

#endif
