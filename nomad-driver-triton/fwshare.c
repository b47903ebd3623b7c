/* SPDX-License-Identifier: MPL-2.0
 *
 * Firewall rules that several tasks share.
 *
 * A rule that the driver made carries a mark in its description, with a hash
 * of its canonical form:
 *
 *	Nomad FWRule for service: web [nomad-driver-triton 0123456789abcdef]
 *
 * Rules without the mark were made by others; they are neither used nor
 * touched, whatever they say.  An instance that needs a rule carries the tag
 * nomad_fw_<hash>; it has it from its creation on, so the instances with that
 * tag are the users of the rule, those that are still being provisioned
 * included.  Nothing is kept beside that: any node can count.
 *
 *	start		instance with tags -> look for the rules, make the missing
 *	destroy		instance gone -> count the tag -> none: delete the rule,
 *			then count again: somebody came in between -> make it again
 *
 * An instance between "decided" and "created" has no tag yet; this process
 * counts its own (hold, drop).  One caller at a time works on a rule; the lock
 * is not held while it asks the data centre.  Those who wait share the work: a
 * check that began after they came serves all of them, and of several releases
 * the last one counts.  Against other nodes the second count and the check at
 * the end of a start stand.  A count that failed is not zero.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fwrules.h"
#include "fwshare.h"
#include "text.h"

#define MARK "[nomad-driver-triton "

/* A rule that somebody in this process has to do with. */
struct shared {
	struct shared *next;
	char hash[TRITON_FWRULE_HASH_SIZE];
	unsigned users;		/* of this struct */
	unsigned held;		/* tasks between decision and creation */
	unsigned releases;	/* that wait */
	unsigned started, done; /* checks: how many began, and the newest that succeeded */
	bool busy;		/* somebody works on it */
};

struct triton_fwshare {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct shared *list;
};

struct triton_fwshare *triton_fwshare_new(void)
{
	struct triton_fwshare *share = calloc(1, sizeof(*share));

	if (share) {
		pthread_mutex_init(&share->lock, NULL);
		pthread_cond_init(&share->changed, NULL);
	}
	return share;
}

void triton_fwshare_free(struct triton_fwshare *share)
{
	if (!share)
		return;
	while (share->list) {
		struct shared *it = share->list;

		share->list = it->next;
		free(it);
	}
	pthread_cond_destroy(&share->changed);
	pthread_mutex_destroy(&share->lock);
	free(share);
}

static struct shared *find(struct triton_fwshare *share, const char *hash)
{
	struct shared *it = share->list;

	while (it && strcmp(it->hash, hash) != 0)
		it = it->next;
	return it;
}

/* With one user more; NULL if out of memory.  The lock is held here and below. */
static struct shared *get(struct triton_fwshare *share, const char *hash)
{
	struct shared *it = find(share, hash);

	if (!it) {
		it = calloc(1, sizeof(*it));
		if (!it)
			return NULL;
		snprintf(it->hash, sizeof(it->hash), "%s", hash);
		it->next = share->list;
		share->list = it;
	}
	it->users++;
	return it;
}

static void put(struct triton_fwshare *share, struct shared *it)
{
	struct shared **at = &share->list;

	if (--it->users)
		return;
	while (*at != it)
		at = &(*at)->next;
	*at = it->next;
	free(it);
}

static void let_go(struct triton_fwshare *share, struct shared *it)
{
	it->busy = false;
	pthread_cond_broadcast(&share->changed);
}

/* ---- A task's rules ---- */

void triton_fwset_done(struct triton_fwset *set)
{
	for (size_t i = 0; i < set->count; i++) {
		free(set->items[i].name);
		free(set->items[i].text);
	}
	free(set->items);
	memset(set, 0, sizeof(*set));
}

