/* SPDX-License-Identifier: MPL-2.0
 *
 * host.h: what this host has, found out once when the plugin starts to
 * work, and what the driver leaves in its state directory. */
#ifndef NSPAWN_HOST_H
#define NSPAWN_HOST_H

#include <pthread.h>
#include <sys/types.h>

#include "nomad/plugin.h"

enum { NSPAWN_SYSTEMD_MIN = 249 };	/* bind mounts with idmap, --private-users-ownership= */

struct nspawn_host {
	char *nspawn;			/* path of systemd-nspawn, or NULL */
	int version;			/* of systemd, 0 if not known */
	bool machined;			/* systemd-machined can be called */
	bool cgroup2;			/* a hierarchy of cgroup v2 is mounted, alone or beside v1 */
	bool networkd;			/* systemd-networkd runs */
};

/* The plugin's data, see nomad_plugin_data(). */
struct nspawn_data {
	struct nspawn_host host;
	char *init;			/* path of nspawn-init on the host */
	pthread_mutex_t lock;		/* of what follows */
	struct nspawn_idmap {
		dev_t device;
		bool can;
	} idmaps[64];
	size_t n_idmaps;
};

void nspawn_host_find(struct nspawn_host *host);
void nspawn_host_done(struct nspawn_host *host);
/* "systemd 252 (252.39-1)" -> 252; 0 if it is nothing like that. */
int nspawn_parse_version(const char *text);

int nspawn_data_new(const char *state_dir, struct nspawn_data **ret, struct nomad_error **err);
void nspawn_data_free(struct nspawn_data *data);

/* Whether a mount of `path` can shift owners.  `whole`: and nothing is mounted below it, which the shifted
 * mount would not show. */
bool nspawn_can_idmap(struct nspawn_data *data, const char *path, bool whole);

/* machined.c: make a container known to systemd-machined; never mind if it will not have it. */
void nspawn_machined_register(const char *name, const char *uuid, int leader, const char *root);

/* embed.c: the path of nspawn-init in `dir`, written there if it is missing. */
int nspawn_init_write(const char *dir, char **ret_path, struct nomad_error **err);

/* fingerprint.c */
void nspawn_fingerprint(struct nomad_plugin *plugin, struct nomad_fingerprint *fp);

#endif
