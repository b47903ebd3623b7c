/* SPDX-License-Identifier: MPL-2.0
 *
 * The option tables of the driver and what its options need of each other.
 * Paths are only looked at in their form here; where they lead is in
 * paths.c, on the machine that runs the build. */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "powers.h"

static const char *const drivers[] = { "auto", "overlay", "vfs", NULL };
static const char *const networks[] = { "private", "host", "none", NULL };
static const char *const isolations[] = { "chroot", "oci", NULL };
static const char *const formats[] = { "oci", "docker", NULL };
static const char *const compressions[] = { "gzip", "zstd", NULL };
static const char *const pulls[] = { "missing", "newer", "always", "never", NULL };
static const char *const output_types[] = { "oci-archive", "docker-archive", "oci", "local", "tar", NULL };

/* ---- Checks of single values ---- */

static bool is_all_of(const char *value, const char *chars)
{
	size_t i;

	for (i = 0; value[i]; i++)
		if (!isalnum((unsigned char)value[i]) && !strchr(chars, value[i]))
			return false;
	return i > 0;
}

static const char *check_name(const char *value)
{
	return is_all_of(value, "-_.") && isalnum((unsigned char)*value) && strlen(value) <= 64
		       ? NULL
		       : "a name of at most 64 letters, digits, dots, hyphens and underscores";
}

/* Text goes into a list with commas, or behind a colon, of the engine's own syntax. */
static const char *check_path(const char *value)
{
	const char *p;

	for (p = value; *p; p++)
		if (iscntrl((unsigned char)*p) || *p == ',' || *p == ':')
			return "a path without colons, commas and control characters";
	return *value && *value != '-' ? NULL : "a path";
}

/* In its jail, a build has these for itself. */
static const char *check_engine(const char *value)
{
	static const char *const own[] = { "/build/", "/dev/", "/proc/", "/run/", "/sys/", "/tmp/", "/var/tmp/" };
	size_t i;

	for (i = 0; i < NOMAD_ARRAY_LEN(own); i++)
		if (strncmp(value, own[i], strlen(own[i])) == 0)
			return "a path outside of /build, /dev, /proc, /run, /sys, /tmp and /var/tmp, which are a "
			       "build's own";
	if (strpbrk(value, ":,\\")) /* they have a meaning in the options of an overlay */
		return "a path without colons, commas and backslashes";
	return nomad_check_absolute_path(value);
}

static const char *check_reference(const char *value)
{
	return is_all_of(value, "-_./:@") && isalnum((unsigned char)*value) && strlen(value) <= 512
		       ? NULL
		       : "an image reference such as registry.example.org/team/app:1";
}

static const char *check_push_reference(const char *value)
{
	const char *slash = strchr(value, '/');
	size_t n = slash ? (size_t)(slash - value) : 0;

	if (check_reference(value) || !n ||
	    (!memchr(value, '.', n) && !memchr(value, ':', n) && strncmp(value, "localhost/", 10) != 0))
		return "a reference with a registry in front, such as registry.example.org/team/app:1";
	return NULL;
}

static const char *check_platform(const char *value)
{
	return is_all_of(value, "/_-") && strchr(value, '/') ? NULL : "a platform such as linux/arm64";
}

static const char *check_ulimit(const char *value)
{
	return is_all_of(value, ":-") && strspn(value, "0123456789:-") == strlen(value)
		       ? NULL
		       : "a limit, or a soft and a hard one: \"1024\" or \"1024:2048\"";
}

static const char *check_secret(const char *value)
{
	if (strncmp(value, "env:", 4) == 0)
		return nomad_check_env_name(value + 4);
	return check_path(value)
		       ? "a path in the secrets directory, or env:NAME for a variable of the task's environment"
		       : NULL;
}

/* ---- The plugin block ---- */

