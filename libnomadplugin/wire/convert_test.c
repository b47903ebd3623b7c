/* SPDX-License-Identifier: MPL-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "wire/convert.h"

/* All that Nomad may say of a task, over the wire and back. */
static void a_task_arrives_whole(void **state)
{
	Pb__TaskConfig__EnvEntry env[2] = { PB__TASK_CONFIG__ENV_ENTRY__INIT, PB__TASK_CONFIG__ENV_ENTRY__INIT };
	Pb__TaskConfig__EnvEntry *envs[] = { &env[0], &env[1] };
	Pb__TaskConfig__DeviceEnvEntry device_env = PB__TASK_CONFIG__DEVICE_ENV_ENTRY__INIT,
				       *device_envs[] = { &device_env };
	Pb__NetworkIsolationSpec__LabelsEntry label = PB__NETWORK_ISOLATION_SPEC__LABELS_ENTRY__INIT,
					      *labels[] = { &label };
	Pb__Resources resources = PB__RESOURCES__INIT;
	Pb__AllocatedTaskResources allocated = PB__ALLOCATED_TASK_RESOURCES__INIT;
	Pb__AllocatedCpuResources cpu = PB__ALLOCATED_CPU_RESOURCES__INIT;
	Pb__AllocatedMemoryResources memory = PB__ALLOCATED_MEMORY_RESOURCES__INIT;
	Pb__LinuxResources linux_part = PB__LINUX_RESOURCES__INIT;
	Pb__PortMapping port = PB__PORT_MAPPING__INIT, *ports[] = { &port };
	Pb__NetworkPort of_task[] = { PB__NETWORK_PORT__INIT, PB__NETWORK_PORT__INIT };
	Pb__NetworkPort *reserved[] = { &of_task[0] }, *dynamic[] = { &of_task[1] };
	Pb__NetworkResource task_network = PB__NETWORK_RESOURCE__INIT, *networks[] = { &task_network };
	Pb__Mount mount = PB__MOUNT__INIT, *mounts[] = { &mount };
	Pb__Device device = PB__DEVICE__INIT, *devices[] = { &device };
	Pb__DNSConfig dns = PB__DNSCONFIG__INIT;
	Pb__HostsConfig hosts = PB__HOSTS_CONFIG__INIT;
	Pb__NetworkIsolationSpec network = PB__NETWORK_ISOLATION_SPEC__INIT;
	Pb__TaskConfig config = PB__TASK_CONFIG__INIT;
	char *servers[] = { (char *)"10.0.0.1", (char *)"10.0.0.2" }, *searches[] = { (char *)"x.example" };
	char *options[] = { (char *)"ndots:2" };
	struct nomad_task_info info;
	Pb__TaskConfig *read;
	uint8_t bytes[4096];
	size_t size;

	(void)state;
#define SET(field, value) config.field = (char *)(value)
	SET(id, "a/t/1");
	SET(name, "t");
	SET(user, "nobody");
	SET(alloc_dir, "/allocs/a");
	SET(stdout_path, "/o");
	SET(stderr_path, "/e");
	SET(task_group_name, "g");
	SET(job_name, "jn");
	SET(job_id, "ji");
	SET(parent_job_id, "pji");
	SET(alloc_id, "a");
	SET(namespace_, "ns");
	SET(node_name, "nn");
	SET(node_id, "ni");
#undef SET
	env[0].key = (char *)"A";
	env[0].value = (char *)"1";
	env[1].key = (char *)"B";
	env[1].value = (char *)"";
	config.env = envs;
	config.n_env = 2;
	device_env.key = (char *)"A";
	device_env.value = (char *)"1";
	config.device_env = device_envs;
	config.n_device_env = 1;
	cpu.cpu_shares = 500;
	memory.memory_mb = 256;
	memory.memory_max_mb = -1;
	allocated.cpu = &cpu;
	allocated.memory = &memory;
	linux_part.percentticks = 0.25;
	linux_part.memory_limit_bytes = INT64_C(1) << 40;
	linux_part.cpu_period = 100000;
	linux_part.cpu_quota = 50000;
	linux_part.oom_score_adj = -7;
	linux_part.cpuset_cpus = (char *)"2,3";
	linux_part.cpuset_cgroup = (char *)"/sys/fs/cgroup/x";
	port.label = (char *)"http";
	port.value = 25000;
	port.to = 80;
	port.host_ip = (char *)"127.0.0.1";
	resources.allocated_resources = &allocated;
	resources.linux_resources = &linux_part;
	resources.ports = ports;
	resources.n_ports = 1;
	of_task[0].label = (char *)"http";
	of_task[0].value = 25001;
	of_task[1].label = (char *)"admin";
	of_task[1].value = 25002;
	task_network.ip = (char *)"192.0.2.1";
	task_network.device = (char *)"eth0";
	task_network.cidr = (char *)"192.0.2.1/32";
	task_network.mbits = 10;
	task_network.reserved_ports = reserved;
	task_network.dynamic_ports = dynamic;
	task_network.n_reserved_ports = task_network.n_dynamic_ports = 1;
	allocated.networks = networks;
	allocated.n_networks = 1;
	config.resources = &resources;
	mount.task_path = (char *)"/data";
	mount.host_path = (char *)"/srv";
	mount.readonly = true;
	mount.propagation_mode = (char *)"host-to-task";
	mount.request_name = (char *)"certs";
	config.mounts = mounts;
	config.n_mounts = 1;
	device.task_path = (char *)"/dev/x";
	device.host_path = (char *)"/dev/y";
	device.cgroup_permissions = (char *)"rw";
	config.devices = devices;
	config.n_devices = 1;
	dns.servers = servers;
	dns.n_servers = 2;
	dns.searches = searches;
	dns.n_searches = 1;
	dns.options = options;
	dns.n_options = 1;
	config.dns = &dns;
	network.mode = PB__NETWORK_ISOLATION_SPEC__NETWORK_ISOLATION_MODE__GROUP;
	network.path = (char *)"/run/netns/a";
	label.key = (char *)"l";
	label.value = (char *)"v";
	network.labels = labels;
	network.n_labels = 1;
	hosts.hostname = (char *)"h";
	hosts.address = (char *)"10.1.1.1";
	network.hostsconfig = &hosts;
	config.network_isolation_spec = &network;

	size = pb__task_config__pack(&config, bytes);
	read = pb__task_config__unpack(NULL, size, bytes);
	assert_int_equal(nomad__task_info_of(read, &info, NULL), 0);
	pb__task_config__free_unpacked(read, NULL); /* all was copied */

	assert_string_equal(info.id, "a/t/1");
	assert_string_equal(info.name, "t");
	assert_string_equal(info.user, "nobody");
	assert_string_equal(info.alloc_dir, "/allocs/a");
	assert_string_equal(info.stdout_path, "/o");
	assert_string_equal(info.stderr_path, "/e");
	assert_string_equal(info.task_group_name, "g");
	assert_string_equal(info.job_name, "jn");
	assert_string_equal(info.job_id, "ji");
	assert_string_equal(info.parent_job_id, "pji");
	assert_string_equal(info.alloc_id, "a");
	assert_string_equal(info.namespace_name, "ns");
	assert_string_equal(info.node_name, "nn");
	assert_string_equal(info.node_id, "ni");
	assert_int_equal(info.env.count, 2);
	assert_string_equal(nomad_map_get(&info.env, "A"), "1");
	assert_string_equal(nomad_map_get(&info.env, "B"), "");
	assert_string_equal(nomad_map_get(&info.device_env, "A"), "1");
	assert_int_equal(info.resources.cpu_shares, 500);
	assert_int_equal(info.resources.memory_mb, 256);
	assert_int_equal(info.resources.memory_max_mb, -1);
	assert_true(info.resources.memory_limit_bytes == INT64_C(1) << 40);
	assert_true(info.resources.percent_ticks == 0.25);
	assert_string_equal(info.resources.cpuset_cpus, "2,3");
	assert_string_equal(info.resources.cpuset_cgroup, "/sys/fs/cgroup/x");
	assert_int_equal(info.resources.n_ports, 2);
	assert_string_equal(info.resources.ports[0].label, "http");
	assert_int_equal(info.resources.ports[0].value, 25000);
	assert_int_equal(info.resources.ports[0].to, 80);
	assert_string_equal(info.resources.ports[0].host_ip, "127.0.0.1");
	/* The task's own network block adds the labels that the group's has not. */
	assert_string_equal(info.resources.ports[1].label, "admin");
	assert_int_equal(info.resources.ports[1].value, 25002);
	assert_int_equal(info.resources.ports[1].to, 0);
	assert_string_equal(info.resources.ports[1].host_ip, "192.0.2.1");
	assert_int_equal(info.resources.cpu_period, 100000);
	assert_int_equal(info.resources.cpu_quota, 50000);
	assert_int_equal(info.resources.oom_score_adj, -7);
	assert_int_equal(info.resources.n_networks, 1);
	assert_string_equal(info.resources.networks[0].device, "eth0");
	assert_string_equal(info.resources.networks[0].cidr, "192.0.2.1/32");
	assert_string_equal(info.resources.networks[0].ip, "192.0.2.1");
	assert_int_equal(info.resources.networks[0].mbits, 10);
	assert_int_equal(info.resources.networks[0].n_reserved_ports, 1);
	assert_string_equal(info.resources.networks[0].reserved_ports[0].label, "http");
	assert_int_equal(info.resources.networks[0].n_dynamic_ports, 1);
	assert_int_equal(info.resources.networks[0].dynamic_ports[0].value, 25002);
	assert_int_equal(info.n_mounts, 1);
	assert_string_equal(info.mounts[0].request_name, "certs");
	assert_string_equal(info.mounts[0].task_path, "/data");
	assert_string_equal(info.mounts[0].host_path, "/srv");
	assert_true(info.mounts[0].readonly);
	assert_string_equal(info.mounts[0].propagation_mode, "host-to-task");
	assert_string_equal(info.mounts[0].selinux_label, "");
	assert_int_equal(info.n_devices, 1);
	assert_string_equal(info.devices[0].task_path, "/dev/x");
	assert_string_equal(info.devices[0].host_path, "/dev/y");
	assert_string_equal(info.devices[0].cgroup_permissions, "rw");
	assert_true(info.has_dns);
	assert_int_equal(nomad_strv_count((const char *const *)info.dns_servers), 2);
	assert_string_equal(info.dns_servers[1], "10.0.0.2");
	assert_string_equal(info.dns_searches[0], "x.example");
	assert_string_equal(info.dns_options[0], "ndots:2");
	assert_int_equal(info.network.mode, NOMAD_NET_GROUP);
	assert_string_equal(info.network.path, "/run/netns/a");
	assert_string_equal(nomad_map_get(&info.network.labels, "l"), "v");
	assert_string_equal(info.network.hosts_hostname, "h");
	assert_string_equal(info.network.hosts_address, "10.1.1.1");
	nomad__task_info_done(&info);
}