int triton_fwset_parse(const struct nomad_map *rules, struct triton_fwset *ret, struct nomad_error **err)
{
	struct triton_fwset set = { 0 };
	int r = 0;

	set.items = calloc(rules->count + 1, sizeof(*set.items));
	if (!set.items)
		return nomad_error_errno(err, ENOMEM, "read the firewall rules");
	for (size_t i = 0; r >= 0 && i < rules->count; i++) {
		struct triton_fwrule *rule = &set.items[set.count];
		bool known = false;

		r = triton_fwrule_canonical(rules->pairs[i].value, &rule->text, err);
		if (r < 0)
			break;
		for (size_t k = 0; k < set.count; k++)
			known |= strcmp(set.items[k].text, rule->text) == 0;
		if (known) {
			free(rule->text);
			rule->text = NULL;
			continue;
		}
		set.count++;
		rule->name = strdup(rules->pairs[i].key);
		if (!rule->name || triton_fwrule_hash(rule->text, rule->hash) < 0)
			r = nomad_error_errno(err, ENOMEM, "read the firewall rules");
	}
	if (r < 0)
		triton_fwset_done(&set);
	else
		*ret = set;
	return r;
}

int triton_fwset_tags(const struct triton_fwset *set, struct nomad_map *tags)
{
	for (size_t i = 0; i < set->count; i++) {
		char key[40];
		int r;

		strcpy(key, "nomad_fw_");
		strcat(key, set->items[i].hash);
		r = nomad_map_set(tags, key, "true");
		if (r < 0)
			return r;
	}
	return 0;
}

static void drop(struct triton_fwshare *share, const struct triton_fwset *set, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct shared *it = find(share, set->items[i].hash);

		it->held--;
		put(share, it);
	}
}

int triton_fwshare_hold(struct triton_fwshare *share, const struct triton_fwset *set)
{
	int r = 0;

	pthread_mutex_lock(&share->lock);
	for (size_t i = 0; r >= 0 && i < set->count; i++) {
		struct shared *it = get(share, set->items[i].hash);

		if (it) {
			it->held++;
		} else {
			drop(share, set, i);
			r = -ENOMEM;
		}
	}
	pthread_mutex_unlock(&share->lock);
	return r;
}

void triton_fwshare_drop(struct triton_fwshare *share, const struct triton_fwset *set)
{
	pthread_mutex_lock(&share->lock);
	drop(share, set, set->count);
	pthread_mutex_unlock(&share->lock);
}

/* ---- Rules of the account ---- */

/* Is it one of ours, with this hash? */
static bool is_ours(const json_t *rule, const char *hash)
{
	const char *description = triton_json_text(rule, "description");
	const char *mark = description ? strstr(description, MARK) : NULL;

	return mark && strncmp(mark + strlen(MARK), hash, 16) == 0 && mark[strlen(MARK) + 16] == ']';
}

int triton_fwrule_delete(const struct triton_cloud *cloud, const char *id, struct nomad_error **err)
{
	struct nomad_error *why = NULL;
	int r = triton_cloud_call(cloud, "DELETE", NULL, NULL, &why, "/fwrules/%s", id);

	return r < 0 ? triton_fail_unless_gone(r, why, err) : 0;
}

static int create_rule(const struct triton_cloud *cloud, const struct triton_fwrule *rule, bool *ret_maybe_done,
		       struct nomad_error **err)
{
	NOMAD_AUTO_FREE char *description =
		nomad_strdupf("Nomad FWRule for service: %.100s " MARK "%s]", rule->name, rule->hash);
	struct triton_answer answer;
	json_t *body = NULL;
	int r;

	if (description)
		body = json_pack("{s:s, s:b, s:s}", "rule", rule->text, "enabled", 1, "description", description);
	if (!body)
		return nomad_error_set(err, EINVAL, "make the firewall rule '%s': its name is no UTF-8", rule->name);
	r = triton_cloud_call(cloud, "POST", body, &answer, err, "/fwrules");
	*ret_maybe_done = r < 0 && answer.maybe_done;
	triton_answer_done(&answer);
	json_decref(body);
	if (r < 0)
		return nomad_error_wrap(err, "make the firewall rule '%s'", rule->name);
	return 0;
}

