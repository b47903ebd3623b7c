/* SPDX-License-Identifier: MPL-2.0
 *
 * Turns the options of a job into a plan: checks what the site allows,
 * resolves paths (paths.c), makes command lines (engine.c), and makes the
 * directories that the build stores in. */
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "network.h"
#include "planner.h"
#include "registries.h"
#include "store.h"

/* ---- What the node has and allows ---- */

static int check_network(struct build_start *s, struct nomad_error **err)
{
	const char *network = s->config->network;
	bool private;
	int r;

	if (strcmp(network, BUILD_NETWORK_NONE) != 0 && s->info->network.path)
		network = "group";
	private = strcmp(network, BUILD_NETWORK_PRIVATE) == 0;
	s->network = network;
	r = nomad_task_may(s->task, "network", network, err);
	if (r >= 0 && private && !s->data->host.slirp)
		return nomad_error_set(err, ENOENT,
				       "network: slirp4netns, which gives a build a network of its own, is not "
				       "installed; install the package slirp4netns, or use network = \"none\"");
	return r;
}

static int check_site(struct build_start *s, struct nomad_error **err)
{
	int r;

	if (!s->engine.path)
		return nomad_error_set(err, ENOENT,
				       "neither buildah nor podman is installed; install the package buildah");
	r = check_network(s, err);
	if (r < 0)
		return r;
	if (strcmp(s->config->isolation, "oci") == 0 && !s->data->host.runtime)
		return nomad_error_set(err, ENOENT, "isolation: neither crun nor runc is installed; use \"chroot\"");
	return 0;
}

/* ---- The plan ---- */

static int set(char **to, char *take_value, struct nomad_error **err)
{
	free(*to);
	*to = take_value;
	return take_value ? 0 : build_no_memory(err);
}

static int plan_cache(struct build_start *s, const char *driver, struct nomad_error **err)
{
	const char *platform = s->config->platform;
	/* In a store, the name of an image stands for one platform: an engine takes it for another, and only warns. */
	bool apart = platform && strcmp(platform, s->engine.platform) != 0;
	NOMAD_AUTO_FREE char *dir = nomad_strdupf("%s/cache/%s~%s%s%s", s->data->base,
						  s->info->namespace_name ? s->info->namespace_name : "default",
						  s->config->cache, apart ? "~" : "", apart ? platform : "");
	int r;

	if (!dir || strstr(dir, "/../"))
		return build_no_memory(err);
	for (char *p = strrchr(dir, '~'); apart && *p; p++)
		*p = *p == '/' ? '_' : *p;
	r = set(&s->plan->cache, nomad_strdupf("%s/root-%s", dir, driver), err);
	if (r >= 0)
		r = set(&s->plan->mounts, nomad_strdupf("%s/mounts", dir), err);
	if (r >= 0)
		r = set(&s->plan->base, strdup(s->data->base), err);
	if (r >= 0)
		r = set(&s->plan->cache_max, nomad_strdupf("%" PRIu64, (uint64_t)s->site->cache_mb << 20), err);
	if (r >= 0)
		r = set(&s->plan->cache_age, nomad_strdupf("%" PRId64, s->site->cache_max_age * 3600), err);
	if (r >= 0 && s->cache_mounts)
		r = set(&s->plan->measure, strdup("yes"), err);
	if (r >= 0)
		r = nomad_make_dirs(s->plan->cache, 0700, err);
	if (r >= 0)
		r = nomad_make_dirs(s->plan->mounts, 0700, err);
	if (r < 0)
		return r;
	return build_store_prepare(s->plan->cache, driver, err);
}

static int set_number(char **to, int64_t number, struct nomad_error **err)
{
	return number > 0 ? set(to, nomad_strdupf("%" PRId64, number), err) : 0;
}

static int plan_limits(struct build_start *s, struct nomad_error **err)
{
	int64_t mb = nomad_task_limit(s->task, "storage_mb", s->config->storage_mb);
	int r = set_number(&s->plan->storage_max, mb << 20, err);

	if (r >= 0)
		r = set_number(&s->plan->timeout, s->config->timeout, err);
	return r < 0 ? r : set_number(&s->plan->patience, s->site->registry_timeout, err);
}

