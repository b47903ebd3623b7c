/* SPDX-License-Identifier: MPL-2.0
 *
 * What a build is made of: paths of the job (paths.c), secrets, and what the
 * Containerfile says before an engine reads it. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "features.h"
#include "planner.h"
#include "store.h"

int build_no_memory(struct nomad_error **err)
{
	return nomad_error_errno(err, ENOMEM, "prepare the build");
}

/* The first version of buildah of which it is known. */
enum { BUILD_LIST_COMPRESSION = 39 };

static bool has(char *const *list, const char *word)
{
	size_t i;

	for (i = 0; list && list[i]; i++)
		if (strcmp(list[i], word) == 0)
			return true;
	return false;
}

static int find_containerfile(struct build_start *s, struct nomad_error **err)
{
	static const char *const names[] = { "Containerfile", "Dockerfile" };
	const char *given = s->config->containerfile ? s->config->containerfile : s->config->dockerfile;
	size_t i;

	if (given)
		return build_path_in_context(&s->dirs, "containerfile", s->inputs.context, given,
					     &s->inputs.containerfile, err);
	for (i = 0; i < NOMAD_ARRAY_LEN(names); i++) {
		NOMAD_AUTO_ERROR struct nomad_error *why = NULL;
		int r = build_path_in_context(&s->dirs, "containerfile", s->inputs.context, names[i],
					      &s->inputs.containerfile, &why);

		if (r >= 0)
			return 0;
		if (r != -ENOENT)
			return nomad_error_set(err, -r, "%s", nomad_error_message(why));
	}
	return nomad_error_set(err, ENOENT,
			       "containerfile: there is neither a Containerfile nor a Dockerfile in context '%s'; put "
			       "one there, or name it",
			       s->config->context);
}

static int find_contexts(struct build_start *s, struct nomad_error **err)
{
	static const char *const transports[] = { "oci-archive:", "docker-archive:" };
	const struct nomad_map *map = &s->config->build_contexts;
	size_t i, j;
	int r = 0;

	for (i = 0; i < map->count && r >= 0; i++) {
		const char *value = map->pairs[i].value, *transport = NULL;
		NOMAD_AUTO_FREE char *path = NULL, *text = NULL;

		if (strncmp(value, "docker-image://", 15) == 0) {
			if (nomad_map_set(&s->inputs.contexts, map->pairs[i].key, value) < 0)
				r = build_no_memory(err);
			continue;
		}
		for (j = 0; j < NOMAD_ARRAY_LEN(transports); j++)
			if (strncmp(value, transports[j], strlen(transports[j])) == 0)
				transport = transports[j];
		r = build_path_resolve(&s->dirs, "build_contexts", value + (transport ? strlen(transport) : 0),
				       transport ? BUILD_PATH_FILE : BUILD_PATH_DIRECTORY, &path, err);
		if (r < 0)
			break;
		text = nomad_strdupf("%s%s%s", transport ? "docker-image://" : "", transport ? transport : "", path);
		if (!text || nomad_map_set(&s->inputs.contexts, map->pairs[i].key, text) < 0)
			r = build_no_memory(err);
	}
	return r;
}

/* One from the environment travels in the environment of the process, and becomes a file in the jail. */
static int take_variable(struct build_start *s, const char *id, const char *name, struct nomad_error **err)
{
	NOMAD_AUTO_FREE char *key = nomad_strdupf("%s%zu", BUILD_SECRET_VARIABLE,
						  nomad_strv_count((const char *const *)s->plan->secret_ids));
	NOMAD_AUTO_FREE char *path = nomad_strdupf("%s/%s", BUILD_SECRET_DIR, id);
	const char *value = nomad_map_get(&s->info->env, name);

	if (!value)
		return nomad_error_set(err, ENOENT,
				       "secrets: '%s' is not in the environment of the task; set it with a template "
				       "block and env = true",
				       name);
	if (!key || !path || nomad_map_set(s->env, key, value) < 0 || nomad_strv_add(&s->plan->secret_ids, id) < 0 ||
	    nomad_map_set(&s->inputs.secrets, id, path) < 0)
		return build_no_memory(err);
	return 0;
}

static int find_secret_files(struct build_start *s, const char *option, const struct nomad_map *map,
			     struct nomad_map *to, struct nomad_error **err)
{
	size_t i;
	int r = 0;

	for (i = 0; i < map->count && r >= 0; i++) {
		const struct nomad_pair *pair = &map->pairs[i];
		NOMAD_AUTO_FREE char *path = NULL;

		if (strncmp(pair->value, "env:", 4) == 0) {
			r = take_variable(s, pair->key, pair->value + 4, err);
			continue;
		}
		r = build_path_resolve(&s->dirs, option, pair->value, BUILD_PATH_SECRET, &path, err);
		if (r >= 0 && (nomad_map_set(to, pair->key, path) < 0 ||
			       (!has(s->plan->secret_files, path) && nomad_strv_add(&s->plan->secret_files, path) < 0)))
			r = build_no_memory(err);
	}
	return r;
}

