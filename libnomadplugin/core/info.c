/* SPDX-License-Identifier: MPL-2.0
 *
 * Copies and ends of the plain structs of nomad/task.h and core/core.h. */
#include "core/core.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void nomad__network_isolation_done(struct nomad_network_isolation *spec)
{
	free(spec->path);
	free(spec->hosts_hostname);
	free(spec->hosts_address);
	nomad_map_done(&spec->labels);
	*spec = (struct nomad_network_isolation){ 0 };
}

static void ports_done(struct nomad_port *ports, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		free(ports[i].label);
		free(ports[i].host_ip);
	}
	free(ports);
}

static void resources_done(struct nomad_resources *resources)
{
	free(resources->cpuset_cpus);
	free(resources->cpuset_cgroup);
	ports_done(resources->ports, resources->n_ports);
	for (size_t i = 0; i < resources->n_networks; i++) {
		struct nomad_network_resource *network = &resources->networks[i];

		free(network->device);
		free(network->cidr);
		free(network->ip);
		ports_done(network->reserved_ports, network->n_reserved_ports);
		ports_done(network->dynamic_ports, network->n_dynamic_ports);
	}
	free(resources->networks);
}

void nomad__task_info_done(struct nomad_task_info *info)
{
	if (!info)
		return;
	free(info->id);
	free(info->name);
	free(info->alloc_id);
	free(info->task_group_name);
	free(info->job_id);
	free(info->parent_job_id);
	free(info->job_name);
	free(info->namespace_name);
	free(info->node_id);
	free(info->node_name);
	free(info->user);
	free(info->alloc_dir);
	free(info->stdout_path);
	free(info->stderr_path);
	nomad_map_done(&info->env);
	nomad_map_done(&info->device_env);
	resources_done(&info->resources);
	for (size_t i = 0; i < info->n_mounts; i++) {
		free(info->mounts[i].task_path);
		free(info->mounts[i].host_path);
		free(info->mounts[i].propagation_mode);
		free(info->mounts[i].selinux_label);
		free(info->mounts[i].request_name);
	}
	free(info->mounts);
	for (size_t i = 0; i < info->n_devices; i++) {
		free(info->devices[i].task_path);
		free(info->devices[i].host_path);
		free(info->devices[i].cgroup_permissions);
	}
	free(info->devices);
	nomad_strv_free(info->dns_servers);
	nomad_strv_free(info->dns_searches);
	nomad_strv_free(info->dns_options);
	nomad__network_isolation_done(&info->network);
	*info = (struct nomad_task_info){ 0 };
}

void nomad__started_done(struct nomad__started *started)
{
	free(started->driver_state);
	free(started->addr);
	nomad_int_map_done(&started->port_map);
	*started = (struct nomad__started){ 0 };
}

void nomad__inspect_done(struct nomad__inspect *inspect)
{
	free(inspect->id);
	free(inspect->name);
	free(inspect->result.message);
	nomad_map_done(&inspect->attributes);
	nomad__started_done(&inspect->network);
	*inspect = (struct nomad__inspect){ 0 };
}

/* On one line: of several, resolvers read the last. */
static void put_words(FILE *out, const char *keyword, char *const *words)
{
	if (!words || !words[0])
		return;
	fputs(keyword, out);
	for (; *words; words++)
		fprintf(out, " %s", *words);
	fputc('\n', out);
}

char *nomad_resolv_conf(const struct nomad_task_info *info)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);
	bool failed;

	if (!out)
		return NULL;
	for (char *const *s = info->dns_servers; s && *s; s++)
		fprintf(out, "nameserver %s\n", *s);
	put_words(out, "search", info->dns_searches);
	put_words(out, "options", info->dns_options);
	failed = ferror(out);
	if (fclose(out) == 0 && !failed)
		return text;
	free(text);
	return NULL;
}

const struct nomad_port *nomad_port_find(const struct nomad_resources *resources, const char *label)
{
	for (size_t i = 0; i < resources->n_ports; i++)
		if (resources->ports[i].label && strcmp(resources->ports[i].label, label) == 0)
			return &resources->ports[i];
	return NULL;
}
