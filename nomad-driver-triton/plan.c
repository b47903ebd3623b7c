/* SPDX-License-Identifier: MPL-2.0
 *
 * "plan": what a start would make, asked for in the account and made by nobody. */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "fwrules.h"
#include "limits.h"
#include "text.h"
#include "triton.h"

struct plan {
	struct triton_site *site;
	struct triton_cloud cloud;
	const struct nomad_task_info *info;
	const struct triton_task *want;
	struct triton_fwset rules;
	char *name;
	void (*say)(void *ud, const char *line);
	void *ud;
};

static void say(struct plan *plan, const char *fmt, ...) NOMAD_PRINTF(2, 3);
static void say(struct plan *plan, const char *fmt, ...)
{
	char line[2048];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	plan->say(plan->ud, line);
}

/* What an id stands for, as people call it. */
static void say_thing(struct plan *plan, const char *what, const char *id)
{
	struct triton_answer answer;
	int r = triton_cloud_call(&plan->cloud, "GET", NULL, &answer, NULL, "/%ss/%s", what, id);
	const char *name = r < 0 ? NULL : triton_json_text(answer.json, "name"),
		   *version = r < 0 ? NULL : triton_json_text(answer.json, "version");

	say(plan, "%s %s%s%s (%s)", what, name ? name : "of unknown name", version ? " " : "", version ? version : "",
	    id);
	triton_answer_done(&answer);
}

static void say_networks(struct plan *plan, const json_t *body)
{
	json_t *item;
	size_t i;

	if (!json_array_size(json_object_get(body, "networks")))
		say(plan, "networks: the data centre chooses");
	json_array_foreach(json_object_get(body, "networks"), i, item)
	{
		const char *ip = json_string_value(json_array_get(json_object_get(item, "ipv4_ips"), 0));

		say_thing(plan, "network", triton_json_text(item, "ipv4_uuid"));
		if (ip)
			say(plan, "address %s in that network", ip);
	}
}

static void say_tags(struct plan *plan, const json_t *body)
{
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)(uintptr_t)body, key, value)
	{
		if (strncmp(key, "tag.", 4) == 0 && strncmp(key, "tag.nomad_", 10) != 0)
			say(plan, "tag %s = %s", key + 4,
			    json_is_string(value) ? json_string_value(value)
			    : json_is_true(value) ? "true"
						  : "false");
		if (strncmp(key, "metadata.", 9) == 0)
			say(plan, "metadata %s, %zu bytes", key + 9, json_string_length(value));
	}
}

static void say_file(struct plan *plan, const char *key, const char *path)
{
	if (triton_given(path))
		say(plan, "metadata %s, from %s when the task starts", key, path);
}

static int plan_machine(struct plan *plan, struct nomad_error **err)
{
	NOMAD_AUTO_FREE char *text = NULL;
	static const struct nomad_map none;
	json_t *body = NULL;
	/* Templates make their files when the task starts. */
	int r = triton_machine_describe(plan->site, &plan->cloud, plan->info, plan->want, plan->name, &plan->rules,
					&none, &body, err);

	if (r < 0)
		return r;
	say(plan, "machine like %s", plan->name);
	say_thing(plan, "package", triton_json_text(body, "package"));
	say_thing(plan, "image", triton_json_text(body, "image"));
	say_networks(plan, body);
	say_tags(plan, body);
	if (json_is_true(json_object_get(body, "deletion_protection")))
		say(plan, "protected from deletion by others");
	say(plan, "firewall %s", json_is_true(json_object_get(body, "firewall_enabled")) ? "on" : "off");
	text = json_dumps(body, JSON_COMPACT);
	if (text)
		say(plan, "request of %zu bytes, of at most 100000", strlen(text));
	json_decref(body);
	say_file(plan, "user-data", plan->want->cloud_api->user_data_file);
	say_file(plan, "user-script", plan->want->cloud_api->user_script_file);
	say_file(plan, "cloud-init:user-data", plan->want->cloud_api->cloud_config_file);
	for (size_t i = 0; i < plan->want->metadata_files.count; i++)
		say_file(plan, plan->want->metadata_files.pairs[i].key, plan->want->metadata_files.pairs[i].value);
	return 0;
}

