/* SPDX-License-Identifier: MPL-2.0
 *
 * The only file that knows how buildah and podman are called: option by
 * option of config.c, with paths as they are in the jail.
 *
 * Both take the same words nearly everywhere (podman's build is buildah's).
 * Nothing secret is ever on a command line: secrets and keys are files. */
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "engine.h"
#include "features.h"

/* The first version for which the word is known. */
enum { PULL_NEWER = 39 };

/* Arguments in the making; the first failure is kept. */
struct words {
	char **v;
	int r;
};

static void add(struct words *w, const char *s)
{
	if (w->r >= 0)
		w->r = nomad_strv_add(&w->v, s);
}

static void add_pair(struct words *w, const char *option, const char *value)
{
	if (value) {
		add(w, option);
		add(w, value);
	}
}

#define ADDF(w, ...)                                                                                                   \
	do {                                                                                                           \
		if ((w)->r >= 0)                                                                                       \
			(w)->r = nomad_strv_addf(&(w)->v, __VA_ARGS__);                                                \
	} while (0)

/* Options of "KEY=VALUE" form. */
static void add_map(struct words *w, const char *option, const struct nomad_map *map)
{
	size_t i;

	for (i = 0; i < map->count; i++) {
		add(w, option);
		ADDF(w, "%s=%s", map->pairs[i].key, map->pairs[i].value);
	}
}

/* "--platform a,b" */
static void add_list(struct words *w, const char *option, char *const *values)
{
	NOMAD_AUTO_FREE char *list = strdup(values[0]);

	for (size_t i = 1; list && values[i]; i++) {
		char *longer = nomad_strdupf("%s,%s", list, values[i]);

		free(list);
		list = longer;
	}
	if (list)
		add_pair(w, option, list);
	else
		w->r = -ENOMEM;
}

static void add_store(struct words *w, const struct build_engine *engine, const char *dir)
{
	add(w, engine->path);
	add(w, "--root");
	ADDF(w, "%s/root", dir);
	add(w, "--runroot");
	ADDF(w, "%s/runroot", dir);
	add_pair(w, "--storage-driver", engine->storage_driver);
	/* An image may hold device files; nobody is to open them. */
	if (strcmp(engine->storage_driver, "overlay") == 0)
		add_pair(w, "--storage-opt", "overlay.mountopt=nodev");
	if (engine->cached)
		add_pair(w, "--storage-opt",
			 strcmp(engine->storage_driver, "vfs") ? "overlay.imagestore=" BUILD_CACHE
							       : "vfs.imagestore=" BUILD_CACHE);
	if (engine->is_podman)
		add_pair(w, "--cgroup-manager", "cgroupfs");
}

/* Where everything is.  Short names: podman refuses a long --runroot. */
static void add_global(struct words *w, const struct build_engine *engine)
{
	add_store(w, engine, "/build");
}

static int finish(struct words *w, char ***ret_argv)
{
	if (w->r < 0)
		nomad_strv_free(w->v);
	else
		*ret_argv = w->v;
	return w->r;
}

static void add_sources(struct words *w, const struct build_engine *engine, const struct build_config *config,
			const struct build_inputs *inputs)
{
	size_t i;

	add_pair(w, "--file", inputs->containerfile);
	add_pair(w, "--ignorefile", inputs->ignorefile);
	add_pair(w, "--target", config->target);
	/* Without it, older engines have no value for TARGETOS and the like in FROM.  With it, the engine asks the
	 * registry for each base image anew, whatever --pull says: so not always. */
	if (config->platforms)
		add_list(w, "--platform", config->platforms);
	else if (config->platform)
		add_pair(w, "--platform", config->platform);
	else if (inputs->name_platform && *engine->platform)
		add_pair(w, "--platform", engine->platform);
	add_map(w, "--build-arg", &config->args);
	add_map(w, "--build-context", &inputs->contexts);
	for (i = 0; i < inputs->secrets.count; i++) {
		add(w, "--secret");
		ADDF(w, "id=%s,src=%s", inputs->secrets.pairs[i].key, inputs->secrets.pairs[i].value);
	}
	add_map(w, "--ssh", &inputs->ssh);
}

static void add_result(struct words *w, const struct build_config *config, const char *destination)
{
	size_t i;

	add_pair(w, "--format", config->format);
	add_pair(w, "--tag", destination);
	if (destination) /* as push does: the digest is the same */
		add(w, "--disable-compression=false");
	add_pair(w, "--manifest", config->platforms ? BUILD_LIST : NULL);
	for (i = 0; !destination && !config->platforms && config->tags && config->tags[i]; i++)
		add_pair(w, "--tag", config->tags[i]);
	add_map(w, "--label", &config->labels);
	add_map(w, "--annotation", &config->annotations);
	if (config->timestamp != NOMAD_INT_UNSET) {
		add(w, "--timestamp");
		ADDF(w, "%" PRId64, config->timestamp);
		/* It holds the engine's version: the same context is to give the same digest after an update, too. */
		add(w, "--identity-label=false");
	}
	if (config->squash)
		add(w, "--squash");
	if (!config->platforms) /* of several it cannot be told */
		add_pair(w, "--iidfile", BUILD_IID_FILE);
}

