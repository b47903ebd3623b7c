/* SPDX-License-Identifier: MPL-2.0
 *
 * The driver table and the life of a task.
 *
 *	Nomad --gRPC--> nomad-driver-build --exec--> supervisor --exec-->
 *		nomad-driver-build build-steps PLAN EVENTS (step.c) --exec--> buildah, in a jail
 *
 * start() turns a job's options into a plan (planner.c) and writes it to a
 * file; the rest happens in the process of the task, which goes on whatever
 * becomes of the plugin.
 * What a task leaves on the host is one directory below storage_root and, if
 * it is killed while it writes, the beginning of an archive: both recorded
 * before they are made, and taken away by destroy(). */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cache.h"
#include "driver.h"
#include "host.h"
#include "plan.h"

/* ---- Start ---- */

static int run(struct nomad_task *task, const struct build_plan *plan, const struct nomad_map *env,
	       struct nomad_error **err)
{
	const struct build_config *config = nomad_task_config(task);
	struct build_data *data = nomad_plugin_data(nomad_task_plugin(task));
	/* By the plugin's own entry: it is the right file, even if another was put in its place meanwhile. */
	NOMAD_AUTO_FREE char *self = nomad_strdupf("/proc/%d/exe", (int)getpid());
	NOMAD_AUTO_FREE char *file = nomad_strdupf("%s/plan", nomad_task_state_dir(task));
	NOMAD_AUTO_FREE char *events = nomad_strdupf("%s/events", nomad_task_state_dir(task));
	const char *argv[] = { self, BUILD_STEP_WORD, file, events, NULL };
	/* An OCI runtime makes bind mounts on which device files work again. */
	bool oci = strcmp(config->isolation, "oci") == 0;
	struct nomad_device tun = { .host_path = (char *)(uintptr_t) "/dev/net/tun" }; /* of slirp4netns */
	int r;

	if (!self || !file || !events)
		return nomad_error_errno(err, ENOMEM, "prepare the build");
	r = build_plan_write(plan, file, err);
	if (r < 0)
		return r;
	r = build_events_follow(data->events, nomad_task_id(task), events);
	if (r < 0)
		return nomad_error_errno(err, -r, "open '%s'", events);
	return nomad_task_run(task,
			      &(struct nomad_command){
				      .argv = argv,
				      .env = env,
				      .cwd = "/",
				      .user = "", /* the engine runs as root */
				      .pids_max = nomad_task_limit(task, "pids_limit", config->pids_limit),
				      .pids_if_possible = config->pids_limit <= 0,
				      .device_policy = oci ? NOMAD_DEVICES_LISTED : NOMAD_DEVICES_ANY,
				      .devices = &tun,
				      .n_devices = plan->slirp ? 1 : 0,
			      },
			      err);
}

static int remove_traces(struct nomad_task *task, struct nomad_error **err)
{
	const char *work = nomad_task_get(task, "work");
	char key[32];
	unsigned i;
	int r;

	for (i = 0; i < 16; i++) {
		const char *partial;

		snprintf(key, sizeof(key), "partial.%u", i);
		partial = nomad_task_get(task, key);
		if (partial)
			(void)unlink(partial);
	}
	r = work ? build_tree_remove(work) : 0;
	return r < 0 ? nomad_error_errno(err, -r, "remove '%s'", work) : 0;
}

static int build_start(struct nomad_task *task, struct nomad_error **err)
{
	struct build_data *data = nomad_plugin_data(nomad_task_plugin(task));
	struct build_plan plan = { 0 };
	struct nomad_map env = { 0 }; /* of the process: secrets */
	struct nomad_error *why = NULL;
	int r = build_plan_make(task, &plan, &env, &why);

	if (r >= 0)
		r = run(task, &plan, &env, &why);
	if (r < 0) {
		build_events_finish(data->events, nomad_task_id(task));
		(void)remove_traces(task, NULL);
		(void)nomad_error_wrap(&why, "start build");
		*err = why;
	}
	for (size_t i = 0; i < env.count; i++)
		explicit_bzero(env.pairs[i].value, strlen(env.pairs[i].value));
	nomad_map_done(&env);
	build_plan_done(&plan);
	return r;
}

