/* SPDX-License-Identifier: MPL-2.0
 *
 * What users of docker's and podman's drivers write, and what it is here.
 * MOVING.md tells each of their options. */
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "docker.h"

/* ---- volumes, mount ---- */

const char *nspawn_check_volume(const char *value)
{
	const char *inside = strchr(value, ':'), *mode = inside ? strchr(inside + 1, ':') : NULL;

	if (!inside || inside == value || inside[1] != '/' ||
	    (mode && strcmp(mode, ":ro") != 0 && strcmp(mode, ":rw") != 0))
		return "SOURCE:TARGET, SOURCE:TARGET:ro or SOURCE:TARGET:rw, where TARGET is absolute";
	return NULL;
}

/* A relative source is in the directory of the task. */
static int bind_source(struct nspawn_start *s, const char *source, const char *target, bool read_only,
		       struct nomad_error **err)
{
	NOMAD_AUTO_FREE char *path =
		*source == '/' ? strdup(source) : nomad_strdupf("%s/%s", nomad_task_dir(s->task), source);

	if (!path)
		return nomad_error_errno(err, ENOMEM, "bind '%s'", source);
	return nspawn_bind_judged(s, read_only ? "bind_read_only" : "bind", path, target, read_only, err);
}

static int bind_volume(struct nspawn_start *s, const char *volume, struct nomad_error **err)
{
	NOMAD_AUTO_FREE char *source = strdup(volume);
	char *target = source ? strchr(source, ':') : NULL, *mode;

	if (!target)
		return nomad_error_errno(err, ENOMEM, "bind '%s'", volume);
	*target++ = 0;
	mode = strchr(target, ':');
	if (mode)
		*mode++ = 0;
	return bind_source(s, source, target, mode && strcmp(mode, "ro") == 0, err);
}

int nspawn_bind_docker(struct nspawn_start *s, struct nomad_error **err)
{
	const struct nspawn_mount *mounts = s->config->mount.items;
	size_t i;
	int r = 0;

	for (i = 0; s->config->volumes && s->config->volumes[i] && r >= 0; i++)
		r = bind_volume(s, s->config->volumes[i], err);
	for (i = 0; i < s->config->mount.count && r >= 0; i++)
		if (strcmp(mounts[i].type, "bind") == 0)
			r = bind_source(s, mounts[i].source, mounts[i].target, mounts[i].readonly, err);
	return r;
}

/* ---- extra_hosts ---- */

const char *nspawn_check_extra_host(const char *value)
{
	static const char expected[] = "NAME:ADDRESS, where ADDRESS is of IPv4 or IPv6";
	size_t n = strcspn(value, ":"), i;
	unsigned char address[16];

	for (i = 0; i < n; i++)
		if (!isalnum((unsigned char)value[i]) && !strchr(".-_", value[i]))
			return expected;
	if (!n || !value[n] ||
	    (inet_pton(AF_INET, value + n + 1, address) != 1 && inet_pton(AF_INET6, value + n + 1, address) != 1))
		return expected;
	return NULL;
}

void nspawn_write_extra_hosts(const struct nspawn_config *config, FILE *out)
{
	for (size_t i = 0; config->extra_hosts && config->extra_hosts[i]; i++) {
		const char *line = config->extra_hosts[i];
		int n = (int)strcspn(line, ":");

		fprintf(out, "%s %.*s\n", line + n + 1, n, line);
	}
}

/* ---- sysctl ---- */

bool nspawn_is_sysctl(const char *name, bool own_network, bool own_ipc)
{
	static const char *const prefixes[] = { "kernel.shm", "kernel.msg", "kernel.sem", "fs.mqueue." };
	size_t i;

	for (i = 0; name[i]; i++)
		if (!isalnum((unsigned char)name[i]) && !strchr("._-", name[i]))
			return false;
	if (strstr(name, ".."))
		return false;
	if (own_network && strncmp(name, "net.", 4) == 0)
		return true;
	for (i = 0; own_ipc && i < NOMAD_ARRAY_LEN(prefixes); i++)
		if (strncmp(name, prefixes[i], strlen(prefixes[i])) == 0)
			return true;
	return false;
}

int nspawn_check_sysctls(const struct nspawn_start *s, struct nomad_error **err)
{
	const struct nomad_map *map = &s->config->sysctl;

	for (size_t i = 0; i < map->count; i++) {
		if (!nspawn_is_sysctl(map->pairs[i].key, s->network.kind == NSPAWN_NET_OWN,
				      strcmp(s->config->ipc_mode, "private") == 0))
			return nomad_error_set(err, EINVAL,
					       "option 'sysctl': '%s' is not the container's own: use kernel.shm*, "
					       "kernel.msg*, kernel.sem, fs.mqueue.* or, with a network of its own, "
					       "net.*",
					       map->pairs[i].key);
		if (strchr(map->pairs[i].value, '\n'))
			return nomad_error_set(err, EINVAL, "option 'sysctl': the value of '%s' has several lines",
					       map->pairs[i].key);
	}
	return 0;
}
