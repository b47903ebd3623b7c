/* SPDX-License-Identifier: MPL-2.0
 *
 * "gc --account": all instances of the account that this driver has made, on whatever node, and the removal of those
 * that nobody needs.  An operator stands beside it, so a lease is compared with the clock of this host; what Nomad says
 * is required as in lease.h. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "nomad/driver.h"

#include "lease.h"
#include "text.h"

enum { CLEAR_MS = 120000 };

struct account {
	struct triton_site *site;
	struct triton_nomad *nomad;
	struct triton_machines machines;
	bool dry_run;
	void (*say)(void *ud, const char *line);
	void *ud;
	size_t removed, kept, failed;
};

static int find(struct account *account, struct nomad_error **err)
{
	struct triton_machines labelled = { 0 };
	struct triton_cloud cloud;
	int r = triton_site_cloud(account->site, &cloud, err);

	/* Failed instances are in no other list. */
	if (r >= 0)
		r = triton_cloud_list(&cloud, "tag.nomad_driver=triton&tombstone=true", &account->machines, err);
	if (r >= 0)
		r = triton_cloud_list(&cloud, "tag.docker%3Alabel%3Anomad.driver=triton&tombstone=true", &labelled,
				      err);
	if (r >= 0 && triton_machines_merge(&account->machines, &labelled) < 0)
		r = nomad_error_errno(err, ENOMEM, "list the instances of the account");
	triton_machines_done(&labelled);
	return r;
}

/* Seconds since the owner renewed its lease; -1: it never did. */
static int64_t lease_age_s(const struct account *account, const char *owner)
{
	int64_t newest = 0, seconds, interval;

	for (size_t i = 0; owner && i < account->machines.count; i++) {
		const struct triton_machine *it = &account->machines.items[i];
		const char *its = triton_owner_tag(it, "owner");

		if (its && strcmp(its, owner) == 0 &&
		    triton_lease_parse(triton_owner_tag(it, "lease"), &seconds, &interval) && seconds > newest)
			newest = seconds;
	}
	if (!newest)
		return -1;
	seconds = (int64_t)time(NULL) - newest;
	return seconds > 0 ? seconds : 0;
}

static void report(struct account *account, const struct triton_machine *machine, const char *what, const char *why)
{
	const char *node = triton_owner_tag(machine, "node"), *owner = triton_owner_tag(machine, "owner");
	NOMAD_AUTO_FREE char *text = nomad_strdupf(
		"%s %.63s (%s, %s, node %.8s, plugin %.8s): %s", what, machine->name ? machine->name : "-", machine->id,
		triton_state_word(machine->state), node ? node : "unknown", owner ? owner : "unknown", why);
	/* Whoever may set tags chooses what they say. */
	NOMAD_AUTO_FREE char *line = text ? triton_one_line(text, strlen(text)) : NULL;

	if (line)
		account->say(account->ud, line);
}

static void keep(struct account *account, const struct triton_machine *machine, const char *why)
{
	account->kept++;
	report(account, machine, "keep", why);
}

static void clear(struct account *account, const struct triton_machine *machine, const char *why)
{
	NOMAD_AUTO_ERROR struct nomad_error *err = NULL;
	struct triton_remains remains = { 0 };

	if (account->dry_run) {
		account->removed++;
		report(account, machine, "would remove", why);
		return;
	}
	if (triton_remains_of_machine(machine, &remains) < 0)
		return keep(account, machine, "its name and tags do not say which task it is of");
	if (triton_remains_clear(account->site, &remains, CLEAR_MS, &err) < 0) {
		account->failed++;
		report(account, machine, "cannot remove", nomad_error_message(err));
	} else {
		account->removed++;
		report(account, machine, "removed", why);
	}
	triton_remains_done(&remains);
}

static void judge(struct account *account, const struct triton_machine *machine)
{
	const char *alloc = triton_owner_tag(machine, "alloc"), *cluster = triton_owner_tag(machine, "cluster");
	int64_t age = lease_age_s(account, triton_owner_tag(machine, "owner"));
	NOMAD_AUTO_FREE char *why = NULL, *text = NULL;
	enum triton_alloc is;

	if (!triton_same_cluster(account->site->cluster, cluster)) {
		text = nomad_strdupf("of the cluster '%s'; run gc --account there", cluster ? cluster : "");
		return keep(account, machine, text ? text : "");
	}
	if (!alloc)
		return keep(account, machine, "its tags do not say which allocation it is of");
	is = triton_nomad_ask(account->nomad, alloc, cluster != NULL, &why);
	if (age < 0)
		text = nomad_strdupf("%s; no lease", why ? why : "");
	else
		text = nomad_strdupf("%s; lease renewed %" PRId64 " s ago", why ? why : "", age);
	/* A plugin that lives removes its own, and may be in the middle of it. */
	if (is == TRITON_ALLOC_OVER && (age < 0 || age * 1000 >= account->site->lease_ms))
		clear(account, machine, text ? text : "");
	else
		keep(account, machine, text ? text : "");
}

int triton_gc_account(struct nomad_plugin *plugin, bool dry_run, void (*say)(void *ud, const char *line), void *ud,
		      struct nomad_error **err)
{
	struct account account = { .dry_run = dry_run, .say = say, .ud = ud };
	NOMAD_AUTO_FREE char *sum = NULL;
	int r = triton_site_new(nomad_plugin_config(plugin), &account.site, err);

	if (r < 0)
		return r;
	r = triton_nomad_new(account.site, &account.nomad, err);
	if (r >= 0)
		r = find(&account, err);
	for (size_t i = 0; r >= 0 && i < account.machines.count; i++)
		if (account.machines.items[i].state != TRITON_DELETED)
			judge(&account, &account.machines.items[i]);
	if (r >= 0 && account.machines.unreadable)
		r = nomad_error_set(err, EPROTO, "list the instances of the account: %zu cannot be read",
				    account.machines.unreadable);
	if (r >= 0 && account.failed)
		r = nomad_error_set(err, EIO, "remove instances: %zu could not be removed; try again", account.failed);
	sum = nomad_strdupf("%zu instances %s, %zu kept", account.removed, dry_run ? "would be removed" : "removed",
			    account.kept);
	if (r >= 0 && sum)
		say(ud, sum);
	triton_machines_done(&account.machines);
	triton_nomad_free(account.nomad);
	triton_site_free(account.site);
	return r;
}
