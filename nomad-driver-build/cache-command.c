/* SPDX-License-Identifier: MPL-2.0
 *
 * "nomad-driver-build cache": what caches hold, by hand. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cache.h"
#include "host.h"

enum { OK, FAILED, USAGE };

static int fail(int status, const char *text, const char *name)
{
	fprintf(stderr, "nomad-driver-build: cache: %s%s%s\n", text, name ? ": " : "", name ? name : "");
	return status;
}

struct totals {
	uint64_t size, retired;
	json_t *json; /* or NULL */
};

static bool show(void *arg, const struct build_cache_info *info)
{
	struct totals *totals = arg;
	uint64_t size = info->layers_size + info->mounts_size + info->retired_size;
	time_t used = (time_t)info->used;
	char text[32] = "-";
	struct tm tm;

	totals->size += size;
	totals->retired += info->retired_size;
	if (used && gmtime_r(&used, &tm))
		strftime(text, sizeof(text), "%Y-%m-%dT%H:%MZ", &tm);
	if (totals->json)
		json_array_append_new(totals->json,
				      json_pack("{s:s,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:s}", "name", info->name, "size",
						(json_int_t)size, "layers_size", (json_int_t)info->layers_size,
						"mounts_size", (json_int_t)info->mounts_size, "retired_size",
						(json_int_t)info->retired_size, "layers", (json_int_t)info->layers,
						"mounts", (json_int_t)info->mounts, "builds", (json_int_t)info->builds,
						"used", text));
	else
		printf("%-32s %7" PRIu64 "Mi %7zu %7zu %7zu %s\n", info->name, size >> 20, info->layers, info->mounts,
		       info->builds, text);
	return true;
}

static int list(const char *base, bool json)
{
	struct totals totals = { .json = json ? json_array() : NULL };

	if (!json)
		printf("%-32s %9s %7s %7s %7s %s\n", "CACHE", "SIZE", "LAYERS", "MOUNTS", "BUILDS", "USED");
	build_cache_each(base, show, &totals);
	if (!json)
		return OK;
	json_dumpf(totals.json, stdout, JSON_INDENT(2));
	putchar('\n');
	json_decref(totals.json);
	return OK;
}

static bool add_up(void *arg, const struct build_cache_info *info)
{
	struct totals *totals = arg;

	totals->size += info->layers_size + info->mounts_size + info->retired_size;
	totals->retired += info->retired_size;
	return true;
}

static int size(const char *base, uint64_t max)
{
	struct totals totals = { 0 };

	build_cache_each(base, add_up, &totals);
	printf("%" PRIu64 " MiB of %" PRIu64 " MiB, %" PRIu64 " MiB of it wait for builds that run\n",
	       totals.size >> 20, max >> 20, totals.retired >> 20);
	return OK;
}

static int drop(const char *base, const char *name)
{
	int r = build_cache_drop(base, name);

	if (r == -ENOENT)
		return fail(FAILED, "there is no such cache; \"cache list\" shows all", name);
	if (r > 0)
		printf("%s: the rest is removed when the builds that use it have ended\n", name);
	return OK;
}

static void show_bad(void *arg, const char *id)
{
	printf("%s: layer %.12s is not what its digest says: removed\n", (const char *)arg, id);
}

static bool verify_one(void *arg, const struct build_cache_info *info)
{
	return nomad_strv_add(arg, info->name) >= 0;
}

static int verify(const char *base, const char *name)
{
	char **names = NULL;
	int status = OK;

	if (name)
		(void)!nomad_strv_add(&names, name);
	else
		build_cache_each(base, verify_one, &names);
	for (size_t i = 0; names && names[i]; i++) {
		size_t layers;
		int r = build_cache_verify(base, names[i], show_bad, names[i], &layers);

		if (r == -ENOENT)
			status = fail(FAILED, "there is no such cache; \"cache list\" shows all", names[i]);
		else if (r > 0)
			status = FAILED;
		else
			printf("%s: %zu layers are what their digests say\n", names[i], layers);
	}
	nomad_strv_free(names);
	return status;
}

int build_cache_command(struct nomad_plugin *plugin, int argc, char **argv)
{
	const struct build_plugin_config *config = nomad_plugin_config(plugin);
	NOMAD_AUTO_FREE char *base = build_base_dir(config, nomad_plugin_state_dir(plugin));
	const char *what = argc > 1 ? argv[1] : "list", *name = argc > 2 ? argv[2] : NULL;
	bool json = name && strcmp(name, "--json") == 0;

	if (!base)
		return fail(FAILED, "out of memory", NULL);
	if (argc <= 3 && strcmp(what, "list") == 0 && (!name || json))
		return list(base, json);
	if (argc <= 2 && strcmp(what, "size") == 0)
		return size(base, (uint64_t)config->cache_mb << 20);
	if (argc == 3 && strcmp(what, "drop") == 0)
		return drop(base, name);
	if (argc <= 3 && strcmp(what, "verify") == 0)
		return verify(base, name);
	return fail(USAGE, "use list [--json], size, drop NAME or verify [NAME]", NULL);
}
