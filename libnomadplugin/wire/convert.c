/* SPDX-License-Identifier: MPL-2.0
 *
 * Nomad's messages and the library's structs.  Everything received is copied,
 * because a task outlives its request. */
#include "wire/convert.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define GO_NO_TIME INT64_C(-62135596800) /* the year 1, in seconds */

/* All map<string, string> fields have entries of this shape. */
typedef Pb__TaskConfig__EnvEntry string_entry;

_Static_assert(sizeof(Pb__TaskConfig__DeviceEnvEntry) == sizeof(string_entry) &&
		       sizeof(Pb__NetworkIsolationSpec__LabelsEntry) == sizeof(string_entry) &&
		       sizeof(Pb__TaskDriverStatus__AttributesEntry) == sizeof(string_entry) &&
		       sizeof(Pb__DriverTaskEvent__AnnotationsEntry) == sizeof(string_entry),
	       "entries of one shape");

/* ---- From the wire ---- */

/* *ret = a copy; "" becomes NULL where `null_if_empty`. */
static int copy(char **ret, const char *s, bool null_if_empty)
{
	if (null_if_empty && !*s)
		return 0;
	*ret = strdup(s);
	return *ret ? 0 : -ENOMEM;
}

static int copy_map(struct nomad_map *ret, string_entry *const *entries, size_t n)
{
	if (n > NOMAD__MAP_MAX)
		return -E2BIG;
	for (size_t i = 0; i < n; i++) {
		int r = nomad_map_set(ret, entries[i]->key, entries[i]->value);

		if (r < 0)
			return r;
	}
	return 0;
}

static int copy_strv(char ***ret, char *const *strings, size_t n)
{
	if (n > NOMAD__MAP_MAX)
		return -E2BIG;
	for (size_t i = 0; i < n; i++) {
		int r = nomad_strv_add(ret, strings[i]);

		if (r < 0)
			return r;
	}
	return 0;
}

static enum nomad_network_mode network_mode(Pb__NetworkIsolationSpec__NetworkIsolationMode mode)
{
	switch (mode) {
	case PB__NETWORK_ISOLATION_SPEC__NETWORK_ISOLATION_MODE__GROUP:
		return NOMAD_NET_GROUP;
	case PB__NETWORK_ISOLATION_SPEC__NETWORK_ISOLATION_MODE__TASK:
		return NOMAD_NET_TASK;
	case PB__NETWORK_ISOLATION_SPEC__NETWORK_ISOLATION_MODE__NONE:
		return NOMAD_NET_NONE;
	default:
		return NOMAD_NET_HOST;
	}
}

static int isolation(const Pb__NetworkIsolationSpec *spec, struct nomad_network_isolation *ret)
{
	const Pb__HostsConfig *hosts = spec->hostsconfig;
	int r;

	ret->mode = network_mode(spec->mode);
	r = copy(&ret->path, spec->path, true);
	if (r >= 0)
		r = copy_map(&ret->labels, (string_entry **)spec->labels, spec->n_labels);
	if (r >= 0 && hosts)
		r = copy(&ret->hosts_hostname, hosts->hostname, true);
	if (r >= 0 && hosts)
		r = copy(&ret->hosts_address, hosts->address, true);
	return r;
}

int nomad__isolation_of(const Pb__NetworkIsolationSpec *spec, struct nomad_network_isolation *ret,
			struct nomad_error **err)
{
	struct nomad_network_isolation made = { 0 };
	int r = isolation(spec, &made);

	if (r < 0) {
		nomad__network_isolation_done(&made);
		return nomad_error_errno(err, -r, "read the network isolation spec");
	}
	*ret = made;
	return 0;
}

static int add_port(struct nomad_resources *ret, const char *label, int value, int to, const char *host_ip)
{
	struct nomad_port *ports = reallocarray(ret->ports, ret->n_ports + 1, sizeof(*ports)), *port;
	int r;

	if (!ports)
		return -ENOMEM;
	ret->ports = ports;
	port = &ports[ret->n_ports++];
	*port = (struct nomad_port){ .value = value, .to = to };
	r = copy(&port->label, label, false);
	return r < 0 ? r : copy(&port->host_ip, host_ip, false);
}

