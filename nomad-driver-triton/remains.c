/* SPDX-License-Identifier: MPL-2.0
 *
 * What a task has made in the data centre, and its removal.
 *
 * The task's records tell: each thing was written down before it was made.
 * The same removal serves a start that failed, the end of a task, and a start
 * that an earlier process was in the middle of; and it is what is tried again
 * later when the data centre cannot be reached (debts.c).
 *
 * Order: the rules that Docker made for the instance are listed while it is
 * there; its protection is lifted if it was ours; it is deleted, and only
 * "gone" (410, 404) is believed; then rules that nobody else uses, then
 * volumes.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nomad/log.h"

#include "remains.h"
#include "text.h"

static const char *const keys[] = {
	TRITON_RECORD_API,   TRITON_RECORD_NAME,      TRITON_RECORD_INSTANCE,
	TRITON_RECORD_RULES, TRITON_RECORD_PUBLISHED, TRITON_RECORD_PROTECTED,
};

bool triton_ends_deleted(const struct nomad_task *task)
{
	const char *exit = nomad_task_get(task, TRITON_RECORD_EXIT);

	return exit && strcmp(exit, "deleted") == 0;
}

int triton_remains_of(struct nomad_task *task, struct triton_remains *ret, struct nomad_error **err)
{
	struct triton_remains remains = { 0 };
	const char *name = nomad_task_get(task, TRITON_RECORD_NAME), *value;
	int r = 0;

	remains.task_id = strdup(nomad_task_id(task));
	remains.name = name ? strdup(name) : NULL;
	if (!remains.task_id || (name && !remains.name))
		r = -ENOMEM;
	for (size_t i = 0; r >= 0 && i < NOMAD_ARRAY_LEN(keys); i++)
		if ((value = nomad_task_get(task, keys[i])))
			r = nomad_map_set(&remains.records, keys[i], value);
	if (r >= 0)
		r = nomad_map_set(&remains.records, TRITON_RECORD_HOLD, nomad_task_slug(task));
	for (int i = 0; r >= 0 && i < TRITON_VOLUMES_MAX; i++) {
		char key[32];

		snprintf(key, sizeof(key), TRITON_RECORD_VOLUME "%d", i);
		if ((value = nomad_task_get(task, key)))
			r = nomad_map_set(&remains.records, key, value);
	}
	if (r < 0) {
		triton_remains_done(&remains);
		return nomad_error_errno(err, ENOMEM, "read what the task has made");
	}
	*ret = remains;
	return 0;
}

void triton_remains_done(struct triton_remains *remains)
{
	free(remains->task_id);
	free(remains->name);
	nomad_map_done(&remains->records);
	memset(remains, 0, sizeof(*remains));
}

json_t *triton_remains_json(const struct triton_remains *remains)
{
	json_t *records = json_object();

	for (size_t i = 0; records && i < remains->records.count; i++)
		if (json_object_set_new(records, remains->records.pairs[i].key,
					json_string(remains->records.pairs[i].value)) < 0) {
			json_decref(records);
			return NULL;
		}
	if (!records)
		return NULL;
	return json_pack("{s:i, s:s, s:s?, s:o}", "version", 1, "task", remains->task_id, "name", remains->name,
			 "records", records);
}

int triton_remains_parse(const json_t *json, struct triton_remains *ret)
{
	struct triton_remains remains = { 0 };
	const char *task = triton_json_text(json, "task"), *name = triton_json_text(json, "name"), *key;
	json_t *value;
	int r = 0;

	if (json_integer_value(json_object_get(json, "version")) != 1 || !task)
		return -EINVAL;
	remains.task_id = strdup(task);
	remains.name = name ? strdup(name) : NULL;
	if (!remains.task_id || (name && !remains.name))
		r = -ENOMEM;
	json_object_foreach(json_object_get(json, "records"), key, value) if (r >= 0 && json_is_string(value)) r =
		nomad_map_set(&remains.records, key, json_string_value(value));
	if (r < 0)
		triton_remains_done(&remains);
	else
		*ret = remains;
	return r;
}

/* ---- Instances ---- */

