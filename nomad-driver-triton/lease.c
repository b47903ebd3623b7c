/* SPDX-License-Identifier: MPL-2.0
 *
 * The lease of this plugin, and the instances of others whose lease is over; the rule is in lease.h. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <openssl/rand.h>

#include "nomad/log.h"

#include "lease.h"
#include "text.h"
#include "triton.h"

enum {
	OWNER_CHARS = 32,
	RENEW_MOST_MS = 300000,
	RENEW_LEAST_MS = 1000,
	OTHERS_MAX = 10000,
	CARRIERS = 3,	   /* instances that are tried each time */
	INTERVALS = 4,	   /* of the owner's own, for which its lease must not change */
	GAP_INTERVALS = 3, /* without a list: all is observed anew */
	WHOLE_ROUNDS = 12, /* each so many looks also failed instances are looked for */
	CLEAR_MS = 60000,
};

/* What is known of another owner. */
struct other {
	char id[OWNER_CHARS + 1];
	char lease[48];
	int64_t changed_ms; /* monotonic: when its lease was last seen to change */
	int64_t limit_ms;
	bool told; /* that its instances stay */
};

struct triton_lease {
	struct triton_site *site;
	struct triton_poller *poller;
	struct triton_debts *debts;
	struct triton_nomad *nomad;
	pthread_t thread;
	bool started;
	int64_t interval_ms;
	int64_t seconds; /* highest that this owner has written */
	int64_t observed_ms;
	unsigned rounds, carrier;
	struct other *others;
	size_t n_others;
};

/* ---- Tags ---- */

const char *triton_owner_tag(const struct triton_machine *machine, const char *name)
{
	char key[64];
	const char *value;

	snprintf(key, sizeof(key), "nomad_%s", name);
	value = nomad_map_get(&machine->tags, key);
	if (value)
		return value;
	snprintf(key, sizeof(key), "docker:label:nomad.%s", name);
	return nomad_map_get(&machine->tags, key);
}

bool triton_lease_parse(const char *text, int64_t *ret_seconds, int64_t *ret_interval)
{
	char end;

	return text && sscanf(text, "%19" SCNd64 "/%6" SCNd64 "%c", ret_seconds, ret_interval, &end) == 2 &&
	       *ret_seconds > 0 && *ret_interval > 0;
}

bool triton_same_cluster(const char *own, const char *other)
{
	return own && other ? strcmp(own, other) == 0 : !own && !other;
}

static int add_rules(const struct triton_machine *machine, struct triton_remains *remains)
{
	NOMAD_AUTO_FREE char *hashes = NULL;

	for (size_t i = 0; i < machine->tags.count; i++) {
		const char *key = machine->tags.pairs[i].key;
		char *more;

		if (strncmp(key, "nomad_fw_", 9) != 0)
			continue;
		more = nomad_strdupf("%s%s%s", hashes ? hashes : "", hashes ? "," : "", key + 9);
		free(hashes);
		hashes = more;
		if (!more)
			return -ENOMEM;
	}
	return hashes ? nomad_map_set(&remains->records, TRITON_RECORD_RULES, hashes) : 0;
}

int triton_remains_of_machine(const struct triton_machine *machine, struct triton_remains *ret)
{
	const char *task = triton_owner_tag(machine, "task"), *alloc = triton_owner_tag(machine, "alloc");
	struct triton_remains remains = { 0 };
	int r;

	if (!task || !machine->name || !triton_is_name_of(machine->name, task) ||
	    (alloc && (strncmp(task, alloc, strlen(alloc)) != 0 || task[strlen(alloc)] != '/')))
		return -ENOENT;
	remains.task_id = strdup(task);
	remains.name = strdup(machine->name);
	r = remains.task_id && remains.name ? 0 : -ENOMEM;
	if (r >= 0)
		r = nomad_map_set(&remains.records, TRITON_RECORD_INSTANCE, machine->id);
	if (r >= 0)
		r = nomad_map_set(&remains.records, TRITON_RECORD_API,
				  nomad_map_get(&machine->tags, "docker:label:nomad.task") ? "docker" : "cloud");
	if (r >= 0 && nomad_map_get(&machine->tags, "nomad_protected"))
		r = nomad_map_set(&remains.records, TRITON_RECORD_PROTECTED, "1");
	if (r >= 0)
		r = add_rules(machine, &remains);
	if (r < 0)
		triton_remains_done(&remains);
	else
		*ret = remains;
	return r;
}

