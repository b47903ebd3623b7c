/* SPDX-License-Identifier: MPL-2.0
 *
 * network.h: the network of a container: none of its own, the one that Nomad
 * made for the group, or a namespace of its own with a link to the host. */
#ifndef NSPAWN_NETWORK_H
#define NSPAWN_NETWORK_H

#include <netinet/in.h>

#include "config.h"

struct nspawn_port {
	int host, container;
	char at[INET6_ADDRSTRLEN]; /* address of the host; "": any */
};

struct nspawn_network {
	enum { NSPAWN_NET_HOST, NSPAWN_NET_JOINED, NSPAWN_NET_OWN } kind;
	char *netns;		       /* file of the namespace to join, or NULL */
	char link[16];		       /* on the host; "" for none */
	char peer[16];		       /* its other end, until it is moved into the container */
	char bridge[16];	       /* that the link is on; "" for none */
	bool zone;		       /* the bridge is ours, and goes with its last link */
	char address[INET_ADDRSTRLEN]; /* of the container; "" if it has to find one itself */
	char gateway[INET_ADDRSTRLEN];
	int bits;
	char address6[INET6_ADDRSTRLEN], gateway6[INET6_ADDRSTRLEN]; /* "" for none; 96 bits more */
	struct nspawn_port *ports;
	size_t n_ports;
};

/* What the job and Nomad want; looks at no host.  `slug` names the task. */
int nspawn_network_plan(const struct nspawn_config *config, const struct nomad_task_info *info, const char *slug,
			struct nspawn_network *ret, struct nomad_error **err) NOMAD_MUST_CHECK;
/* Make it.  Recorded first; on failure nspawn_network_remove() has to be called. */
int nspawn_network_make(struct nomad_task *task, const struct nspawn_plugin_config *site,
			struct nspawn_network *network, const struct nspawn_config *config,
			struct nomad_error **err) NOMAD_MUST_CHECK;
/* Take away whatever the task's records tell of.  Idempotent. */
int nspawn_network_remove(struct nomad_task *task, struct nomad_error **err);
void nspawn_network_done(struct nspawn_network *network);
/* Names of the two ends of a link. */
void nspawn_link_name(struct nspawn_network *network, uint32_t number);
/* Names that no other task has a lease for in `links`, and no link of the host: those of `network`, or the next. */
int nspawn_link_choose(const char *links, const char *owner, struct nspawn_network *network,
		       struct nomad_error **err) NOMAD_MUST_CHECK;

/* Once, at the start of the plugin: addresses of tasks that have no record are free again, and those that version 0.1
 * kept in the state directory move to where all plugins look. */
void nspawn_network_sweep(const char *state_dir);

/* ---- firewall.c ---- */

/* Lead the ports of this host to the container, for TCP and UDP, from other hosts and from this one, and let
 * the containers of the pool out.  IPv4 or IPv6, as `address` says; ports at an address of the other kind do not count.
 * An IPv6 pool of global addresses is routed, not translated.  The caller holds the lock of the network for this and
 * the next. */
int nspawn_firewall_open(const char *pool, const char *address, const struct nspawn_port *ports, size_t n,
			 struct nomad_error **err) NOMAD_MUST_CHECK;
/* The counterpart; ports that lead elsewhere meanwhile are not touched; `last`: no container of ours is left,
 * nothing of us stays. */
void nspawn_firewall_close(const char *pool, const char *address, const struct nspawn_port *ports, size_t n, bool last);

/* "8080:80,53:53@192.0.2.1" and back; what is stored in the task's record. */
char *nspawn_ports_format(const struct nspawn_port *ports, size_t n);
int nspawn_ports_parse(const char *text, struct nspawn_port **ret_ports, size_t *ret_n);

/* ---- address.c ---- */

/* A free address of `pool` ("10.88.0.0/16"), or of the subnet of `zone` in it, taken for `owner`, the path of the
 * task's directory.  The caller holds the lock for all of these. */
int nspawn_address_take(const char *dir, const char *pool, const char *zone, const char *owner,
			char ret_address[INET_ADDRSTRLEN], char ret_gateway[INET_ADDRSTRLEN], int *ret_bits,
			struct nomad_error **err) NOMAD_MUST_CHECK;
/* The IPv6 address in `pool` ("fd00:1::/64") that belongs to an IPv4 address. */
int nspawn_address6(const char *pool, const char *address, char ret[INET6_ADDRSTRLEN],
		    struct nomad_error **err) NOMAD_MUST_CHECK;
/* Moves what version 0.1 recorded in `old`, with owners below `tasks`. */
void nspawn_address_adopt(const char *dir, const char *old, const char *tasks);

#endif
