/* SPDX-License-Identifier: MPL-2.0 */
#include "base/tree.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static char dir[64];

static const char *at(const char *name)
{
	static char text[4][PATH_MAX];
	static int n;

	n = (n + 1) % 4;
	snprintf(text[n], sizeof(text[n]), "%s/%s", dir, name);
	return text[n];
}

static void touch(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	close(fd);
}

static int set_up(void **state)
{
	(void)state;
	strcpy(dir, "/tmp/nomad-tree-test-XXXXXX");
	return mkdtemp(dir) ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	return nomad__remove_tree(dir);
}

static void test_make(void **state)
{
	struct stat st;

	(void)state;
	assert_int_equal(nomad__make_dirs(at("a/b/c"), 0700), 0);
	assert_int_equal(nomad__make_dirs(at("a/b/c"), 0700), 0);
	assert_int_equal(stat(at("a/b/c"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	assert_int_equal(stat(at("a/b"), &st), 0);
	assert_int_equal(st.st_mode & 07777 & ~022u, 0755 & ~022u);
	touch(at("file"));
	assert_int_equal(nomad__make_dirs(at("file"), 0700), -ENOTDIR);
	assert_int_equal(nomad__make_dirs(at("file/x"), 0700), -ENOTDIR);
	assert_int_equal(symlink("a", at("link")), 0);
	assert_int_equal(nomad__make_dirs(at("link"), 0700), -ENOTDIR);
}

static void test_remove(void **state)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd;

	(void)state;
	assert_int_equal(nomad__make_dirs(at("tree/a/b"), 0755), 0);
	assert_int_equal(nomad__make_dirs(at("tree/read-only"), 0500), 0);
	assert_int_equal(nomad__make_dirs(at("kept"), 0755), 0);
	touch(at("kept/file"));
	touch(at("tree/a/file"));
	touch(at("tree/a/b/\xff\n name"));
	assert_int_equal(mkfifo(at("tree/fifo"), 0600), 0);
	assert_int_equal(symlink("../kept", at("tree/link")), 0);
	assert_int_equal(symlink("/nowhere", at("tree/dangling")), 0);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s/tree/s", dir);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	close(fd);
	assert_int_equal(nomad__remove_tree(at("tree")), 0);
	assert_int_equal(access(at("tree"), F_OK), -1);
	assert_int_equal(access(at("kept/file"), F_OK), 0);
	assert_int_equal(nomad__remove_tree(at("tree")), 0);
	assert_int_equal(nomad__remove_tree(at("no/such/tree")), 0);
	/* The tree itself a symlink: only that goes. */
	assert_int_equal(symlink("kept", at("link")), 0);
	assert_int_equal(nomad__remove_tree(at("link")), 0);
	assert_int_equal(access(at("kept/file"), F_OK), 0);
	assert_int_equal(nomad__remove_tree("relative"), -EINVAL);
	assert_int_equal(nomad__remove_tree("/"), -EINVAL);
}

static void test_many(void **state)
{
	char name[64];

	(void)state;
	for (int i = 0; i < 3000; i++) {
		snprintf(name, sizeof(name), "tree/%d", i % 7);
		if (i < 7)
			assert_int_equal(nomad__make_dirs(at(name), 0700), 0);
		snprintf(name, sizeof(name), "tree/%d/%d", i % 7, i);
		touch(at(name));
	}
	assert_int_equal(nomad__remove_tree(at("tree")), 0);
	assert_int_equal(access(at("tree"), F_OK), -1);
}

/* Deeper than a path or the descriptors of a process. */
static void test_deep(void **state)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), next;

	(void)state;
	for (int i = 0; i < 5000; i++) {
		assert_int_equal(mkdirat(fd, "d", 0700), 0);
		assert_int_equal(mkdirat(fd, ".deep-1", 0700), 0);
		next = openat(fd, "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		close(fd);
		fd = next;
	}
	close(fd);
	touch(at("d/.deep-2"));
	assert_int_equal(nomad__make_dirs(at("d/.deep-3/full"), 0700), 0);
	assert_int_equal(nomad__remove_tree(at("d")), 0);
	assert_int_equal(access(at("d"), F_OK), -1);
}

/* In a mount namespace of its own: 0, 77 to skip, else the line that failed. */
static int try_mounts(void)
{
#define MUST(x)                                                                                                        \
	do {                                                                                                           \
		if (!(x)) {                                                                                            \
			fprintf(stderr, "# line %d: %s: %s\n", __LINE__, #x, strerror(errno));                         \
			return 1;                                                                                      \
		}                                                                                                      \
	} while (0)
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return 77;
	MUST(nomad__make_dirs(at("outside/deep"), 0755) == 0);
	touch(at("outside/deep/file"));
	touch(at("outside/file"));
	MUST(nomad__make_dirs(at("tree/bind"), 0755) == 0);
	MUST(nomad__make_dirs(at("tree/tmpfs"), 0755) == 0);
	touch(at("tree/bound-file"));
	touch(at("tree/plain"));
	/* A bind mount of the same file system: the device number tells nothing. */
	MUST(mount(at("outside"), at("tree/bind"), NULL, MS_BIND, NULL) == 0);
	MUST(mount(at("outside/file"), at("tree/bound-file"), NULL, MS_BIND, NULL) == 0);
	MUST(mount("none", at("tree/tmpfs"), "tmpfs", 0, NULL) == 0);
	touch(at("tree/tmpfs/file"));
	MUST(nomad__remove_tree(at("tree")) == -EBUSY);
	MUST(access(at("outside/deep/file"), F_OK) == 0);
	MUST(access(at("outside/file"), F_OK) == 0);
	MUST(access(at("tree/tmpfs/file"), F_OK) == 0);
	MUST(access(at("tree/plain"), F_OK) < 0); /* it went on */
	/* The tree itself a mount point. */
	MUST(nomad__remove_tree(at("tree/bind")) == -EBUSY);
	MUST(access(at("outside/deep/file"), F_OK) == 0);
	MUST(umount(at("tree/bind")) == 0 && umount(at("tree/bound-file")) == 0 && umount(at("tree/tmpfs")) == 0);
	MUST(nomad__remove_tree(at("tree")) == 0);
	MUST(access(at("outside/deep/file"), F_OK) == 0);
	return 0;
#undef MUST
}

static void test_mounts(void **state)
{
	int status;
	pid_t pid;

	(void)state;
	if (geteuid() != 0) {
		print_message("# SKIP needs root, for mounts\n");
		skip();
	}
	fflush(NULL);
	pid = fork();
	if (pid == 0)
		_exit(try_mounts());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == 77) {
		print_message("# SKIP no mount namespace can be had here\n");
		skip();
	}
	assert_int_equal(WEXITSTATUS(status), 0);
}

#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = { T(test_make), T(test_remove), T(test_many), T(test_deep), T(test_mounts) };

	return cmocka_run_group_tests_name("tree", tests, NULL, NULL);
}
