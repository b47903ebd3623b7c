/* SPDX-License-Identifier: MPL-2.0 */
/* One secret in the configuration makes a cluster with TLS, gossip encryption and ACLs (CLUSTER.md). */
#ifndef NOMADINIT_CLUSTER_H
#define NOMADINIT_CLUSTER_H

#include <jansson.h>
#include <stdbool.h>

#include "config.h"

#define CLUSTER_DIR "/run/nomad/tls"
#define CLUSTER_MIN_SECRET 32
#define CLUSTER_TOKEN CLUSTER_DIR "/acl-token" /* only on servers */

/* What the agent's configuration needs to use the keys: all that the user has not set.  Returns 0 or -ENOMEM. */
int cluster_fill(json_t *agent);
/* Makes the keys by nomadinit-keys, after the agent's configuration was written.  `done` is called when they are there,
 * at once if there is no secret; a failure is logged and tried again. */
void cluster_make_keys(const struct config *c, void (*done)(void));
bool cluster_is_ready(void);

#endif
