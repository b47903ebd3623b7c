/* SPDX-License-Identifier: MPL-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "image.h"

static char top[] = "/tmp/nspawn-image-XXXXXX";

static char *in(const char *name)
{
	static char paths[8][256];
	static unsigned i;
	char *path = paths[i++ % 8];

	snprintf(path, 256, "%s/%s", top, name);
	return path;
}

static int set_up(void **state)
{
	(void)state;
	if (!mkdtemp(top))
		return -1;
	mkdir(in("cwd"), 0755);
	mkdir(in("cwd/tree"), 0755);
	mkdir(in("m1"), 0755);
	mkdir(in("m2"), 0755);
	mkdir(in("m2/debian"), 0755);
	mkdir(in("m2/tree"), 0755);
	mkfifo(in("fifo"), 0600);
	close(open(in("m1/disk.raw"), O_CREAT | O_WRONLY | O_CLOEXEC, 0644));
	return 0;
}

static int tear_down(void **state)
{
	char command[300];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf '%s'", top);
	return system(command);
}

static int find(const char *name, struct nspawn_image *image, struct nomad_error **err)
{
	const char *dirs[] = { in("m1"), in("m2"), NULL };

	return nspawn_image_find(name, in("cwd"), dirs, NULL, image, err);
}

static void is(const char *name, const char *path, enum nspawn_image_kind kind)
{
	struct nspawn_image image = { 0 };

	assert_int_equal(find(name, &image, NULL), 0);
	assert_string_equal(image.path, in(path));
	assert_int_equal(image.kind, kind);
	nspawn_image_done(&image);
}

static void test_find(void **state)
{
	(void)state;
	is(in("m2/debian"), "m2/debian", NSPAWN_DIRECTORY);
	is("tree", "cwd/tree", NSPAWN_DIRECTORY);
	is("./tree", "cwd/tree", NSPAWN_DIRECTORY);
	is("../m1/disk.raw", "m1/disk.raw", NSPAWN_RAW);
	is("debian", "m2/debian", NSPAWN_DIRECTORY);
	is("disk", "m1/disk.raw", NSPAWN_RAW);
	is("disk.raw", "m1/disk.raw", NSPAWN_RAW);
}

static void test_missing(void **state)
{
	struct nspawn_image image = { 0 };
	struct nomad_error *err = NULL;

	(void)state;
	assert_int_equal(find("/no/such", &image, &err), -ENOENT);
	assert_string_equal(nomad_error_message(err), "image '/no/such' does not exist");
	nomad_error_free(err);
	err = NULL;
	assert_int_equal(find("nosuch", &image, &err), -ENOENT);
	assert_non_null(strstr(nomad_error_message(err), "image 'nosuch' does not exist"));
	assert_non_null(strstr(nomad_error_message(err), "image_download"));
	nomad_error_free(err);
	err = NULL;
	assert_int_equal(find(in("fifo"), &image, &err), -EINVAL);
	nomad_error_free(err);
	/* A name does not lead out of the image directories. */
	assert_int_equal(find("..", &image, NULL), 0);
	assert_string_equal(image.path, top);
	nspawn_image_done(&image);
}

static void test_own(void **state)
{
	static const char *const names[] = { "local", "/local", NULL };
	static char local[PATH_MAX], outside[PATH_MAX];
	const char *const dirs[] = { local, local };
	struct nspawn_image image = { 0 };
	struct nomad_error *err = NULL;
	char own[] = "/tmp/nspawn-own-XXXXXX";
	size_t n;

	(void)state;
	assert_non_null(mkdtemp(own));
	n = (size_t)snprintf(local, sizeof(local), "%s/local", own);
	snprintf(outside, sizeof(outside), "%s/local-too", own);
	assert_int_equal(mkdir(local, 0700) | mkdir(outside, 0700), 0);
	strcpy(local + n, "/root");
	assert_int_equal(mkdir(local, 0700), 0);
	strcpy(local + n, "/link");
	assert_int_equal(symlink(outside, local), 0);
	local[n] = 0;
	assert_int_equal(nspawn_image_find_own("local/root", names, dirs, &image, NULL), 1);
	assert_int_equal(image.kind, NSPAWN_DIRECTORY);
	nspawn_image_done(&image);
	assert_int_equal(nspawn_image_find_own("/local/root", names, dirs, &image, NULL), 1);
	nspawn_image_done(&image);
	assert_int_equal(nspawn_image_find_own("local/none", names, dirs, &image, NULL), 0);
	assert_int_equal(nspawn_image_find_own("localroot", names, dirs, &image, NULL), 0);
	assert_int_equal(nspawn_image_find_own("local/../local-too", names, dirs, &image, NULL), -EACCES);
	assert_int_equal(nspawn_image_find_own("local/link", names, dirs, &image, &err), -EACCES);
	assert_non_null(strstr(nomad_error_message(err), "leads out of the allocation"));
	nomad_error_free(err);
	assert_int_equal(nomad_remove_tree(own, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_own), cmocka_unit_test(test_find),
					    cmocka_unit_test(test_missing) };

	return cmocka_run_group_tests_name("nspawn image", tests, set_up, tear_down);
}
