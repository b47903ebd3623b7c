/* SPDX-License-Identifier: MPL-2.0
 *
 * The metadata file. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "step.h"

void build_result_done(struct build_result *result)
{
	size_t i;

	for (i = 0; i < result->n_steps; i++)
		free(result->steps[i].text);
	free(result->steps);
	free(result->summary);
	nomad_strv_free(result->used);
	free(result->image_id);
	free(result->digest);
	build_image_done(&result->image);
}

static json_t *digest_text(const char *digits)
{
	return digits ? json_sprintf("sha256:%s", digits) : json_null();
}

static void add_result(json_t *top, const struct build_result *result, char *const *tags)
{
	json_t *names = json_array();
	size_t i;

	json_object_set_new(top, "image_id", digest_text(result->image_id));
	/* Of the first archive or push; without any, of the image in the engine's store. */
	json_object_set_new(top, "digest", digest_text(result->digest ? result->digest : result->image.digest));
	/* What a push has sent, only the registry knows. */
	json_object_set_new(top, "size",
			    result->image.unpacked || !result->image.id ? json_null()
									: json_integer(result->image.size));
	if (result->image.unpacked)
		json_object_set_new(top, "uncompressed_size", json_integer(result->image.size));
	for (i = 0; tags && tags[i]; i++)
		json_array_append_new(names, json_string(tags[i]));
	json_object_set_new(top, "tags", names);
}

static json_t *steps_of(const struct build_result *result)
{
	json_t *steps = json_array();
	size_t i;

	for (i = 0; i < result->n_steps; i++) {
		json_t *text = json_string(result->steps[i].text);

		json_array_append_new(steps, json_pack("{s:o,s:I}", "step", text ? text : json_string("(not UTF-8)"),
						       "duration_ms", (json_int_t)result->steps[i].ms));
	}
	return steps;
}

char *build_metadata(const struct build_plan *plan, const struct build_result *result, char *const *digests)
{
	json_t *top = json_object(), *platforms = json_array(), *pushed = json_array(), *outputs = json_array();
	NOMAD_AUTO_FREE char *text = NULL;
	size_t i;

	add_result(top, result, plan->tags);
	for (i = 0; plan->platforms && plan->platforms[i]; i++)
		json_array_append_new(platforms, json_string(plan->platforms[i]));
	if (i)
		json_object_set(top, "platforms", platforms);
	json_decref(platforms);
	for (i = 0; i < plan->n_actions; i++) {
		const struct build_action *action = &plan->actions[i];

		if (action->kind == BUILD_PUSH)
			json_array_append_new(pushed, json_pack("{s:s,s:o}", "reference", action->reference, "digest",
								digest_text(digests[i])));
		else if (action->type)
			json_array_append_new(outputs, json_pack("{s:s,s:s,s:o}", "type", action->type, "path",
								 action->path + 1, "digest", digest_text(digests[i])));
	}
	json_object_set_new(top, "outputs", outputs);
	json_object_set_new(top, "pushed", pushed);
	json_object_set_new(top, "duration_ms", json_integer(result->ms));
	json_object_set_new(top, "steps", steps_of(result));
	text = json_dumps(top, JSON_INDENT(2));
	json_decref(top);
	return text ? nomad_strdupf("%s\n", text) : NULL;
}
