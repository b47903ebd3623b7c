/* SPDX-License-Identifier: MPL-2.0
 *
 * start.h: what the files that start a task share, and the callbacks of the
 * driver's table. */
#ifndef NSPAWN_START_H
#define NSPAWN_START_H

#include "host.h"
#include "image.h"
#include "network.h"
#include "oci.h"

/* Everything that one start holds. */
struct nspawn_start {
	struct nomad_task *task;
	const struct nomad_task_info *info;
	const struct nspawn_config *config;
	const struct nspawn_plugin_config *site;
	struct nspawn_data *data;
	struct nspawn_image image;
	struct nspawn_oci oci;
	struct nspawn_machine machine;
	struct nspawn_network network;
	char *spec_path, *resolv_conf, *layer, *sticky;
	char **argv;
	int spec_fd;
};

/* files.c, bind.c: what is bound where, and the files of ours that are.  All in s->machine. */
int nspawn_bind_all(struct nspawn_start *s, struct nomad_error **err) NOMAD_MUST_CHECK;
/* Where a directory of the task is in the container: what the variable says, if it is a path. */
const char *nspawn_env_path(const struct nomad_map *env, const char *name, const char *otherwise);
/* The bind at that place in the container, which was made last; or NULL. */
struct nspawn_bind *nspawn_bind_at(const struct nspawn_start *s, const char *container);
/* A source of the job's: its path without links is judged as `option` is, and mounted without following any. */
int nspawn_bind_judged(struct nspawn_start *s, const char *option, const char *source, const char *container,
		       bool read_only, struct nomad_error **err) NOMAD_MUST_CHECK;
int nspawn_make_resolv_conf(struct nspawn_start *s, struct nomad_error **err) NOMAD_MUST_CHECK;
/* /etc/hosts as docker has it: localhost, and the container's own name with its address; for a booted system also
 * /etc/hostname. After the network is made. */
int nspawn_make_names(struct nspawn_start *s, struct nomad_error **err) NOMAD_MUST_CHECK;
int nspawn_make_spec(struct nspawn_start *s, struct nomad_error **err) NOMAD_MUST_CHECK;
int nspawn_make_network_file(struct nspawn_start *s, struct nomad_error **err) NOMAD_MUST_CHECK;

/* start.c, life.c: see struct nomad_driver. */
int nspawn_start(struct nomad_task *task, struct nomad_error **err);
int nspawn_recover(struct nomad_task *task, struct nomad_error **err);
int nspawn_destroy(struct nomad_task *task, struct nomad_error **err);
int nspawn_signal(struct nomad_task *task, int signal, struct nomad_error **err);
int nspawn_stop(struct nomad_task *task, int signal, unsigned timeout_ms, struct nomad_error **err);
int nspawn_inspect(struct nomad_task *task, struct nomad_map *attributes, struct nomad_error **err);
/* The directory of downloaded images, malloc()ed. */
char *nspawn_images_dir(struct nomad_plugin *plugin);

#endif
