/* SPDX-License-Identifier: MPL-2.0
 *
 * What is planned on hosts with cgroup v2, v1, both, and none, with and
 * without the directories that Nomad makes. */
#include "os/linux/hierarchy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "os/cgroup.h"
#include "supervisor/record.h"

struct host {
	char root[64];
	struct nomad__hierarchy list[10];
	int count;
	struct nomad_command command;
	struct nomad_resources resources;
	struct nomad__supervise what;
	struct nomad__spec spec;
};

static void make(const struct host *host, const char *path)
{
	char command[512];

	snprintf(command, sizeof(command), "mkdir -p '%s/%s'", host->root, path);
	assert_int_equal(system(command), 0);
}

static void host_init(struct host *host)
{
	memset(host, 0, sizeof(*host));
	strcpy(host->root, "/tmp/nomad-limits-test-XXXXXX");
	assert_non_null(mkdtemp(host->root));
	host->what = (struct nomad__supervise) {
		.dir = "/state/web-1a2b", .command = &host->command, .resources = &host->resources, .alloc_id = "alloc",
		.task_name = "web",
	};
}

static void host_done(struct host *host)
{
	char command[512];

	snprintf(command, sizeof(command), "rm -rf '%s'", host->root);
	assert_int_equal(system(command), 0);
	nomad__spec_done(&host->spec);
}

static void add(struct host *host, const char *ctl, const char *dir, const char *controllers)
{
	struct nomad__hierarchy *h = &host->list[host->count++];

	make(host, dir);
	strcpy(h->ctl, ctl);
	strcpy(h->mount, host->root);
	strcat(strcat(h->mount, "/"), dir);
	strcpy(h->controllers, controllers);
}

static void plan(struct host *host)
{
	nomad__spec_done(&host->spec);
	assert_int_equal(nomad__limits_plan_for(host->list, host->count, &host->what, &host->spec, NULL), 0);
}

/* Is there `key` with this value, '@' being the host's root? */
static bool has(const struct host *host, const char *key, const char *value)
{
	char want[512] = "";
	const char *s;
	size_t pos = 0, n = 0;

	for (const char *p = value; *p && n < sizeof(want) - 100; p++) {
		if (*p != '@')
			want[n++] = *p;
		else
			n += (size_t) sprintf(want + n, "%s", host->root);
	}
	while ((s = nomad__record_next(host->spec.data, host->spec.size, key, &pos)))
		if (strcmp(s, want) == 0)
			return true;
	return false;
}

static int count(const struct host *host, const char *key)
{
	size_t pos = 0;
	int n = 0;

	while (nomad__record_next(host->spec.data, host->spec.size, key, &pos))
		n++;
	return n;
}

static void test_v2(void **state)
{
	struct host host;
	char scope[200];

	(void) state;
	host_init(&host);
	add(&host, "", "cg", "cpuset,cpu,io,memory,pids");
	host.resources = (struct nomad_resources) { .memory_mb = 100, .memory_max_mb = 200, .cpu_shares = 1024 };
	host.resources.cpuset_cpus = (char *) "2,3";
	host.command.pids_max = 77;

	/* Nomad's scope is not there: all in ours. */
	snprintf(scope, sizeof(scope), "%s/cg/nomad.slice/share.slice/alloc.web.scope", host.root);
	host.resources.cpuset_cgroup = scope;
	plan(&host);
	assert_int_equal(count(&host, "cg"), 1);
	assert_true(has(&host, "cg", "o2::@/cg:/nomad-drivers/web-1a2b"));
	assert_true(has(&host, "set", "?@/cg/cgroup.subtree_control\t+memory"));
	assert_true(has(&host, "set", "?@/cg/nomad-drivers/cgroup.subtree_control\t+pids"));
	assert_true(has(&host, "set", "!@/cg/nomad-drivers/web-1a2b/memory.max\t209715200"));
	assert_true(has(&host, "set", "?@/cg/nomad-drivers/web-1a2b/memory.low\t104857600"));
	assert_true(has(&host, "set", "?@/cg/nomad-drivers/web-1a2b/cpu.weight\t39"));
	assert_true(has(&host, "set", "!@/cg/nomad-drivers/web-1a2b/pids.max\t77"));
	assert_true(has(&host, "set", "!@/cg/nomad-drivers/web-1a2b/cpuset.cpus\t2,3"));
	assert_true(has(&host, "supercg", "o2::@/cg:/nomad-drivers/supervisors"));

	/* It is: limits there, the task one below, where it is killed. */
	make(&host, "cg/nomad.slice/share.slice/alloc.web.scope");
	host.resources.memory_max_mb = 0;
	plan(&host);
	assert_int_equal(count(&host, "cg"), 2);
	assert_true(has(&host, "cg", "n2::@/cg:/nomad.slice/share.slice/alloc.web.scope"));
	assert_true(has(&host, "cg", "o2::@/cg:/nomad.slice/share.slice/alloc.web.scope/web-1a2b"));
	assert_true(has(&host, "set", "!@/cg/nomad.slice/share.slice/alloc.web.scope/memory.max\t104857600"));
	assert_true(has(&host, "set", "?@/cg/nomad.slice/share.slice/alloc.web.scope/memory.low\t0"));
	assert_false(has(&host, "set", "?@/cg/cgroup.subtree_control\t+memory"));

	/* No hard limit. */
	host.resources.memory_max_mb = -1;
	plan(&host);
	assert_true(has(&host, "set", "!@/cg/nomad.slice/share.slice/alloc.web.scope/memory.max\tmax"));
	assert_true(has(&host, "set", "?@/cg/nomad.slice/share.slice/alloc.web.scope/memory.low\t104857600"));

	/* The client of a daemon has no limits, and leaves Nomad's scope alone. */
	host.command.no_limits = true;
	plan(&host);
	assert_int_equal(count(&host, "cg"), 1);
	assert_int_equal(count(&host, "set"), 0);
	host_done(&host);
}