const char *build_engine_lacks_keys(const struct build_engine *engine, const struct build_binds *binds)
{
	struct version {
		int major, minor;
		const char *name;
	};
	/* By podman or not, and of an image or not.  buildah 1.39 is in podman 5.4; 1.44 in none of podman 5. */
	static const struct version since[2][2] = { { { 1, 39, "buildah 1.39" }, { 1, 44, "buildah 1.44" } },
						    { { 5, 4, "podman 5.4" }, { 6, 0, "podman 6.0" } } };
	const struct version *first = &since[engine->is_podman][binds->of_image];

	if ((!binds->of_context && !binds->of_image) || engine->major > first->major ||
	    (engine->major == first->major && engine->minor >= first->minor))
		return NULL;
	return first->name;
}

bool build_engine_keeps_layers(const struct build_config *config)
{
	return config->layers < 0 ? config->cache || config->cache_from || config->cache_to : config->layers;
}

/* "--pull=false" was "missing" once, and is "never" now; older ones take a word that they do not know for "missing". */
static void add_pull(struct words *w, const struct build_engine *engine, const char *pull)
{
	bool old = build_engine_minor(engine) < PULL_NEWER;

	ADDF(w, "--pull=%s", old && strcmp(pull, "newer") == 0 ? "true" : pull);
}

static void add_cache(struct words *w, const struct build_engine *engine, const struct build_config *config,
		      const struct build_inputs *inputs)
{
	add(w, build_engine_keeps_layers(config) ? "--layers=true" : "--layers=false");
	if (inputs->no_cache)
		add(w, "--no-cache");
	add_pair(w, "--cache-from", inputs->no_cache ? NULL : config->cache_from);
	add_pair(w, "--cache-to", inputs->no_cache ? NULL : config->cache_to);
	add_pull(w, engine, inputs->pulled ? "missing" : config->pull);
	if (!config->tls_verify)
		add(w, "--tls-verify=false");
	add_pair(w, "--authfile", BUILD_AUTH_FILE);
}

/* A newer engine raises these for RUN, which takes a right that the node may not have. */
static void add_limit(struct words *w, const struct build_config *config, const char *name, uint64_t limit)
{
	if (!limit || nomad_map_get(&config->ulimits, name))
		return;
	add(w, "--ulimit");
	ADDF(w, "%s=%" PRIu64 ":%" PRIu64, name, limit, limit);
}

static void add_steps(struct words *w, const struct build_engine *engine, const struct build_config *config)
{
	bool oci = strcmp(config->isolation, "oci") == 0;

	add_pair(w, "--isolation", config->isolation);
	/* The jail as a whole is in the network: "host" is that one.  With chroot it can be in none as well. */
	add_pair(w, "--network", !oci ? NULL : strcmp(config->network, "none") == 0 ? "none" : "host");
	if (oci) /* the whole build is in the cgroup of the task, and stays there */
		add_pair(w, "--runtime-flag", "cgroup-manager=disabled");
	add_map(w, "--ulimit", &config->ulimits);
	add_limit(w, config, "nofile", engine->nofile);
	add_limit(w, config, "nproc", engine->nproc);
}

int build_engine_build(const struct build_engine *engine, const struct build_config *config,
		       const struct build_inputs *inputs, const char *destination, char ***ret_argv)
{
	struct words w = { 0 };

	add_global(&w, engine);
	add(&w, "build");
	add_sources(&w, engine, config, inputs);
	add_result(&w, config, destination);
	add_cache(&w, engine, config, inputs);
	add_steps(&w, engine, config);
	add(&w, "--");
	add(&w, inputs->context);
	return finish(&w, ret_argv);
}

static void add_push(struct words *w, const struct build_engine *engine, const struct build_config *config,
		     const char *digest_file)
{
	add_global(w, engine);
	if (config->platforms)
		add(w, "manifest");
	add(w, "push");
	if (config->platforms)
		add(w, "--all");
	if (config->platforms && strcmp(config->format, "docker") == 0)
		add_pair(w, "--format", "v2s2");
	if (strcmp(config->compression, "gzip") != 0)
		add_pair(w, "--compression-format", config->compression);
	add_pair(w, "--digestfile", digest_file);
	add_pair(w, "--authfile", BUILD_AUTH_FILE);
}

