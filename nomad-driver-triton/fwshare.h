/* SPDX-License-Identifier: MPL-2.0
 *
 * fwshare.h: firewall rules that several tasks share. */
#ifndef TRITON_FWSHARE_H
#define TRITON_FWSHARE_H

#include "cloudapi.h"

struct triton_fwshare;

struct triton_fwshare *triton_fwshare_new(void);
void triton_fwshare_free(struct triton_fwshare *share);

/* A task's rules: canonical texts, distinct. */
struct triton_fwset {
	struct triton_fwrule {
		char *name; /* of the job file */
		char *text;
		char hash[17];
	} * items;
	size_t count;
};

int triton_fwset_parse(const struct nomad_map *rules, struct triton_fwset *ret, struct nomad_error **err);
void triton_fwset_done(struct triton_fwset *set);
/* The tags that count an instance as a user of the rules. */
int triton_fwset_tags(const struct triton_fwset *set, struct nomad_map *tags);

/* Announce that this process is about to have an instance that uses the rules,
 * and withdraw it: they count as in use in between.  -ENOMEM. */
int triton_fwshare_hold(struct triton_fwshare *share, const struct triton_fwset *set);
void triton_fwshare_drop(struct triton_fwshare *share, const struct triton_fwset *set);

/* Make what is missing of the rules and enable what was disabled.  To be
 * called once the tagged instance exists. */
int triton_fwshare_ensure(struct triton_fwshare *share, const struct triton_cloud *cloud,
			  const struct triton_fwset *set, struct nomad_error **err);
/* Delete the rules `hashes` ("h1,h2") that no instance but `except` (NULL: none) uses. */
int triton_fwshare_release(struct triton_fwshare *share, const struct triton_cloud *cloud, const char *hashes,
			   const char *except, struct nomad_error **err);

/* Ids ("a,b", malloc()ed, "" for none) of the rules that the Docker API made
 * for the published ports of the machine. */
int triton_fwshare_published(const struct triton_cloud *cloud, const char *machine, char **ret_ids,
			     struct nomad_error **err);
int triton_fwrule_delete(const struct triton_cloud *cloud, const char *id, struct nomad_error **err);

#endif