/* ---- Later ---- */

static int build_recover(struct nomad_task *task, struct nomad_error **err)
{
	struct build_data *data = nomad_plugin_data(nomad_task_plugin(task));
	NOMAD_AUTO_FREE char *events = nomad_strdupf("%s/events", nomad_task_state_dir(task));
	int r = events ? build_events_follow(data->events, nomad_task_id(task), events) : -ENOMEM;

	return r < 0 ? nomad_error_errno(err, -r, "follow the events of the build") : 0;
}

static int build_destroy(struct nomad_task *task, struct nomad_error **err)
{
	struct nomad_plugin *plugin = nomad_task_plugin(task);
	const struct build_plugin_config *site = nomad_plugin_config(plugin);
	struct build_data *data = nomad_plugin_data(plugin);
	const struct build_config *config = nomad_task_config(task);

	build_events_finish(data->events, nomad_task_id(task));
	if (!config || config->cache)
		build_cache_collect(data->base, &(struct build_cache_limits){ .max = (uint64_t)site->cache_mb << 20,
									      .max_age = site->cache_max_age * 3600 });
	return remove_traces(task, err);
}

static int build_inspect(struct nomad_task *task, struct nomad_map *attributes, struct nomad_error **err)
{
	const struct build_data *data = nomad_plugin_data(nomad_task_plugin(task));
	const char *work = nomad_task_get(task, "work");

	if (nomad_map_set(attributes, "engine", data->host.engine.path ? data->host.engine.path : "") < 0 ||
	    nomad_map_set(attributes, "storage", work ? work : "") < 0)
		return nomad_error_errno(err, ENOMEM, "inspect the task");
	return 0;
}

/* ---- The plugin ---- */

static void build_fini(struct nomad_plugin *plugin, void *arg)
{
	struct build_data *data = arg;

	(void)plugin;
	if (!data)
		return;
	build_events_free(data->events);
	build_host_done(&data->host);
	free(data->base);
	free(data);
}

static int build_init(struct nomad_plugin *plugin, void **ret_data, struct nomad_error **err)
{
	const struct build_plugin_config *config = nomad_plugin_config(plugin);
	struct build_data *data = calloc(1, sizeof(*data));

	if (!data)
		return nomad_error_errno(err, ENOMEM, "initialise");
	data->plugin = plugin;
	data->base = build_base_dir(config, nomad_plugin_state_dir(plugin));
	if (data->base)
		build_host_find(config, data->base, &data->host);
	data->events = build_events_new(plugin);
	if (!data->base || !data->events) {
		build_fini(plugin, data);
		return nomad_error_errno(err, ENOMEM, "initialise");
	}
	*ret_data = data;
	return 0;
}

static const struct nomad_driver_command commands[] = {
	{ "cache", "[list [--json]|size|drop NAME|verify [NAME]] [--config FILE]",
	  "list the caches of builds, show what they take, remove one, or compare layers with their digests",
	  build_cache_command },
	{ 0 },
};

const struct nomad_driver build_driver = {
	.name = "build",
	.version = NOMAD_VERSION,
	.summary = "container images, built by buildah",
	.capabilities = NOMAD_CAN_SIGNAL | NOMAD_JOIN_GROUP_NETWORK | NOMAD_NO_VOLUMES,
	.fs_isolation = NOMAD_FS_IMAGE,
	.config_schema = &build_plugin_schema,
	.task_schema = &build_task_schema,
	.init = build_init,
	.fini = build_fini,
	.fingerprint = build_fingerprint,
	.start = build_start,
	.recover = build_recover,
	.destroy = build_destroy,
	.inspect = build_inspect,
	.commands = commands,
};
