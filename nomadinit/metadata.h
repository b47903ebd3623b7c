/* SPDX-License-Identifier: MPL-2.0 */
/* PID 1's side of the cloud: whom to ask, when, and what becomes of the answer. */
#ifndef NOMADINIT_METADATA_H
#define NOMADINIT_METADATA_H

#include <stdbool.h>

#include "config.h"

#define METADATA_RESULT "/run/nomadinit/cloud.json"

/* Is there a cloud to ask, and is the network needed for it? */
bool metadata_needs_network(const struct config *c, bool in_container);
/* Asks, if there is somebody to ask, in a process of its own; then calls done.  Once a network is needed it must have
 * been started. */
void metadata_start(const struct config *c, bool in_container, void (*done)(void));
/* Tells a cloud that waits for it that the machine is up. */
void metadata_report(const struct config *c);

/* The pieces of the answer, as fresh memory or NULL: what the metadata says, and the text of our user-data.  ret_name
 * (64 bytes) gets the provider. */
void metadata_read(const char *path, char **ret_config, char **ret_user_data, char *ret_name);

#endif