#define OPT(field, kind, ...) NOMAD_OPTION(struct build_plugin_config, field, kind, __VA_ARGS__)
static const struct nomad_option plugin_options[] = {
	OPT(engine, STRING, .example = "\"/usr/bin/buildah\"", .check = check_engine,
	    .help = "Path of the program that builds: buildah or podman. Default: the first of both that is on PATH."),
	OPT(storage_root, STRING, .check = nomad_check_absolute_path,
	    .help = "Directory for the images and layers of running builds and for caches. Default: in state_dir.",
	    .example = "\"/srv/builds\""),
	OPT(storage_driver, STRING, .def = "\"auto\"", .choices = drivers,
	    .help = "How layers are stored. auto: overlay where the file system of storage_root can carry it, else "
		    "vfs.",
	    .example = "\"vfs\""),
	OPT(insecure_registries, STRING_LIST, .check = check_reference,
	    .help = "Registries that base images are pulled from without TLS, or without looking at certificates.",
	    .example = "[\"127.0.0.1:5000\"]"),
	OPT(registries_conf, STRING, .def = "\"/etc/containers/registries.conf\"", .check = nomad_check_absolute_path,
	    .help = "Configuration of registries, as of buildah and podman: what short names such as alpine:3 mean "
		    "(aliases, registries to search), mirrors, blocked and insecure registries. The files *.conf in "
		    "the directory of this name with .d behind it belong to it. If none of them names registries to "
		    "search, a short name without an alias is one of docker.io. A build gets a copy.",
	    .example = "\"/etc/nomad.d/registries.conf\""),
	OPT(concurrency, INT, .def = "0", .min = 0, .max = 1000,
	    .help = "How many builds run at the same time on this node; others wait. 0: as many as there are.",
	    .example = "4"),
	OPT(registry_timeout, INT, .def = "120", .min = 0, .max = 86400, .unit = "seconds",
	    .help = "Ends a push, or a pull into a cache, that makes no progress for so long. Images that a build "
		    "without cache pulls are a part of the build: see the task's timeout. 0: no limit.",
	    .example = "30"),
	OPT(cache_mb, INT, .def = "20480", .min = 1, .max = 1 << 30, .unit = "MiB",
	    .help = "Limits what all caches of the node take. What was not used for the longest time is removed first, "
		    "layer by layer, also while builds run; a layer for which there is no room is not cached.",
	    .example = "51200"),
	OPT(cache_max_age, INT, .def = "0", .min = 0, .max = 87600, .unit = "hours",
	    .help = "Removes layers and cache mounts that no build has used for so long. 0: the limit of size alone.",
	    .example = "336"),
};
#undef OPT

const struct nomad_schema build_plugin_schema = NOMAD_SCHEMA(struct build_plugin_config, plugin_options);

/* ---- The task ---- */

/* Why an option can do no harm to the node. */
static const char in_task[] = "a path in the task's own directories";
static const char own_image[] = "says only what the task's own image is";
static const char own_secrets[] = "the task's own secrets";

#define OPT(field, kind, ...) NOMAD_OPTION(struct build_output, field, kind, __VA_ARGS__)
static const struct nomad_option output_options[] = {
	OPT(type, STRING, .harmless = "a choice of formats", .def = "\"oci-archive\"", .choices = output_types,
	    .help = "oci-archive and docker-archive are tar files, oci is a directory with an OCI image layout. local "
		    "and "
		    "tar hold the files of the image alone, without its configuration: as a directory, to which they "
		    "are added, or as an archive. Owners, modes and extended attributes are those of the image.",
	    .example = "\"docker-archive\""),
	OPT(path, STRING, .harmless = in_task, .required = true, .check = check_path,
	    .help = "Where it is written: in alloc/ (shared by the tasks of the group), in local/ or elsewhere in the "
		    "task directory.",
	    .example = "\"alloc/image.tar\""),
	OPT(reference, STRING, .harmless = "a name inside the archive", .check = check_reference,
	    .help = "Name of the image in the archive, or its tag in an OCI layout; local and tar have none. Default: "
		    "the first of tags; \"latest\" in a layout.",
	    .example = "\"app:1.0\""),
};
#undef OPT
static const struct nomad_schema output_schema = NOMAD_SCHEMA(struct build_output, output_options);

