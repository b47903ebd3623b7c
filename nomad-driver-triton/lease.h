/* SPDX-License-Identifier: MPL-2.0
 *
 * lease.h: which plugin owns an instance, and the removal of instances whose
 * owner is gone.
 *
 * Tags of each instance (labels, before a container has tags):
 *
 *	nomad_owner	the plugin that made it: 32 random digits, kept in its state directory
 *	nomad_node	the node's id, for people
 *	nomad_cluster	option cluster, if set
 *	nomad_lease	"SECONDS/INTERVAL", on one running instance of each owner
 *
 * An owner renews its lease each INTERVAL seconds by one request, whatever the number of its instances: it raises
 * SECONDS on one of them.  Every node reads the list of the account at that interval.  A node removes an instance of
 * another owner only if all of these hold:
 *
 *	1. Both carry the same nomad_cluster, or neither carries one.
 *	2. The owner's lease has not changed for lease_timeout, and for four of its own intervals.  That is
 *	   measured by this node's monotonic clock alone, so no two clocks are compared, and starts anew
 *	   when this node starts or cannot read the list for three intervals.
 *	3. Its name is the one of the task that its tags name, and its tags agree.
 *	4. Nomad says that the allocation is over: its client status is complete or failed, or it is lost
 *	   and Nomad has told it to stop.  An allocation that Nomad does not know counts as over only if
 *	   both carry the same, set nomad_cluster.
 *
 * A node that is cut off from the API, paused, or slow fulfils 2 at most: Nomad wants its allocations still.  If
 * Nomad gave them up, the node stops them itself once it is back. */
#ifndef TRITON_LEASE_H
#define TRITON_LEASE_H

#include "debts.h"
#include "poller.h"
#include "remains.h"

struct triton_lease;

/* The name of the plugin with this state directory; made and written there if there is none.  *ret is malloc()ed. */
int triton_owner_load(const char *state_dir, char **ret, struct nomad_error **err);

/* Starts the thread that renews and looks. `site`, `poller` and `debts` are borrowed. */
int triton_lease_new(struct triton_site *site, struct triton_poller *poller, struct triton_debts *debts,
		     struct triton_lease **ret, struct nomad_error **err);
/* Ends it; the site's budget has to be closed before. */
void triton_lease_free(struct triton_lease *lease);

/* The value of the tag nomad_NAME, or of the label nomad.NAME of a container; NULL. */
const char *triton_owner_tag(const struct triton_machine *machine, const char *name);
/* "SECONDS/INTERVAL" taken apart; false for anything else. */
bool triton_lease_parse(const char *text, int64_t *ret_seconds, int64_t *ret_interval);
/* May the plugins of this and that cluster remove each other's instances? */
bool triton_same_cluster(const char *own, const char *other);
/* What is known of an instance from its name and tags alone.  -ENOENT if it is not of this driver, or if they do not
 * agree: whoever may only change tags must not have an instance removed. */
int triton_remains_of_machine(const struct triton_machine *machine, struct triton_remains *ret);

/* ---- nomadapi.c: what Nomad says of an allocation ---- */

struct triton_nomad;

enum triton_alloc {
	TRITON_ALLOC_UNKNOWN, /* Nomad does not answer, or does not know it */
	TRITON_ALLOC_WANTED,
	TRITON_ALLOC_OVER,
};

int triton_nomad_new(struct triton_site *site, struct triton_nomad **ret, struct nomad_error **err);
/* Ends waits; calls to come fail at once. */
void triton_nomad_close(struct triton_nomad *nomad);
void triton_nomad_free(struct triton_nomad *nomad);
/* `named`: the instance carries the name of this cluster, so that "not found" is an answer.  *ret_why (malloc()ed, NULL
 * if out of memory) is a clause for people. */
enum triton_alloc triton_nomad_ask(struct triton_nomad *nomad, const char *alloc_id, bool named, char **ret_why);
/* The meaning of Nomad's answer about an allocation, as above. */
enum triton_alloc triton_nomad_judge(const json_t *answer, const char *alloc_id, char **ret_why);

/* ---- account.c: "gc --account" ---- */

int triton_gc_account(struct nomad_plugin *plugin, bool dry_run, void (*say)(void *ud, const char *line), void *ud,
		      struct nomad_error **err);

#endif
