/* SPDX-License-Identifier: MPL-2.0
 *
 * Cgroups: the records of them, and killing with and without the help of cgroup.kill. */
#include "os/cgroup.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static void test_parse(void **state)
{
	static const char *const bad[] = {
		"",	    "o",	"o2",	    "x2::/a:/b",    "o3::/a:/b", "o2:/a:/b",
		"o2::a:/b", "o2::/a:b", "o2::/a:/", "o2::/a:/../b", "o2::/a",
	};
	struct nomad__cgroup cg;
	char far[600];

	(void)state;
	if (nomad__cgroup_parse("nf:freezer:/sys/fs/cgroup/freezer:/nomad/x.y", &cg) == -EOPNOTSUPP)
		skip();
	assert_int_equal(nomad__cgroup_parse("nf:freezer:/sys/fs/cgroup/freezer:/nomad/x.y", &cg), 0);
	assert_false(cg.ours);
	assert_int_equal(cg.kind, 'f');
	assert_string_equal(cg.ctl, "freezer");
	assert_string_equal(cg.path, "/sys/fs/cgroup/freezer/nomad/x.y");
	assert_string_equal(cg.path + cg.root, "/nomad/x.y");
	assert_int_equal(nomad__cgroup_parse("o2::/sys/fs/cgroup:/a", &cg), 0);
	assert_true(cg.ours);
	assert_string_equal(cg.ctl, "");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_true(nomad__cgroup_parse(bad[i], &cg) < 0);
	memset(far, 'a', sizeof(far));
	memcpy(far, "o2::/a:/", 8);
	far[sizeof(far) - 1] = 0;
	assert_int_equal(nomad__cgroup_parse(far, &cg), -ENAMETOOLONG);
}

/* What a container may do with a cgroup that it was given. */
static void make_deep(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), next;

	for (int i = 0; i < 100; i++) {
		assert_int_equal(mkdirat(fd, "below", 0755), 0);
		assert_int_equal(mkdirat(fd, "sibling", 0755), 0);
		next = openat(fd, "below", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		close(fd);
		fd = next;
	}
	close(fd);
}

/* Three generations, in the group and in one below it. */
static void kill_in(const char *record)
{
	struct nomad__cgroup cg, below;
	int ready[2], pid, status;
	char c;

	assert_int_equal(nomad__cgroup_parse(record, &cg), 0);
	assert_int_equal(nomad__cgroup_create(&cg), 0);
	below = cg;
	strcat(below.path, "/below");
	assert_int_equal(mkdir(below.path, 0755), 0);
	assert_int_equal(pipe(ready), 0);
	pid = nomad__cgroup_fork(cg.kind == '2' ? cg.path : NULL);
	assert_true(pid >= 0);
	if (pid == 0) {
		if (cg.kind != '2' && nomad__cgroup_join(&cg) < 0)
			_exit(1);
		if (fork() == 0) {
			if (nomad__cgroup_join(&below) < 0)
				_exit(1);
			if (fork() == 0)
				(void)!write(ready[1], "x", 1);
			signal(SIGTERM, SIG_IGN);
			for (;;)
				pause();
		}
		for (;;)
			pause();
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], &c, 1), 1);
	assert_false(nomad__cgroup_is_empty(&cg));
	for (int i = 0; i < 1000 && !nomad__cgroup_is_empty(&cg); i++) {
		assert_true(nomad__cgroup_kill(&cg) >= 0);
		usleep(10000);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	/* All of them had the pipe. */
	assert_int_equal(read(ready[0], &c, 1), 0);
	close(ready[0]);
	assert_true(nomad__cgroup_is_empty(&cg));
	make_deep(below.path);
	for (int i = 0; i < 1000 && nomad__cgroup_remove(&cg) == -EBUSY; i++)
		usleep(10000);
	assert_int_not_equal(access(cg.path, F_OK), 0);
	assert_int_equal(nomad__cgroup_remove(&cg), 0);
}

static void test_kill(void **state)
{
	static const struct {
		const char *kind, *ctl, *root;
	} hierarchies[] = {
		{ "2", "", "/sys/fs/cgroup" },
		{ "2", "", "/sys/fs/cgroup/unified" },
		{ "f", "freezer", "/sys/fs/cgroup/freezer" },
		{ "1", "memory", "/sys/fs/cgroup/memory" },
	};
	char path[128], record[256];
	int done = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(hierarchies) / sizeof(hierarchies[0]); i++) {
		snprintf(path, sizeof(path), "%s/cgroup.procs", hierarchies[i].root);
		if (access(path, W_OK) < 0)
			continue;
		snprintf(record, sizeof(record), "o%s:%s:%s:/nomad-drivers/cgroup-test-%d", hierarchies[i].kind,
			 hierarchies[i].ctl, hierarchies[i].root, getpid());
		kill_in(record);
		done++;
	}
	if (!done)
		skip();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_kill),
	};

	return cmocka_run_group_tests_name("os/cgroup", tests, NULL, NULL);
}