/* ---- The plugin's own name ---- */

static int write_owner(const char *path, const char *id, struct nomad_error **err)
{
	NOMAD_AUTO_FREE char *temporary = nomad_strdupf("%s.tmp", path);
	NOMAD_AUTO_FD int fd = -1;
	int r;

	if (!temporary)
		return nomad_error_errno(err, ENOMEM, "write '%s'", path);
	fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	r = fd < 0 ? -errno : nomad_write_all(fd, id, strlen(id));
	/* What is tagged with it must find it again. */
	if (r >= 0 && (fsync(fd) < 0 || rename(temporary, path) < 0))
		r = -errno;
	return r < 0 ? nomad_error_errno(err, -r, "write '%s'", path) : 0;
}

int triton_owner_load(const char *state_dir, char **ret, struct nomad_error **err)
{
	NOMAD_AUTO_FREE char *path = nomad_strdupf("%s/owner", state_dir);
	char id[OWNER_CHARS + 1] = "";
	unsigned char random[OWNER_CHARS / 2];
	NOMAD_AUTO_FD int fd = path ? open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW) : -1;
	ssize_t n = fd >= 0 ? read(fd, id, OWNER_CHARS) : -1;

	if (!path)
		return nomad_error_errno(err, ENOMEM, "name the plugin");
	if (n != OWNER_CHARS || strspn(id, "0123456789abcdef") != OWNER_CHARS) {
		if (RAND_bytes(random, sizeof(random)) != 1)
			return nomad_error_set(err, EIO, "name the plugin: no random numbers");
		for (size_t i = 0; i < sizeof(random); i++)
			snprintf(id + 2 * i, 3, "%02x", random[i]);
		if (write_owner(path, id, err) < 0)
			return -EIO;
	}
	*ret = strdup(id);
	return *ret ? 0 : nomad_error_errno(err, ENOMEM, "name the plugin");
}

/* ---- Renewal ---- */

/* On one instance that runs, for all. */
static void renew(struct triton_lease *lease)
{
	int64_t now = time(NULL);
	struct triton_cloud cloud;

	if (triton_site_cloud(lease->site, &cloud, NULL) < 0)
		return;
	cloud.retry_ms = 0;
	for (int i = 0; i < CARRIERS; i++) {
		NOMAD_AUTO_FREE char *machine = triton_poller_pick(lease->poller, lease->carrier), *value = NULL;
		struct nomad_map tags = { 0 };
		int r = -ENOMEM;

		if (!machine)
			return;
		/* It only grows, also on a host whose clock is put back. */
		lease->seconds = now > lease->seconds ? now : lease->seconds + 1;
		value = nomad_strdupf("%" PRId64 "/%" PRId64, lease->seconds, (lease->interval_ms + 999) / 1000);
		if (value && nomad_map_set(&tags, "nomad_lease", value) >= 0)
			r = triton_cloud_add(&cloud, machine, "tags", &tags, NULL);
		nomad_map_done(&tags);
		if (r >= 0)
			return;
		lease->carrier++;
	}
}

/* ---- Observation ---- */

static struct other *other_of(struct triton_lease *lease, const char *id)
{
	struct other *more;

	for (size_t i = 0; i < lease->n_others; i++)
		if (strcmp(lease->others[i].id, id) == 0)
			return &lease->others[i];
	more = lease->n_others < OTHERS_MAX ? reallocarray(lease->others, lease->n_others + 1, sizeof(*more)) : NULL;
	if (!more)
		return NULL;
	lease->others = more;
	more = &more[lease->n_others++];
	memset(more, 0, sizeof(*more));
	snprintf(more->id, sizeof(more->id), "%s", id);
	more->changed_ms = triton_now_ms();
	return more;
}