static void add_v1(struct host *host)
{
	static const char *const names[] = { "freezer", "memory", "cpu,cpuacct", "pids", "cpuset", "name=systemd" };

	for (size_t i = 0; i < NOMAD_ARRAY_LEN(names); i++)
		add(host, names[i], names[i], "");
}

static void test_v1(void **state)
{
	struct host host;
	char cpuset[200];

	(void) state;
	host_init(&host);
	add_v1(&host);
	host.resources = (struct nomad_resources) { .memory_mb = 100, .cpu_shares = 500 };
	plan(&host);
	assert_true(has(&host, "cg", "of:freezer:@/freezer:/nomad-drivers/web-1a2b"));
	assert_true(has(&host, "cg", "o1:memory:@/memory:/nomad-drivers/web-1a2b"));
	assert_true(has(&host, "cg", "o1:cpu,cpuacct:@/cpu,cpuacct:/nomad-drivers/web-1a2b"));
	assert_true(has(&host, "cg", "o1:name=systemd:@/name=systemd:/nomad-drivers/web-1a2b"));
	assert_int_equal(count(&host, "cg"), 4);
	assert_int_equal(count(&host, "supercg"), 4);
	assert_true(has(&host, "set", "!@/memory/nomad-drivers/web-1a2b/memory.limit_in_bytes\t104857600"));
	assert_true(has(&host, "set", "?@/cpu,cpuacct/nomad-drivers/web-1a2b/cpu.shares\t500"));

	/* Nomad's directories; the freezer of ours is within its. */
	make(&host, "freezer/nomad/alloc.web");
	make(&host, "memory/nomad/alloc.web");
	make(&host, "cpu,cpuacct/nomad/alloc.web");
	make(&host, "cpuset/nomad/share");
	snprintf(cpuset, sizeof(cpuset), "%s/cpuset/nomad/share", host.root);
	host.resources.cpuset_cgroup = cpuset;
	host.command.pids_max = 5;
	plan(&host);
	assert_true(has(&host, "cg", "of:freezer:@/freezer:/nomad/alloc.web/web-1a2b"));
	assert_true(has(&host, "cg", "n1:memory:@/memory:/nomad/alloc.web"));
	assert_true(has(&host, "cg", "n1:cpu,cpuacct:@/cpu,cpuacct:/nomad/alloc.web"));
	assert_true(has(&host, "cg", "n1:cpuset:@/cpuset:/nomad/share"));
	assert_true(has(&host, "set", "!@/pids/nomad-drivers/web-1a2b/pids.max\t5"));
	assert_int_equal(count(&host, "cg"), 6);
	host_done(&host);
}

/* v2 beside v1, with a controller that nobody wanted in v1. */
static void test_hybrid(void **state)
{
	struct host host;

	(void) state;
	host_init(&host);
	add_v1(&host);
	add(&host, "", "unified", "misc");
	host.resources = (struct nomad_resources) { .memory_mb = 100, .cpu_shares = 500 };
	plan(&host);
	assert_true(has(&host, "cg", "o2::@/unified:/nomad-drivers/web-1a2b"));
	assert_true(has(&host, "cg", "o1:memory:@/memory:/nomad-drivers/web-1a2b"));
	assert_false(has(&host, "set", "!@/unified/nomad-drivers/web-1a2b/memory.max\t104857600"));
	/* cgroup.kill does it; Nomad's freezer is only joined. */
	assert_false(has(&host, "cg", "of:freezer:@/freezer:/nomad-drivers/web-1a2b"));
	make(&host, "freezer/nomad/alloc.web");
	plan(&host);
	assert_true(has(&host, "cg", "n1:freezer:@/freezer:/nomad/alloc.web"));
	host_done(&host);
}

static void test_none(void **state)
{
	struct host host;

	(void) state;
	host_init(&host);
	host.resources = (struct nomad_resources) { .memory_mb = 100, .cpu_shares = 500 };
	plan(&host);
	assert_int_equal(count(&host, "cg") + count(&host, "set") + count(&host, "supercg"), 0);
	host.what.dir = "/";
	assert_true(nomad__limits_plan_for(host.list, 0, &host.what, &host.spec, NULL) < 0);
	host_done(&host);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_v2),
		cmocka_unit_test(test_v1),
		cmocka_unit_test(test_hybrid),
		cmocka_unit_test(test_none),
	};

	return cmocka_run_group_tests_name("os/limits", tests, NULL, NULL);
}
