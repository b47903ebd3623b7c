/* SPDX-License-Identifier: MPL-2.0
 *
 * nomad-driver-triton: instances of a Triton data centre as Nomad tasks.
 *
 *	Nomad --gRPC--> nomad-driver-triton --HTTPS, signed-----> CloudAPI
 *						  \-HTTPS, client cert-> Docker API
 *
 * Here: the driver's table, and which of the two kinds a call is for.  What
 * users may write is in config.c; the life of a task in life.c, machine.c and
 * container.c; what is left of it in remains.c; who watches it in poller.c.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "nomad/plugin.h"

#include "debts.h"
#include "driver.h"
#include "life.h"

static struct triton_site *site_of(const struct nomad_task *task)
{
	return nomad_plugin_data(nomad_task_plugin(task));
}

static bool is_container(const struct nomad_task *task)
{
	const char *api = nomad_task_get(task, TRITON_RECORD_API);

	return api && strcmp(api, "docker") == 0;
}

/* ---- The plugin ---- */

/* What the poller finds out, on its way to Nomad. */
struct triton_plugin {
	struct triton_site *site;
	struct nomad_plugin *plugin;
};

static int poll_cloud(void *ud, struct triton_cloud *ret, struct nomad_error **err)
{
	struct triton_plugin *self = ud;

	return triton_site_cloud(self->site, ret, err);
}

static int poll_docker(void *ud, struct triton_docker *ret, struct nomad_error **err)
{
	struct triton_plugin *self = ud;

	return triton_site_docker(self->site, ret, err);
}

static void poll_ended(void *ud, const char *task_id, const struct nomad_exit *result)
{
	struct triton_plugin *self = ud;

	(void)nomad_task_exited_by_id(self->plugin, task_id, result);
}

static void log_ended(void *ud, const char *task_id)
{
	struct triton_plugin *self = ud;

	triton_poller_poke(self->site->poller, task_id);
}

static struct triton_plugin self;

static int triton_init(struct nomad_plugin *plugin, void **ret_data, struct nomad_error **err)
{
	static const struct triton_poller_events events = { .cloud = poll_cloud,
							    .docker = poll_docker,
							    .ended = poll_ended };
	NOMAD_AUTO_FREE char *folder = nomad_strdupf("%s/debts", nomad_plugin_state_dir(plugin));
	struct triton_site *site = NULL;
	int r;

	if (!folder)
		return nomad_error_errno(err, ENOMEM, "prepare the driver");
	r = triton_site_new(nomad_plugin_config(plugin), &site, err);
	if (r < 0)
		return r;
	site->hold_folder = nomad_strdupf("%s/pipes", nomad_plugin_state_dir(plugin));
	if (!site->hold_folder) {
		triton_site_free(site);
		return nomad_error_errno(err, ENOMEM, "prepare the driver");
	}
	self = (struct triton_plugin){ .site = site, .plugin = plugin };
	r = triton_poller_new(&events, &self, &site->budget, site->poll_interval_ms, &site->poller, err);
	if (r >= 0)
		r = triton_logs_new(&site->budget, log_ended, &self, &site->logs, err);
	if (r >= 0) {
		triton_poller_set_logs(site->poller, site->logs);
		r = triton_debts_new(site, folder, &site->debts, err);
	}
	if (r < 0) {
		triton_site_free(site);
		return r;
	}
	*ret_data = site;
	return 0;
}

static void triton_fini(struct nomad_plugin *plugin, void *data)
{
	(void)plugin;
	triton_site_free(data);
	triton_stats_forget();
}

/* ---- Fingerprint ---- */

