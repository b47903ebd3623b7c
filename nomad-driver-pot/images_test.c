/* SPDX-License-Identifier: MPL-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "images.h"
#include "nomad/tool.h"

static char dir[64], removed[256];
static int answer;

static int setup(void **state)
{
	(void)state;
	snprintf(dir, sizeof(dir), "/tmp/pot-images-test.XXXXXX");
	return mkdtemp(dir) ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	return nomad_remove_tree(dir, NULL);
}

static int note(const struct pot_config *site, const char *image)
{
	(void)site;
	strcat(removed, image);
	strcat(removed, " ");
	return answer;
}

static const char *collect(int64_t hours)
{
	const struct pot_config site = { .image_gc_hours = hours };

	removed[0] = '\0';
	pot_images_collect(&site, dir, note);
	return removed;
}

static void make_older(const char *image, int hours)
{
	struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, { .tv_sec = time(NULL) - hours * 3600 } };
	char path[128];

	snprintf(path, sizeof(path), "%s/images/%s", dir, image);
	assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

static void test_name(void **state)
{
	char *name = pot_image_name("nginx-amd64-14.1", "1.2.3");

	(void)state;
	assert_string_equal(name, "nginx-amd64-14_1_1_2_3");
	free(name);
}

static void test_collect(void **state)
{
	(void)state;
	assert_string_equal(collect(1), "");
	/* Not imported by us. */
	pot_image_used(dir, "foreign_1_0");
	pot_image_imported(dir, "a_1_0");
	assert_string_equal(collect(1), "");
	make_older("a_1_0", 5);
	assert_string_equal(collect(0), "");
	assert_string_equal(collect(6), "");
	/* It is used again. */
	pot_image_used(dir, "a_1_0");
	assert_string_equal(collect(4), "");
	make_older("a_1_0", 5);
	/* It has clones: the next time. */
	answer = -EIO;
	assert_string_equal(collect(4), "a_1_0 ");
	answer = 0;
	assert_string_equal(collect(4), "a_1_0 ");
	assert_string_equal(collect(4), "");
}

static void test_hold(void **state)
{
	(void)state;
	pot_image_imported(dir, "a_1_0");
	make_older("a_1_0", 5);
	pot_images_hold();
	assert_string_equal(collect(1), "");
	pot_images_release();
	assert_string_equal(collect(1), "a_1_0 ");
}

static void test_odd_names(void **state)
{
	(void)state;
	pot_image_imported(dir, "../x");
	pot_image_imported(dir, "");
	pot_image_imported(dir, "-F");
	assert_int_equal(access(dir, F_OK), 0);
	assert_string_equal(collect(1), "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_name),
		cmocka_unit_test(test_collect),
		cmocka_unit_test(test_hold),
		cmocka_unit_test(test_odd_names),
	};

	return cmocka_run_group_tests_name("pot images", tests, setup, teardown);
}
