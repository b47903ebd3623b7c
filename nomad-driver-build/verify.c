/* SPDX-License-Identifier: MPL-2.0
 *
 * Two builds of the same: are the images the same, and if not, which step
 * made the difference?  An image's id is the digest of its configuration,
 * which names the digest of each layer and the step that made it. */
#include <errno.h>
#include <jansson.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "engine.h"
#include "step.h"
#include "store.h"

enum { STEP_SIZE = 200 };

/* The engine names the file by what it holds, in base64. */
static json_t *load_config(const char *root, const char *driver, const char *id)
{
	const struct build_store store = { .root = (char *)(uintptr_t)root, .driver = driver };
	NOMAD_AUTO_FREE char *name = nomad_strdupf("sha256:%s", id), *dir = build_store_image(&store, id), *path = NULL;
	unsigned char text[128];

	if (!name || !dir || strlen(name) > 71)
		return NULL;
	EVP_EncodeBlock(text, (const unsigned char *)name, (int)strlen(name));
	path = nomad_strdupf("%s/=%s", dir, (const char *)text);
	return path ? json_load_file(path, 0, NULL) : NULL;
}

/* What made layer `n`; borrowed. */
static const char *step_of(const json_t *config, size_t n)
{
	const json_t *entry;
	size_t i, layer = 0;

	json_array_foreach(json_object_get(config, "history"), i, entry)
	{
		if (json_is_true(json_object_get(entry, "empty_layer")))
			continue;
		if (layer++ == n)
			return json_string_value(json_object_get(entry, "created_by"));
	}
	return NULL;
}

static const json_t *layers_of(const json_t *config)
{
	return json_object_get(json_object_get(config, "rootfs"), "diff_ids");
}

int build_verify(const struct build_plan *plan, const char *first, const char *second, struct nomad_error **err)
{
	json_t *a, *b;
	const json_t *layers, *others;
	const char *step = NULL;
	size_t i;

	if (strcmp(first, second) == 0)
		return 0;
	a = load_config(BUILD_ROOT, plan->driver, first);
	if (!a)
		a = load_config(BUILD_CACHE, plan->driver, first);
	b = load_config(BUILD_ROOT, plan->driver, second);
	layers = layers_of(a);
	others = layers_of(b);
	for (i = 0; i < json_array_size(layers) && json_equal(json_array_get(layers, i), json_array_get(others, i));
	     i++)
		;
	if (i < json_array_size(layers))
		step = step_of(a, i);
	nomad_error_set(
		err, EBADMSG,
		"verify: two builds made different images, sha256:%s and sha256:%s: %s%zu%s%.*s; make this step "
		"repeatable, or leave verify out",
		first, second, step ? "layer " : "the configuration differs, after layer ", step ? i + 1 : i,
		step ? " differs: " : "", STEP_SIZE, step ? step : "");
	json_decref(a);
	json_decref(b);
	return -EBADMSG;
}