/* An owner's leases of one pass: the carrier changes, so the highest counts. */
static int see(void *ud, struct triton_machine *machine)
{
	const char *owner = triton_owner_tag(machine, "owner"), *text = triton_owner_tag(machine, "lease");
	int64_t seconds, interval, before, unused;
	struct triton_lease *lease = ud;
	struct other *it;

	if (!owner || strlen(owner) != OWNER_CHARS || machine->state == TRITON_DELETED)
		return 0;
	if (!triton_lease_parse(text, &seconds, &interval))
		seconds = interval = 0;
	if (strcmp(owner, lease->site->owner) == 0) {
		if (seconds > lease->seconds)
			lease->seconds = seconds;
		return 0;
	}
	if (!triton_same_cluster(lease->site->cluster, triton_owner_tag(machine, "cluster")))
		return 0;
	it = other_of(lease, owner);
	if (!it)
		return lease->n_others < OTHERS_MAX ? -ENOMEM : 0;
	if (!triton_lease_parse(it->lease, &before, &unused))
		before = 0;
	if (seconds > before) {
		snprintf(it->lease, sizeof(it->lease), "%" PRId64 "/%" PRId64, seconds, interval);
		it->changed_ms = triton_now_ms();
		it->limit_ms = interval * 1000 * INTERVALS;
		it->told = false;
	}
	return 0;
}

static int observe(struct triton_lease *lease, const struct triton_cloud *cloud)
{
	int64_t now = triton_now_ms();
	/* A failed instance is in no list but this one, which has the deleted ones, too. */
	bool whole = lease->rounds++ % WHOLE_ROUNDS == 0;
	size_t unreadable;
	int r;

	if (now - lease->observed_ms > GAP_INTERVALS * lease->interval_ms)
		for (size_t i = 0; i < lease->n_others; i++)
			lease->others[i].changed_ms = now;
	r = triton_cloud_each(cloud, whole ? "tag.nomad_driver=triton&tombstone=true" : "tag.nomad_driver=triton", see,
			      lease, &unreadable, NULL);
	/* Containers that were made, but got no tags. */
	if (r >= 0 && whole)
		r = triton_cloud_each(cloud, "tag.docker%3Alabel%3Anomad.driver=triton&tombstone=true", see, lease,
				      &unreadable, NULL);
	if (r >= 0)
		lease->observed_ms = triton_now_ms();
	return r;
}

/* ---- Removal ---- */

static void clear(struct triton_lease *lease, const struct triton_machine *machine, const char *why)
{
	NOMAD_AUTO_ERROR struct nomad_error *err = NULL;
	struct triton_remains remains = { 0 };
	int r = triton_remains_of_machine(machine, &remains);

	if (r < 0)
		return;
	nomad_log_kv(NOMAD_LOG_INFO, "remove an instance whose node is lost", "instance", machine->name, "node",
		     triton_owner_tag(machine, "node") ? triton_owner_tag(machine, "node") : "", "reason", why, NULL);
	r = triton_debts_take(lease->debts, &remains, &err);
	if (r >= 0)
		r = triton_remains_clear(lease->site, &remains, CLEAR_MS, &err);
	triton_debts_settle(lease->debts, remains.name, r >= 0);
	if (r < 0)
		nomad_log_kv(NOMAD_LOG_WARN, "cannot remove an instance whose node is lost; will retry", "instance",
			     machine->name, "error", nomad_error_message(err), NULL);
	triton_remains_done(&remains);
}

/* Is it still of the owner that was silent?  And does Nomad say that it is over? */
static void judge(struct triton_lease *lease, struct other *it, const struct triton_machine *machine)
{
	const char *owner = triton_owner_tag(machine, "owner"), *alloc = triton_owner_tag(machine, "alloc"),
		   *cluster = triton_owner_tag(machine, "cluster");
	NOMAD_AUTO_ERROR struct nomad_error *err = NULL;
	NOMAD_AUTO_FREE char *why = NULL;

	if (!owner || strcmp(owner, it->id) != 0 || !alloc || machine->state == TRITON_DELETED ||
	    !triton_same_cluster(lease->site->cluster, cluster))
		return;
	if (!lease->nomad && triton_nomad_new(lease->site, &lease->nomad, &err) < 0)
		why = strdup(nomad_error_message(err));
	else if (triton_nomad_ask(lease->nomad, alloc, cluster != NULL, &why) == TRITON_ALLOC_OVER)
		return clear(lease, machine, why ? why : "");
	if (it->told)
		return;
	it->told = true;
	nomad_log_kv(NOMAD_LOG_WARN, "the plugin that made this instance is silent; the instance stays", "instance",
		     machine->name ? machine->name : machine->id, "reason", why ? why : "out of memory", NULL);
}

