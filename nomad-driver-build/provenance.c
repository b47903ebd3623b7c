/* SPDX-License-Identifier: MPL-2.0
 *
 * Where an image comes from: a statement of in-toto with a predicate of
 * SLSA provenance, version 1.  It is not signed: who signs it says that the
 * node is to be believed. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "containerfile.h"
#include "engine.h"
#include "step.h"
#include "store.h"

static json_t *time_of(time_t at)
{
	char text[32];
	struct tm tm;

	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&at, &tm));
	return json_string(text);
}

static json_t *digest_of(const char *digits)
{
	return json_pack("{s:s}", "sha256", digits);
}

static json_t *subjects(const struct build_plan *plan, const struct build_result *result, char *const *digests)
{
	const char *digest = result->digest ? result->digest : result->image.digest;
	json_t *list = json_array();
	size_t i;

	for (i = 0; i < plan->n_actions; i++) {
		const struct build_action *action = &plan->actions[i];
		const char *name = action->kind == BUILD_PUSH ? action->reference
				   : action->path	      ? action->path + 1
							      : NULL;

		if (name && digests[i])
			json_array_append_new(list,
					      json_pack("{s:s,s:o}", "name", name, "digest", digest_of(digests[i])));
	}
	if (!json_array_size(list) && digest)
		json_array_append_new(list, json_pack("{s:s,s:o}", "name",
						      plan->tags && plan->tags[0] ? plan->tags[0] : "image", "digest",
						      digest_of(digest)));
	return list;
}

/* Of a cache, what the Containerfile names; in the build's own store, all but what it has made itself. */
static bool is_base(const struct build_plan *plan, const char *root, const char *name)
{
	for (size_t i = 0; plan->names && plan->names[i]; i++) {
		NOMAD_AUTO_FREE char *full = build_name_in_policy(plan->names[i]);

		if (full && strcmp(full, name) == 0)
			return true;
	}
	for (size_t i = 0; plan->tags && plan->tags[i]; i++) {
		NOMAD_AUTO_FREE char *tag = build_name_in_policy(plan->tags[i]);

		if (tag && strcmp(tag, name) == 0)
			return false;
	}
	return strcmp(root, BUILD_ROOT) == 0 && strncmp(name, "localhost/", 10) != 0;
}

static json_t *base(const char *name, const char *digest)
{
	return json_pack("{s:o,s:o}", "uri", json_sprintf("docker://%s", name), "digest",
			 digest_of(strncmp(digest, "sha256:", 7) == 0 ? digest + 7 : digest));
}

static void add_bases(json_t *list, const struct build_plan *plan, const char *root)
{
	struct build_store store;
	json_t *image, *name;
	size_t i, j;

	if (build_store_open(root, plan->driver, 0, &store, NULL) < 0)
		return;
	json_array_foreach(store.images, i, image) json_array_foreach(json_object_get(image, "names"), j, name)
	{
		const char *text = json_string_value(name),
			   *digest = json_string_value(json_object_get(image, "digest"));

		if (text && digest && is_base(plan, root, text))
			json_array_append_new(list, base(text, digest));
	}
	build_store_close(&store);
}

static json_t *dependencies(const struct build_plan *plan)
{
	json_t *list = json_array();

	if (plan->containerfile_digest)
		json_array_append_new(list, json_pack("{s:s,s:o}", "name", "Containerfile", "digest",
						      digest_of(plan->containerfile_digest)));
	add_bases(list, plan, BUILD_ROOT);
	if (plan->cache)
		add_bases(list, plan, BUILD_CACHE);
	return list;
}

char *build_provenance(const struct build_plan *plan, const struct build_result *result, char *const *digests)
{
	json_t *parameters = json_loads(plan->parameters ? plan->parameters : "{}", 0, NULL);
	json_t *definition =
		json_pack("{s:s,s:o,s:{s:s,s:s,s:s},s:o}", "buildType", "urn:nomad-driver-build:containerfile:v1",
			  "externalParameters", parameters ? parameters : json_object(), "internalParameters", "engine",
			  plan->software, "isolation", plan->isolation, "network", plan->network,
			  "resolvedDependencies", dependencies(plan));
	json_t *details =
		json_pack("{s:{s:s,s:{s:s}},s:{s:s,s:o,s:o}}", "builder", "id",
			  plan->builder ? plan->builder : "urn:nomad-driver-build", "version", "nomad-driver-build",
			  NOMAD_VERSION, "metadata", "invocationId", plan->invocation ? plan->invocation : "",
			  "startedOn", time_of(result->began), "finishedOn", time_of(time(NULL)));
	json_t *top = json_pack("{s:s,s:o,s:s,s:{s:o,s:o}}", "_type", "https://in-toto.io/Statement/v1", "subject",
				subjects(plan, result, digests), "predicateType", "https://slsa.dev/provenance/v1",
				"predicate", "buildDefinition", definition, "runDetails", details);
	char *text = top ? json_dumps(top, JSON_INDENT(1)) : NULL;

	json_decref(top);
	return text;
}
