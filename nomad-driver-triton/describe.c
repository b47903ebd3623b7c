/* SPDX-License-Identifier: MPL-2.0
 *
 * What an instance is called and told: its name, its tags, its metadata, and
 * the body of the request that makes a machine.
 */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "text.h"
#include "triton.h"

enum { NAME_MAX_CHARS = 63 };

/* Append `text` as letters, digits and single hyphens. */
static void add_safe(char *name, size_t room, const char *text)
{
	size_t n = strlen(name);

	for (; *text && n + 1 < room; text++) {
		char c = (char)tolower((unsigned char)*text);

		if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9')))
			c = '-';
		if (c == '-' && (!n || name[n - 1] == '-'))
			continue;
		name[n++] = c;
	}
	name[n] = '\0';
}

char *triton_instance_name(const struct nomad_task_info *info)
{
	const char *last = strrchr(info->id, '/');
	char front[NAME_MAX_CHARS + 1] = "", alloc[9] = "", turn[9] = "";
	size_t n;

	add_safe(alloc, sizeof(alloc), info->alloc_id);
	add_safe(turn, sizeof(turn), last ? last + 1 : info->id);
	/* The ends are what makes it unique; the front is for people, and is cut. */
	n = sizeof(front) - strlen(alloc) - strlen(turn) - 2;
	add_safe(front, n, info->job_name && *info->job_name ? info->job_name : info->job_id);
	add_safe(front, n, "-");
	add_safe(front, n, info->task_group_name);
	add_safe(front, n, "-");
	add_safe(front, n, info->name);
	n = strlen(front);
	while (n && front[n - 1] == '-')
		front[--n] = '\0';
	return nomad_strdupf("%s%s%s-%s", front, n ? "-" : "", alloc, turn);
}

bool triton_is_name_of(const char *name, const char *task_id)
{
	char first[9] = "", alloc[9] = "", turn[9] = "", end[sizeof(alloc) + sizeof(turn)];
	const char *last = strrchr(task_id, '/');
	size_t n = strlen(name), size;

	snprintf(first, sizeof(first), "%.*s", (int)strcspn(task_id, "/"), task_id);
	add_safe(alloc, sizeof(alloc), first);
	add_safe(turn, sizeof(turn), last ? last + 1 : task_id);
	size = (size_t)snprintf(end, sizeof(end), "%s-%s", alloc, turn);
	return n <= NAME_MAX_CHARS && n >= size && strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == n &&
	       strcmp(name + n - size, end) == 0;
}

int triton_task_tags(const struct triton_site *site, const struct nomad_task_info *info, const struct triton_task *want,
		     const struct triton_fwset *rules, struct nomad_map *tags)
{
	NOMAD_AUTO_FREE char *services = NULL;
	int r = nomad_map_copy(tags, &want->tags);

	if (r >= 0 && want->cns && *want->cns) {
		services = triton_join(want->cns);
		r = services ? nomad_map_set(tags, "triton.cns.services", services) : -ENOMEM;
	}
	if (r >= 0)
		r = nomad_map_set(tags, "nomad_driver", "triton");
	if (r >= 0)
		r = nomad_map_set(tags, "nomad_task", info->id);
	if (r >= 0)
		r = nomad_map_set(tags, "nomad_alloc", info->alloc_id);
	if (r >= 0)
		r = nomad_map_set(tags, "nomad_node", info->node_id);
	if (r >= 0 && site->owner)
		r = nomad_map_set(tags, "nomad_owner", site->owner);
	if (r >= 0 && site->cluster)
		r = nomad_map_set(tags, "nomad_cluster", site->cluster);
	if (r >= 0 && want->deletion_protection)
		r = nomad_map_set(tags, "nomad_protected", "1");
	return r < 0 ? r : triton_fwset_tags(rules, tags);
}

