/* SPDX-License-Identifier: MPL-2.0
 *
 * The start of a task: find the image, say what is in the container
 * (files.c), connect it (network.c), and run the command that argv.c makes
 * of it.  What is made is recorded first; a start that fails undoes it. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "command.h"
#include "docker.h"
#include "download.h"
#include "layer.h"
#include "start.h"
#include "tool.h"

/* One that the driver has downloaded itself needs no rule. */
static int judge_image(struct nspawn_start *s, const char *path, struct nomad_error **err)
{
	NOMAD_AUTO_FREE char *dir = nspawn_images_dir(nomad_task_plugin(s->task));
	NOMAD_AUTO_FREE char *real = dir ? realpath(dir, NULL) : NULL;
	size_t n = real ? strlen(real) : 0;

	if (n && strncmp(path, real, n) == 0 && path[n] == '/')
		return 0;
	return nomad_task_may(s->task, "image", path, err);
}

/* A layout of this host, oci:PATH[:TAG], is an image of this host. */
static int judge_source(struct nspawn_start *s, struct nomad_error **err)
{
	const char *url = s->config->image_download->url, *tag = strrchr(url, ':');
	NOMAD_AUTO_FREE char *path = NULL, *real = NULL;

	if (strcmp(s->config->image_download->type, "docker") != 0 || strncmp(url, "oci:", 4) != 0)
		return 0;
	path = strndup(url + 4, tag > url + 4 && !strchr(tag, '/') ? (size_t)(tag - url - 4) : strlen(url + 4));
	real = path ? realpath(path, NULL) : NULL;
	if (!real)
		return nomad_error_errno(err, errno, "download '%s'", url);
	return judge_image(s, real, err);
}

/* What an artifact or a template of this task has made. */
static int find_own(struct nspawn_start *s, struct nomad_error **err)
{
	const char *local = nomad_task_local_dir(s->task), *shared = nomad_task_shared_dir(s->task);
	const char *const names[] = { "local", nspawn_env_path(&s->info->env, "NOMAD_TASK_DIR", "/local"), "alloc",
				      nspawn_env_path(&s->info->env, "NOMAD_ALLOC_DIR", "/alloc"), NULL };
	const char *const dirs[] = { local, local, shared, shared };

	return nspawn_image_find_own(s->config->image, names, dirs, &s->image, err);
}

static int find_image(struct nspawn_start *s, struct nomad_error **err)
{
	NOMAD_AUTO_FREE char *dir = nspawn_images_dir(nomad_task_plugin(s->task));
	struct nomad_error *missing = NULL;
	int r;

	if (!dir)
		return nomad_error_errno(err, ENOMEM, "find the image");
	r = s->config->image_download ? 0 : find_own(s, err);
	if (r)
		return r < 0 ? r : 0;
	if (!s->config->image_download)
		return nspawn_image_find(s->config->image, NULL, NULL, dir, &s->image, err);
	/* One that somebody put there by hand is as good, unless force says otherwise. */
	if (!s->config->image_download->force && !s->config->force_pull) {
		r = nspawn_image_find(s->config->image, NULL, NULL, NULL, &s->image, &missing);
		nomad_error_free(missing);
		if (r >= 0)
			return 0;
	}
	r = judge_source(s, err);
	if (r >= 0)
		r = nspawn_download(s->task, dir, s->config, s->site, err);
	return r < 0 ? r : nspawn_image_find(s->config->image, dir, NULL, dir, &s->image, err);
}

static int find_bundle(struct nspawn_start *s, struct nomad_error **err)
{
	NOMAD_AUTO_FREE char *config = nomad_strdupf("%s/config.json", s->image.path), *root = NULL;
	struct nspawn_image image;
	int r;

	if (!config)
		return nomad_error_errno(err, ENOMEM, "read the bundle");
	r = nspawn_oci_read(config, &s->oci, err);
	if (r < 0)
		return r;
	root = !s->oci.root	     ? nomad_strdupf("%s/rootfs", s->image.path)
	       : *s->oci.root == '/' ? strdup(s->oci.root)
				     : nomad_strdupf("%s/%s", s->image.path, s->oci.root);
	if (!root)
		return nomad_error_errno(err, ENOMEM, "read the bundle");
	r = nspawn_image_find(root, NULL, NULL, NULL, &image, err);
	if (r < 0)
		return nomad_error_wrap(err, "root of bundle '%s'", s->config->image);
	r = judge_image(s, image.path, err);
	if (r < 0) {
		nspawn_image_done(&image);
		return r;
	}
	nspawn_image_done(&s->image);
	s->image = image;
	return 0;
}