char *build_engine_destination(const char *type, const char *path, const char *reference)
{
	return nomad_strdupf("%s:%s%s%s", type, path, reference ? ":" : "", reference ? reference : "");
}

int build_engine_write(const struct build_engine *engine, const struct build_config *config, const char *destination,
		       const char *digest_file, char ***ret_argv)
{
	struct words w = { 0 };

	add_push(&w, engine, config, digest_file);
	add(&w, config->platforms ? BUILD_LIST : BUILD_IMAGE);
	add(&w, destination);
	return finish(&w, ret_argv);
}

int build_engine_push(const struct build_engine *engine, const struct build_config *config, const char *reference,
		      bool tls_verify, const char *digest_file, char ***ret_argv)
{
	struct words w = { 0 };

	add_push(&w, engine, config, digest_file);
	if (!tls_verify)
		add(&w, "--tls-verify=false");
	add(&w, config->platforms ? BUILD_LIST : BUILD_IMAGE);
	ADDF(&w, "docker://%s", reference);
	return finish(&w, ret_argv);
}

int build_engine_export(bool tar, const char *path, char ***ret_argv)
{
	static const char *const archive[] = { "/bin/tar",
					       "--create",
					       "--directory=" BUILD_ROOTFS,
					       "--xattrs",
					       "--acls",
					       "--numeric-owner",
					       "--sort=name",
					       "--format=pax",
					       "--pax-option=delete=atime,delete=ctime,exthdr.name=%d/PaxHeaders/%f",
					       "--null",
					       "--verbatim-files-from",
					       "--files-from=" BUILD_ROOTFS_NAMES };
	static const char *const tree[] = { "/bin/cp", "--archive", "--no-target-directory", "--", BUILD_ROOTFS "/." };
	struct words w = { 0 };
	size_t i;

	for (i = 0; i < (tar ? NOMAD_ARRAY_LEN(archive) : NOMAD_ARRAY_LEN(tree)); i++)
		add(&w, tar ? archive[i] : tree[i]);
	if (tar)
		ADDF(&w, "--file=%s", path);
	else
		add(&w, path);
	return finish(&w, ret_argv);
}

int build_engine_try(const struct build_engine *engine, const char *dir, char ***argv)
{
	struct words w = { .v = *argv };

	add_store(&w, engine, dir);
	add(&w, "images");
	*argv = w.v;
	return w.r;
}

int build_engine_pull(const struct build_engine *engine, const struct build_config *config, const char *name,
		      char ***ret_argv)
{
	struct words w = { 0 };
	/* The words of "buildah pull" and of podman's. */
	const char *policy = strcmp(config->pull, "newer") != 0 ? config->pull
			     : engine->is_podman		? "newer"
								: "ifnewer";

	add_global(&w, engine);
	add(&w, "pull");
	add_pair(&w, "--policy", policy);
	add_pair(&w, "--platform", config->platform);
	add_pair(&w, "--authfile", BUILD_AUTH_FILE);
	add(&w, name);
	return finish(&w, ret_argv);
}

bool build_engine_follows_links(const struct build_engine *engine)
{
	return engine->is_podman ? engine->major < 5 || (engine->major == 5 && engine->minor < 4)
				 : engine->major < 1 || (engine->major == 1 && engine->minor < 39);
}

void build_inputs_done(struct build_inputs *inputs)
{
	free(inputs->containerfile);
	free(inputs->context);
	free(inputs->ignorefile);
	nomad_map_done(&inputs->contexts);
	nomad_map_done(&inputs->secrets);
	nomad_map_done(&inputs->ssh);
}

/* ---- Configuration ---- */

static char *dump(json_t *json)
{
	char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;

	json_decref(json);
	return text;
}

/* containers-policy.json(5).  Local transports see nothing but the jail. */
char *build_engine_policy(bool any, char *const *allowed)
{
	static const char *const local[] = { "containers-storage", "oci", "oci-archive",
					     "docker-archive",	   "dir", "tarball" };
	json_t *transports, *docker;
	size_t i;

	if (any)
		return dump(json_pack("{s:[{s:s}]}", "default", "type", "insecureAcceptAnything"));
	transports = json_object();
	docker = json_object();
	for (i = 0; allowed && allowed[i]; i++)
		json_object_set_new(docker, allowed[i], json_pack("[{s:s}]", "type", "insecureAcceptAnything"));
	json_object_set_new(transports, "docker", docker);
	for (i = 0; i < NOMAD_ARRAY_LEN(local); i++)
		json_object_set_new(transports, local[i],
				    json_pack("{s:[{s:s}]}", "", "type", "insecureAcceptAnything"));
	return dump(json_pack("{s:[{s:s}],s:o}", "default", "type", "reject", "transports", transports));
}