/* Ports of the task's own network block, which Nomad allocates but does not list with the group's. */
static int add_own_ports(struct nomad_resources *ret, const Pb__NetworkResource *network, Pb__NetworkPort **ports,
			 size_t n)
{
	int r = 0;

	for (size_t i = 0; i < n && r >= 0; i++)
		if (!nomad_port_find(ret, ports[i]->label))
			r = add_port(ret, ports[i]->label, ports[i]->value, 0, network->ip);
	return r;
}

static int all_ports(const Pb__Resources *from, struct nomad_resources *ret)
{
	const Pb__AllocatedTaskResources *own = from->allocated_resources;
	int r = 0;

	for (size_t i = 0; i < from->n_ports && r >= 0; i++) {
		const Pb__PortMapping *port = from->ports[i];

		r = add_port(ret, port->label, port->value, port->to, port->host_ip);
	}
	for (size_t i = 0; own && i < own->n_networks && r >= 0; i++) {
		const Pb__NetworkResource *network = own->networks[i];

		r = add_own_ports(ret, network, network->reserved_ports, network->n_reserved_ports);
		if (r >= 0)
			r = add_own_ports(ret, network, network->dynamic_ports, network->n_dynamic_ports);
	}
	return r;
}

static int port_list(Pb__NetworkPort *const *from, size_t n, struct nomad_port **ret, size_t *ret_n)
{
	int r = 0;

	*ret = n ? calloc(n, sizeof(**ret)) : NULL;
	if (n && !*ret)
		return -ENOMEM;
	for (size_t i = 0; i < n && r >= 0; i++) {
		struct nomad_port *port = &(*ret)[(*ret_n)++];

		port->value = from[i]->value;
		r = copy(&port->label, from[i]->label, false);
		if (r >= 0)
			r = copy(&port->host_ip, "", false);
	}
	return r;
}

static int networks(const Pb__AllocatedTaskResources *from, struct nomad_resources *ret)
{
	int r = 0;

	ret->networks = from->n_networks ? calloc(from->n_networks, sizeof(*ret->networks)) : NULL;
	if (from->n_networks && !ret->networks)
		return -ENOMEM;
	for (size_t i = 0; i < from->n_networks && r >= 0; i++) {
		const Pb__NetworkResource *network = from->networks[i];
		struct nomad_network_resource *to = &ret->networks[ret->n_networks++];

		to->mbits = network->mbits;
		r = copy(&to->device, network->device, false);
		if (r >= 0)
			r = copy(&to->cidr, network->cidr, false);
		if (r >= 0)
			r = copy(&to->ip, network->ip, false);
		if (r >= 0)
			r = port_list(network->reserved_ports, network->n_reserved_ports, &to->reserved_ports,
				      &to->n_reserved_ports);
		if (r >= 0)
			r = port_list(network->dynamic_ports, network->n_dynamic_ports, &to->dynamic_ports,
				      &to->n_dynamic_ports);
	}
	return r;
}

static int resources(const Pb__Resources *from, struct nomad_resources *ret)
{
	const Pb__AllocatedTaskResources *allocated = from->allocated_resources;
	const Pb__LinuxResources *linux_part = from->linux_resources;
	int r = 0;

	if (allocated && allocated->cpu)
		ret->cpu_shares = allocated->cpu->cpu_shares;
	if (allocated && allocated->memory) {
		ret->memory_mb = allocated->memory->memory_mb;
		ret->memory_max_mb = allocated->memory->memory_max_mb;
	}
	if (linux_part) {
		if (ret->cpu_shares == 0)
			ret->cpu_shares = linux_part->cpu_shares;
		ret->memory_limit_bytes = linux_part->memory_limit_bytes;
		ret->percent_ticks = linux_part->percentticks;
		ret->cpu_period = linux_part->cpu_period;
		ret->cpu_quota = linux_part->cpu_quota;
		ret->oom_score_adj = linux_part->oom_score_adj;
		r = copy(&ret->cpuset_cpus, linux_part->cpuset_cpus, true);
		if (r >= 0)
			r = copy(&ret->cpuset_cgroup, linux_part->cpuset_cgroup, true);
	}
	if (r >= 0 && allocated)
		r = networks(allocated, ret);
	return r < 0 ? r : all_ports(from, ret);
}

