/* SPDX-License-Identifier: MPL-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "lease.h"
#include "triton.h"

#define ALLOC "11111111-2222-3333-4444-555555555555"

static void test_parse(void **state)
{
	int64_t seconds, interval;
	(void)state;

	assert_true(triton_lease_parse("1700000000/300", &seconds, &interval));
	assert_int_equal(seconds, 1700000000);
	assert_int_equal(interval, 300);
	assert_false(triton_lease_parse(NULL, &seconds, &interval));
	assert_false(triton_lease_parse("", &seconds, &interval));
	assert_false(triton_lease_parse("1700000000", &seconds, &interval));
	assert_false(triton_lease_parse("1700000000/", &seconds, &interval));
	assert_false(triton_lease_parse("1/2x", &seconds, &interval));
	assert_false(triton_lease_parse("-1/300", &seconds, &interval));
	assert_false(triton_lease_parse("1/0", &seconds, &interval));
}

static void test_clusters(void **state)
{
	(void)state;
	assert_true(triton_same_cluster(NULL, NULL));
	assert_true(triton_same_cluster("a", "a"));
	assert_false(triton_same_cluster("a", "b"));
	assert_false(triton_same_cluster("a", NULL));
	assert_false(triton_same_cluster(NULL, "a"));
}

static void judged(const char *id, const char *is, const char *wanted, enum triton_alloc expected)
{
	json_t *json = json_pack("{s:s?, s:s?, s:s?}", "ID", id, "ClientStatus", is, "DesiredStatus", wanted);
	char *why = NULL;

	assert_int_equal(triton_nomad_judge(json, ALLOC, &why), expected);
	assert_non_null(why);
	free(why);
	json_decref(json);
}

static void test_judge(void **state)
{
	char *why = NULL;
	(void)state;

	judged(ALLOC, "complete", "run", TRITON_ALLOC_OVER);
	judged(ALLOC, "failed", "run", TRITON_ALLOC_OVER);
	judged(ALLOC, "lost", "stop", TRITON_ALLOC_OVER);
	judged(ALLOC, "lost", "evict", TRITON_ALLOC_OVER);
	/* Nomad has not decided yet, or waits for the node. */
	judged(ALLOC, "lost", "run", TRITON_ALLOC_WANTED);
	judged(ALLOC, "unknown", "run", TRITON_ALLOC_WANTED);
	judged(ALLOC, "unknown", "stop", TRITON_ALLOC_WANTED);
	judged(ALLOC, "running", "stop", TRITON_ALLOC_WANTED);
	judged(ALLOC, "running", "run", TRITON_ALLOC_WANTED);
	judged(ALLOC, "pending", "run", TRITON_ALLOC_WANTED);
	/* Another one's, or no answer. */
	judged("99999999-2222-3333-4444-555555555555", "lost", "stop", TRITON_ALLOC_UNKNOWN);
	judged(ALLOC, NULL, "stop", TRITON_ALLOC_UNKNOWN);
	judged(NULL, "lost", "stop", TRITON_ALLOC_UNKNOWN);
	assert_int_equal(triton_nomad_judge(NULL, ALLOC, &why), TRITON_ALLOC_UNKNOWN);
	free(why);
}

static void test_tags(void **state)
{
	struct triton_machine machine = { .id = (char *)"i", .name = (char *)"job-group-t-a-1" };
	struct triton_remains remains;
	(void)state;

	assert_int_equal(triton_remains_of_machine(&machine, &remains), -ENOENT);
	assert_int_equal(nomad_map_set(&machine.tags, "docker:label:nomad.task", "a/t/1"), 0);
	assert_int_equal(triton_remains_of_machine(&machine, &remains), 0);
	assert_string_equal(remains.task_id, "a/t/1");
	assert_string_equal(nomad_map_get(&remains.records, TRITON_RECORD_API), "docker");
	triton_remains_done(&remains);
	nomad_map_done(&machine.tags);
	assert_int_equal(nomad_map_set(&machine.tags, "nomad_task", "a/t/2"), 0);
	assert_int_equal(triton_remains_of_machine(&machine, &remains), -ENOENT); /* not its name */
	machine.name = (char *)"job-group-t-a-2";
	assert_int_equal(nomad_map_set(&machine.tags, "nomad_alloc", "b"), 0);
	assert_int_equal(triton_remains_of_machine(&machine, &remains), -ENOENT); /* nor its allocation */
	assert_int_equal(nomad_map_set(&machine.tags, "nomad_alloc", "a"), 0);
	assert_int_equal(nomad_map_set(&machine.tags, "nomad_fw_0123456789abcdef", "true"), 0);
	assert_int_equal(nomad_map_set(&machine.tags, "nomad_fw_fedcba9876543210", "true"), 0);
	assert_int_equal(nomad_map_set(&machine.tags, "nomad_protected", "1"), 0);
	assert_int_equal(triton_remains_of_machine(&machine, &remains), 0);
	assert_string_equal(remains.task_id, "a/t/2");
	assert_string_equal(remains.name, "job-group-t-a-2");
	assert_string_equal(nomad_map_get(&remains.records, TRITON_RECORD_INSTANCE), "i");
	assert_string_equal(nomad_map_get(&remains.records, TRITON_RECORD_API), "cloud");
	assert_string_equal(nomad_map_get(&remains.records, TRITON_RECORD_PROTECTED), "1");
	assert_int_equal(strlen(nomad_map_get(&remains.records, TRITON_RECORD_RULES)), 33);
	triton_remains_done(&remains);
	nomad_map_done(&machine.tags);
}

static void test_names(void **state)
{
	static const char task[] = "1a2b3c4d-2222-3333-4444-555555555555/web.1/5e6f7a8b";
	static const char *const bad[] = { "",
					   "1a2b3c4d",
					   "job-1a2b3c4d-5e6f7a8",
					   "../../1a2b3c4d-5e6f7a8b",
					   "a\x1b[2J-1a2b3c4d-5e6f7a8b",
					   "a&tombstone=x-1a2b3c4d-5e6f7a8b",
					   "database" };
	(void)state;

	assert_true(triton_is_name_of("job-group-web-1-1a2b3c4d-5e6f7a8b", task));
	assert_true(triton_is_name_of("1a2b3c4d-5e6f7a8b", task));
	for (size_t i = 0; i < NOMAD_ARRAY_LEN(bad); i++)
		assert_false(triton_is_name_of(bad[i], task));
}

static void test_owner(void **state)
{
	char folder[] = "/tmp/triton-owner-XXXXXX", *first = NULL, *second = NULL;
	NOMAD_AUTO_FREE char *path = NULL;
	FILE *file;
	(void)state;

	assert_non_null(mkdtemp(folder));
	path = nomad_strdupf("%s/owner", folder);
	assert_int_equal(triton_owner_load(folder, &first, NULL), 0);
	assert_int_equal(strlen(first), 32);
	assert_int_equal(triton_owner_load(folder, &second, NULL), 0);
	assert_string_equal(first, second);
	free(second);
	/* A damaged one is another one. */
	file = fopen(path, "w");
	fputs("short", file);
	fclose(file);
	assert_int_equal(triton_owner_load(folder, &second, NULL), 0);
	assert_string_not_equal(first, second);
	free(first);
	free(second);
	unlink(path);
	rmdir(folder);
	assert_true(triton_owner_load("/nonexistent", &first, NULL) < 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse), cmocka_unit_test(test_clusters), cmocka_unit_test(test_judge),
		cmocka_unit_test(test_tags),  cmocka_unit_test(test_names),    cmocka_unit_test(test_owner),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
