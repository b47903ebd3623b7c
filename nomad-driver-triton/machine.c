/* SPDX-License-Identifier: MPL-2.0
 *
 * Machines: instances made by CloudAPI.
 *
 * Exactly one for a task: its name and the tag nomad_task are functions of the
 * task's id, and it is written down before it is asked for.  There is no key
 * that would make a create safe to repeat, but names are unique among live
 * instances.  So: look first; create; where the answer was lost, look again,
 * and only if it does not show create once more, which the name makes safe.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "life.h"

static bool given(const char *text)
{
	return text && *text;
}

static void set_text(json_t *body, const char *front, const char *key, const char *value, int *bad)
{
	NOMAD_AUTO_FREE char *name = nomad_strdupf("%s%s", front, key);

	if (!given(value))
		return;
	*bad |= !name || json_object_set_new(body, name, json_string(value));
}

int triton_machine_body(const struct nomad_task_info *info, const struct triton_task *want, const char *name,
			const char *package, const char *image, json_t *networks, const struct nomad_map *tags,
			json_t **ret, struct nomad_error **err)
{
	const struct triton_cloud_task *cloud = want->cloud_api;
	const struct triton_volume *volumes = want->volumes.items;
	NOMAD_AUTO_FREE char *env = triton_env_text(&info->env);
	json_t *body = json_object();
	int bad = !body || !env;

	if (!bad) {
		set_text(body, "", "name", name, &bad);
		set_text(body, "", "package", package, &bad);
		set_text(body, "", "image", image, &bad);
		if (json_array_size(networks))
			bad |= json_object_set(body, "networks", networks);
		for (size_t i = 0; i < tags->count; i++) {
			NOMAD_AUTO_FREE char *key = nomad_strdupf("tag.%s", tags->pairs[i].key);

			bad |= !key || json_object_set_new(body, key,
							   triton_tag_value(tags->pairs[i].key, tags->pairs[i].value));
		}
		for (size_t i = 0; i < want->metadata.count; i++)
			set_text(body, "metadata.", want->metadata.pairs[i].key, want->metadata.pairs[i].value, &bad);
		set_text(body, "metadata.", "user-data", cloud->user_data, &bad);
		set_text(body, "metadata.", "user-script", cloud->user_script, &bad);
		set_text(body, "metadata.", "cloud-init:user-data", cloud->cloud_config, &bad);
		set_text(body, "metadata.", "env-vars", env, &bad);
		bad |= json_object_set_new(body, "firewall_enabled", json_boolean(want->fwenabled));
		bad |= json_object_set_new(body, "deletion_protection", json_boolean(want->deletion_protection));
	}
	if (!bad && want->affinity && *want->affinity) {
		json_t *rules = json_array();

		for (size_t i = 0; want->affinity[i]; i++)
			bad |= json_array_append_new(rules, json_string(want->affinity[i]));
		bad |= json_object_set_new(body, "affinity", rules);
	}
	if (!bad && want->volumes.count) {
		json_t *list = json_array();

		for (size_t i = 0; i < want->volumes.count; i++)
			bad |= json_array_append_new(list,
						     json_pack("{s:s, s:s, s:s, s:s}", "name", volumes[i].name,
							       "mountpoint", volumes[i].mountpoint, "mode",
							       given(volumes[i].mode) ? volumes[i].mode : "rw", "type",
							       given(volumes[i].type) ? volumes[i].type : "tritonnfs"));
		bad |= json_object_set_new(body, "volumes", list);
	}
	if (bad) {
		json_decref(body);
		return nomad_error_set(err, EINVAL,
				       "describe the instance: an option or variable of the task is no UTF-8");
	}
	*ret = body;
	return 0;
}

/* Look for the task's instance: 1 and *ret if there is one that can be taken over, 0 if there is none. */
static int adopt(struct triton_site *site, const struct triton_cloud *cloud, struct nomad_task *task, const char *name,
		 struct triton_machine *ret, struct nomad_error **err)
{
	const char *id = nomad_task_id(task);
	struct triton_machines found = { 0 };
	int r = triton_instances_of(cloud, name, id, &found, err);

	for (size_t i = 0; r == 0 && i < found.count; i++) {
		struct triton_machine *it = &found.items[i];
		const char *whose = nomad_map_get(&it->tags, "nomad_task");

		if (!whose || strcmp(whose, id) != 0) {
			r = nomad_error_set(err, EEXIST,
					    "the name '%s' is taken by the instance '%s', which is not of this task",
					    name, it->id);
		} else if (it->state == TRITON_PROVISIONING || it->state == TRITON_RUNNING ||
			   it->state == TRITON_UNKNOWN || it->state == TRITON_READY || it->state == TRITON_OFFLINE) {
			*ret = *it;
			memset(it, 0, sizeof(*it));
			r = 1;
		} else if (it->state != TRITON_DELETED) {
			/* One that has failed or ended is of no use; a new one takes its place. */
			struct triton_remains remains = { .task_id = (char *)(uintptr_t)id,
							  .name = (char *)(uintptr_t)name };

			r = triton_remains_clear(site, &remains, 120000, err);
			break;
		}
	}
	triton_machines_done(&found);
	return r;
}