static void what_is_not_said_is_absent(void **state)
{
	Pb__TaskConfig config = PB__TASK_CONFIG__INIT;
	struct nomad_error *err = NULL;
	struct nomad_task_info info;

	(void)state;
	config.id = (char *)"x";
	assert_int_equal(nomad__task_info_of(&config, &info, NULL), 0);
	assert_string_equal(info.name, "");
	assert_string_equal(info.alloc_id, "");
	assert_null(info.user);
	assert_null(info.stdout_path);
	assert_null(info.resources.cpuset_cpus);
	assert_null(info.dns_servers);
	assert_false(info.has_dns);
	assert_int_equal(info.network.mode, NOMAD_NET_HOST);
	nomad__task_info_done(&info);

	config.id = (char *)"";
	assert_int_equal(nomad__task_info_of(&config, &info, &err), -EINVAL);
	nomad_error_free(err);
	assert_int_equal(nomad__task_info_of(NULL, &info, NULL), -EINVAL);
	config.id = (char *)"a/b/c";
	config.alloc_dir = (char *)"allocs/a";
	assert_int_equal(nomad__task_info_of(&config, &info, NULL), -EINVAL);
}

static void the_parent_job_is_that_of_the_environment(void **state)
{
	Pb__TaskConfig__EnvEntry entry = PB__TASK_CONFIG__ENV_ENTRY__INIT, *entries[] = { &entry };
	Pb__TaskConfig config = PB__TASK_CONFIG__INIT;
	struct nomad_task_info info;

	(void)state;
	config.id = (char *)"x";
	entry.key = (char *)"NOMAD_JOB_PARENT_ID";
	entry.value = (char *)"nightly";
	config.env = entries;
	config.n_env = 1;
	assert_int_equal(nomad__task_info_of(&config, &info, NULL), 0);
	assert_string_equal(info.parent_job_id, "nightly");
	nomad__task_info_done(&info);
}

