/* SPDX-License-Identifier: MPL-2.0
 *
 * fifo.h: one end of Nomad's log pipes, and how far a log has been delivered. */
#ifndef TRITON_FIFO_H
#define TRITON_FIFO_H

#include "nomad/base.h"
#include "nomad/error.h"

/* Open the FIFO at `path` for writing, without waiting: -ENXIO while nobody
 * reads.  -ENODEV: there is no FIFO at that path (/dev/null, "" and NULL
 * too): what is written is to be thrown away. */
int triton_fifo_open(const char *path);

/* How many bytes of stdout [1] and stderr [2] were delivered, in a file that
 * survives the process: a count is raised right after the bytes were written. */
struct triton_position {
	uint64_t *count; /* mapped: [0] magic, [1], [2]; NULL: not open */
};

int triton_position_open(struct triton_position *position, const char *path, struct nomad_error **err);
void triton_position_close(struct triton_position *position);

#endif