/* All instances of an owner: a container that got no tags has only the labels. */
static int list_of(const struct triton_cloud *cloud, const char *owner, struct triton_machines *ret)
{
	static const char *const tags[] = { "nomad_owner", "docker%3Alabel%3Anomad.owner" };
	struct triton_machines all = { 0 }, some = { 0 };
	int r = 0;

	for (size_t i = 0; r >= 0 && i < NOMAD_ARRAY_LEN(tags); i++) {
		char query[128];

		snprintf(query, sizeof(query), "tag.%s=%s&tombstone=true", tags[i], owner);
		r = triton_cloud_list(cloud, query, &some, NULL);
		if (r >= 0)
			r = triton_machines_merge(&all, &some);
		triton_machines_done(&some);
	}
	if (r < 0)
		triton_machines_done(&all);
	else
		*ret = all;
	return r;
}

/* Milliseconds since its lease was due; negative: it is not yet. */
static int64_t overdue_ms(const struct triton_lease *lease, const struct other *it)
{
	int64_t limit = it->limit_ms > lease->site->lease_ms ? it->limit_ms : lease->site->lease_ms;

	return triton_now_ms() - it->changed_ms - limit;
}

static void take_over(struct triton_lease *lease, const struct triton_cloud *cloud)
{
	int64_t began = triton_now_ms();

	for (size_t i = 0; i < lease->n_others; i++) {
		struct triton_machines machines = { 0 };

		if (overdue_ms(lease, &lease->others[i]) < 0 || list_of(cloud, lease->others[i].id, &machines) < 0)
			continue;
		/* The newest state counts.  This may move the array. */
		for (size_t k = 0; k < machines.count; k++)
			(void)see(lease, &machines.items[k]);
		for (size_t k = 0; k < machines.count && overdue_ms(lease, &lease->others[i]) >= 0; k++)
			/* The own lease has to be renewed meanwhile: the rest waits for the next round. */
			if (triton_now_ms() - began < lease->interval_ms / 2 &&
			    !atomic_load(&lease->site->budget.closing))
				judge(lease, &lease->others[i], &machines.items[k]);
		triton_machines_done(&machines);
	}
}

static void *run(void *ud)
{
	struct triton_lease *lease = ud;

	/* With jitter, so that nodes do not ask in step. */
	while (triton_budget_sleep(&lease->site->budget,
				   triton_backoff_ms(1, lease->interval_ms, lease->interval_ms)) == 0) {
		struct triton_cloud cloud;

		renew(lease);
		if (!lease->site->lease_ms || triton_site_cloud(lease->site, &cloud, NULL) < 0)
			continue;
		cloud.retry_ms = 0;
		if (observe(lease, &cloud) >= 0)
			take_over(lease, &cloud);
	}
	return NULL;
}

int triton_lease_new(struct triton_site *site, struct triton_poller *poller, struct triton_debts *debts,
		     struct triton_lease **ret, struct nomad_error **err)
{
	struct triton_lease *lease = calloc(1, sizeof(*lease));
	int64_t interval = site->lease_ms ? site->lease_ms / 6 : RENEW_MOST_MS;
	int r;

	if (!lease)
		return nomad_error_errno(err, ENOMEM, "prepare the lease");
	lease->site = site;
	lease->poller = poller;
	lease->debts = debts;
	lease->observed_ms = triton_now_ms();
	lease->interval_ms = interval > RENEW_MOST_MS	 ? RENEW_MOST_MS
			     : interval < RENEW_LEAST_MS ? RENEW_LEAST_MS
							 : interval;
	r = pthread_create(&lease->thread, NULL, run, lease);
	if (r) {
		free(lease);
		return nomad_error_errno(err, r, "prepare the lease");
	}
	lease->started = true;
	*ret = lease;
	return 0;
}

void triton_lease_free(struct triton_lease *lease)
{
	if (!lease)
		return;
	triton_nomad_close(lease->nomad);
	if (lease->started)
		pthread_join(lease->thread, NULL);
	triton_nomad_free(lease->nomad);
	free(lease->others);
	free(lease);
}