static int create(struct triton_site *site, const struct triton_cloud *cloud, struct nomad_task *task, const char *name,
		  const json_t *body, struct triton_machine *ret, struct nomad_error **err)
{
	int r = adopt(site, cloud, task, name, ret, err);

	for (unsigned turn = 1; r == 0; turn++) {
		struct nomad_error *why = NULL;
		bool maybe = false;

		r = triton_cloud_create(cloud, body, ret, &maybe, &why);
		if (r >= 0)
			return 1;
		/* It may be there: it takes a moment to show. */
		for (unsigned look = 1; (maybe || r == -EEXIST) && look <= 5; look++) {
			int found;

			if (triton_site_sleep(site, triton_backoff_ms(look, 500, 4000), NULL) < 0)
				break;
			found = adopt(site, cloud, task, name, ret, NULL);
			if (found == 1) {
				nomad_error_free(why);
				return 1;
			}
		}
		if (maybe && turn < 3 && !atomic_load(&site->budget.closing)) {
			nomad_error_free(why);
			r = 0;
			continue;
		}
		if (err)
			*err = why;
		else
			nomad_error_free(why);
	}
	return r;
}

static int build(struct triton_site *site, struct nomad_task *task, const struct triton_task *want,
		 const struct triton_fwset *rules, const char *name, int64_t deadline, struct nomad_error **err)
{
	NOMAD_AUTO_FREE char *package = NULL, *image = NULL;
	struct triton_machine machine = { 0 };
	struct nomad_map tags = { 0 };
	struct triton_cloud cloud;
	json_t *networks = NULL, *body = NULL;
	char *id = NULL;
	int r = triton_site_cloud(site, &cloud, err);

	/* All names first: they cost nothing. */
	if (r >= 0)
		r = triton_find_package(&cloud, want->package, &package, err);
	if (r >= 0)
		r = triton_find_image(&cloud, want->cloud_api->image, &image, err);
	if (r >= 0)
		r = triton_find_networks(&cloud, &want->cloud_api->networks, &networks, err);
	if (r >= 0 && triton_task_tags(nomad_task_info(task), want, rules, &tags) < 0)
		r = nomad_error_errno(err, ENOMEM, "describe the instance");
	if (r >= 0)
		r = triton_machine_body(nomad_task_info(task), want, name, package, image, networks, &tags, &body, err);
	if (r >= 0)
		r = triton_begin(site, task, want, "cloud", name, rules, err);
	if (r >= 0)
		r = triton_make_volumes(site, task, want, deadline, err);
	if (r >= 0)
		r = create(site, &cloud, task, name, body, &machine, err);
	if (r >= 0)
		r = nomad_task_put(task, TRITON_RECORD_INSTANCE, machine.id, err);
	if (r >= 0)
		r = triton_fwshare_ensure(site->rules, &cloud, rules, err);
	if (r >= 0) {
		id = NOMAD_TAKE_PTR(machine.id);
		triton_machine_done(&machine);
		r = triton_wait_running(site, &cloud, id, deadline, &machine, err);
	}
	/* On another node the last user may have gone just when this one came. */
	if (r >= 0)
		r = triton_fwshare_ensure(site->rules, &cloud, rules, err);
	if (r >= 0)
		r = triton_announce(task, &machine, err);
	if (r >= 0)
		r = triton_watch_task(site, task, err);
	free(id);
	triton_machine_done(&machine);
	nomad_map_done(&tags);
	json_decref(networks);
	json_decref(body);
	return r;
}

int triton_machine_start(struct triton_site *site, struct nomad_task *task, const struct triton_task *want,
			 struct nomad_error **err)
{
	return triton_start_with(site, task, want, build, "instance", err);
}

static bool ends_deleted(struct nomad_task *task)
{
	const char *exit = nomad_task_get(task, TRITON_RECORD_EXIT);

	return exit && strcmp(exit, "deleted") == 0;
}

int triton_machine_kill(struct triton_site *site, struct nomad_task *task, struct nomad_error **err)
{
	const char *id = nomad_task_get(task, TRITON_RECORD_INSTANCE);
	bool ours = nomad_task_get(task, TRITON_RECORD_PROTECTED) != NULL;
	struct triton_cloud cloud;
	int r;

	if (!id)
		return 0;
	r = triton_site_cloud(site, &cloud, err);
	if (r < 0)
		return r;
	triton_poller_expect_end(site->poller, nomad_task_id(task), true);
	if (ours) {
		r = triton_lift_protection(site, &cloud, id, true, err);
		if (r < 0 && r != -ENOENT)
			return nomad_error_wrap(err, "delete the instance '%s'", id);
	}
	return triton_cloud_delete(&cloud, id, err);
}

int triton_machine_stop(struct triton_site *site, struct nomad_task *task, struct nomad_error **err)
{
	const char *id = nomad_task_get(task, TRITON_RECORD_INSTANCE);
	bool ours = nomad_task_get(task, TRITON_RECORD_PROTECTED) != NULL;
	struct nomad_error *why = NULL;
	struct triton_cloud cloud;
	int r;

	if (!id)
		return 0;
	r = triton_site_cloud(site, &cloud, err);
	if (r < 0)
		return r;
	triton_poller_expect_end(site->poller, nomad_task_id(task), false);
	if (ends_deleted(task)) {
		r = ours ? triton_lift_protection(site, &cloud, id, true, &why) : 0;
		if (r >= 0)
			r = triton_cloud_delete(&cloud, id, &why);
	} else {
		/* Accepted whatever state it is in; the poller sees what becomes of it. */
		r = triton_cloud_action(&cloud, id, "stop", &why);
	}
	if (r == -ENOENT || r == -ESTALE) {
		nomad_error_free(why);
		triton_poller_poke(site->poller, nomad_task_id(task));
		return 0;
	}
	if (r < 0) {
		if (err)
			*err = why;
		else
			nomad_error_free(why);
		return nomad_error_wrap(err, "stop the instance '%s'", id);
	}
	return 0;
}
