/* SPDX-License-Identifier: MPL-2.0
 *
 * Paths of jobs: where they lead, and what is refused.  Also the plan's file
 * and the removal of trees. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "host.h"
#include "paths.h"
#include "plan.h"

static char top[] = "/tmp/paths_test.XXXXXX";
static char task[64], local[64], alloc_dir[64], secrets[64];
static const struct build_dirs dirs = { .task = task, .local = local, .alloc = alloc_dir, .secrets = secrets };

static void dir(const char *name)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", top, name);
	assert_int_equal(mkdir(path, 0755), 0);
}

static void file(const char *name)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", top, name);
	fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
	assert_true(fd >= 0);
	close(fd);
}

static void lead(const char *to, const char *name)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", top, name);
	assert_int_equal(symlink(to, path), 0);
}

static int setup(void **state)
{
	(void)state;
	assert_non_null(mkdtemp(top));
	snprintf(task, sizeof(task), "%s/task", top);
	snprintf(local, sizeof(local), "%s/task/local", top);
	snprintf(secrets, sizeof(secrets), "%s/task/secrets", top);
	snprintf(alloc_dir, sizeof(alloc_dir), "%s/alloc", top);
	dir("task");
	dir("task/local");
	dir("task/secrets");
	dir("task/private");
	dir("alloc");
	dir("alloc/ctx");
	dir("outside");
	dir("task/other");
	dir("alloc/ctx/local");
	file("outside/f");
	file("alloc/ctx/Containerfile");
	file("task/secrets/s");
	file("task/local/f");
	file("alloc/ctx/local/f");
	lead("../outside", "alloc/out");
	lead("/etc", "alloc/etc");
	lead("ctx", "alloc/link");
	lead("secrets", "task/hidden");
	lead("/proc/self/root", "alloc/magic");
	lead("../../outside/f", "alloc/ctx/evil");
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	return build_tree_remove(top);
}

static void leads(const char *path, enum build_path_kind kind, const char *want)
{
	struct nomad_error *err = NULL;
	char *got = NULL;

	if (build_path_resolve(&dirs, "option", path, kind, &got, &err) < 0)
		fail_msg("%s: %s", path, nomad_error_message(err));
	assert_string_equal(got, want);
	free(got);
}

static void refused(const char *path, enum build_path_kind kind, int errnum)
{
	struct nomad_error *err = NULL;
	char *got = NULL;
	int r = build_path_resolve(&dirs, "option", path, kind, &got, &err);

	if (r != -errnum)
		fail_msg("'%s': %d, '%s', %s", path, r, got ? got : "", err ? nomad_error_message(err) : "");
	assert_null(got);
	nomad_error_free(err);
}

static void test_places(void **state)
{
	(void)state;
	leads("alloc/ctx", BUILD_PATH_DIRECTORY, "/alloc/ctx");
	leads("/alloc//./ctx/", BUILD_PATH_DIRECTORY, "/alloc/ctx");
	leads("alloc", BUILD_PATH_DIRECTORY, "/alloc");
	leads("local/f", BUILD_PATH_FILE, "/local/f");
	leads("other", BUILD_PATH_DIRECTORY, "/task/other");
	leads(".", BUILD_PATH_DIRECTORY, "/task");
	leads("alloc/link", BUILD_PATH_DIRECTORY, "/alloc/ctx");
	leads("alloc/new.tar", BUILD_PATH_NEW_FILE, "/alloc/new.tar");
	leads("alloc/link/new.tar", BUILD_PATH_NEW_FILE, "/alloc/ctx/new.tar");
	leads("secrets/s", BUILD_PATH_SECRET, "/secrets/s");
	leads("allocs", BUILD_PATH_NEW_FILE, "/task/allocs");
}

static void test_refused(void **state)
{
	(void)state;
	refused("..", BUILD_PATH_DIRECTORY, EACCES);
	refused("alloc/../outside", BUILD_PATH_DIRECTORY, EACCES);
	refused("alloc/out", BUILD_PATH_DIRECTORY, EACCES);
	refused("alloc/out/f", BUILD_PATH_FILE, EACCES);
	refused("alloc/out/new", BUILD_PATH_NEW_FILE, EACCES);
	refused("alloc/etc", BUILD_PATH_DIRECTORY, EACCES);
	refused("alloc/magic/etc", BUILD_PATH_DIRECTORY, EACCES);
	refused("alloc/ctx/evil", BUILD_PATH_NEW_FILE, EINVAL);
	refused("alloc/ctx/evil", BUILD_PATH_FILE, EACCES);
	refused("/etc", BUILD_PATH_DIRECTORY, ENOENT);
	refused("secrets/s", BUILD_PATH_FILE, EACCES);
	refused("hidden", BUILD_PATH_DIRECTORY, EACCES);
	refused("hidden/s", BUILD_PATH_FILE, EACCES);
	refused("private", BUILD_PATH_DIRECTORY, EACCES);
	refused("alloc/ctx", BUILD_PATH_SECRET, EACCES);
	refused("alloc/ctx/Containerfile", BUILD_PATH_DIRECTORY, ENOTDIR);
	refused("alloc/ctx", BUILD_PATH_FILE, EINVAL);
	refused("alloc/ctx", BUILD_PATH_NEW_FILE, EINVAL);
	refused("alloc", BUILD_PATH_NEW_FILE, EINVAL);
}

static void test_in_context(void **state)
{
	struct nomad_error *err = NULL;
	char *got = NULL;

	(void)state;
	assert_int_equal(build_path_in_context(&dirs, "o", "/alloc/ctx", "Containerfile", &got, &err), 0);
	assert_string_equal(got, "/alloc/ctx/Containerfile");
	free(got);
	assert_int_equal(build_path_in_context(&dirs, "o", "/alloc/ctx", "local/f", &got, &err), 0);
	assert_string_equal(got, "/local/f");
	free(got);
	assert_int_equal(build_path_in_context(&dirs, "o", "/alloc/ctx", "./local/f", &got, &err), 0);
	free(got);
	got = NULL;
	assert_int_equal(build_path_in_context(&dirs, "o", "/alloc/ctx", "evil", &got, &err), -EACCES);
	nomad_error_free(err);
	err = NULL;
	assert_int_equal(build_path_in_context(&dirs, "o", "/alloc/ctx", "../ctx/Containerfile", &got, &err), -EACCES);
	nomad_error_free(err);
	assert_null(got);
}

static void test_plan(void **state)
{
	struct build_plan plan = { .work = strdup("/w"),
				   .root = strdup("/r"),
				   .task = strdup("/t"),
				   .local = strdup("/l"),
				   .alloc = strdup("/a"),
				   .secrets = strdup("/s"),
				   .engine = strdup("/e"),
				   .isolation = strdup("chroot"),
				   .network = strdup("host"),
				   .policy = strdup("a=b\nc"),
				   .registries = strdup(""),
				   .registries_conf = strdup("/c") },
			  back;
	struct build_action *action = build_plan_add(&plan, BUILD_PUSH);
	struct nomad_error *err = NULL;
	char path[128];

	(void)state;
	snprintf(path, sizeof(path), "%s/plan", top);
	action->reference = strdup("x=y");
	assert_int_equal(nomad_strv_add(&action->argv, "/e"), 0);
	assert_int_equal(nomad_strv_add(&action->argv, ""), 0);
	assert_int_equal(nomad_strv_add(&action->argv, "a=b\n"), 0);
	assert_int_equal(nomad_strv_add(&plan.tags, "t"), 0);
	assert_int_equal(build_plan_write(&plan, path, &err), 0);
	assert_int_equal(build_plan_read(path, &back, &err), 0);
	assert_string_equal(back.policy, "a=b\nc");
	assert_string_equal(back.registries, "");
	assert_string_equal(back.registries_conf, "/c");
	assert_string_equal(back.tags[0], "t");
	assert_null(back.measure);
	assert_int_equal(back.n_actions, 1);
	assert_int_equal(back.actions[0].kind, BUILD_PUSH);
	assert_string_equal(back.actions[0].reference, "x=y");
	assert_string_equal(back.actions[0].argv[1], "");
	assert_string_equal(back.actions[0].argv[2], "a=b\n");
	assert_null(back.actions[0].argv[3]);
	build_plan_done(&back);
	build_plan_done(&plan);
	assert_int_equal(truncate(path, 20), 0);
	assert_int_equal(build_plan_read(path, &back, &err), -EINVAL);
	nomad_error_free(err);
}

/* Deeper than there are descriptors, and than a path may be long. */
static void test_deep_tree(void **state)
{
	char path[128];
	int at, i;

	(void)state;
	snprintf(path, sizeof(path), "%s/deep", top);
	assert_int_equal(mkdir(path, 0755), 0);
	at = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	/* A directory alone takes no room in a tmpfs. */
	i = openat(at, "file", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(write(i, path, sizeof(path)), sizeof(path));
	close(i);
	for (i = 0; i < 3000; i++) {
		int next;

		assert_int_equal(mkdirat(at, "directory", 0755), 0);
		assert_int_equal(symlinkat("/etc/passwd", at, "link"), 0);
		next = openat(at, "directory", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		assert_true(next >= 0);
		close(at);
		at = next;
	}
	close(at);
	assert_true(build_tree_size(path) > 0);
	assert_int_equal(build_tree_remove(path), 0);
	assert_int_equal(access(path, F_OK), -1);
	assert_int_equal(access("/etc/passwd", F_OK), 0);
	assert_int_equal(build_tree_remove(path), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_places), cmocka_unit_test(test_refused),	 cmocka_unit_test(test_in_context),
		cmocka_unit_test(test_plan),   cmocka_unit_test(test_deep_tree),
	};

	return cmocka_run_group_tests_name("build/paths", tests, setup, teardown);
}