static int mounts(const Pb__TaskConfig *config, struct nomad_task_info *ret)
{
	int r = 0;

	if (config->n_mounts == 0)
		return 0;
	ret->mounts = calloc(config->n_mounts, sizeof(*ret->mounts));
	if (!ret->mounts)
		return -ENOMEM;
	for (size_t i = 0; i < config->n_mounts && r >= 0; i++) {
		const Pb__Mount *mount = config->mounts[i];
		struct nomad_mount *to = &ret->mounts[ret->n_mounts++];

		to->readonly = mount->readonly;
		r = copy(&to->task_path, mount->task_path, false);
		if (r >= 0)
			r = copy(&to->host_path, mount->host_path, false);
		if (r >= 0)
			r = copy(&to->propagation_mode, mount->propagation_mode, false);
		if (r >= 0)
			r = copy(&to->selinux_label, mount->selinux_label, false);
		if (r >= 0)
			r = copy(&to->request_name, mount->request_name, false);
	}
	return r;
}

static int devices(const Pb__TaskConfig *config, struct nomad_task_info *ret)
{
	int r = 0;

	if (config->n_devices == 0)
		return 0;
	ret->devices = calloc(config->n_devices, sizeof(*ret->devices));
	if (!ret->devices)
		return -ENOMEM;
	for (size_t i = 0; i < config->n_devices && r >= 0; i++) {
		const Pb__Device *device = config->devices[i];
		struct nomad_device *to = &ret->devices[ret->n_devices++];

		r = copy(&to->task_path, device->task_path, false);
		if (r >= 0)
			r = copy(&to->host_path, device->host_path, false);
		if (r >= 0)
			r = copy(&to->cgroup_permissions, device->cgroup_permissions, false);
	}
	return r;
}

static int strings(const Pb__TaskConfig *config, struct nomad_task_info *ret)
{
	const struct {
		char **to;
		const char *from;
		bool null_if_empty;
	} rows[] = {
		{ &ret->id, config->id, false },
		{ &ret->name, config->name, false },
		{ &ret->alloc_id, config->alloc_id, false },
		{ &ret->task_group_name, config->task_group_name, false },
		{ &ret->job_id, config->job_id, false },
		{ &ret->parent_job_id, config->parent_job_id, true },
		{ &ret->job_name, config->job_name, false },
		{ &ret->namespace_name, config->namespace_, false },
		{ &ret->node_id, config->node_id, false },
		{ &ret->node_name, config->node_name, false },
		{ &ret->alloc_dir, config->alloc_dir, false },
		{ &ret->user, config->user, true },
		{ &ret->stdout_path, config->stdout_path, true },
		{ &ret->stderr_path, config->stderr_path, true },
	};
	int r = 0;

	for (size_t i = 0; i < NOMAD_ARRAY_LEN(rows) && r >= 0; i++)
		r = copy(rows[i].to, rows[i].from, rows[i].null_if_empty);
	return r;
}

/* Nomad's Go code forgets the field, but not the variable. */
static int parent_of(struct nomad_task_info *ret)
{
	const char *parent = nomad_map_get(&ret->env, "NOMAD_JOB_PARENT_ID");

	return ret->parent_job_id || !parent ? 0 : copy(&ret->parent_job_id, parent, true);
}

static int dns(const Pb__DNSConfig *from, struct nomad_task_info *ret)
{
	int r = copy_strv(&ret->dns_servers, from->servers, from->n_servers);

	ret->has_dns = true;
	if (r >= 0)
		r = copy_strv(&ret->dns_searches, from->searches, from->n_searches);
	if (r >= 0)
		r = copy_strv(&ret->dns_options, from->options, from->n_options);
	return r;
}

int nomad__task_info_of(const Pb__TaskConfig *config, struct nomad_task_info *ret, struct nomad_error **err)
{
	struct nomad_task_info info = { 0 };
	int r;

	if (!config || !*config->id)
		return nomad_error_set(err, EINVAL, "read the task: no id");
	/* Every path of the task is below it, and drivers are promised absolute ones. */
	if (*config->alloc_dir && *config->alloc_dir != '/')
		return nomad_error_set(err, EINVAL, "read task '%s': alloc_dir '%s': not an absolute path", config->id,
				       config->alloc_dir);
	r = strings(config, &info);
	if (r >= 0)
		r = copy_map(&info.env, config->env, config->n_env);
	if (r >= 0)
		r = parent_of(&info);
	if (r >= 0)
		r = copy_map(&info.device_env, (string_entry **)config->device_env, config->n_device_env);
	if (r >= 0 && config->resources)
		r = resources(config->resources, &info.resources);
	if (r >= 0)
		r = mounts(config, &info);
	if (r >= 0)
		r = devices(config, &info);
	if (r >= 0 && config->dns)
		r = dns(config->dns, &info);
	if (r >= 0 && config->network_isolation_spec)
		r = isolation(config->network_isolation_spec, &info.network);
	if (r < 0) {
		nomad__task_info_done(&info);
		return nomad_error_errno(err, -r, "read task '%s'", config->id);
	}
	*ret = info;
	return 0;
}

