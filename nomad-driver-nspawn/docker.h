/* SPDX-License-Identifier: MPL-2.0
 *
 * docker.h: options in the forms of docker's driver, where ours have others. */
#ifndef NSPAWN_DOCKER_H
#define NSPAWN_DOCKER_H

#include "start.h"

/* Binds of `volumes` and of the blocks `mount`. */
int nspawn_bind_docker(struct nspawn_start *s, struct nomad_error **err) NOMAD_MUST_CHECK;
/* Checks of the tables, see struct nomad_option. */
const char *nspawn_check_volume(const char *value);
const char *nspawn_check_extra_host(const char *value);
/* Whether a container with a network and an IPC namespace of its own, or with one of them, has this setting of the
 * kernel for itself. */
bool nspawn_is_sysctl(const char *name, bool own_network, bool own_ipc);
int nspawn_check_sysctls(const struct nspawn_start *s, struct nomad_error **err) NOMAD_MUST_CHECK;
/* Adds the lines of extra_hosts. */
void nspawn_write_extra_hosts(const struct nspawn_config *config, FILE *out);

#endif