static int plan_storage(struct build_start *s, struct nomad_error **err)
{
	const char *driver = s->engine.storage_driver;
	int r = set(&s->plan->work, nomad_strdupf("%s/work/%s", s->data->base, nomad_task_slug(s->task)), err);

	if (r >= 0)
		r = nomad_task_put(s->task, "work", s->plan->work, err);
	if (r >= 0)
		r = nomad_make_dirs(s->plan->work, 0700, err);
	if (r >= 0 && s->config->cache)
		r = plan_cache(s, driver, err);
	if (r >= 0)
		r = set(&s->plan->root, nomad_strdupf("%s/root", s->plan->work), err);
	if (r >= 0)
		r = nomad_make_dirs(s->plan->root, 0700, err);
	if (r >= 0)
		r = plan_limits(s, err);
	if (r < 0 || !s->site->concurrency)
		return r;
	r = set(&s->plan->slots, nomad_strdupf("%s/slots", s->data->base), err);
	if (r >= 0)
		r = set(&s->plan->slot_count, nomad_strdupf("%d", (int)s->site->concurrency), err);
	return r < 0 ? r : nomad_make_dirs(s->plan->slots, 0700, err);
}

static char *digest_file(struct build_start *s)
{
	return nomad_strdupf("/build/digest-%u", s->digests++);
}

/* An archive is complete or not there: it is written under another name first. */
static int plan_partial(struct build_start *s, struct build_action *action, struct nomad_error **err)
{
	NOMAD_AUTO_FREE char *host = NULL, *key = nomad_strdupf("partial.%u", s->partials++);

	action->partial = nomad_strdupf("%s.%s", action->path, nomad_task_slug(s->task));
	host = action->partial ? build_path_on_host(&s->dirs, action->partial) : NULL;
	if (!host || !key)
		return build_no_memory(err);
	return nomad_task_put(s->task, key, host, err);
}

static int plan_destination(struct build_start *s, const struct build_output *output, struct build_action *action,
			    char **ret_destination, struct nomad_error **err)
{
	bool layout = strcmp(output->type, "oci") == 0;
	const char *reference = output->reference;
	int r;

	if (!reference)
		reference = layout ? "latest" : s->config->tags ? s->config->tags[0] : NULL;
	r = build_path_resolve(&s->dirs, "output", output->path,
			       layout ? BUILD_PATH_NEW_DIRECTORY : BUILD_PATH_NEW_FILE, &action->path, err);
	if (r >= 0 && !layout)
		r = plan_partial(s, action, err);
	if (r < 0)
		return r;
	action->type = strdup(output->type);
	action->reference = reference ? strdup(reference) : NULL;
	*ret_destination = build_engine_destination(output->type, layout ? action->path : action->partial, reference);
	return action->type && *ret_destination && (!reference || action->reference) ? 0 : build_no_memory(err);
}

static int plan_export(struct build_start *s, const struct build_output *output, struct nomad_error **err)
{
	struct build_action *action = build_plan_add(s->plan, BUILD_EXPORT);
	bool tar = strcmp(output->type, "tar") == 0;
	int r = action ? 0 : build_no_memory(err);

	if (r >= 0)
		r = build_path_resolve(&s->dirs, "output", output->path,
				       tar ? BUILD_PATH_NEW_FILE : BUILD_PATH_NEW_DIRECTORY, &action->path, err);
	if (r >= 0 && tar)
		r = plan_partial(s, action, err);
	if (r < 0)
		return r;
	action->type = strdup(output->type);
	if (!action->type || build_engine_export(tar, tar ? action->partial : action->path, &action->argv) < 0)
		return build_no_memory(err);
	return 0;
}

static bool is_export(const struct build_output *output)
{
	return strcmp(output->type, "local") == 0 || strcmp(output->type, "tar") == 0;
}

