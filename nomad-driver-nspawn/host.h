/* SPDX-License-Identifier: MPL-2.0
 *
 * host.h: what this host has, found out once when the plugin starts to
 * work, and what the driver leaves in its state directory. */
#ifndef NSPAWN_HOST_H
#define NSPAWN_HOST_H

#include <pthread.h>
#include <sys/types.h>

#include "nomad/plugin.h"

enum { NSPAWN_SYSTEMD_MIN = 249 }; /* bind mounts with idmap, --private-users-ownership= */

struct nspawn_host {
	char *nspawn;  /* path of systemd-nspawn, or NULL */
	int version;   /* of systemd, 0 if not known */
	bool machined; /* systemd-machined can be called */
	bool cgroup2;  /* a hierarchy of cgroup v2 is mounted, alone or beside v1 */
	bool networkd; /* systemd-networkd runs */
};

/* The plugin's data, see nomad_plugin_data(). */
struct nspawn_data {
	struct nspawn_host host;
	char *init;	      /* path of nspawn-init on the host */
	pthread_mutex_t lock; /* of what follows */
	pthread_cond_t registered;
	unsigned registering; /* threads that talk to systemd-machined */
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

/* machined.c: make a container that runs known to systemd-machined, in a while; never mind if that will not have
 * it.  `root`: where its files are, or NULL. */
void nspawn_machined_register(struct nomad_task *task, const char *root);
/* Wait a moment until all of them are known.  false: some are not yet, and `data` is still in use. */
bool nspawn_machined_finish(struct nspawn_data *data);
/* The scope or service that systemd finds in the text of /proc/PID/cgroup; false if there is none. */
bool nspawn_unit_of(const char *cgroups, char *ret, size_t room);

/* embed.c: the path of nspawn-init in `dir`, written there if it is missing. */
int nspawn_init_write(const char *dir, char **ret_path, struct nomad_error **err);

/* fingerprint.c */
void nspawn_fingerprint(struct nomad_plugin *plugin, struct nomad_fingerprint *fp);

#endif