#define OPT(field, kind, ...) NOMAD_OPTION(struct build_push, field, kind, __VA_ARGS__)
static const struct nomad_option push_options[] = {
	OPT(reference, STRING, .power = &build_power_push, .required = true, .check = check_push_reference,
	    .help = "Where the image is pushed to: registry, repository and tag. No credentials are used.",
	    .example = "\"registry.example.org:5000/team/app:1\""),
	OPT(tls_verify, BOOL, .harmless = own_image, .def = "true",
	    .help = "false: plain HTTP, and certificates that nobody signed, will do.", .example = "false"),
	OPT(retry, INT, .harmless = own_image, .def = "2", .min = 0, .max = 10, .unit = "times",
	    .help = "How often a push is tried again that failed because of the network, or because the registry is "
		    "overloaded or does not answer (registry_timeout), after 5, 10, 20 seconds and so on. Layers that "
		    "the "
		    "registry has already are not sent again.",
	    .example = "5"),
};
#undef OPT
static const struct nomad_schema push_schema = NOMAD_SCHEMA(struct build_push, push_options);

#define OPT(field, kind, ...) NOMAD_OPTION(struct build_config, field, kind, __VA_ARGS__)
static const struct nomad_option task_options[] = {
	OPT(containerfile, STRING, .power = &build_power_from, .check = check_path,
	    .help = "The Containerfile: a path in the context, or one that begins with local/ or alloc/. Default: "
		    "Containerfile, else Dockerfile, in the context.",
	    .example = "\"Containerfile.release\""),
	OPT(dockerfile, STRING, .power = &build_power_from, .check = check_path, .help = "The same as containerfile.",
	    .example = "\"Dockerfile\""),
	OPT(context, STRING, .harmless = in_task, .def = "\"local\"", .check = check_path,
	    .help = "Directory that COPY and ADD take files from, relative to the task directory; alloc/... is the "
		    "shared directory of the allocation. It cannot lead out of them.",
	    .example = "\"alloc/src\""),
	OPT(ignorefile, STRING, .harmless = in_task, .check = check_path,
	    .help = "Takes the place of .containerignore; a path as for containerfile.",
	    .example = "\"release.ignore\""),
	OPT(target, STRING, .harmless = own_image, .check = check_name, .help = "Stage to build. Default: the last.",
	    .example = "\"test\""),
	OPT(args, STRING_MAP, .harmless = own_image,
	    .help = "Values for ARG. They are seen in the image's history: use secrets for what nobody may see.",
	    .example = "{ VERSION = \"1.2\" }"),
	OPT(build_contexts, STRING_MAP, .power = &build_power_contexts,
	    .help = "Further sources by name, for FROM and COPY --from: directories as for context, oci-archive:PATH "
		    "or docker-archive:PATH, or docker-image://REFERENCE. A name may be that of an image, which is "
		    "then not pulled.",
	    .example = "{ assets = \"alloc/assets\" }"),
	OPT(labels, STRING_MAP, .harmless = own_image, .help = "Labels of the image.",
	    .example = "{ \"org.opencontainers.image.source\" = \"https://example.org/app\" }"),
	OPT(annotations, STRING_MAP, .harmless = own_image, .help = "Annotations of the image; format docker has none.",
	    .example = "{ \"org.example.ticket\" = \"42\" }"),
	OPT(tags, STRING_LIST, .harmless = own_image, .check = check_reference,
	    .help = "Names of the image, in archives and in metadata_file.",
	    .example = "[\"registry.example.org/team/app:1\"]"),
	OPT(platform, STRING, .harmless = own_image, .check = check_platform,
	    .help = "Platform of the image. Default: this node's. For another one, a Containerfile with RUN needs an "
		    "interpreter on the node (package qemu-user-static), except in stages that begin with FROM "
		    "--platform=$BUILDPLATFORM; the attribute driver.build.platforms lists what a node can run.",
	    .example = "\"linux/arm64\""),
	OPT(platforms, STRING_LIST, .harmless = own_image, .check = check_platform,
	    .help = "Builds for each of these platforms, one after the other, and makes one image of them: an index, "
		    "or manifest list. Takes the place of platform. Cannot be combined with cache; outputs can be oci "
		    "and oci-archive.",
	    .example = "[\"linux/amd64\", \"linux/arm64\"]"),
	OPT(format, STRING, .harmless = own_image, .def = "\"oci\"", .choices = formats,
	    .help = "Format of manifest and configuration.", .example = "\"docker\""),
	OPT(compression, STRING, .harmless = own_image, .def = "\"gzip\"", .choices = compressions,
	    .help = "How layers are compressed in outputs and pushes. zstd is smaller and faster to unpack; it takes "
		    "format oci, and a registry keeps a layer that it has with gzip.",
	    .example = "\"zstd\""),
	OPT(network, STRING, .power = &build_power_network, .def = "\"private\"", .choices = networks,
	    .help = "Network of RUN, pulls and pushes. A group with a network (mode bridge) gives its own to private "
		    "and host. private: one of the build's own with a way out (IPv4, by slirp4netns), but not to the "
		    "node's loopback, addresses and link-local ones: a registry on the node itself takes host or "
		    "a group's network. host: the node's, which takes the policy rule allow_network. none: none; with "
		    " isolation chroot base images then have to be local ones.",
	    .example = "\"none\""),
	OPT(isolation, STRING, .harmless = "the jail holds the whole build either way", .def = "\"chroot\"",
	    .choices = isolations,
	    .help = "How RUN is held in its root: by the engine's own chroot, or by the node's OCI runtime. In both "
		    "cases the whole build is jailed: it sees only the task's directories and its own processes. With "
		    "chroot, buildah does not wait until the last output of a step is copied: rarely, the log lacks a "
		    "line that was written just before a step's end.",
	    .example = "\"oci\""),
	OPT(secrets, STRING_MAP, .harmless = own_secrets, .check = check_secret,
	    .help = "For RUN --mount=type=secret,id=NAME: a path in the secrets directory, or env:NAME for a variable "
		    "of the task's environment (from a template of a Nomad variable). In no layer, log or command "
		    "line. A hostile Containerfile can have any step read the secrets that are named here, and only "
		    "those.",
	    .example = "{ token = \"secrets/token\", npm = \"env:NPM_TOKEN\" }"),
	OPT(ssh, STRING_MAP, .harmless = own_secrets, .check = check_path,
	    .help = "For RUN --mount=type=ssh,id=NAME: a key in the secrets directory.",
	    .example = "{ default = \"secrets/id_ed25519\" }"),
	OPT(layers, TRISTATE, .harmless = own_image,
	    .help = "Keep a layer for each instruction, to be reused. Default: with cache, cache_from and cache_to "
		    "only.",
	    .example = "true"),
	OPT(cache, STRING, .harmless = "only builds of the same Nomad namespace share a cache", .check = check_name,
	    .help = "Name of a cache on this node that builds of the same Nomad namespace share: layers, base images "
		    "and RUN --mount=type=cache. Default: nothing is kept. A build reads the layers and images, and "
		    "adds its own when it has succeeded; the directories of RUN --mount=type=cache are shared as they "
		    "are. Base images are pulled before the build, except with tls_verify = false. A Containerfile "
		    "with RUN "
		    "--mount=type=bind needs buildah 1.39 or podman 5.4 (with from=: buildah 1.44) for cached layers: "
		    "older ones do not see when the content behind the mount changes, and build it anew.",
	    .example = "\"app\""),
	OPT(cache_from, STRING, .power = &build_power_from, .check = check_push_reference,
	    .help = "Repository that layers are taken from.", .example = "\"registry.example.org/team/cache\""),
	OPT(cache_to, STRING, .power = &build_power_push, .check = check_push_reference,
	    .help = "Repository that layers are pushed to.", .example = "\"registry.example.org/team/cache\""),
	OPT(timestamp, INT, .harmless = own_image, .min = 0, .max = INT64_C(253402300799), .unit = "seconds since 1970",
	    .help = "Time of everything in the image: the same context then gives the same digest. Default: what is "
		    "true.",
	    .example = "0"),
	OPT(squash, BOOL, .harmless = own_image, .def = "false", .help = "Make one layer of all that the build adds.",
	    .example = "true"),
	OPT(verify, BOOL, .harmless = own_image, .def = "false",
	    .help = "Builds twice, the second time without any cache, and fails if the images differ: nothing is "
		    "written or "
		    "pushed then, and the error names the first step with another result. Needs timestamp.",
	    .example = "true"),
	OPT(pull, STRING, .harmless = own_image, .def = "\"missing\"", .choices = pulls,
	    .help = "When base images are pulled anew; matters with cache.", .example = "\"always\""),
	OPT(tls_verify, BOOL, .harmless = "what comes so is not shared with other builds", .def = "true",
	    .help = "false: base images and layers may come from registries without TLS.", .example = "false"),
	OPT(pids_limit, INT, .power = &build_power_pids_limit, .def = "0", .min = 0, .max = 1 << 22,
	    .unit = "processes",
	    .help = "Limits the processes and threads of the whole build, the engine's own among them. 0: as many as "
		    "the policy rule max_pids_limit allows, where the node has the pids controller of cgroups.",
	    .example = "512"),
	OPT(storage_mb, INT, .power = &build_power_storage, .def = "0", .min = 0, .max = 1 << 24, .unit = "MiB",
	    .help = "Limits what the build stores: base images that it pulls, layers, temporary files. A build that "
		    "stores more is killed, and an event says so. Layers that come from a cache do not count. The "
		    "driver looks a few times a second, so a build can store more for a moment. 0: the maximum of the "
		    "policy rule max_storage_mb.",
	    .example = "4096"),
	OPT(timeout, INT, .harmless = "the task's own end", .def = "0", .min = 0, .max = 31536000, .unit = "seconds",
	    .help = "Ends the build, pulls and pushes included, when it takes longer: exit code 124. The time that it "
		    "waits for other builds does not count. 0: no limit.",
	    .example = "1800"),
	OPT(ulimits, STRING_MAP, .power = &build_power_ulimits, .check = check_ulimit,
	    .help = "Limits of RUN, by name.", .example = "{ nofile = \"1024:2048\" }"),
	OPT(output, BLOCK_LIST, .block = &output_schema, .max_items = 16,
	    .help = "A file or directory that the image is written to."),
	OPT(push, BLOCK_LIST, .block = &push_schema, .max_items = 16,
	    .help = "A registry that the image is pushed to."),
	OPT(metadata_file, STRING, .harmless = in_task, .check = check_path,
	    .help = "File for what was built, as JSON: image id, digest, size (null where the image is only pushed), "
		    "tags, time of each step, pushed "
		    "references. A path as in output.",
	    .example = "\"alloc/build.json\""),
	OPT(sbom_file, STRING, .harmless = in_task, .check = check_path,
	    .help = "File for the image's bill of materials, as SPDX 2.3 in JSON: the packages that its databases of "
		    "dpkg "
		    "and apk name. Packages of RPM and of languages are not looked for, and an event says so where an "
		    "RPM database is there. A path as in output.",
	    .example = "\"alloc/image.spdx.json\""),
	OPT(provenance_file, STRING, .harmless = in_task, .check = check_path,
	    .help = "File for the image's provenance, as an in-toto statement with SLSA provenance v1: digests of the "
		    "results, of the Containerfile and of each base image from a registry, the options of the task "
		    "(not its secrets), and the times. It is not signed. A path as in output.",
	    .example = "\"alloc/image.provenance.json\""),
};
#undef OPT

