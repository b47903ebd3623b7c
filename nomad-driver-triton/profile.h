/* SPDX-License-Identifier: MPL-2.0
 *
 * profile.h: profiles of node-triton, the triton command. */
#ifndef TRITON_PROFILE_H
#define TRITON_PROFILE_H

#include "nomad/base.h"
#include "nomad/error.h"

struct triton_profile {
	char *url, *account, *user, *key_id, *act_as;
	int insecure; /* tristate */
};

/* Reads NAME.json of ~/.triton/profiles.d, or the file with this path: url, account, keyId, and optional user,
 * insecure, actAsAccount (node-triton lib/config.js).  The caller frees *ret. */
int triton_profile_load(const char *name, struct triton_profile *ret, struct nomad_error **err);
void triton_profile_done(struct triton_profile *profile);

#endif
