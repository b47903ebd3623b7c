/* SPDX-License-Identifier: MPL-2.0
 *
 * What is planned on hosts with cgroup v2, v1, both, and none, with and
 * without the directories that Nomad makes. */
#include "supervisor/limits.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "os/cgroup.h"
#include "base/fields.h"

struct host {
	char root[64];
	struct nomad__hierarchy list[10];
	int count;
	struct nomad_command command;
	struct nomad_resources resources;
	struct nomad__supervise what;
	struct nomad__keys spec;
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
	host->what = (struct nomad__supervise){
		.dir = "/state/web-1a2b",
		.command = &host->command,
		.resources = &host->resources,
		.alloc_id = "alloc",
		.task_name = "web",
	};
}

static void host_done(struct host *host)
{
	char command[512];

	snprintf(command, sizeof(command), "rm -rf '%s'", host->root);
	assert_int_equal(system(command), 0);
	nomad__keys_done(&host->spec);
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
	nomad__keys_done(&host->spec);
	assert_int_equal(nomad__limits_plan(host->list, host->count, &host->what, &host->spec, NULL), 0);
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
			n += (size_t)sprintf(want + n, "%s", host->root);
	}
	while ((s = nomad__fields_next(host->spec.data, host->spec.size, key, &pos)))
		if (strcmp(s, want) == 0)
			return true;
	return false;
}

/* Is that file written? */
static bool sets(const struct host *host, const char *file)
{
	const char *s;
	size_t pos = 0;

	while ((s = nomad__fields_next(host->spec.data, host->spec.size, "set", &pos)))
		if (strstr(s, file))
			return true;
	return false;
}

/* With `*field` = `value` the plan fails and says `why`. */
static void refused(struct host *host, int64_t value, int64_t *field, const char *why)
{
	NOMAD_AUTO_ERROR struct nomad_error *err = NULL;

	if (field)
		*field = value;
	nomad__keys_done(&host->spec);
	assert_true(nomad__limits_plan(host->list, host->count, &host->what, &host->spec, &err) < 0);
	if (!strstr(nomad_error_message(err), why))
		fail_msg("'%s' does not say '%s'", nomad_error_message(err), why);
}

static int count(const struct host *host, const char *key)
{
	size_t pos = 0;
	int n = 0;

	while (nomad__fields_next(host->spec.data, host->spec.size, key, &pos))
		n++;
	return n;
}

static void test_v2(void **state)
{
	struct host host;
	char scope[200];

	(void)state;
	host_init(&host);
	add(&host, "", "cg", "cpuset,cpu,io,memory,pids");
	host.resources = (struct nomad_resources){ .memory_mb = 100, .memory_max_mb = 200, .cpu_shares = 1024 };
	host.resources.cpuset_cpus = (char *)"2,3";
	host.command.pids_max = 77;

	/* Reserved cores are limit enough. */
	host.command.cpu_hard_limit = true;
	host.resources.percent_ticks = 0.5;
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
	assert_false(sets(&host, "cpu.max"));

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

/* What Nomad's directory has of an earlier run is set back. */
static void test_set_back(void **state)
{
	struct host host;
	char scope[200];

	(void)state;
	host_init(&host);
	add(&host, "", "cg", "cpuset,cpu,io,memory,pids");
	make(&host, "cg/nomad.slice/s");
	snprintf(scope, sizeof(scope), "%s/cg/nomad.slice/s", host.root);
	host.resources = (struct nomad_resources){ .memory_mb = 10, .percent_ticks = 0.5, .cpuset_cgroup = scope };
	plan(&host);
	assert_true(has(&host, "set", "?@/cg/nomad.slice/s/cpu.max\tmax"));
	assert_true(has(&host, "set", "?@/cg/nomad.slice/s/pids.max\tmax"));
	assert_true(has(&host, "set", "?@/cg/nomad.slice/s/memory.swap.max\t0"));
	host_done(&host);
}

static void test_hard_limit(void **state)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	struct host host;
	char want[200];

	(void)state;
	host_init(&host);
	add(&host, "", "cg", "cpu");
	host.command.cpu_hard_limit = true;
	host.resources = (struct nomad_resources){ .cpu_shares = 500, .percent_ticks = 0.25 };
	plan(&host);
	snprintf(want, sizeof(want), "!@/cg/nomad-drivers/web-1a2b/cpu.max\t%ld 100000", cpus * 25000);
	assert_true(has(&host, "set", want));
	host.command.cpu_period_us = 10000;
	plan(&host);
	snprintf(want, sizeof(want), "!@/cg/nomad-drivers/web-1a2b/cpu.max\t%ld 10000", cpus * 2500);
	assert_true(has(&host, "set", want));
	refused(&host, 999, &host.command.cpu_period_us, "between 1000 and 1000000");
	refused(&host, 1000001, &host.command.cpu_period_us, "between 1000 and 1000000");
	host.resources.percent_ticks = 0;
	host.command.cpu_period_us = 0;
	refused(&host, 0, NULL, "part of the node");
	host.resources.percent_ticks = 0.25;
	host.count = 0;
	refused(&host, 0, NULL, "no writable cpu controller");
	add(&host, "cpu,cpuacct", "cpu", "");
	plan(&host);
	snprintf(want, sizeof(want), "!@/cpu/nomad-drivers/web-1a2b/cpu.cfs_quota_us\t%ld", cpus * 25000);
	assert_true(has(&host, "set", want));
	assert_true(has(&host, "set", "!@/cpu/nomad-drivers/web-1a2b/cpu.cfs_period_us\t100000"));
	host_done(&host);
}