static int plan_output(struct build_start *s, const struct build_output *output, struct nomad_error **err)
{
	struct build_action *action = NULL;
	NOMAD_AUTO_FREE char *destination = NULL;
	int r;

	if (is_export(output))
		return plan_export(s, output, err);
	action = build_plan_add(s->plan, BUILD_WRITE);
	r = action ? plan_destination(s, output, action, &destination, err) : build_no_memory(err);

	if (r < 0)
		return r;
	action->digest_file = digest_file(s);
	if (!action->digest_file ||
	    build_engine_write(&s->engine, s->config, destination, action->digest_file, &action->argv) < 0)
		return build_no_memory(err);
	return 0;
}

/* One run of the engine builds and writes.  A docker-archive does not tell its digest; a cache is to keep the image. */
static bool is_at_once(const struct build_start *s)
{
	const struct build_output *outputs = s->config->output.items;

	return !s->engine.is_podman && !s->config->platforms && !s->config->verify && !s->config->sbom_file &&
	       s->config->output.count == 1 && !s->config->push.count &&
	       strcmp(outputs[0].type, "docker-archive") != 0 && !is_export(&outputs[0]) &&
	       strcmp(s->config->compression, "gzip") == 0 && !build_engine_keeps_layers(s->config);
}

/* What the cache lacks, by a run of the engine that follows no Containerfile: so the name of an image in a cache is
 * what its registry says, and no job's. */
static int plan_pulls(struct build_start *s, struct nomad_error **err)
{
	bool missing = strcmp(s->config->pull, "missing") == 0;
	size_t i;

	if (!s->plan->cache || !s->config->tls_verify)
		return 0;
	s->inputs.pulled = !s->names.unknown && strcmp(s->config->pull, "never") != 0;
	for (i = 0; s->names.names && s->names.names[i] && strcmp(s->config->pull, "never") != 0; i++) {
		struct build_action *action;

		if (missing && build_store_has(s->plan->cache, s->engine.storage_driver, s->names.names[i]))
			continue;
		action = build_plan_add(s->plan, BUILD_PULL);
		if (!action || build_engine_pull(&s->engine, s->config, s->names.names[i], &action->argv) < 0)
			return build_no_memory(err);
	}
	/* Without the mounts and triggers that lead an old engine astray, no step gets at the build's store. */
	if (!s->may_escape || !build_engine_follows_links(&s->engine))
		return set(&s->plan->merge, strdup(build_engine_follows_links(&s->engine) ? "pulled" : "all"), err);
	nomad_task_event(
		s->task,
		"This build reads the cache and adds nothing to it: with %s %s, a step with a bind mount could "
		"change what others get from it",
		s->engine.is_podman ? "podman" : "buildah", s->engine.version);
	return 0;
}

static int plan_build(struct build_start *s, struct nomad_error **err)
{
	struct build_action *action = build_plan_add(s->plan, BUILD_BUILD);
	NOMAD_AUTO_FREE char *destination = NULL;
	int r = action ? 0 : build_no_memory(err);

	if (r >= 0 && is_at_once(s))
		r = plan_destination(s, s->config->output.items, action, &destination, err);
	if (r < 0)
		return r;
	r = build_engine_build(&s->engine, s->config, &s->inputs, destination, &action->argv);
	return r < 0 ? build_no_memory(err) : 0;
}

/* Nothing of the first build is used, but base images are: a registry may have others meanwhile. */
static int plan_verify(struct build_start *s, struct nomad_error **err)
{
	struct build_action *action = build_plan_add(s->plan, BUILD_VERIFY);
	struct build_config config = *s->config;
	struct build_inputs inputs = s->inputs;

	config.tags = NULL;
	inputs.no_cache = inputs.pulled = true;
	if (!action || build_engine_build(&s->engine, &config, &inputs, NULL, &action->argv) < 0)
		return build_no_memory(err);
	return 0;
}

static int plan_push(struct build_start *s, const struct build_push *push, struct nomad_error **err)
{
	struct build_action *action = build_plan_add(s->plan, BUILD_PUSH);

	if (!action)
		return build_no_memory(err);
	action->reference = strdup(push->reference);
	action->digest_file = digest_file(s);
	action->retry = nomad_strdupf("%" PRId64, push->retry);
	if (!action->reference || !action->digest_file || !action->retry ||
	    build_engine_push(&s->engine, s->config, push->reference, push->tls_verify, action->digest_file,
			      &action->argv) < 0)
		return build_no_memory(err);
	return 0;
}

