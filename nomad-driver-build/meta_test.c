/* SPDX-License-Identifier: MPL-2.0
 *
 * The metadata file: what is in it, and steps that are no text. */
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "step.h"

static json_t *text_of(const struct build_plan *plan, const struct build_result *result, char *const *digests)
{
	char *text = build_metadata(plan, result, digests);
	json_t *top;

	assert_non_null(text);
	assert_int_equal(text[strlen(text) - 1], '\n');
	top = json_loads(text, 0, NULL);
	assert_non_null(top);
	free(text);
	return top;
}

static void test_nothing(void **state)
{
	struct build_plan plan = { 0 };
	struct build_result result = { 0 };
	json_t *top = text_of(&plan, &result, NULL);

	(void)state;
	assert_true(json_is_null(json_object_get(top, "image_id")));
	assert_true(json_is_null(json_object_get(top, "digest")));
	assert_int_equal(json_array_size(json_object_get(top, "tags")), 0);
	assert_int_equal(json_array_size(json_object_get(top, "steps")), 0);
	assert_int_equal(json_array_size(json_object_get(top, "pushed")), 0);
	json_decref(top);
}

static void test_all(void **state)
{
	char *tags[] = { (char *)"a:1", (char *)"b:\"2\"", NULL },
	     *digests[] = { NULL, (char *)"d1", (char *)"d2", NULL };
	struct build_action actions[] = {
		{ .kind = BUILD_BUILD },
		{ .kind = BUILD_WRITE, .type = (char *)"oci-archive", .path = (char *)"/alloc/x.tar" },
		{ .kind = BUILD_PUSH, .reference = (char *)"h:5000/r:t" },
		{ .kind = BUILD_PULL },
	};
	struct build_plan plan = { .tags = tags, .actions = actions, .n_actions = 4 };
	struct build_timing steps[] = {
		{ (char *)"STEP 1/2: RUN echo \"\\\n\x01\"", 12 },
		{ (char *)"STEP 2/2: RUN \xff\xfe\x80", 3 },
		{ (char *)"", 0 },
	};
	struct build_result result = { .image_id = (char *)"i",
				       .digest = (char *)"d",
				       .steps = steps,
				       .n_steps = 3,
				       .ms = 20,
				       .image = { .id = (char *)"i", .size = 7 } };
	json_t *top = text_of(&plan, &result, digests), *list;

	(void)state;
	assert_string_equal(json_string_value(json_object_get(top, "image_id")), "sha256:i");
	assert_string_equal(json_string_value(json_object_get(top, "digest")), "sha256:d");
	assert_int_equal(json_integer_value(json_object_get(top, "size")), 7);
	assert_null(json_object_get(top, "uncompressed_size"));
	assert_int_equal(json_integer_value(json_object_get(top, "duration_ms")), 20);
	list = json_object_get(top, "tags");
	assert_string_equal(json_string_value(json_array_get(list, 1)), "b:\"2\"");
	list = json_object_get(top, "steps");
	assert_int_equal(json_array_size(list), 3);
	assert_string_equal(json_string_value(json_object_get(json_array_get(list, 0), "step")), steps[0].text);
	assert_string_equal(json_string_value(json_object_get(json_array_get(list, 1), "step")), "(not UTF-8)");
	assert_int_equal(json_integer_value(json_object_get(json_array_get(list, 1), "duration_ms")), 3);
	list = json_object_get(top, "outputs");
	assert_int_equal(json_array_size(list), 1);
	assert_string_equal(json_string_value(json_object_get(json_array_get(list, 0), "path")), "alloc/x.tar");
	assert_string_equal(json_string_value(json_object_get(json_array_get(list, 0), "digest")), "sha256:d1");
	list = json_object_get(top, "pushed");
	assert_int_equal(json_array_size(list), 1);
	assert_string_equal(json_string_value(json_object_get(json_array_get(list, 0), "reference")), "h:5000/r:t");
	assert_string_equal(json_string_value(json_object_get(json_array_get(list, 0), "digest")), "sha256:d2");
	json_decref(top);
}

/* Without an archive or a push the image of the store has a digest. */
static void test_digest(void **state)
{
	struct build_plan plan = { 0 };
	struct build_result result = { .image = { .digest = (char *)"of-the-store", .size = 9, .unpacked = true } };
	json_t *top = text_of(&plan, &result, NULL);

	(void)state;
	assert_string_equal(json_string_value(json_object_get(top, "digest")), "sha256:of-the-store");
	/* Of its layers only the size before they are compressed is known. */
	assert_true(json_is_null(json_object_get(top, "size")));
	assert_int_equal(json_integer_value(json_object_get(top, "uncompressed_size")), 9);
	json_decref(top);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_nothing), cmocka_unit_test(test_all),
					    cmocka_unit_test(test_digest) };

	return cmocka_run_group_tests_name("build/meta", tests, NULL, NULL);
}