static int plan_container(struct plan *plan, struct nomad_error **err)
{
	const struct triton_docker_task *want = plan->want->docker_api;
	NOMAD_AUTO_FREE char *package = NULL, *image = triton_docker_reference(want->image);
	struct triton_docker docker;
	int r = triton_find_package(&plan->cloud, plan->want->package, &package, err);

	if (r >= 0)
		r = triton_site_docker(plan->site, &docker, err);
	if (r >= 0)
		r = triton_docker_ping(&docker, err);
	if (r < 0)
		return r;
	if (!image)
		return nomad_error_errno(err, ENOMEM, "describe the image");
	say(plan, "container like %s", plan->name);
	say_thing(plan, "package", package);
	say(plan, "image %s, which is pulled %s", image, want->image->auto_pull ? "at each start" : "if it is missing");
	return 0;
}

static int plan_rules(struct plan *plan, struct nomad_error **err)
{
	struct triton_answer answer = { 0 };
	int r = plan->rules.count ? triton_cloud_call(&plan->cloud, "GET", NULL, &answer, err, "/fwrules") : 0;

	for (size_t i = 0; r >= 0 && i < plan->rules.count; i++) {
		bool there = false;
		json_t *item;
		size_t k;

		json_array_foreach(answer.json, k, item)
		{
			const char *text = triton_json_text(item, "rule"),
				   *note = triton_json_text(item, "description");
			NOMAD_AUTO_FREE char *canonical = NULL;

			if (text && note && strstr(note, "[nomad-driver-triton") &&
			    triton_fwrule_canonical(text, &canonical, NULL) >= 0)
				there |= strcmp(canonical, plan->rules.items[i].text) == 0;
		}
		say(plan, "firewall rule %s: %s", there ? "shared with other tasks" : "new", plan->rules.items[i].text);
	}
	triton_answer_done(&answer);
	return r;
}

static int plan_volumes(struct plan *plan, struct nomad_error **err)
{
	const struct triton_volume *volumes = plan->want->volumes.items;

	for (size_t i = 0; i < plan->want->volumes.count; i++) {
		NOMAD_AUTO_FREE char *id = NULL;
		struct nomad_error *why = NULL;
		int r = triton_volume_find(&plan->cloud, volumes[i].name, &id, &why);

		if (r == -ENOENT && volumes[i].size > 0) {
			nomad_error_free(why);
			say(plan, "volume %s: new, %" PRId64 " MiB%s", volumes[i].name, volumes[i].size,
			    volumes[i].keep ? ", kept after the task" : "");
		} else if (r < 0) {
			return triton_fail(r, why, err);
		} else {
			say(plan, "volume %s: exists (%s)", volumes[i].name, id);
		}
	}
	return 0;
}

static void say_limit(void *ud, const struct triton_limit *limit)
{
	const char *unit = strcmp(limit->by, "ram") == 0 ? " MiB" : strcmp(limit->by, "quota") == 0 ? " GiB" : "";

	say(ud, "limit of the account: %s %" PRId64 "%s, used %" PRId64 "%s%s%s%s", limit->by, limit->value, unit,
	    limit->used, limit->check ? ", for " : "", limit->check ? limit->check : "", limit->what ? " " : "",
	    limit->what ? limit->what : "");
}

int triton_plan(struct nomad_plugin *plugin, const struct nomad_task_info *info, const void *config,
		void (*say_line)(void *ud, const char *line), void *ud, struct nomad_error **err)
{
	static const struct nomad_map none;
	struct plan plan = { .info = info, .want = config, .say = say_line, .ud = ud };
	int r = triton_site_new(nomad_plugin_config(plugin), &plan.site, err);

	if (r < 0)
		return r;
	plan.name = triton_instance_name(info);
	r = plan.name ? triton_site_cloud(plan.site, &plan.cloud, err)
		      : nomad_error_errno(err, ENOMEM, "name the instance");
	plan.cloud.retry_ms = 0;
	if (r >= 0)
		r = triton_fwset_parse(plan.want->fwenabled ? &plan.want->fwrules : &none, &plan.rules, err);
	if (r >= 0)
		r = triton_task_api(plan.want) == TRITON_DOCKER ? plan_container(&plan, err) : plan_machine(&plan, err);
	if (r >= 0)
		r = plan_rules(&plan, err);
	if (r >= 0)
		r = plan_volumes(&plan, err);
	if (r >= 0)
		r = triton_limits_each(&plan.cloud, say_limit, &plan, err);
	triton_fwset_done(&plan.rules);
	free(plan.name);
	triton_site_free(plan.site);
	return r;
}