int build_find_inputs(struct build_start *s, struct nomad_error **err)
{
	int r = build_path_resolve(&s->dirs, "context", s->config->context, BUILD_PATH_DIRECTORY, &s->inputs.context,
				   err);

	if (r >= 0)
		r = find_containerfile(s, err);
	if (r >= 0 && s->config->ignorefile)
		r = build_path_in_context(&s->dirs, "ignorefile", s->inputs.context, s->config->ignorefile,
					  &s->inputs.ignorefile, err);
	if (r >= 0)
		r = find_contexts(s, err);
	if (r >= 0)
		r = find_secret_files(s, "secrets", &s->config->secrets, &s->inputs.secrets, err);
	return r < 0 ? r : find_secret_files(s, "ssh", &s->config->ssh, &s->inputs.ssh, err);
}

/* Of a build that may pull only some images, the engine gets a list: it does not know globs. */
static int allow_image(struct build_start *s, const char *name, struct nomad_error **err)
{
	NOMAD_AUTO_FREE char *known_as = build_name_in_policy(name);

	if (!known_as) /* a file of the task needs no place in the list */
		return errno ? build_no_memory(err) : 0;
	return nomad_strv_add(&s->images, known_as) < 0 ? build_no_memory(err) : 0;
}

static int check_images(struct build_start *s, const char *option, struct nomad_error **err)
{
	const struct nomad_map *contexts = &s->config->build_contexts;
	size_t i;
	int r = 0;

	s->any_image = nomad_task_may(s->task, option, "*", NULL) >= 0;
	if (s->any_image)
		return 0;
	for (i = 0; s->names.names && s->names.names[i] && r >= 0; i++) {
		r = nomad_task_may(s->task, option, s->names.names[i], err);
		if (r >= 0)
			r = allow_image(s, s->names.names[i], err);
	}
	for (i = 0; i < contexts->count && r >= 0; i++)
		if (strncmp(contexts->pairs[i].value, "docker-image://", 15) == 0)
			r = allow_image(s, contexts->pairs[i].value + 15, err);
	if (r >= 0 && s->config->cache_from) {
		r = nomad_task_may(s->task, "cache_from", s->config->cache_from, err);
		if (r >= 0 && nomad_strv_add(&s->images, s->config->cache_from) < 0)
			r = build_no_memory(err);
	}
	return r;
}

/* The engine gets the very text that was looked through: another task of the group could change the file meanwhile. */
static int pin_containerfile(struct build_start *s, const char *text, struct nomad_error **err)
{
	static const char *const suffixes[] = { ".containerignore", ".dockerignore" };
	size_t i;

	/* The engine looks for this one beside the file. */
	for (i = 0; i < NOMAD_ARRAY_LEN(suffixes) && !s->inputs.ignorefile; i++) {
		NOMAD_AUTO_FREE char *beside = nomad_strdupf("%s%s", s->inputs.containerfile, suffixes[i]);
		NOMAD_AUTO_FREE char *host = beside ? build_path_on_host(&s->dirs, beside) : NULL;

		if (!host)
			return build_no_memory(err);
		if (access(host, F_OK))
			continue;
		s->inputs.ignorefile = strdup(beside);
		if (!s->inputs.ignorefile)
			return build_no_memory(err);
	}
	free(s->inputs.containerfile);
	s->inputs.containerfile = strdup(BUILD_CONTAINERFILE);
	s->plan->containerfile = strdup(text);
	return s->inputs.containerfile && s->plan->containerfile ? 0 : build_no_memory(err);
}

static int refuse_feature(const struct build_start *s, const struct build_features *f, struct nomad_error **err)
{
	const struct build_engine *engine = &s->engine;
	char since[32];

	build_engine_since(engine->is_podman, f->since, since, sizeof(since));
	return nomad_error_set(
		err, ENOTSUP, "containerfile: line %u has %s, %s%s, and %s %s of this node does not have it; %s",
		f->line, f->missing, f->since ? "which takes " : "which no engine has", f->since ? since : "",
		engine->is_podman ? "podman" : "buildah", engine->version, f->remedy);
}