static int plan_file(struct build_start *s, const char *option, const char *path, char **ret, struct nomad_error **err)
{
	return path ? build_path_resolve(&s->dirs, option, path, BUILD_PATH_NEW_FILE, ret, err) : 0;
}

static int plan_actions(struct build_start *s, struct nomad_error **err)
{
	const struct build_output *outputs = s->config->output.items;
	const struct build_push *pushes = s->config->push.items;
	int r = plan_pulls(s, err);
	size_t i;

	if (r >= 0)
		r = plan_build(s, err);
	if (r >= 0 && s->config->verify)
		r = plan_verify(s, err);
	for (i = 0; i < s->config->output.count && !is_at_once(s) && r >= 0; i++)
		r = plan_output(s, &outputs[i], err);
	for (i = 0; i < s->config->push.count && r >= 0; i++)
		r = plan_push(s, &pushes[i], err);
	if (r >= 0)
		r = plan_file(s, "metadata_file", s->config->metadata_file, &s->plan->metadata, err);
	if (r >= 0)
		r = plan_file(s, "sbom_file", s->config->sbom_file, &s->plan->sbom, err);
	return r < 0 ? r : plan_file(s, "provenance_file", s->config->provenance_file, &s->plan->provenance, err);
}

/* The proxies of the task are for the engine, too. */
static int plan_env(struct build_start *s, struct nomad_error **err)
{
	static const char *const names[] = { "http_proxy", "https_proxy", "no_proxy", "ftp_proxy", "all_proxy",
					     "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "FTP_PROXY", "ALL_PROXY" };
	size_t i;

	for (i = 0; i < NOMAD_ARRAY_LEN(names); i++) {
		const char *value = nomad_map_get(&s->info->env, names[i]);

		if (value && nomad_strv_addf(&s->plan->env, "%s=%s", names[i], value) < 0)
			return build_no_memory(err);
	}
	return 0;
}

/* A copy of a list that may be NULL. */
static bool copy_list(char *const *list, char ***ret)
{
	*ret = list ? nomad_strv_copy((const char *const *)list) : NULL;
	return !list || *ret;
}

/* What the plan says word for word of the task, the node and the job. */
static int plan_facts(struct build_start *s, struct nomad_error **err)
{
	struct build_plan *plan = s->plan;

	plan->task = strdup(s->dirs.task);
	plan->local = strdup(s->dirs.local);
	plan->alloc = strdup(s->dirs.alloc);
	plan->secrets = strdup(s->dirs.secrets);
	plan->engine = strdup(s->engine.path);
	plan->software = nomad_strdupf("%s %s", s->engine.is_podman ? "podman" : "buildah", s->engine.version);
	plan->driver = strdup(s->engine.storage_driver);
	plan->isolation = strdup(s->config->isolation);
	plan->network = strdup(s->network);
	plan->policy = build_engine_policy(s->any_image, s->images);
	plan->registries = build_registries_drop_in(s->site->registries_conf, s->site->insecure_registries);
	plan->registries_conf = strdup(s->site->registries_conf);
	if (!plan->task || !plan->local || !plan->alloc || !plan->secrets || !plan->engine || !plan->software ||
	    !plan->driver || !plan->isolation || !plan->network || !plan->policy || !plan->registries ||
	    !plan->registries_conf || !copy_list(s->names.names, &plan->names) ||
	    !copy_list(s->config->tags, &plan->tags) || !copy_list(s->config->platforms, &plan->platforms) ||
	    !copy_list(s->data->host.features, &plan->features))
		return build_no_memory(err);
	return 0;
}

static json_t *map_of(const struct nomad_map *map)
{
	json_t *object = json_object();

	for (size_t i = 0; i < map->count; i++)
		json_object_set_new(object, map->pairs[i].key, json_string(map->pairs[i].value));
	return object;
}

static json_t *list_of(char *const *list)
{
	json_t *array = json_array();

	for (size_t i = 0; list && list[i]; i++)
		json_array_append_new(array, json_string(list[i]));
	return array;
}

/* What a job can say of the image; its secrets by their names only. */
static char *parameters_of(const struct build_config *config)
{
	json_t *secrets = json_array(), *all;
	char *text;

	for (size_t i = 0; i < config->secrets.count; i++)
		json_array_append_new(secrets, json_string(config->secrets.pairs[i].key));
	all = json_pack("{s:s,s:s?,s:s?,s:o,s:o,s:o,s:o,s:s?,s:o,s:s,s:o}", "context", config->context, "containerfile",
			config->containerfile ? config->containerfile : config->dockerfile, "target", config->target,
			"args", map_of(&config->args), "build_contexts", map_of(&config->build_contexts), "labels",
			map_of(&config->labels), "annotations", map_of(&config->annotations), "platform",
			config->platform, "platforms", list_of(config->platforms), "format", config->format, "secrets",
			secrets);
	if (all && config->timestamp != NOMAD_INT_UNSET)
		json_object_set_new(all, "timestamp", json_integer(config->timestamp));
	text = all ? json_dumps(all, JSON_COMPACT) : NULL;
	json_decref(all);
	return text;
}

static int plan_provenance(struct build_start *s, struct nomad_error **err)
{
	struct build_plan *plan = s->plan;
	int r = 0;

	if (s->config->timestamp != NOMAD_INT_UNSET)
		r = set(&plan->timestamp, nomad_strdupf("%" PRId64, s->config->timestamp), err);
	if (r < 0 || !s->config->provenance_file)
		return r;
	plan->parameters = parameters_of(s->config);
	plan->builder = nomad_strdupf("urn:nomad:node:%s", s->info->node_id);
	plan->invocation = strdup(s->info->id);
	plan->containerfile_digest = *s->containerfile_digest ? strdup(s->containerfile_digest) : NULL;
	if (!plan->parameters || !plan->builder || !plan->invocation)
		return build_no_memory(err);
	return 0;
}

static int plan_network(struct build_start *s, struct nomad_error **err)
{
	bool private = strcmp(s->network, BUILD_NETWORK_PRIVATE) == 0;
	int r = 0;

	if (s->info->has_dns)
		r = set(&s->plan->resolv_conf, nomad_resolv_conf(s->info), err);
	else if (private)
		r = set(&s->plan->resolv_conf, build_network_resolv_conf("/etc/resolv.conf"), err);
	return r < 0 || !private ? r : set(&s->plan->slirp, strdup(s->data->host.slirp), err);
}

static int plan_all(struct build_start *s, struct nomad_error **err)
{
	int r = plan_storage(s, err);

	if (r >= 0)
		r = plan_actions(s, err);
	if (r >= 0)
		r = plan_env(s, err);
	if (r >= 0)
		r = plan_provenance(s, err);
	if (r >= 0)
		r = plan_network(s, err);
	return r < 0 ? r : plan_facts(s, err);
}

int build_plan_make(struct nomad_task *task, struct build_plan *plan, struct nomad_map *env, struct nomad_error **err)
{
	struct nomad_plugin *plugin = nomad_task_plugin(task);
	struct build_start s = {
		.task = task,
		.info = nomad_task_info(task),
		.config = nomad_task_config(task),
		.site = nomad_plugin_config(plugin),
		.data = nomad_plugin_data(plugin),
		.dirs = { .task = nomad_task_dir(task),
			  .local = nomad_task_local_dir(task),
			  .alloc = nomad_task_shared_dir(task),
			  .secrets = nomad_task_secrets_dir(task) },
		.plan = plan,
		.env = env,
	};
	int r;

	s.engine = s.data->host.engine;
	s.engine.cached = s.config->cache;
	r = check_site(&s, err);

	if (r >= 0)
		r = build_find_inputs(&s, err);
	if (r >= 0)
		r = build_check_containerfile(&s, err);
	if (r >= 0)
		r = plan_all(&s, err);
	build_inputs_done(&s.inputs);
	build_names_done(&s.names);
	nomad_strv_free(s.images);
	return r;
}