static void test_devices(void **state)
{
	const struct nomad_device of_nomad = { .host_path = (char *)"/dev/zero", .cgroup_permissions = (char *)"r" };
	struct nomad_device of_driver = { .host_path = (char *)"/dev/full" };
	struct host host;

	(void)state;
	host_init(&host);
	host.what.devices = &of_nomad;
	host.what.n_devices = 1;
	host.command.devices = &of_driver;
	host.command.n_devices = 1;
	add(&host, "", "cg", "");
	plan(&host);
	assert_int_equal(count(&host, "dev"), 0);
	host.command.device_policy = NOMAD_DEVICES_LISTED;
	plan(&host);
	assert_true(has(&host, "dev", "c *:* m"));
	assert_true(has(&host, "dev", "c 1:3 rwm"));
	assert_true(has(&host, "dev", "c 1:5 r"));
	assert_true(has(&host, "dev", "c 1:7 rwm"));
	/* v1 has files for it. */
	add(&host, "devices", "devices", "");
	plan(&host);
	assert_int_equal(count(&host, "dev"), 0);
	assert_true(has(&host, "cg", "o1:devices:@/devices:/nomad-drivers/web-1a2b"));
	assert_true(has(&host, "set", "!@/devices/nomad-drivers/web-1a2b/devices.deny\ta"));
	assert_true(has(&host, "set", "!@/devices/nomad-drivers/web-1a2b/devices.allow\tc 1:5 r"));
	of_driver.cgroup_permissions = (char *)"rx";
	refused(&host, 0, NULL, "not letters of rwm");
	of_driver.host_path = (char *)"/dev";
	refused(&host, 0, NULL, "'/dev': not a device");
	of_driver.host_path = (char *)"/dev/nothing-of-the-kind";
	refused(&host, 0, NULL, "inspect device '/dev/nothing-of-the-kind'");
	host.command.n_devices = 0;
	host.count = 0;
	refused(&host, 0, NULL, "devices cannot be restricted");
	host.command.no_limits = true;
	plan(&host);
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

	(void)state;
	host_init(&host);
	add_v1(&host);
	host.resources = (struct nomad_resources){ .memory_mb = 100, .cpu_shares = 500 };
	plan(&host);
	assert_true(has(&host, "cg", "of:freezer:@/freezer:/nomad-drivers/web-1a2b"));
	assert_true(has(&host, "cg", "o1:memory:@/memory:/nomad-drivers/web-1a2b"));
	assert_true(has(&host, "cg", "o1:cpu,cpuacct:@/cpu,cpuacct:/nomad-drivers/web-1a2b"));
	assert_true(has(&host, "cg", "o1:name=systemd:@/name=systemd:/nomad-drivers/web-1a2b"));
	assert_int_equal(count(&host, "cg"), 4);
	assert_int_equal(count(&host, "supercg"), 4);
	assert_true(has(&host, "set", "!@/memory/nomad-drivers/web-1a2b/memory.limit_in_bytes\t104857600"));
	assert_true(has(&host, "set", "?@/cpu,cpuacct/nomad-drivers/web-1a2b/cpu.shares\t500"));

	/* Nomad's directories; our freezer cgroup is below Nomad's. */
	make(&host, "freezer/nomad/alloc.web");
	make(&host, "memory/nomad/alloc.web");
	make(&host, "cpu,cpuacct/nomad/alloc.web");
	make(&host, "cpuset/nomad/share");
	snprintf(cpuset, sizeof(cpuset), "%s/cpuset/nomad/share", host.root);
	host.resources.cpuset_cgroup = cpuset;
	host.command.pids_max = 5;
	plan(&host);
	/* Without Nomad's directory, reserved cores are in our own. */
	host.resources.cpuset_cgroup = NULL;
	host.resources.cpuset_cpus = (char *)"1";
	plan(&host);
	assert_true(has(&host, "cg", "o1:cpuset:@/cpuset:/nomad-drivers/web-1a2b"));
	assert_true(has(&host, "set", "!@/cpuset/nomad-drivers/web-1a2b/cpuset.cpus\t1"));
	/* Nomad's for a task with cores has no processors until the driver writes them. */
	host.resources.cpuset_cgroup = cpuset;
	plan(&host);
	assert_true(has(&host, "cg", "n1:cpuset:@/cpuset:/nomad/share"));
	assert_true(has(&host, "set", "!@/cpuset/nomad/share/cpuset.cpus\t1"));
	host.resources.cpuset_cpus = NULL;
	plan(&host);
	assert_false(has(&host, "set", "!@/cpuset/nomad/share/cpuset.cpus\t1"));
	assert_true(has(&host, "cg", "of:freezer:@/freezer:/nomad/alloc.web/web-1a2b"));
	assert_true(has(&host, "cg", "n1:memory:@/memory:/nomad/alloc.web"));
	assert_true(has(&host, "cg", "n1:cpu,cpuacct:@/cpu,cpuacct:/nomad/alloc.web"));
	assert_true(has(&host, "cg", "n1:cpuset:@/cpuset:/nomad/share"));
	assert_true(has(&host, "set", "!@/pids/nomad-drivers/web-1a2b/pids.max\t5"));
	assert_int_equal(count(&host, "cg"), 6);
	host_done(&host);
}

