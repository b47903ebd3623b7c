/* SPDX-License-Identifier: MPL-2.0
 *
 * oci.h: what a config.json (runtime specification of the Open Container
 * Initiative) says of how to run an image, as far as it is for us. */
#ifndef NSPAWN_OCI_H
#define NSPAWN_OCI_H

#include "nomad/plugin.h"

struct nspawn_oci {
	char *root; /* as written: relative to the bundle */
	bool read_only;
	char **args;
	bool has_image; /* what follows says more than args, for a container image */
	char **entrypoint, **cmd;
	char **layers;	      /* names of those that the root is made of, the uppermost first; NULL: it is one tree */
	char **health;	      /* the command that says whether it is well, as words; NULL: none */
	int64_t health_ms[4]; /* interval, interval at the start, time-out, length of the start */
	int health_retries;
	int stop_signal; /* 0: none */
	char *groups;	 /* "7,8": beside those of the user; or NULL */
	struct nomad_map env;
	char *cwd;
	char *user; /* "uid:gid", NULL for root */
	char *hostname;
	bool no_new_privileges;
};

/* *ret is to be done with in any case. */
int nspawn_oci_parse(const char *text, struct nspawn_oci *ret, struct nomad_error **err) NOMAD_MUST_CHECK;
int nspawn_oci_read(const char *path, struct nspawn_oci *ret, struct nomad_error **err) NOMAD_MUST_CHECK;
void nspawn_oci_done(struct nspawn_oci *oci);

#endif