int triton_machines_merge(struct triton_machines *to, struct triton_machines *take_from)
{
	for (size_t i = 0; i < take_from->count; i++) {
		struct triton_machine *more, *it = &take_from->items[i];
		bool known = false;

		for (size_t k = 0; k < to->count; k++)
			known |= strcmp(to->items[k].id, it->id) == 0;
		if (known)
			continue;
		more = reallocarray(to->items, to->count + 1, sizeof(*more));
		if (!more)
			return -ENOMEM;
		to->items = more;
		to->items[to->count++] = *it;
		memset(it, 0, sizeof(*it));
		/* Its place is empty now, and compares to nothing. */
		it->id = strdup("");
		if (!it->id)
			return -ENOMEM;
	}
	return 0;
}

static void drop_deleted(struct triton_machines *machines)
{
	size_t kept = 0;

	for (size_t i = 0; i < machines->count; i++)
		if (machines->items[i].state == TRITON_DELETED)
			triton_machine_done(&machines->items[i]);
		else
			machines->items[kept++] = machines->items[i];
	machines->count = kept;
}

int triton_instances_of(const struct triton_cloud *cloud, const char *name, const char *task_id,
			struct triton_machines *ret, struct nomad_error **err)
{
	NOMAD_AUTO_FREE char *tag = triton_url_escape(task_id), *by_tag = NULL,
			     *by_name = nomad_strdupf("name=%s&tombstone=true", name);
	struct triton_machines named = { 0 }, tagged = { 0 };
	int r;

	/* Without "tombstone" an instance that failed is in no list, though it is there. */
	by_tag = tag ? nomad_strdupf("tag.nomad_task=%s&tombstone=true", tag) : NULL;
	if (!by_tag || !by_name)
		return nomad_error_errno(err, ENOMEM, "look for the instance '%s'", name);
	r = triton_cloud_list(cloud, by_name, &named, err);
	if (r >= 0)
		r = triton_cloud_list(cloud, by_tag, &tagged, err);
	/* What cannot be read may be the one that is looked for. */
	if (r >= 0 && (named.unreadable || tagged.unreadable)) {
		nomad_error_set(err, EPROTO, "look for the instance '%s': the answer of CloudAPI cannot be read", name);
		r = nomad_error_retryable(err);
	}
	if (r >= 0 && triton_machines_merge(&named, &tagged) < 0)
		r = nomad_error_errno(err, ENOMEM, "look for the instance '%s'", name);
	triton_machines_done(&tagged);
	drop_deleted(&named);
	if (r < 0)
		triton_machines_done(&named);
	else
		*ret = named;
	return r;
}

int triton_lift_protection(struct triton_site *site, const struct triton_cloud *cloud, const char *machine, bool ours,
			   struct nomad_error **err)
{
	int64_t deadline = triton_now_ms() + 120000;
	bool told = false;

	for (unsigned n = 1;; n++) {
		struct triton_machine it = { 0 };
		bool protected;
		int r = triton_cloud_get(cloud, machine, &it, err);

		if (r < 0)
			return r;
		protected = it.deletion_protection && it.state != TRITON_DELETED;
		triton_machine_done(&it);
		if (!protected)
			return 0;
		if (!ours)
			return nomad_error_set(err, EPERM,
					       "the instance '%s' is protected from deletion, not by this driver; turn "
					       "that off with 'triton instance disable-deletion-protection %s'",
					       machine, machine);
		if (!told && (r = triton_cloud_action(cloud, machine, "disable_deletion_protection", err)) < 0)
			return nomad_error_wrap(err, "turn the deletion protection of '%s' off", machine);
		told = true;
		if (triton_now_ms() > deadline)
			return nomad_error_set(err, ETIMEDOUT,
					       "turn the deletion protection of '%s' off: it does not show", machine);
		r = triton_site_sleep(site, triton_backoff_ms(n, 250, 2000), err);
		if (r < 0)
			return r;
	}
}

