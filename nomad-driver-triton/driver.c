/* SPDX-License-Identifier: MPL-2.0
 *
 * nomad-driver-triton: instances of a Triton data centre as Nomad tasks.
 *
 *	Nomad --gRPC--> nomad-driver-triton --HTTPS, signed-----> CloudAPI
 *						  \-HTTPS, client cert-> Docker API
 *
 * Here: the driver's table, what lives as long as the plugin, and which of the
 * two kinds a call is for.  What users may write is in config.c; a task's start
 * in start.c, machine.c and container.c; its removal in destroy.c, remains.c
 * and debts.c; who watches it in poller.c.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "nomad/plugin.h"

#include "debts.h"
#include "driver.h"
#include "lease.h"
#include "limits.h"
#include "logs.h"
#include "poller.h"
#include "triton.h"

enum { NOMAD_KILL_MS = 5000, STOP_MS = 180000 };

static struct triton_plugin *plugin_of(const struct nomad_task *task)
{
	return nomad_plugin_data(nomad_task_plugin(task));
}

static bool is_container(const struct nomad_task *task)
{
	const char *api = nomad_task_get(task, TRITON_RECORD_API);

	return api && strcmp(api, "docker") == 0;
}

/* ---- The plugin ---- */

static void task_ended(void *ud, const char *task_id, const struct nomad_exit *result)
{
	struct triton_plugin *self = ud;

	(void)nomad_task_exited_by_id(self->nomad, task_id, result);
}

static void task_event(void *ud, const char *task_id, const char *message)
{
	struct triton_plugin *self = ud;

	(void)nomad_task_event_by_id(self->nomad, task_id, message);
}

static void log_ended(void *ud, const char *task_id)
{
	struct triton_plugin *self = ud;

	triton_poller_poke(self->poller, task_id);
}

static void plugin_free(struct triton_plugin *self)
{
	if (self->site)
		triton_budget_close(&self->site->budget);
	triton_lease_free(self->lease);
	triton_debts_free(self->debts);
	/* The threads of the poller and of the logs call each other. */
	triton_poller_stop(self->poller);
	triton_logs_free(self->logs);
	triton_poller_free(self->poller);
	triton_site_free(self->site);
	free(self->hold_folder);
	free(self);
	triton_stats_forget();
}

static int triton_init(struct nomad_plugin *plugin, void **ret_data, struct nomad_error **err)
{
	static const struct triton_poller_calls calls = { .ended = task_ended, .event = task_event };
	NOMAD_AUTO_FREE char *folder = nomad_strdupf("%s/debts", nomad_plugin_state_dir(plugin));
	struct triton_plugin *self = calloc(1, sizeof(*self));
	int r;

	if (!folder || !self) {
		free(self);
		return nomad_error_errno(err, ENOMEM, "prepare the driver");
	}
	self->nomad = plugin;
	self->hold_folder = nomad_strdupf("%s/pipes", nomad_plugin_state_dir(plugin));
	r = self->hold_folder ? triton_site_new(nomad_plugin_config(plugin), &self->site, err)
			      : nomad_error_errno(err, ENOMEM, "prepare the driver");
	if (r >= 0)
		r = triton_owner_load(nomad_plugin_state_dir(plugin), &self->site->owner, err);
	if (r >= 0)
		r = triton_logs_new(log_ended, self, &self->logs, err);
	if (r >= 0)
		r = triton_poller_new(self->site, self->logs, &calls, self, &self->poller, err);
	if (r >= 0)
		r = triton_debts_new(self->site, folder, self->hold_folder, &self->debts, err);
	if (r >= 0)
		r = triton_lease_new(self->site, self->poller, self->debts, &self->lease, err);
	if (r < 0)
		plugin_free(self);
	else
		*ret_data = self;
	return r;
}

static void triton_fini(struct nomad_plugin *plugin, void *data)
{
	(void)plugin;
	plugin_free(data);
}

/* ---- Fingerprint ---- */