static void tell_dropped(const struct build_start *s, unsigned dropped)
{
	if (!dropped || strcmp(s->config->format, "oci") != 0)
		return;
	nomad_task_event(s->task, "The format oci has no%s%s%s: left out of the image; format = \"docker\" keeps it",
			 dropped & BUILD_HAS_HEALTHCHECK ? " HEALTHCHECK" : "",
			 dropped & BUILD_HAS_SHELL ? " SHELL" : "", dropped & BUILD_HAS_ONBUILD ? " ONBUILD" : "");
}

/* A step of a platform whose programs do not run here. */
static int check_platform(const struct build_start *s, const char *platform, unsigned line, struct nomad_error **err)
{
	const char *why = line ? build_platform_lacks(BUILD_BINFMT, platform, s->engine.platform) : NULL;

	if (!why)
		return 0;
	return nomad_error_set(
		err, ENOTSUP,
		"platform: line %u of the Containerfile has a RUN, and this node (%s) cannot run programs of "
		"%s: %s, take a node of that platform, or begin the stage with FROM "
		"--platform=$BUILDPLATFORM",
		line, s->engine.platform, platform, why);
}

static int check_platforms(const struct build_start *s, unsigned run_line, struct nomad_error **err)
{
	const struct build_config *config = s->config;
	int r = config->platform ? check_platform(s, config->platform, run_line, err) : 0;

	for (size_t i = 0; config->platforms && config->platforms[i] && r >= 0; i++)
		r = check_platform(s, config->platforms[i], run_line, err);
	if (r >= 0 && config->platforms && strcmp(config->compression, "gzip") != 0 && !s->engine.is_podman &&
	    build_engine_minor(&s->engine) < BUILD_LIST_COMPRESSION)
		return nomad_error_set(err, ENOTSUP,
				       "compression: buildah %s of this node cannot compress the images of a list with "
				       "zstd; use gzip, buildah 1.39, or a task for each platform",
				       s->engine.version);
	return r;
}

/* What the engine cannot follow is told before it runs.  *text is replaced where something can be left out. */
static int check_features(struct build_start *s, const char *path, char **text, struct nomad_error **err)
{
	struct build_features f;
	size_t n = strlen(path);
	int r = 0;

	if (!*text || (n > 3 && strcmp(path + n - 3, ".in") == 0)) /* the engine has a preprocessor change it */
		return 0;
	if (build_features_in(*text, &s->engine, s->config->target, &f) < 0)
		return build_no_memory(err);
	if (f.missing)
		r = refuse_feature(s, &f, err);
	if (r >= 0)
		r = check_platforms(s, f.run_line, err);
	if (r >= 0)
		tell_dropped(s, f.dropped);
	if (r >= 0 && f.text) {
		free(*text);
		*text = f.text;
		f.text = NULL;
		r = pin_containerfile(s, *text, err);
	}
	free(f.text);
	return r;
}

/* A cached layer is to be what a build without a cache makes, and names of images are to be whole. */
int build_check_containerfile(struct build_start *s, struct nomad_error **err)
{
	const struct build_engine *engine = &s->engine;
	NOMAD_AUTO_FREE char *path = build_path_on_host(&s->dirs, s->inputs.containerfile);
	NOMAD_AUTO_FREE char *text = path ? build_containerfile_read(path) : NULL, *copy = NULL;
	struct build_binds binds;
	const char *since;
	int r;

	if (text && build_sha256(text, strlen(text), s->containerfile_digest) < 0)
		return nomad_error_set(err, EIO, "containerfile: cannot be hashed");
	copy = text ? strdup(text) : NULL;
	if (!path || (text && !copy))
		return build_no_memory(err);
	if (!copy)
		s->names.unknown = true;
	else if (build_names_in(copy, &s->config->args, &s->config->build_contexts, &s->names) < 0)
		return build_no_memory(err);
	r = check_images(s, "containerfile", err);
	if (r >= 0)
		r = check_features(s, path, &text, err);
	if (r < 0)
		return r;
	binds = build_binds_of(path, text);
	s->cache_mounts = !text || strcasestr(text, "type=cache");
	s->inputs.name_platform = binds.of_target;
	s->may_escape =
		binds.of_anything || s->names.unknown || s->config->build_contexts.count || !s->config->tls_verify;
	if (s->config->cache && !s->may_escape && !s->plan->containerfile && build_engine_follows_links(engine)) {
		r = pin_containerfile(s, text, err);
		if (r < 0)
			return r;
	}
	if (!build_engine_keeps_layers(s->config))
		return 0;
	since = build_engine_lacks_keys(engine, &binds);
	s->inputs.no_cache = since;
	if (since)
		nomad_task_event(s->task,
				 "The Containerfile has RUN --mount=type=bind, and %s %s does not see when the content "
				 "behind it changes: building without its layer cache; %s can use it",
				 engine->is_podman ? "podman" : "buildah", engine->version, since);
	return 0;
}