static int delete_machine(struct triton_site *site, const struct triton_cloud *cloud, const char *machine, bool ours,
			  int64_t deadline, struct nomad_error **err)
{
	bool accepted = false;

	for (unsigned n = 1;; n++) {
		struct triton_machine it = { 0 };
		struct nomad_error *why = NULL;
		enum triton_state state;
		int r = triton_cloud_get(cloud, machine, &it, &why);

		if (r == -ENOENT) {
			nomad_error_free(why);
			return 0;
		}
		if (r < 0) {
			triton_fail(r, why, err);
			return nomad_error_wrap(err, "delete the instance '%s'", machine);
		}
		state = it.state;
		triton_machine_done(&it);
		if (state == TRITON_DELETED)
			return 0;
		if (!accepted) {
			r = triton_lift_protection(site, cloud, machine, ours, &why);
			if (r >= 0)
				r = triton_cloud_delete(cloud, machine, &why);
			accepted = r >= 0;
			/* One that failed before it got a server cannot be deleted, and is nowhere. */
			if (r == -EINVAL && state == TRITON_FAILED && strstr(nomad_error_message(why), "server_uuid")) {
				nomad_error_free(why);
				return 0;
			}
			/* -EINVAL: not while it is being provisioned. */
			if (r < 0 && (r != -EINVAL || triton_now_ms() > deadline)) {
				triton_fail(r, why, err);
				return nomad_error_wrap(err, "delete the instance '%s'", machine);
			}
			nomad_error_free(why);
		}
		if (triton_now_ms() > deadline)
			return nomad_error_set(err, ETIMEDOUT, "delete the instance '%s': it is %s still", machine,
					       triton_state_word(state));
		r = triton_site_sleep(site, triton_backoff_ms(n, 250, 3000), err);
		if (r < 0)
			return r;
	}
}

/* Find what there may be.  An instance whose creation was under way when its
 * process died may show late: look more than once. */
static int find_all(struct triton_site *site, const struct triton_cloud *cloud, const struct triton_remains *remains,
		    struct triton_machines *ret, struct nomad_error **err)
{
	bool sure = nomad_map_get(&remains->records, TRITON_RECORD_INSTANCE) != NULL;
	int r;

	for (unsigned n = 1;; n++) {
		r = triton_instances_of(cloud, remains->name, remains->task_id, ret, err);
		if (r < 0 || ret->count || sure || n == 4)
			return r;
		r = triton_site_sleep(site, 500 * n, err);
		if (r < 0)
			return r;
	}
}

/* Is it ours to delete?  Our name, and our tag, unless tags came too late to be set. */
static bool is_ours(const struct triton_machine *machine, const struct triton_remains *remains)
{
	const char *task = nomad_map_get(&machine->tags, "nomad_task");

	if (!task)
		task = nomad_map_get(&machine->tags, "docker:label:nomad.task");
	return machine->name && strcmp(machine->name, remains->name) == 0 &&
	       (!task || strcmp(task, remains->task_id) == 0);
}

static int add_published(struct triton_remains *remains, const char *ids)
{
	const char *before = nomad_map_get(&remains->records, TRITON_RECORD_PUBLISHED);
	NOMAD_AUTO_FREE char *all = NULL;

	if (before && strstr(before, ids))
		return 0;
	all = nomad_strdupf("%s%s%s", before ? before : "", before ? "," : "", ids);
	return all ? nomad_map_set(&remains->records, TRITON_RECORD_PUBLISHED, all) : -ENOMEM;
}

static int clear_machine(struct triton_site *site, const struct triton_cloud *cloud, struct triton_remains *remains,
			 const char *machine, int64_t deadline, struct nomad_error **err)
{
	const char *api = nomad_map_get(&remains->records, TRITON_RECORD_API);
	NOMAD_AUTO_FREE char *ids = NULL;
	int r;

	if (api && strcmp(api, "docker") == 0) {
		struct nomad_error *why = NULL;

		r = triton_fwshare_published(cloud, machine, &ids, &why);
		if (r == -ENOENT || r == -ESTALE) {
			/* It is gone, and what was listed earlier counts. */
			nomad_error_free(why);
		} else if (r < 0) {
			return triton_fail(r, why, err);
		} else if (*ids) {
			/* Once it is deleted nobody can tell which they were. */
			r = add_published(remains, ids);
			if (r < 0)
				nomad_error_errno(err, -r, "note the firewall rules of an instance");
			else if (remains->note)
				r = remains->note(remains->ud, remains, err);
			if (r < 0)
				return r;
		}
	}
	return delete_machine(site, cloud, machine, nomad_map_get(&remains->records, TRITON_RECORD_PROTECTED) != NULL,
			      deadline, err);
}