static int check_keys(const struct nomad_map *map, const char *option, const char *chars, struct nomad_error **err)
{
	size_t i;

	for (i = 0; i < map->count; i++)
		if (!is_all_of(map->pairs[i].key, chars) || strlen(map->pairs[i].key) > 256 ||
		    *map->pairs[i].key == '-')
			return nomad_error_set(err, EINVAL, "%s: '%s' is not a name; use letters, digits and '%s'",
					       option, map->pairs[i].key, chars);
	return 0;
}

static int check_no_nul(const struct nomad_map *map, const char *option, struct nomad_error **err)
{
	size_t i;

	for (i = 0; i < map->count; i++)
		if (strlen(map->pairs[i].value) > 65536)
			return nomad_error_set(err, EINVAL, "%s: the value of '%s' is longer than 64 KiB", option,
					       map->pairs[i].key);
	return 0;
}

static int check_contexts(const struct nomad_map *map, struct nomad_error **err)
{
	size_t i;

	for (i = 0; i < map->count; i++) {
		const char *value = map->pairs[i].value, *path = value;

		if (strncmp(value, "docker-image://", 15) == 0 && !check_reference(value + 15))
			continue;
		if (strncmp(value, "oci-archive:", 12) == 0)
			path = value + 12;
		else if (strncmp(value, "docker-archive:", 15) == 0)
			path = value + 15;
		if (check_path(path))
			return nomad_error_set(err, EINVAL,
					       "build_contexts: '%s' is neither a path nor docker-image://REFERENCE; "
					       "fetch other sources with an artifact block",
					       value);
	}
	return 0;
}