/* From their names to their places, beside the image. */
static int find_layers(struct nspawn_start *s, const char *image, struct nomad_error **err)
{
	NOMAD_AUTO_FREE char *dir = strndup(image, (size_t)(strrchr(image, '/') - image));

	if (s->oci.layers && !nspawn_overlays(s->config))
		return nomad_error_set(err, EINVAL,
				       "option 'root': image '%s' is made of layers that others share; use root = "
				       "\"sticky\"",
				       s->config->image);
	for (char **l = s->oci.layers; l && *l; l++) {
		char *path = dir ? nspawn_layer_path(dir, *l) : NULL;

		if (!path)
			return nomad_error_errno(err, ENOMEM, "find the image");
		free(*l);
		*l = path;
	}
	return 0;
}

/* An image of a registry, downloaded by this task or by another before. */
static int find_container_config(struct nspawn_start *s, struct nomad_error **err)
{
	NOMAD_AUTO_FREE char *dir = nspawn_images_dir(nomad_task_plugin(s->task));
	NOMAD_AUTO_FREE char *config = dir ? nspawn_download_config(dir, s->config->image) : NULL;
	NOMAD_AUTO_FREE char *path = dir ? nomad_strdupf("%s/%s", dir, s->config->image) : NULL;
	NOMAD_AUTO_FREE char *real = path ? realpath(path, NULL) : NULL;
	int r;

	if (!config)
		return nomad_error_errno(err, ENOMEM, "find the image");
	if (strchr(s->config->image, '/') || !real || strcmp(real, s->image.path) != 0 || access(config, R_OK))
		return 0;
	r = nspawn_oci_read(config, &s->oci, err);
	/* Made up by the tool that unpacked it. */
	free(s->oci.hostname);
	s->oci.hostname = NULL;
	s->oci.no_new_privileges = s->oci.read_only = false;
	return r < 0 ? r : find_layers(s, real, err);
}

static int find_all(struct nspawn_start *s, struct nomad_error **err)
{
	NOMAD_AUTO_STRV char **command = NULL;
	char signal[12];
	int r = find_image(s, err);

	if (r >= 0)
		r = judge_image(s, s->image.path, err);
	if (r >= 0)
		r = s->config->oci_bundle ? find_bundle(s, err) : find_container_config(s, err);
	if (r >= 0 && nspawn_command(s->config, &s->oci, &command) < 0)
		r = nomad_error_errno(err, ENOMEM, "find the command");
	if (r >= 0 && s->oci.stop_signal) {
		snprintf(signal, sizeof(signal), "%d", s->oci.stop_signal);
		r = nomad_task_put(s->task, "stop_signal", signal, err);
	}
	if (r >= 0 && !s->config->boot && !*command)
		r = nomad_error_set(err, EINVAL, "image '%s' says no command: set command", s->config->image);
	return r;
}

static int prepare(struct nspawn_start *s, struct nomad_error **err)
{
	const struct nspawn_host *host = &s->data->host;
	int r;

	if (!s->site->enabled)
		return nomad_error_set(err, EACCES, "the driver is disabled on this client");
	if (!host->nspawn)
		return nomad_error_set(err, ENOENT,
				       "systemd-nspawn is not installed; install the package systemd-container");
	if (host->version && host->version < NSPAWN_SYSTEMD_MIN)
		return nomad_error_set(err, EOPNOTSUPP, "systemd %d is older than %d: update systemd", host->version,
				       NSPAWN_SYSTEMD_MIN);
	r = nspawn_config_check_version(s->config, host->version, err);
	if (r >= 0)
		r = find_all(s, err);
	if (r < 0)
		return r;
	s->machine = (struct nspawn_machine){
		.version = host->version,
		.nspawn = host->nspawn,
		.name = nomad_task_slug(s->task),
		.uuid = s->info->alloc_id,
		.image = s->image.path,
		.image_kind = s->image.kind,
		.init = s->data->init,
		.state_dir = nomad_task_state_dir(s->task),
		.user = s->info->user && *s->info->user ? s->info->user : NULL,
		.oci = &s->oci,
		.limit_devices = host->cgroup2,
	};
	s->machine.users = nspawn_users_wanted(s->config);
	r = nspawn_users_take(s->task, &s->machine.users, err);
	if (r < 0)
		return r;
	if (nspawn_shifts(s->config)) {
		s->machine.idmap_state = nspawn_can_idmap(s->data, s->machine.state_dir, false);
		/* What a raw image holds is not known before it is mounted: ext4, xfs, btrfs and the like can. */
		s->machine.idmap_image = s->image.kind == NSPAWN_RAW || nspawn_can_idmap(s->data, s->image.path, false);
	}
	r = nspawn_layer_make(s, err);
	if (r >= 0)
		r = nspawn_bind_all(s, err);
	if (r >= 0)
		r = nspawn_make_spec(s, err);
	return r;
}