static void look_at_account(struct nomad_fingerprint *fp, struct triton_site *site)
{
	NOMAD_AUTO_ERROR struct nomad_error *err = NULL;
	struct triton_cloud cloud;
	struct triton_answer answer;
	const char *remedy = "correct the driver's configuration or its environment";
	int r;

	r = triton_site_cloud(site, &cloud, &err);
	if (!nomad_fp_check(fp, "key", r >= 0, NOMAD_UNHEALTHY, r < 0 ? nomad_error_message(err) : "", remedy))
		return;
	cloud.retry_ms = 0;
	r = triton_cloud_call(&cloud, "GET", NULL, &answer, &err, "%s", "");
	if (r == -EACCES)
		remedy = "see the message; the driver tries again by itself";
	else
		remedy = "check the address and the network; the driver tries again by itself";
	if (nomad_fp_check(fp, "CloudAPI", r >= 0, NOMAD_UNHEALTHY, r < 0 ? nomad_error_message(err) : "", remedy)) {
		nomad_fp_bool(fp, "cns", json_is_true(json_object_get(answer.json, "triton_cns_enabled")));
		if (!site->datacenter && *answer.datacenter)
			nomad_fp_string(fp, "datacenter", answer.datacenter);
	}
	triton_answer_done(&answer);
}

static void look_at_docker(struct nomad_fingerprint *fp, struct triton_site *site)
{
	NOMAD_AUTO_ERROR struct nomad_error *err = NULL;
	struct triton_docker docker;
	int r = triton_site_docker(site, &docker, &err);

	if (r >= 0) {
		docker.retry_ms = 0;
		r = triton_docker_ping(&docker, &err);
	}
	/* Tasks of the other kind can do without. */
	nomad_fp_check(fp, "Docker API", r >= 0, NOMAD_HEALTHY, r < 0 ? nomad_error_message(err) : "",
		       "needed for tasks with api_type docker_api only");
	nomad_fp_bool(fp, "docker", r >= 0);
}

static void triton_fingerprint(struct nomad_plugin *plugin, struct nomad_fingerprint *fp)
{
	NOMAD_AUTO_ERROR struct nomad_error *err = NULL;
	struct triton_site *shared = nomad_plugin_data(plugin), *own = NULL, *site = shared;

	if (!site && triton_site_new(nomad_plugin_config(plugin), &own, &err) >= 0)
		site = own;
	if (!nomad_fp_check(fp, "memory", site != NULL, NOMAD_UNHEALTHY, err ? nomad_error_message(err) : "",
			    "free some"))
		return;
	if (nomad_fp_check(fp, "url", site->url != NULL, NOMAD_UNDETECTED, "no data centre is configured",
			   "set url, TRITON_URL or SDC_URL") &&
	    nomad_fp_check(fp, "account", site->account != NULL, NOMAD_UNHEALTHY, "no account is configured",
			   "set account, TRITON_ACCOUNT or SDC_ACCOUNT")) {
		nomad_fp_string(fp, "url", site->url);
		nomad_fp_string(fp, "account", site->account);
		if (site->datacenter)
			nomad_fp_string(fp, "datacenter", site->datacenter);
		look_at_account(fp, site);
		look_at_docker(fp, site);
	}
	triton_site_free(own);
}

/* ---- Tasks ---- */

static int triton_start(struct nomad_task *task, struct nomad_error **err)
{
	const struct triton_task *want = nomad_task_config(task);
	struct triton_site *site = site_of(task);

	/* What a start that fails has made the library has destroyed: see triton_destroy(). */
	if (triton_task_api(want) == TRITON_DOCKER)
		return triton_container_start(site, task, want, err);
	return triton_machine_start(site, task, want, err);
}

static int triton_recover(struct nomad_task *task, struct nomad_error **err)
{
	if (!nomad_task_get(task, TRITON_RECORD_INSTANCE))
		return nomad_error_set(err, ENOENT, "the task has no instance: its start was not finished");
	/* No request: what became of it the poller finds out. */
	return triton_watch_task(site_of(task), task, err);
}

static int triton_kill(struct nomad_task *task, struct nomad_error **err)
{
	struct triton_site *site = site_of(task);
	const char *exit = nomad_task_get(task, TRITON_RECORD_EXIT);

	if (is_container(task) && !(exit && strcmp(exit, "deleted") == 0))
		return triton_container_signal(site, task, 9, err);
	return triton_machine_kill(site, task, err);
}

