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

#include "nomad/error.h"
#include "nomad/tool.h"

#include "files.h"

static char folder[64];
static struct triton_cloud_task cloud;
static struct triton_task want = { .api_type = (char *)"cloud_api", .cloud_api = &cloud };
static struct nomad_task_info info = { .name = (char *)"web", .alloc_dir = folder };

static void put(const char *name, const char *text, size_t size)
{
	NOMAD_AUTO_FREE char *path = nomad_strdupf("%s/%s", folder, name);
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	assert_int_equal(fwrite(text, 1, size, file), size);
	assert_int_equal(fclose(file), 0);
}

static void reads(const char *path, int expected, const char *text)
{
	struct nomad_error *err = NULL;
	struct nomad_map files = { 0 };

	cloud.user_data_file = (char *)(uintptr_t)path;
	assert_int_equal(triton_files_read(&info, &want, &files, &err), expected);
	if (text)
		assert_string_equal(nomad_map_get(&files, "user-data"), text);
	else
		assert_non_null(strstr(nomad_error_message(err), path));
	nomad_error_free(err);
	nomad_map_done(&files);
}

static void test_files(void **state)
{
	static char big[100002];
	char other[128], at[128];
	(void)state;

	put("web/local/a", "content", 7);
	put("alloc/b", "shared", 6);
	reads("local/a", 0, "content");
	reads("/local/a", 0, "content");
	reads("local//a", 0, "content");
	reads("alloc/b", 0, "shared");
	reads("local/none", -ENOENT, NULL);
	reads("local/../local/a", -EINVAL, NULL);
	reads("local", -EINVAL, NULL);
	/* What leads out. */
	snprintf(at, sizeof(at), "%s/web/local/link", folder);
	assert_int_equal(symlink("/etc/passwd", at), 0);
	reads("local/link", -ELOOP, NULL);
	snprintf(at, sizeof(at), "%s/web/local/dir", folder);
	assert_int_equal(symlink("/etc", at), 0);
	reads("local/dir/passwd", -ELOOP, NULL);
	snprintf(other, sizeof(other), "%s/web/local/a", folder);
	snprintf(at, sizeof(at), "%s/web/local/hard", folder);
	assert_int_equal(link(other, at), 0);
	reads("local/hard", -EINVAL, NULL);
	snprintf(at, sizeof(at), "%s/web/local/pipe", folder);
	assert_int_equal(mkfifo(at, 0600), 0);
	reads("local/pipe", -EINVAL, NULL);
	/* What fits into no request, or no JSON. */
	memset(big, 'x', sizeof(big));
	put("web/local/big", big, 100001);
	reads("local/big", -EFBIG, NULL);
	put("web/local/nul", "a\0b", 3);
	reads("local/nul", -EINVAL, NULL);
}

static void test_checks(void **state)
{
	(void)state;
	assert_null(triton_check_file("local/a"));
	assert_null(triton_check_file("/secrets/a/b"));
	assert_null(triton_check_file("alloc/a"));
	assert_non_null(triton_check_file("local/"));
	assert_non_null(triton_check_file("/etc/passwd"));
	assert_non_null(triton_check_file("local/../x"));
	assert_null(triton_check_file(""));
}

static int set_up(void **state)
{
	static const char *const folders[] = { "web", "web/local", "alloc" };
	(void)state;

	strcpy(folder, "/tmp/triton-files-XXXXXX");
	if (!mkdtemp(folder))
		return -1;
	for (size_t i = 0; i < NOMAD_ARRAY_LEN(folders); i++) {
		NOMAD_AUTO_FREE char *path = nomad_strdupf("%s/%s", folder, folders[i]);

		if (mkdir(path, 0700) < 0)
			return -1;
	}
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	return nomad_remove_tree(folder, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_files),
		cmocka_unit_test(test_checks),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