static void an_environment_without_end_is_refused(void **state)
{
	Pb__TaskConfig__EnvEntry entry = PB__TASK_CONFIG__ENV_ENTRY__INIT, **entries;
	Pb__TaskConfig config = PB__TASK_CONFIG__INIT;
	struct nomad_task_info info;

	(void)state;
	entries = calloc(NOMAD__MAP_MAX + 1, sizeof(*entries));
	assert_non_null(entries);
	for (int i = 0; i <= NOMAD__MAP_MAX; i++)
		entries[i] = &entry;
	config.id = (char *)"x";
	config.env = entries;
	config.n_env = NOMAD__MAP_MAX + 1;
	assert_int_equal(nomad__task_info_of(&config, &info, NULL), -E2BIG);
	free(entries);
}

static void an_isolation_spec_goes_there_and_back(void **state)
{
	static const enum nomad_network_mode modes[] = { NOMAD_NET_HOST, NOMAD_NET_GROUP, NOMAD_NET_TASK,
							 NOMAD_NET_NONE };

	(void)state;
	for (size_t i = 0; i < NOMAD_ARRAY_LEN(modes); i++) {
		struct nomad_network_isolation from = { .mode = modes[i], .path = (char *)"/n" }, to;
		Pb__NetworkIsolationSpec *spec;

		assert_int_equal(nomad_map_set(&from.labels, "k", "v"), 0);
		if (i == 1)
			from.hosts_address = (char *)"1.2.3.4";
		spec = nomad__isolation_message(&from);
		assert_non_null(spec);
		assert_int_equal(nomad__isolation_of(spec, &to, NULL), 0);
		nomad__isolation_message_free(spec);
		assert_int_equal(to.mode, modes[i]);
		assert_string_equal(to.path, "/n");
		assert_string_equal(nomad_map_get(&to.labels, "k"), "v");
		assert_null(to.hosts_hostname);
		assert_int_equal(!!to.hosts_address, i == 1);
		nomad__network_isolation_done(&to);
		nomad_map_done(&from.labels);
	}
}