/* Those for all images; what is used changes, and is no attribute. */
static void note_limit(void *ud, const struct triton_limit *limit)
{
	static const struct {
		const char *by, *attribute, *unit;
	} known[] = {
		{ "machines", "limit.machines", NULL },
		{ "ram", "limit.ram", "MiB" },
		{ "quota", "limit.quota", "GiB" },
	};

	for (size_t i = 0; !limit->check && i < NOMAD_ARRAY_LEN(known); i++)
		if (strcmp(limit->by, known[i].by) == 0)
			nomad_fp_int(ud, known[i].attribute, limit->value, known[i].unit);
}

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
	else if (r == -EPROTO)
		remedy = "check the address, and set ca_file if the certificate is not of a public authority";
	else
		remedy = "check the address and the network; the driver tries again by itself";
	if (nomad_fp_check(fp, "CloudAPI", r >= 0, NOMAD_UNHEALTHY, r < 0 ? nomad_error_message(err) : "", remedy)) {
		nomad_fp_bool(fp, "cns", json_is_true(json_object_get(answer.json, "triton_cns_enabled")));
		if (!site->datacenter && *answer.datacenter)
			nomad_fp_string(fp, "datacenter", answer.datacenter);
		/* A sub-user may not be allowed to read them. */
		(void)triton_limits_each(&cloud, note_limit, fp, NULL);
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
	struct triton_plugin *self = nomad_plugin_data(plugin);
	struct triton_site *own = NULL, *site = self ? self->site : NULL;

	triton_budget_for(TRITON_TO_WATCH);
	/* doctor has no plugin that runs. */
	if (!site && triton_site_new(nomad_plugin_config(plugin), &own, &err) >= 0)
		site = own;
	if (!nomad_fp_check(fp, "memory", site != NULL, NOMAD_UNHEALTHY, err ? nomad_error_message(err) : "",
			    "free some"))
		return;
	if (nomad_fp_check(fp, "profile", !site->problem, NOMAD_UNHEALTHY, site->problem ? site->problem : "",
			   "correct the option profile") &&
	    nomad_fp_check(fp, "url", site->url != NULL, NOMAD_UNDETECTED, "no data centre is configured",
			   "set url, TRITON_URL or SDC_URL") &&
	    nomad_fp_check(fp, "account", site->account != NULL, NOMAD_UNHEALTHY, "no account is configured",
			   "set account, TRITON_ACCOUNT or SDC_ACCOUNT")) {
		NOMAD_AUTO_FREE char *base = triton_http_base_of(site->url);

		if (base)
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

/* Of two starts for the last place both may fail, but never do both succeed. */
static int check_count(const struct nomad_task *task, size_t starting, struct nomad_error **err)
{
	const struct triton_config *config = nomad_plugin_config(nomad_task_plugin(task));

	if (!config->max_instances ||
	    triton_poller_count(plugin_of(task)->poller) + starting <= (uint64_t)config->max_instances)
		return 0;
	nomad_error_set(err, EDQUOT,
			"start instance: %lld instances run for tasks of this node already; raise max_instances in the "
			"plugin block",
			(long long)config->max_instances);
	return nomad_error_retryable(err);
}

static int triton_start(struct nomad_task *task, struct nomad_error **err)
{
	const struct triton_task *want = nomad_task_config(task);
	struct triton_plugin *self = plugin_of(task);
	int r = check_count(task, atomic_fetch_add(&self->starting, 1) + 1, err);

	triton_budget_for(TRITON_TO_START);

	/* What a start that fails has made the library has destroyed: see triton_destroy(). */
	if (r >= 0)
		r = triton_task_api(want) == TRITON_DOCKER ? triton_container_start(self, task, want, err)
							   : triton_machine_start(self, task, want, err);
	atomic_fetch_sub(&self->starting, 1);
	return r;
}

static int triton_recover(struct nomad_task *task, struct nomad_error **err)
{
	if (!nomad_task_get(task, TRITON_RECORD_INSTANCE))
		return nomad_error_set(err, ENOENT, "the task has no instance: its start was not finished");
	/* No request: what became of it the poller finds out. */
	return triton_watch_task(plugin_of(task), task, err);
}

static int triton_kill(struct nomad_task *task, struct nomad_error **err)
{
	triton_budget_for(TRITON_TO_END);
	if (is_container(task) && !triton_ends_deleted(task))
		return triton_container_signal(plugin_of(task), task, SIGKILL, err);
	return triton_machine_end(plugin_of(task), task, true, err);
}

/* How long a machine may take to stop.  Nomad does not say whether a job sets
 * kill_timeout: its default counts as not set. */
static int64_t stop_ms(const struct triton_task *want, unsigned timeout_ms)
{
	if (want && want->stop_timeout > 0)
		return want->stop_timeout * 1000;
	return timeout_ms == NOMAD_KILL_MS ? STOP_MS : timeout_ms;
}

static int triton_stop(struct nomad_task *task, int signal, unsigned timeout_ms, struct nomad_error **err)
{
	struct triton_plugin *self = plugin_of(task);
	int r = 0;

	triton_budget_for(TRITON_TO_END);
	if (is_container(task)) {
		r = triton_container_stop(self, task, signal, timeout_ms, err);
		/* With exit_strategy deleted to stop is to delete. */
		if (r >= 0 && triton_ends_deleted(task))
			r = triton_machine_end(self, task, false, err);
		return r;
	}
	r = triton_machine_end(self, task, false, err);
	if (r >= 0 && triton_poller_wait(self->poller, nomad_task_id(task),
					 stop_ms(nomad_task_config(task), timeout_ms)) == -ETIMEDOUT)
		r = triton_machine_end(self, task, true, err);
	return r;
}

static int triton_signal(struct nomad_task *task, int signal, struct nomad_error **err)
{
	triton_budget_for(TRITON_TO_END);
	if (is_container(task))
		return triton_container_signal(plugin_of(task), task, signal, err);
	return nomad_error_set(err, EOPNOTSUPP,
			       "signals are not supported for machines (api_type cloud_api), only for containers");
}

static int triton_destroy_task(struct nomad_task *task, struct nomad_error **err)
{
	triton_budget_for(TRITON_TO_END);
	return triton_destroy(plugin_of(task), task, err);
}

static int triton_exec(struct nomad_task *task, struct nomad_exec *exec, struct nomad_error **err)
{
	triton_budget_for(TRITON_TO_WATCH);
	if (is_container(task))
		return triton_container_exec(plugin_of(task)->site, task, exec, err);
	return nomad_error_set(
		err, EOPNOTSUPP,
		"running commands is not supported for machines (api_type cloud_api), only for containers; use ssh");
}

static int triton_stats(struct nomad_task *task, struct nomad_stats *ret, struct nomad_error **err)
{
	triton_budget_for(TRITON_TO_WATCH);
	if (is_container(task))
		return triton_container_stats(plugin_of(task)->site, task, ret, err);
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
	struct triton_poller *poller = plugin_of(task)->poller;
	int r = 0;

	for (size_t i = 0; r >= 0 && i < NOMAD_ARRAY_LEN(shown); i++) {
		const char *value = nomad_task_get(task, shown[i].record);

		if (value)
			r = nomad_map_set(attributes, shown[i].attribute, value);
	}
	if (r >= 0)
		r = nomad_map_set(attributes, "state",
				  triton_state_word(triton_poller_state(poller, nomad_task_id(task))));
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
	.plan = triton_plan,
	.gc_account = triton_gc_account,
};
