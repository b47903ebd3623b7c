/* SPDX-License-Identifier: MPL-2.0
 *
 * wire/server.h: the gRPC server. */
#ifndef NOMAD_WIRE_SERVER_H
#define NOMAD_WIRE_SERVER_H

#include "wire/call.h"

struct nomad__server;

/* Serves the `n_methods` rows of `methods`, which are borrowed.
 * `shutdown` runs (any thread) when GRPCController.Shutdown was answered. */
int nomad__server_new(struct nomad_plugin *plugin, const struct nomad__method *methods, size_t n_methods,
		      void (*shutdown)(void *ud), void *ud, struct nomad__server **ret,
		      struct nomad_error **err) NOMAD_MUST_CHECK;
/* Serves a connected socket. */
void nomad__server_accept(struct nomad__server *server, int take_fd);
/* Returns for how long no call has been open; 0 while one is. */
int64_t nomad__server_idle_ns(struct nomad__server *server);
/* Ends all calls and waits for their end, at most so long.  True: nothing of
 * the server runs any more, and it can be freed. */
bool nomad__server_stop(struct nomad__server *server, int64_t timeout_ns);
void nomad__server_free(struct nomad__server *server);

#endif