/* v2 next to v1, with a controller that v1 does not use. */
static void test_hybrid(void **state)
{
	struct host host;

	(void)state;
	host_init(&host);
	add_v1(&host);
	add(&host, "", "unified", "misc");
	host.resources = (struct nomad_resources){ .memory_mb = 100, .cpu_shares = 500 };
	plan(&host);
	assert_true(has(&host, "cg", "o2::@/unified:/nomad-drivers/web-1a2b"));
	assert_true(has(&host, "cg", "o1:memory:@/memory:/nomad-drivers/web-1a2b"));
	assert_false(has(&host, "set", "!@/unified/nomad-drivers/web-1a2b/memory.max\t104857600"));
	host.resources.cpu_shares = 1; /* the kernel takes 2 at the least */
	plan(&host);
	assert_true(has(&host, "set", "?@/cpu,cpuacct/nomad-drivers/web-1a2b/cpu.shares\t2"));
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

	(void)state;
	host_init(&host);
	host.resources = (struct nomad_resources){ .memory_mb = 100, .cpu_shares = 500 };
	plan(&host);
	assert_int_equal(count(&host, "cg") + count(&host, "set") + count(&host, "supercg"), 0);
	refused(&host, 7, &host.command.pids_max, "no writable pids controller");
	host.command.pids_max = 7;
	host.command.pids_if_possible = true;
	plan(&host);
	assert_int_equal(count(&host, "set"), 0);
	host.command.pids_max = 0;
	host.command.pids_if_possible = false;
	/* A system without cgroups, where a jail has the limits. */
	host.count = -EOPNOTSUPP;
	refused(&host, 7, &host.command.pids_max, "for the jail");
	host.command.no_limits = true;
	plan(&host);
	host.command.no_limits = false;
	host.command.pids_max = 0;
	plan(&host);
	host.count = 0;
	host.what.dir = "/";
	assert_true(nomad__limits_plan(host.list, 0, &host.what, &host.spec, NULL) < 0);
	host_done(&host);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_v2),	cmocka_unit_test(test_set_back), cmocka_unit_test(test_hard_limit),
		cmocka_unit_test(test_devices), cmocka_unit_test(test_v1),	 cmocka_unit_test(test_hybrid),
		cmocka_unit_test(test_none),
	};

	return cmocka_run_group_tests_name("supervisor/limits", tests, NULL, NULL);
}