/* Look for each rule in `all` and enable it if need be. */
static int enable_found(const struct triton_cloud *cloud, const json_t *all, const struct triton_fwset *set,
			bool *found, struct nomad_error **err)
{
	for (size_t i = 0; i < set->count; i++) {
		json_t *rule;
		size_t k;

		found[i] = false;
		json_array_foreach(all, k, rule)
		{
			const char *id = triton_json_text(rule, "id"), *text = triton_json_text(rule, "rule");
			NOMAD_AUTO_FREE char *form = NULL;

			if (found[i] || !id || !text || !is_ours(rule, set->items[i].hash) ||
			    triton_fwrule_canonical(text, &form, NULL) < 0 || strcmp(form, set->items[i].text) != 0)
				continue;
			if (!json_is_true(json_object_get(rule, "enabled"))) {
				int r = triton_cloud_call(cloud, "POST", NULL, NULL, err, "/fwrules/%s/enable", id);

				if (r < 0)
					return nomad_error_wrap(err, "enable the firewall rule '%s'",
								set->items[i].name);
			}
			found[i] = true;
		}
	}
	return 0;
}

static int ensure(const struct triton_cloud *cloud, const struct triton_fwset *set, bool *found,
		  struct nomad_error **err)
{
	for (unsigned n = 1;; n++) {
		struct nomad_error *why = NULL;
		struct triton_answer answer;
		bool unsure = false;
		int r = triton_cloud_call(cloud, "GET", NULL, &answer, &why, "/fwrules");

		if (r < 0)
			(void)nomad_error_wrap(&why, "list the firewall rules");
		else
			r = enable_found(cloud, answer.json, set, found, &why);
		triton_answer_done(&answer);
		for (size_t i = 0; r >= 0 && i < set->count; i++)
			if (!found[i])
				r = create_rule(cloud, &set->items[i], &unsure, &why);
		if (r >= 0)
			return 0;
		/* An answer that was lost: look again, it may be there. */
		if (!unsure || n == 5 ||
		    triton_budget_sleep(triton_http_budget(cloud->http), triton_backoff_ms(n, 500, 4000)) < 0)
			return triton_fail(r, why, err);
		nomad_error_free(why);
	}
}

int triton_fwshare_ensure(struct triton_fwshare *share, const struct triton_cloud *cloud,
			  const struct triton_fwset *set, struct nomad_error **err)
{
	NOMAD_AUTO_FREE struct wish {
		struct shared *rule;
		unsigned check; /* the first that began after this call */
	} *wishes = calloc(set->count + 1, sizeof(*wishes));
	NOMAD_AUTO_FREE bool *found = calloc(set->count + 1, sizeof(*found));
	bool busy, done = true;
	int r = 0;

	if (!wishes || !found)
		return nomad_error_errno(err, ENOMEM, "make the firewall rules");
	pthread_mutex_lock(&share->lock);
	for (size_t i = 0; i < set->count; i++) {
		/* It is there: the caller holds the rules. */
		wishes[i].rule = find(share, set->items[i].hash);
		wishes[i].check = wishes[i].rule->started + 1;
	}
	do {
		busy = false;
		for (size_t i = 0; i < set->count; i++)
			busy |= wishes[i].rule->busy;
		if (busy)
			pthread_cond_wait(&share->changed, &share->lock);
	} while (busy);
	for (size_t i = 0; i < set->count; i++)
		done &= wishes[i].rule->done >= wishes[i].check;
	if (!done) {
		for (size_t i = 0; i < set->count; i++) {
			wishes[i].rule->busy = true;
			wishes[i].rule->started++;
		}
		pthread_mutex_unlock(&share->lock);
		r = ensure(cloud, set, found, err);
		pthread_mutex_lock(&share->lock);
		for (size_t i = 0; i < set->count; i++) {
			if (r >= 0)
				wishes[i].rule->done = wishes[i].rule->started;
			let_go(share, wishes[i].rule);
		}
	}
	pthread_mutex_unlock(&share->lock);
	return r;
}

/* How many instances use the rule?  An error is not zero. */
static int count_users(const struct triton_cloud *cloud, const char *hash, const char *except, size_t *ret,
		       struct nomad_error **err)
{
	NOMAD_AUTO_FREE char *query = nomad_strdupf("tag.nomad_fw_%s=true", hash);
	struct triton_machines machines = { 0 };
	int r;

	if (!query)
		return nomad_error_errno(err, ENOMEM, "count the users of a firewall rule");
	r = triton_cloud_list(cloud, query, &machines, err);
	if (r < 0)
		return nomad_error_wrap(err, "count the users of a firewall rule");
	*ret = machines.unreadable;
	for (size_t i = 0; i < machines.count; i++)
		*ret += machines.items[i].state != TRITON_DELETED &&
			(!except || strcmp(machines.items[i].id, except) != 0);
	triton_machines_done(&machines);
	return 0;
}

