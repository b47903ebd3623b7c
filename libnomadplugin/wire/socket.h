/* SPDX-License-Identifier: MPL-2.0
 *
 * wire/socket.h: the socket that the host connects to, and the line that
 * tells it where. */
#ifndef NOMAD_WIRE_SOCKET_H
#define NOMAD_WIRE_SOCKET_H

#include <stdbool.h>

#include "nomad/error.h"

enum {
	NOMAD__SOCKET_PATH_MAX = 103, /* characters: sun_path of FreeBSD has 104 bytes */
};

/* Listens on a new socket `plugin*` in PLUGIN_UNIX_SOCKET_DIR, TMPDIR or
 * /tmp, for this user only, or for PLUGIN_UNIX_SOCKET_GROUP too. */
int nomad__socket_listen(char **ret_path, int *ret_fd, struct nomad_error **err) NOMAD_MUST_CHECK;
/* The same at a given path, where nothing exists. */
int nomad__socket_listen_at(const char *path, int *ret_fd, struct nomad_error **err) NOMAD_MUST_CHECK;

/* Returns whether `version` is in the list "2,3" of PLUGIN_PROTOCOL_VERSIONS; NULL and "" contain every one. */
bool nomad__handshake_has_version(const char *list, int version);
/* Returns the line with its newline; `multiplex` is PLUGIN_MULTIPLEX_GRPC.  NULL: out of memory. */
char *nomad__handshake_line(const char *path, const char *multiplex);

#endif