static int connect_network(struct nspawn_start *s, struct nomad_error **err)
{
	int r = nspawn_network_plan(s->config, s->info, nomad_task_slug(s->task), &s->network, err);

	if (r >= 0 && s->network.kind == NSPAWN_NET_HOST)
		r = nomad_task_may(s->task, "network_veth", "false", err);
	if (r < 0)
		return r;
	r = nspawn_check_sysctls(s, err);
	if (r < 0)
		return r;
	s->machine.own_network = s->network.kind == NSPAWN_NET_OWN;
	if (s->network.kind == NSPAWN_NET_JOINED && nspawn_userns(s->config))
		return nspawn_tool_run((const char *const[]){ s->data->init, "open-netns", s->network.netns, NULL },
				       &(struct nspawn_tool){ .what = "prepare the network of the group" }, NULL,
				       err) < 0
			       ? -EIO
			       : 0;
	if (!s->machine.own_network)
		return 0;
	r = nspawn_network_make(s->task, s->site, &s->network, s->config, err);
	s->machine.peer = s->network.peer[0] ? s->network.peer : NULL;
	if (r >= 0 && s->network.address[0] &&
	    nomad_task_set_network(s->task, s->network.address, false, &s->config->port_map) < 0)
		r = nomad_error_errno(err, ENOMEM, "report the address");
	if (s->network.address[0]) {
		s->machine.dhcp_link = s->network.bridge[0] ? s->network.bridge : s->network.link;
		s->machine.address = s->network.address;
		s->machine.gateway = s->network.gateway;
		s->machine.bits = s->network.bits;
		s->machine.address6 = s->network.address6[0] ? s->network.address6 : NULL;
		s->machine.gateway6 = s->network.gateway6;
	}
	return r < 0 ? r : nspawn_make_network_file(s, err);
}

static int run(struct nspawn_start *s, struct nomad_error **err)
{
	/* Nothing of the task's: systemd-nspawn shows its own environment to PID 1. */
	const bool host_ipc = strcmp(s->config->ipc_mode, "host") == 0;
	struct nomad_pair pairs[] = {
		{ (char *)"PATH", (char *)"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" },
		{ (char *)"LANG", (char *)"C.UTF-8" },
		{ (char *)"SYSTEMD_NSPAWN_SHARE_NS_IPC", (char *)"1" },
	};
	struct nomad_map env = { pairs, NOMAD_ARRAY_LEN(pairs) - !host_ipc };
	int r = nspawn_argv(s->config, &s->machine, &s->argv, err);

	if (r < 0)
		return r;
	return nomad_task_run(s->task,
			      &(struct nomad_command){
				      .argv = (const char *const *)s->argv,
				      .env = &env,
				      .cwd = "/",
				      .user = "", /* the job's is one of the container's */
				      .netns = s->network.netns ? s->network.netns : "",
				      .notify = true,
				      .event_prefix = "Container running: nomad ",
				      .leader_key = "X_NSPAWN_LEADER_PID",
				      .ready_timeout_ms = s->config->notify_ready ? 300000 : 60000,
				      .pids_max = nomad_task_limit(s->task, "pids_limit", s->config->pids_limit),
				      /* The policy's own bound asks for no controller that the host lacks. */
				      .pids_if_possible = s->config->pids_limit <= 0,
				      .cpu_hard_limit = s->config->cpu_hard_limit,
				      .cpu_period_us = s->config->cpu_cfs_period,
				      .oom_score_adj = (int)s->config->oom_score_adj,
				      .exec_broker = true,
				      .exit_channel = true,
			      },
			      err);
}

int nspawn_start(struct nomad_task *task, struct nomad_error **err)
{
	struct nomad_plugin *plugin = nomad_task_plugin(task);
	struct nspawn_start s = {
		.task = task,
		.info = nomad_task_info(task),
		.config = nomad_task_config(task),
		.site = nomad_plugin_config(plugin),
		.data = nomad_plugin_data(plugin),
		.spec_fd = -1,
	};
	int r = prepare(&s, err);

	if (r >= 0)
		r = connect_network(&s, err);
	if (r >= 0)
		r = nspawn_make_resolv_conf(&s, err);
	if (r >= 0)
		r = nspawn_make_names(&s, err);
	if (r >= 0)
		r = run(&s, err);
	if (r < 0)
		(void)nspawn_destroy(task, NULL);
	else
		nspawn_machined_register(task, s.image.path);
	if (s.spec_fd >= 0)
		close(s.spec_fd);
	nspawn_machine_done(&s.machine);
	nspawn_network_done(&s.network);
	nspawn_image_done(&s.image);
	nspawn_oci_done(&s.oci);
	nomad_strv_free(s.argv);
	free(s.spec_path);
	free(s.resolv_conf);
	free(s.layer);
	free(s.sticky);
	return r;
}