static void times_keep_within_bounds(void **state)
{
	Pb__Duration duration = PB__DURATION__INIT;
	Pb__Timestamp timestamp;

	(void)state;
	assert_true(nomad__duration_ns(NULL) == 0);
	duration.seconds = 5;
	duration.nanos = 7;
	assert_true(nomad__duration_ns(&duration) == INT64_C(5000000007));
	duration.seconds = INT64_MAX;
	assert_true(nomad__duration_ns(&duration) == INT64_MAX);
	duration.seconds = INT64_MIN;
	assert_true(nomad__duration_ns(&duration) == INT64_MIN);
	nomad__timestamp_of(0, &timestamp);
	assert_true(timestamp.seconds == INT64_C(-62135596800) && timestamp.nanos == 0);
	nomad__timestamp_of(-1, &timestamp);
	assert_true(timestamp.seconds == -1 && timestamp.nanos == 999999999);
	nomad__timestamp_of(INT64_C(1500000000), &timestamp);
	assert_true(timestamp.seconds == 1 && timestamp.nanos == 500000000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_task_arrives_whole),
		cmocka_unit_test(what_is_not_said_is_absent),
		cmocka_unit_test(the_parent_job_is_that_of_the_environment),
		cmocka_unit_test(an_environment_without_end_is_refused),
		cmocka_unit_test(an_isolation_spec_goes_there_and_back),
		cmocka_unit_test(times_keep_within_bounds),
	};

	return cmocka_run_group_tests_name("wire/convert", tests, NULL, NULL);
}