static int check_platforms(const struct build_config *config, struct nomad_error **err)
{
	const struct build_output *outputs = config->output.items;
	char *const *names = config->platforms;
	size_t i, j;

	if (config->verify && (names || config->timestamp == NOMAD_INT_UNSET))
		return nomad_error_set(err, EINVAL, "verify: %s",
				       names ? "use a task for each platform"
					     : "each build has other times; set timestamp as well");
	if (!names)
		return 0;
	if (config->platform)
		return nomad_error_set(err, EINVAL, "platforms and platform are given: name all in platforms");
	if (config->cache)
		return nomad_error_set(err, EINVAL,
				       "platforms: a cache holds one platform; use a task for each platform, or "
				       "cache_from and cache_to");
	if (config->sbom_file)
		return nomad_error_set(err, EINVAL,
				       "platforms: sbom_file is of one image; use a task for each platform");
	for (i = 0; i < config->output.count; i++)
		if (strncmp(outputs[i].type, "oci", 3) != 0)
			return nomad_error_set(err, EINVAL,
					       "platforms: output type '%s' holds one platform; use oci or oci-archive",
					       outputs[i].type);
	for (i = 0; names[i]; i++)
		for (j = 0; j < i; j++)
			if (strcmp(names[i], names[j]) == 0)
				return nomad_error_set(err, EINVAL, "platforms: '%s' is there twice", names[i]);
	return 0;
}