int64_t nomad__duration_ns(const Pb__Duration *duration)
{
	int64_t ns;

	if (!duration)
		return 0;
	if (__builtin_mul_overflow(duration->seconds, INT64_C(1000000000), &ns) ||
	    __builtin_add_overflow(ns, (int64_t)duration->nanos, &ns))
		return duration->seconds < 0 ? INT64_MIN : INT64_MAX;
	return ns;
}

/* ---- To the wire ---- */

void nomad__timestamp_of(int64_t time_ns, Pb__Timestamp *ret)
{
	int64_t seconds = time_ns / 1000000000, nanos = time_ns % 1000000000;

	if (nanos < 0) {
		nanos += 1000000000;
		seconds--;
	}
	pb__timestamp__init(ret);
	ret->seconds = time_ns == 0 ? GO_NO_TIME : seconds;
	ret->nanos = time_ns == 0 ? 0 : (int32_t)nanos;
}

void nomad__exit_result_of(const struct nomad_exit *exit, Pb__ExitResult *ret)
{
	pb__exit_result__init(ret);
	ret->exit_code = exit->exit_code;
	ret->signal = exit->signal;
	ret->oom_killed = exit->oom_killed;
}

int nomad__map_entries(const struct nomad_map *map, const ProtobufCMessageDescriptor *type, void *ret_entries,
		       size_t *ret_n)
{
	string_entry **pointers, *entries;

	if (!map || map->count == 0) {
		*(void **)ret_entries = NULL;
		*ret_n = 0;
		return 0;
	}
	pointers = calloc(map->count, sizeof(*pointers) + sizeof(*entries));
	if (!pointers)
		return -ENOMEM;
	entries = (string_entry *)(pointers + map->count);
	for (size_t i = 0; i < map->count; i++) {
		protobuf_c_message_init(type, &entries[i]);
		entries[i].key = map->pairs[i].key;
		entries[i].value = map->pairs[i].value;
		pointers[i] = &entries[i];
	}
	*(void **)ret_entries = pointers;
	*ret_n = map->count;
	return 0;
}

Pb__NetworkIsolationSpec *nomad__isolation_message(const struct nomad_network_isolation *from)
{
	struct message {
		Pb__NetworkIsolationSpec spec;
		Pb__HostsConfig hosts;
	} *m = calloc(1, sizeof(*m));

	if (!m)
		return NULL;
	pb__network_isolation_spec__init(&m->spec);
	pb__hosts_config__init(&m->hosts);
	m->spec.mode = from->mode == NOMAD_NET_GROUP  ? PB__NETWORK_ISOLATION_SPEC__NETWORK_ISOLATION_MODE__GROUP
		       : from->mode == NOMAD_NET_TASK ? PB__NETWORK_ISOLATION_SPEC__NETWORK_ISOLATION_MODE__TASK
		       : from->mode == NOMAD_NET_NONE ? PB__NETWORK_ISOLATION_SPEC__NETWORK_ISOLATION_MODE__NONE
						      : PB__NETWORK_ISOLATION_SPEC__NETWORK_ISOLATION_MODE__HOST;
	if (from->path)
		m->spec.path = from->path;
	if (from->hosts_hostname || from->hosts_address) {
		m->spec.hostsconfig = &m->hosts;
		if (from->hosts_hostname)
			m->hosts.hostname = from->hosts_hostname;
		if (from->hosts_address)
			m->hosts.address = from->hosts_address;
	}
	if (nomad__map_entries(&from->labels, &pb__network_isolation_spec__labels_entry__descriptor, &m->spec.labels,
			       &m->spec.n_labels) < 0) {
		free(m);
		return NULL;
	}
	return &m->spec;
}

void nomad__isolation_message_free(Pb__NetworkIsolationSpec *spec)
{
	if (!spec)
		return;
	free(spec->labels);
	free(spec);
}
