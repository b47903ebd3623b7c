/* SPDX-License-Identifier: MPL-2.0
 *
 * network.h: a network namespace of a build's own, with a way out.  See network.c. */
#ifndef BUILD_NETWORK_H
#define BUILD_NETWORK_H

#include <netinet/in.h>

#include "nomad/plugin.h"

/* What `network` of a plan can be. */
#define BUILD_NETWORK_PRIVATE "private"
#define BUILD_NETWORK_NONE "none"

struct build_network {
	int go, ready, said; /* descriptors */
	struct in_addr *own; /* addresses of the node */
	size_t n_own;
};

/* Before the namespace: starts the process that will serve it with program `slirp`, and dies with this one. */
int build_network_begin(struct build_network *network, const char *slirp, struct nomad_error **err) NOMAD_MUST_CHECK;
/* In the namespace, which is new. */
int build_network_enter(struct build_network *network, struct nomad_error **err) NOMAD_MUST_CHECK;
/* Returns once there is a way out; in this process or in a child. */
int build_network_wait(struct build_network *network, struct nomad_error **err) NOMAD_MUST_CHECK;

/* The resolver's file for it, malloc()ed, from that of the node at `path`. */
char *build_network_resolv_conf(const char *path);

#endif