static int check_task(const void *data, struct nomad_error **err)
{
	const struct build_config *config = data;
	const struct build_output *outputs = config->output.items;
	size_t i, j;
	int r;

	if (config->containerfile && config->dockerfile && strcmp(config->containerfile, config->dockerfile) != 0)
		return nomad_error_set(err, EINVAL, "containerfile and dockerfile are the same option: give one");
	if (config->annotations.count && strcmp(config->format, "docker") == 0)
		return nomad_error_set(err, EINVAL, "annotations: format docker has none; use labels, or format oci");
	if (strcmp(config->compression, "zstd") == 0 && strcmp(config->format, "docker") == 0)
		return nomad_error_set(err, EINVAL, "compression: format docker has no zstd; use gzip, or format oci");
	r = check_platforms(config, err);
	if (r >= 0)
		r = check_keys(&config->args, "args", "_", err);
	if (r >= 0)
		r = check_keys(&config->build_contexts, "build_contexts", "-_./:@", err);
	if (r >= 0)
		r = check_keys(&config->secrets, "secrets", "-_.", err);
	if (r >= 0)
		r = check_keys(&config->ssh, "ssh", "-_.", err);
	if (r >= 0)
		r = check_keys(&config->ulimits, "ulimits", "", err);
	if (r >= 0)
		r = check_keys(&config->labels, "labels", "-_./", err);
	if (r >= 0)
		r = check_keys(&config->annotations, "annotations", "-_./", err);
	if (r >= 0)
		r = check_no_nul(&config->args, "args", err);
	if (r >= 0)
		r = check_contexts(&config->build_contexts, err);
	for (i = 0; i < config->output.count && r >= 0; i++)
		for (j = 0; j < i && r >= 0; j++)
			if (strcmp(outputs[i].path, outputs[j].path) == 0)
				r = nomad_error_set(err, EINVAL, "output: two have the path '%s'", outputs[i].path);
	return r;
}

const struct nomad_schema build_task_schema = NOMAD_SCHEMA(struct build_config, task_options, .check = check_task);