static int clear_published(const struct triton_cloud *cloud, const char *ids, struct nomad_error **err)
{
	while (*ids) {
		size_t n = strcspn(ids, ",");
		NOMAD_AUTO_FREE char *id = nomad_strdupf("%.*s", (int)n, ids);
		int r;

		if (!id)
			return nomad_error_errno(err, ENOMEM, "delete a firewall rule");
		r = triton_is_uuid(id) ? triton_fwrule_delete(cloud, id, err) : 0;
		if (r < 0)
			return nomad_error_wrap(err, "delete a firewall rule of published ports");
		ids += n + (ids[n] == ',');
	}
	return 0;
}

static int clear_volumes(const struct triton_cloud *cloud, const struct triton_remains *remains,
			 struct nomad_error **err)
{
	for (size_t i = 0; i < remains->records.count; i++) {
		const struct nomad_pair *pair = &remains->records.pairs[i];
		NOMAD_AUTO_FREE char *id = NULL;
		int r;

		if (strncmp(pair->key, TRITON_RECORD_VOLUME, strlen(TRITON_RECORD_VOLUME)) != 0)
			continue;
		if (strncmp(pair->value, "id=", 3) == 0) {
			id = strdup(pair->value + 3);
		} else if (strncmp(pair->value, "name=", 5) == 0) {
			struct nomad_error *why = NULL;

			/* It was about to be made: there was none of that name before. */
			r = triton_volume_find(cloud, pair->value + 5, &id, &why);
			if (r == -ENOENT) {
				nomad_error_free(why);
				continue;
			}
			if (r < 0)
				return triton_fail(r, why, err);
		} else {
			continue;
		}
		if (!id)
			return nomad_error_errno(err, ENOMEM, "delete a volume");
		r = triton_volume_delete(cloud, id, err);
		if (r < 0)
			return nomad_error_wrap(err, "delete the volume '%s'", id);
	}
	return 0;
}

int triton_remains_clear(struct triton_site *site, struct triton_remains *remains, int64_t ms, struct nomad_error **err)
{
	const char *machine = nomad_map_get(&remains->records, TRITON_RECORD_INSTANCE);
	const char *rules = nomad_map_get(&remains->records, TRITON_RECORD_RULES), *published;
	int64_t deadline = triton_now_ms() + ms;
	struct triton_machines machines = { 0 };
	struct triton_cloud cloud;
	int r;

	if (!remains->name)
		return 0; /* nothing was begun */
	r = triton_site_cloud(site, &cloud, err);
	if (r < 0)
		return r;
	if (cloud.retry_ms > ms)
		cloud.retry_ms = ms;
	if (machine) {
		r = clear_machine(site, &cloud, remains, machine, deadline, err);
		if (r < 0)
			return r;
	}
	/* Beside the one that is known there may be one of a lost answer. */
	r = find_all(site, &cloud, remains, &machines, err);
	for (size_t i = 0; r >= 0 && i < machines.count; i++)
		if (is_ours(&machines.items[i], remains) && (!machine || strcmp(machines.items[i].id, machine) != 0))
			r = clear_machine(site, &cloud, remains, machines.items[i].id, deadline, err);
	triton_machines_done(&machines);
	if (r >= 0 && rules)
		r = triton_fwshare_release(site->rules, &cloud, rules, machine, err);
	published = nomad_map_get(&remains->records, TRITON_RECORD_PUBLISHED);
	if (r >= 0 && published)
		r = clear_published(&cloud, published, err);
	if (r >= 0)
		r = clear_volumes(&cloud, remains, err);
	return r;
}
