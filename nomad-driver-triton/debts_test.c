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

#include "debts.h"

/* A site without an address: whatever is tried fails at once, and without a request. */
struct fixture {
	char folder[64], file[128];
	struct triton_site *site;
	struct triton_debts *debts;
};

static int set_up(void **state)
{
	static const struct triton_config config = { .insecure = -1, .docker_insecure = -1, .requests_per_second = 10 };
	struct fixture *f = calloc(1, sizeof(*f));

	strcpy(f->folder, "/tmp/triton-debts-XXXXXX");
	if (!mkdtemp(f->folder))
		return -1;
	unsetenv("TRITON_URL");
	unsetenv("SDC_URL");
	if (triton_site_new(&config, &f->site, NULL) < 0 ||
	    triton_debts_new(f->site, f->folder, f->folder, &f->debts, NULL) < 0)
		return -1;
	snprintf(f->file, sizeof(f->file), "%s/web-1.json", f->folder);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	triton_budget_close(&f->site->budget);
	triton_debts_free(f->debts);
	triton_site_free(f->site);
	unlink(f->file);
	rmdir(f->folder);
	free(f);
	return 0;
}

static struct triton_remains remains_new(void)
{
	struct triton_remains remains = { .task_id = strdup("a/task/1"), .name = strdup("web-1") };

	assert_int_equal(nomad_map_set(&remains.records, TRITON_RECORD_API, "docker"), 0);
	return remains;
}

static const char *published_in(const char *file, char buf[256])
{
	json_t *json = json_load_file(file, 0, NULL);
	const char *text = triton_json_text(json_object_get(json, "records"), TRITON_RECORD_PUBLISHED);

	snprintf(buf, 256, "%s", text ? text : "none");
	json_decref(json);
	return buf;
}

static void test_taken_and_settled(void **state)
{
	struct triton_remains remains = remains_new();
	struct fixture *f = *state;
	struct stat st;

	assert_int_equal(triton_debts_take(f->debts, &remains, NULL), 0);
	assert_int_equal(stat(f->file, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	triton_debts_settle(f->debts, "web-1", false);
	assert_int_equal(access(f->file, F_OK), 0);
	assert_int_equal(triton_debts_take(f->debts, &remains, NULL), 0);
	triton_debts_settle(f->debts, "web-1", true);
	assert_int_equal(access(f->file, F_OK), -1);
	triton_remains_done(&remains);
}

/* What one attempt has learned the next one knows. */
static void test_learned(void **state)
{
	struct triton_remains first = remains_new(), second = remains_new();
	struct fixture *f = *state;
	char buf[256];

	assert_int_equal(triton_debts_take(f->debts, &first, NULL), 0);
	assert_string_equal(published_in(f->file, buf), "none");
	assert_int_equal(nomad_map_set(&first.records, TRITON_RECORD_PUBLISHED, "one,two"), 0);
	assert_int_equal(first.note(first.ud, &first, NULL), 0);
	triton_debts_settle(f->debts, "web-1", false);
	assert_int_equal(triton_debts_take(f->debts, &second, NULL), 0);
	assert_string_equal(nomad_map_get(&second.records, TRITON_RECORD_PUBLISHED), "one,two");
	assert_string_equal(published_in(f->file, buf), "one,two");
	triton_debts_settle(f->debts, "web-1", true);
	triton_remains_done(&first);
	triton_remains_done(&second);
}

static void test_cancelled(void **state)
{
	struct triton_remains remains = remains_new();
	struct fixture *f = *state;

	triton_debts_cancel(f->debts, "web-1");
	assert_int_equal(triton_debts_take(f->debts, &remains, NULL), 0);
	triton_debts_settle(f->debts, "web-1", false);
	triton_debts_cancel(f->debts, "web-1");
	assert_int_equal(access(f->file, F_OK), -1);
	triton_remains_done(&remains);
}

/* A file that is no debt stays, and does no harm. */
static void test_damaged(void **state)
{
	struct triton_remains remains = remains_new();
	struct fixture *f = *state;
	FILE *file = fopen(f->file, "w");

	assert_non_null(file);
	fputs("{\"version\": 7, \"records\": [", file);
	fclose(file);
	assert_int_equal(triton_debts_take(f->debts, &remains, NULL), 0);
	assert_null(nomad_map_get(&remains.records, TRITON_RECORD_PUBLISHED));
	triton_debts_settle(f->debts, "web-1", true);
	triton_remains_done(&remains);
}

static void test_nothing_begun(void **state)
{
	struct triton_remains remains = { .task_id = strdup("a/task/1") };
	struct fixture *f = *state;

	assert_int_equal(triton_debts_take(f->debts, &remains, NULL), 0);
	triton_debts_settle(f->debts, NULL, true);
	triton_remains_done(&remains);
}

static void test_no_folder(void **state)
{
	struct triton_remains remains = remains_new();
	struct nomad_error *err = NULL;
	struct fixture *f = *state;

	assert_int_equal(rmdir(f->folder), 0);
	assert_true(triton_debts_take(f->debts, &remains, &err) < 0);
	assert_non_null(strstr(nomad_error_message(err), f->folder));
	nomad_error_free(err);
	triton_debts_settle(f->debts, "web-1", false);
	triton_remains_done(&remains);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_taken_and_settled, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_learned, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_cancelled, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_damaged, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_nothing_begun, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_no_folder, set_up, tear_down),
	};

	return cmocka_run_group_tests_name("debts", tests, NULL, NULL);
}