char *triton_env_text(const struct nomad_map *env)
{
	static const char *const secret[] = { "NOMAD_TOKEN", "VAULT_TOKEN", "CONSUL_TOKEN", "CONSUL_HTTP_TOKEN" };
	json_t *json = json_object();
	char *text;
	int bad = !json;

	for (size_t i = 0; !bad && i < env->count; i++) {
		bool skip = false;

		for (size_t k = 0; k < NOMAD_ARRAY_LEN(secret); k++)
			skip |= strcmp(env->pairs[i].key, secret[k]) == 0;
		if (!skip)
			bad = json_object_set_new(json, env->pairs[i].key, json_string(env->pairs[i].value));
	}
	text = bad ? NULL : json_dumps(json, JSON_COMPACT);
	json_decref(json);
	return text;
}

static void set_text(json_t *body, const char *front, const char *key, const char *value, int *bad)
{
	NOMAD_AUTO_FREE char *name = nomad_strdupf("%s%s", front, key);

	if (!triton_given(value))
		return;
	*bad |= !name || json_object_set_new(body, name, json_string(value));
}

static void set_metadata(json_t *body, const struct triton_task *want, const struct nomad_map *files, const char *env,
			 int *bad)
{
	const struct triton_cloud_task *cloud = want->cloud_api;
	const struct nomad_map *maps[] = { &want->metadata, files };

	for (size_t m = 0; m < NOMAD_ARRAY_LEN(maps); m++)
		for (size_t i = 0; i < maps[m]->count; i++)
			set_text(body, "metadata.", maps[m]->pairs[i].key, maps[m]->pairs[i].value, bad);
	set_text(body, "metadata.", "user-data", cloud->user_data, bad);
	set_text(body, "metadata.", "user-script", cloud->user_script, bad);
	set_text(body, "metadata.", "cloud-init:user-data", cloud->cloud_config, bad);
	set_text(body, "metadata.", "env-vars", env, bad);
}

static void set_disks(json_t *body, const struct triton_cloud_task *cloud, int *bad)
{
	const struct triton_disk *disks = cloud->disks.items;
	json_t *list = json_array();

	for (size_t i = 0; i < cloud->disks.count; i++) {
		json_t *disk = json_object();

		/* For a boot disk of the image's size nothing is said. */
		if (triton_given(disks[i].size))
			*bad |= json_object_set_new(disk, "size",
						    strcmp(disks[i].size, "remaining") == 0
							    ? json_string("remaining")
							    : json_integer(strtoll(disks[i].size, NULL, 10)));
		if (disks[i].block_size)
			*bad |= json_object_set_new(disk, "block_size", json_integer(disks[i].block_size));
		*bad |= json_array_append_new(list, disk);
	}
	*bad |= json_object_set_new(body, "disks", list);
}

static void set_kind(json_t *body, const struct triton_cloud_task *cloud, int *bad)
{
	set_text(body, "", "brand", cloud->brand, bad);
	if (cloud->disks.count)
		set_disks(body, cloud, bad);
	if (cloud->delegate_dataset)
		*bad |= json_object_set_new(body, "delegate_dataset", json_true());
	if (cloud->encrypted)
		*bad |= json_object_set_new(body, "encrypted", json_true());
	if (cloud->allow_shared_images)
		*bad |= json_object_set_new(body, "allow_shared_images", json_true());
}

int triton_machine_body(const struct nomad_task_info *info, const struct triton_task *want, const char *name,
			const char *package, const char *image, json_t *networks, const struct nomad_map *tags,
			const struct nomad_map *files, json_t **ret, struct nomad_error **err)
{
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
		set_metadata(body, want, files, env, &bad);
		set_kind(body, want->cloud_api, &bad);
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
			bad |= json_array_append_new(
				list, json_pack("{s:s, s:s, s:s, s:s}", "name", volumes[i].name, "mountpoint",
						volumes[i].mountpoint, "mode",
						triton_given(volumes[i].mode) ? volumes[i].mode : "rw", "type",
						triton_given(volumes[i].type) ? volumes[i].type : "tritonnfs"));
		bad |= json_object_set_new(body, "volumes", list);
	}
	if (bad) {
		json_decref(body);
		return nomad_error_set(err, EINVAL,
				       "describe the instance: an option, variable or file of the task is not UTF-8");
	}
	*ret = body;
	return 0;
}