static int delete_unused(const struct triton_cloud *cloud, const char *hash, const char *except,
			 struct nomad_error **err)
{
	struct triton_answer answer;
	struct triton_fwrule again = { 0 };
	size_t users = 0, i;
	json_t *rule;
	int r = count_users(cloud, hash, except, &users, err);
	if (r < 0 || users)
		return r;
	r = triton_cloud_call(cloud, "GET", NULL, &answer, err, "/fwrules");
	if (r < 0)
		return nomad_error_wrap(err, "list the firewall rules");
	json_array_foreach(answer.json, i, rule)
	{
		const char *id = triton_json_text(rule, "id"), *text = triton_json_text(rule, "rule");

		if (r < 0 || !id || !is_ours(rule, hash))
			continue;
		if (text && !again.text)
			(void)triton_fwrule_canonical(text, &again.text, NULL);
		r = triton_fwrule_delete(cloud, id, err);
		if (r < 0)
			(void)nomad_error_wrap(err, "delete a firewall rule");
	}
	/* Somebody on another node may have found the rule just before it went. */
	if (r >= 0 && again.text && count_users(cloud, hash, except, &users, NULL) >= 0 && users) {
		struct triton_fwset set = { .items = &again, .count = 1 };
		bool found;

		again.name = strdup("shared");
		if (again.name && triton_fwrule_hash(again.text, again.hash) >= 0)
			r = ensure(cloud, &set, &found, err);
	}
	free(again.name);
	free(again.text);
	triton_answer_done(&answer);
	return r;
}

static int release(struct triton_fwshare *share, const struct triton_cloud *cloud, const char *hash, const char *except,
		   struct nomad_error **err)
{
	struct shared *it;
	int r = 0;

	pthread_mutex_lock(&share->lock);
	it = get(share, hash);
	if (!it) {
		pthread_mutex_unlock(&share->lock);
		return nomad_error_errno(err, ENOMEM, "delete a firewall rule");
	}
	it->releases++;
	while (it->busy)
		pthread_cond_wait(&share->changed, &share->lock);
	it->releases--;
	/* Else somebody is about to use it, or to count after this one would. */
	if (!it->held && !it->releases) {
		it->busy = true;
		pthread_mutex_unlock(&share->lock);
		r = delete_unused(cloud, hash, except, err);
		pthread_mutex_lock(&share->lock);
		let_go(share, it);
	}
	put(share, it);
	pthread_mutex_unlock(&share->lock);
	return r;
}

int triton_fwshare_release(struct triton_fwshare *share, const struct triton_cloud *cloud, const char *hashes,
			   const char *except, struct nomad_error **err)
{
	int r = 0;

	while (r >= 0 && *hashes) {
		char hash[TRITON_FWRULE_HASH_SIZE] = "";
		size_t n = strcspn(hashes, ",");

		if (n == sizeof(hash) - 1) {
			memcpy(hash, hashes, n);
			r = release(share, cloud, hash, except, err);
		}
		hashes += n + (hashes[n] == ',');
	}
	return r;
}

int triton_fwshare_published(const struct triton_cloud *cloud, const char *machine, char **ret_ids,
			     struct nomad_error **err)
{
	struct triton_answer answer;
	char *ids = strdup("");
	json_t *rule;
	size_t i;
	int r = triton_cloud_call(cloud, "GET", NULL, &answer, err, "/machines/%s/fwrules", machine);

	if (r < 0) {
		free(ids);
		return nomad_error_wrap(err, "list the firewall rules of an instance");
	}
	json_array_foreach(answer.json, i, rule)
	{
		const char *id = triton_json_text(rule, "id"), *text = triton_json_text(rule, "rule");
		char *more;

		if (!ids || !id || !text || !triton_is_uuid(id) || strlen(ids) > 3000 ||
		    !triton_fwrule_is_published(text, machine))
			continue;
		more = nomad_strdupf("%s%s%s", ids, *ids ? "," : "", id);
		free(ids);
		ids = more;
	}
	triton_answer_done(&answer);
	if (!ids)
		return nomad_error_errno(err, ENOMEM, "list the firewall rules of an instance");
	*ret_ids = ids;
	return 0;
}
