/* SPDX-License-Identifier: MPL-2.0
 *
 * Facts about the host.  No D-Bus: what we want to know stands in files. */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "host.h"
#include "tool.h"

int nspawn_parse_version(const char *text)
{
	if (strncmp(text, "systemd ", 8) != 0 || !isdigit((unsigned char)text[8]))
		return 0;
	return atoi(text + 8);
}

void nspawn_host_find(struct nspawn_host *host)
{
	bool booted = !access("/run/systemd/system", F_OK) && !access("/run/dbus/system_bus_socket", F_OK);
	NOMAD_AUTO_FREE char *text = NULL;

	*host = (struct nspawn_host){ .nspawn = nomad_tool_find("systemd-nspawn") };
	if (host->nspawn && nspawn_tool_run((const char *const[]){ host->nspawn, "--version", NULL },
					    &(struct nspawn_tool){ .timeout_ms = 5000 }, &text, NULL) >= 0)
		host->version = nspawn_parse_version(text);
	host->machined = booted && (!access("/usr/lib/systemd/systemd-machined", X_OK) ||
				    !access("/lib/systemd/systemd-machined", X_OK));
	host->cgroup2 =
		!access("/sys/fs/cgroup/cgroup.procs", F_OK) || !access("/sys/fs/cgroup/unified/cgroup.procs", F_OK);
	host->networkd = booted && !access("/run/systemd/netif/state", F_OK);
}

void nspawn_host_done(struct nspawn_host *host)
{
	free(host->nspawn);
	host->nspawn = NULL;
}

int nspawn_data_new(const char *state_dir, struct nspawn_data **ret, struct nomad_error **err)
{
	struct nspawn_data *data = calloc(1, sizeof(*data));
	pthread_condattr_t attr;
	int r;

	if (!data)
		return nomad_error_errno(err, ENOMEM, "start");
	pthread_mutex_init(&data->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&data->registered, &attr);
	pthread_condattr_destroy(&attr);
	nspawn_host_find(&data->host);
	r = nspawn_init_write(state_dir, &data->init, err);
	if (r < 0) {
		nspawn_data_free(data);
		return r;
	}
	*ret = data;
	return 0;
}

void nspawn_data_free(struct nspawn_data *data)
{
	if (!data || !nspawn_machined_finish(data))
		return;
	nspawn_host_done(&data->host);
	pthread_cond_destroy(&data->registered);
	pthread_mutex_destroy(&data->lock);
	free(data->init);
	free(data);
}

/* Whether something is mounted below `path`. */
static bool has_mounts_below(const char *path)
{
	FILE *file = fopen("/proc/self/mountinfo", "re");
	size_t n = strlen(path), room = 0;
	NOMAD_AUTO_FREE char *line = NULL;
	bool found = false;
	char *p, *rest;
	int i;

	while (file && !found && getline(&line, &room, file) > 0) {
		rest = line;
		for (i = 0, p = NULL; i < 5; i++)
			p = strsep(&rest, " ");
		found = p && strncmp(p, path, n) == 0 && p[n] == '/';
	}
	if (file)
		fclose(file);
	return found;
}

bool nspawn_can_idmap(struct nspawn_data *data, const char *path, bool whole)
{
	const char *const argv[] = { data->init, "probe", path, NULL };
	struct stat st;
	bool can, known = false;
	size_t i;

	if (stat(path, &st) < 0)
		return false;
	pthread_mutex_lock(&data->lock);
	for (i = 0; i < data->n_idmaps && !known; i++)
		if (data->idmaps[i].device == st.st_dev) {
			can = data->idmaps[i].can;
			known = true;
		}
	pthread_mutex_unlock(&data->lock);
	if (!known) {
		can = nspawn_tool_run(argv, &(struct nspawn_tool){ .timeout_ms = 5000, .status_only = true }, NULL,
				      NULL) == 0;
		pthread_mutex_lock(&data->lock);
		if (data->n_idmaps == NOMAD_ARRAY_LEN(data->idmaps))
			data->n_idmaps = 0; /* device numbers of file systems that are gone */
		data->idmaps[data->n_idmaps++] = (struct nspawn_idmap){ st.st_dev, can };
		pthread_mutex_unlock(&data->lock);
	}
	return can && !(whole && has_mounts_below(path));
}
