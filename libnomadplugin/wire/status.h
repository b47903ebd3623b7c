/* SPDX-License-Identifier: MPL-2.0
 *
 * wire/status.h: errors as the host sees them. */
#ifndef NOMAD_WIRE_STATUS_H
#define NOMAD_WIRE_STATUS_H

#include <grpc/status.h>

#include "nomad/error.h"

/* How a call ends. */
struct nomad__status {
	grpc_status_code code;
	char *message; /* NULL: out of memory */
	void *details; /* grpc-status-details-bin, or NULL */
	size_t details_size;
};

/* The status for an error.  Ordinary failures are never UNAVAILABLE: the
 * host would wait 3 s at each to see whether the plugin is dying. */
void nomad__status_of(const struct nomad_error *err, struct nomad__status *ret);
void nomad__status_set(struct nomad__status *ret, grpc_status_code code, const char *message);
void nomad__status_done(struct nomad__status *status);
grpc_status_code nomad__status_code(int errnum);
/* Returns a name such as "NOT_FOUND". */
const char *nomad__status_name(grpc_status_code code);

#endif