static int triton_stop(struct nomad_task *task, int signal, unsigned timeout_ms, struct nomad_error **err)
{
	const struct triton_task *want = nomad_task_config(task);
	struct triton_site *site = site_of(task);
	int r;

	if (is_container(task)) {
		const char *exit = nomad_task_get(task, TRITON_RECORD_EXIT);

		r = triton_container_stop(site, task, signal, timeout_ms, err);
		/* With exit_strategy deleted to stop is to delete. */
		if (r >= 0 && exit && strcmp(exit, "deleted") == 0)
			r = triton_machine_stop(site, task, err);
		return r;
	}
	r = triton_machine_stop(site, task, err);
	/* A machine takes its time; where the job allows for more than Nomad's kill_timeout, wait here. */
	if (r >= 0 && want && want->stop_timeout > 0 &&
	    triton_poller_wait(site->poller, nomad_task_id(task), want->stop_timeout * 1000) == -ETIMEDOUT)
		r = triton_machine_kill(site, task, err);
	return r;
}

static int triton_signal(struct nomad_task *task, int signal, struct nomad_error **err)
{
	if (is_container(task))
		return triton_container_signal(site_of(task), task, signal, err);
	return nomad_error_set(err, EOPNOTSUPP,
			       "signals are not supported for machines (api_type cloud_api), only for containers");
}

static int triton_destroy_task(struct nomad_task *task, struct nomad_error **err)
{
	return triton_destroy(site_of(task), task, err);
}

static int triton_exec(struct nomad_task *task, struct nomad_exec *exec, struct nomad_error **err)
{
	if (is_container(task))
		return triton_container_exec(site_of(task), task, exec, err);
	return nomad_error_set(
		err, EOPNOTSUPP,
		"running commands is not supported for machines (api_type cloud_api), only for containers; use ssh");
}

static int triton_stats(struct nomad_task *task, struct nomad_stats *ret, struct nomad_error **err)
{
	if (is_container(task))
		return triton_container_stats(site_of(task), task, ret, err);
	/* Without a reason given, none is logged for each machine. */
	return -EOPNOTSUPP;
}

static int triton_inspect(struct nomad_task *task, struct nomad_map *attributes, struct nomad_error **err)
{
	static const struct {
		const char *record, *attribute;
	} shown[] = {
		{ TRITON_RECORD_NAME, "name" },		  { TRITON_RECORD_INSTANCE, "instance" },
		{ TRITON_RECORD_CONTAINER, "container" }, { TRITON_RECORD_ADDRESS, "address" },
		{ TRITON_RECORD_NAMES, "cns_names" },	  { TRITON_RECORD_EXIT, "exit_strategy" },
	};
	struct triton_site *site = site_of(task);
	int r = 0;

	for (size_t i = 0; r >= 0 && i < NOMAD_ARRAY_LEN(shown); i++) {
		const char *value = nomad_task_get(task, shown[i].record);

		if (value)
			r = nomad_map_set(attributes, shown[i].attribute, value);
	}
	if (r >= 0)
		r = nomad_map_set(attributes, "state",
				  triton_state_word(triton_poller_state(site->poller, nomad_task_id(task))));
	return r < 0 ? nomad_error_errno(err, -r, "show an instance") : 0;
}

const struct nomad_driver triton_driver = {
	.name = "triton",
	.version = NOMAD_VERSION,
	.summary = "instances of a Triton data centre, by CloudAPI and its Docker API",
	.capabilities = NOMAD_CAN_SIGNAL | NOMAD_CAN_EXEC | NOMAD_NO_VOLUMES | NOMAD_ALL_REMOTE,
	.fs_isolation = NOMAD_FS_IMAGE,
	.config_schema = &triton_config_schema,
	.task_schema = &triton_task_schema,
	.init = triton_init,
	.fini = triton_fini,
	.fingerprint = triton_fingerprint,
	.start = triton_start,
	.recover = triton_recover,
	.stop = triton_stop,
	.kill = triton_kill,
	.signal = triton_signal,
	.destroy = triton_destroy_task,
	.exec = triton_exec,
	.stats = triton_stats,
	.inspect = triton_inspect,
};
