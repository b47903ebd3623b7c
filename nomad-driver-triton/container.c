/* SPDX-License-Identifier: MPL-2.0
 *
 * Containers: instances made by the Docker API.
 *
 * A container is a machine as well, whose UUID is the front of its id; tags,
 * metadata, firewall rules, protection and the removal are CloudAPI's matter.
 * The labels nomad.task and nomad.alloc are there from the creation on, the
 * tags a moment later.
 * How exactly one is made for a task is in start.c.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <signal.h>

#include "files.h"
#include "poller.h"
#include "text.h"
#include "triton.h"

static const struct {
	int number;
	const char *name;
} signals[] = {
	{ SIGHUP, "SIGHUP" },	    { SIGINT, "SIGINT" },   { SIGQUIT, "SIGQUIT" },   { SIGILL, "SIGILL" },
	{ SIGTRAP, "SIGTRAP" },	    { SIGABRT, "SIGABRT" }, { SIGBUS, "SIGBUS" },     { SIGFPE, "SIGFPE" },
	{ SIGKILL, "SIGKILL" },	    { SIGUSR1, "SIGUSR1" }, { SIGSEGV, "SIGSEGV" },   { SIGUSR2, "SIGUSR2" },
	{ SIGPIPE, "SIGPIPE" },	    { SIGALRM, "SIGALRM" }, { SIGTERM, "SIGTERM" },   { SIGCHLD, "SIGCHLD" },
	{ SIGCONT, "SIGCONT" },	    { SIGSTOP, "SIGSTOP" }, { SIGTSTP, "SIGTSTP" },   { SIGTTIN, "SIGTTIN" },
	{ SIGTTOU, "SIGTTOU" },	    { SIGURG, "SIGURG" },   { SIGXCPU, "SIGXCPU" },   { SIGXFSZ, "SIGXFSZ" },
	{ SIGVTALRM, "SIGVTALRM" }, { SIGPROF, "SIGPROF" }, { SIGWINCH, "SIGWINCH" }, { SIGIO, "SIGIO" },
	{ SIGSYS, "SIGSYS" },
};

const char *triton_signal_name(int number)
{
	for (size_t i = 0; i < NOMAD_ARRAY_LEN(signals); i++)
		if (signals[i].number == number)
			return signals[i].name;
	return NULL;
}

static int64_t left_ms(int64_t deadline)
{
	int64_t left = deadline - triton_now_ms();

	return left > 1000 ? left : 1000;
}

/* What is to be made, and what was. */
struct making {
	struct triton_docker docker;
	json_t *body;
	bool pulled;
	char *id;
};

static int adopt(struct triton_start *start, void *ud, struct nomad_error **err)
{
	struct triton_container it = { 0 };
	struct nomad_error *why = NULL;
	struct making *making = ud;
	int r = triton_docker_inspect(&making->docker, start->name, &it, &why);

	if (r == -ENOENT) {
		nomad_error_free(why);
		return 0;
	}
	if (r < 0)
		return triton_fail(r, why, err);
	/* "name" may also be the beginning of an id. */
	if (!it.name || strcmp(it.name, start->name) != 0) {
		r = 0;
	} else if (!it.task || strcmp(it.task, nomad_task_id(start->task)) != 0) {
		r = nomad_error_set(err, EEXIST,
				    "the name '%s' is taken by the container '%.12s', which is not of this task",
				    start->name, it.id);
	} else if (it.running || it.never_started) {
		making->id = NOMAD_TAKE_PTR(it.id);
		r = 1;
	} else {
		r = triton_clear_former(start, err);
	}
	triton_container_done(&it);
	return r;
}

static int pull(struct triton_start *start, struct making *making, struct nomad_error **err)
{
	const struct triton_docker_task *want = start->want->docker_api;

	making->pulled = true;
	return triton_docker_pull(&making->docker, want->image, want->auth, left_ms(start->deadline_ms), err);
}

static int create(struct triton_start *start, void *ud, bool *ret_maybe, struct nomad_error **err)
{
	struct nomad_error *why = NULL;
	struct making *making = ud;
	int r = triton_docker_create(&making->docker, start->name, making->body, left_ms(start->deadline_ms),
				     &making->id, ret_maybe, &why);

	if (r != -ENOENT || making->pulled)
		return r < 0 ? triton_fail(r, why, err) : r;
	/* The image is not there yet. */
	nomad_error_free(why);
	r = pull(start, making, err);
	return r < 0 ? r : create(start, ud, ret_maybe, err);
}

/* Tags are shown a moment after they were set; rules count users by them. */
static int wait_for_tags(struct triton_start *start, const char *id, struct nomad_error **err)
{
	for (unsigned n = 1;; n++) {
		struct triton_machine machine = { 0 };
		int r = triton_cloud_get(&start->cloud, id, &machine, NULL);
		bool there = r >= 0 && nomad_map_get(&machine.tags, "nomad_task");

		triton_machine_done(&machine);
		if (there)
			return 0;
		if (triton_now_ms() > start->deadline_ms || n > 120)
			return nomad_error_set(err, ETIMEDOUT, "set the tags of the instance '%s': they do not show",
					       id);
		r = triton_start_sleep(start, 500, err);
		if (r < 0)
			return r;
	}
}

static int dress(struct triton_start *start, const char *uuid, struct nomad_error **err)
{
	const struct triton_task *want = start->want;
	struct nomad_map tags = { 0 }, files = { 0 };
	int r = triton_task_tags(start->plugin->site, nomad_task_info(start->task), want, &start->rules, &tags);

	if (r < 0)
		r = nomad_error_errno(err, ENOMEM, "set the tags of the instance");
	else
		r = triton_cloud_add(&start->cloud, uuid, "tags", &tags, err);
	nomad_map_done(&tags);
	if (r >= 0)
		r = triton_cloud_add(&start->cloud, uuid, "metadata", &want->metadata, err);
	if (r >= 0)
		r = triton_files_read(nomad_task_info(start->task), want, &files, err);
	if (r >= 0)
		r = triton_cloud_add(&start->cloud, uuid, "metadata", &files, err);
	nomad_map_done(&files);
	if (r >= 0 && start->rules.count)
		r = wait_for_tags(start, uuid, err);
	if (r >= 0)
		r = triton_fwshare_ensure(start->plugin->site->rules, &start->cloud, &start->rules, err);
	if (r >= 0 && want->deletion_protection)
		r = triton_cloud_action(&start->cloud, uuid, "enable_deletion_protection", err);
	return r;
}

/* Where it runs; one that has ended already is fine, and has no address. */
static int find_address(struct triton_start *start, const char *uuid, struct triton_machine *ret,
			struct nomad_error **err)
{
	for (unsigned n = 1;; n++) {
		int r;

		triton_machine_done(ret);
		r = triton_cloud_get(&start->cloud, uuid, ret, err);
		if (r < 0)
			return nomad_error_wrap(err, "look for the address of the instance");
		if (ret->primary_ip || n > 10 || ret->state == TRITON_STOPPED)
			return 0;
		r = triton_start_sleep(start, 500, err);
		if (r < 0)
			return r;
	}
}

static int describe(struct triton_start *start, json_t **ret_body, struct nomad_error **err)
{
	const struct nomad_task_info *info = nomad_task_info(start->task);
	const struct triton_task *want = start->want;
	NOMAD_AUTO_FREE char *package = NULL, *cns = triton_join(want->cns);
	int r = triton_find_package(&start->cloud, want->package, &package, err);
	struct triton_docker_spec spec = {
		.task = want->docker_api,
		.affinity = (const char *const *)want->affinity,
		.volumes = &want->volumes,
		.env = &info->env,
		.package = package,
		.cns = cns,
		.task_id = info->id,
		.alloc_id = info->alloc_id,
		.node_id = info->node_id,
		.owner = start->plugin->site->owner,
		.cluster = start->plugin->site->cluster,
	};

	return r < 0 ? r : triton_docker_body(&spec, ret_body, err);
}

static int make(struct triton_start *start, struct making *making, struct nomad_error **err)
{
	static const struct triton_maker maker = { .adopt = adopt, .create = create };
	const struct triton_docker_task *want = start->want->docker_api;
	struct nomad_task *task = start->task;
	int r = triton_begin(start, "docker", err);

	if (r >= 0 && want->tty)
		r = nomad_task_put(task, TRITON_RECORD_TTY, "1", err);
	if (r >= 0 && want->log_config && want->log_config->type && strcmp(want->log_config->type, "none") == 0)
		r = nomad_task_put(task, TRITON_RECORD_NO_LOG, "1", err);
	if (r >= 0 && want->image->auto_pull)
		r = pull(start, making, err);
	if (r >= 0)
		r = triton_make_once(start, &maker, making, err);
	return r < 0 ? r : nomad_task_put(task, TRITON_RECORD_CONTAINER, making->id, err);
}

static int build(struct triton_start *start, struct nomad_error **err)
{
	struct triton_machine machine = { 0 };
	struct making making = { 0 };
	char uuid[37];
	int r = triton_site_docker(start->plugin->site, &making.docker, err);

	if (r >= 0)
		r = describe(start, &making.body, err);
	if (r >= 0)
		r = make(start, &making, err);
	if (r >= 0 && triton_docker_uuid(making.id, uuid) < 0)
		r = nomad_error_set(err, EPROTO, "create a container: the Docker API returned an invalid container id");
	if (r >= 0)
		r = nomad_task_put(start->task, TRITON_RECORD_INSTANCE, uuid, err);
	if (r >= 0)
		r = dress(start, uuid, err);
	if (r >= 0)
		r = triton_docker_start(&making.docker, making.id, left_ms(start->deadline_ms), err);
	if (r >= 0)
		r = find_address(start, uuid, &machine, err);
	if (r >= 0)
		r = triton_finish_start(start, &machine, err);
	triton_machine_done(&machine);
	json_decref(making.body);
	free(making.id);
	return r;
}

int triton_container_start(struct triton_plugin *plugin, struct nomad_task *task, const struct triton_task *want,
			   struct nomad_error **err)
{
	return triton_start_with(plugin, task, want, build, "container", err);
}

/* ---- Ending it ---- */

int triton_container_signal(struct triton_plugin *plugin, struct nomad_task *task, int number, struct nomad_error **err)
{
	const char *id = nomad_task_get(task, TRITON_RECORD_CONTAINER), *name = triton_signal_name(number);
	struct triton_docker docker;
	int r;

	if (!number)
		return 0; /* it only asks whether there is somebody */
	if (!id)
		return nomad_error_set(err, ENOENT, "the task has no container");
	if (!name)
		return nomad_error_set(err, EINVAL, "the signal %d has no name that the Docker API knows", number);
	r = triton_site_docker(plugin->site, &docker, err);
	if (r < 0)
		return r;
	if (number == SIGKILL)
		triton_poller_expect_end(plugin->poller, nomad_task_id(task), true);
	r = triton_docker_kill(&docker, id, name, err);
	triton_poller_poke(plugin->poller, nomad_task_id(task));
	return r;
}

int triton_container_stop(struct triton_plugin *plugin, struct nomad_task *task, int number, unsigned timeout_ms,
			  struct nomad_error **err)
{
	const char *id = nomad_task_get(task, TRITON_RECORD_CONTAINER);
	const struct triton_task *want = nomad_task_config(task);
	struct triton_docker docker;
	unsigned seconds;
	int r;

	if (!id)
		return 0;
	triton_poller_expect_end(plugin->poller, nomad_task_id(task), false);
	if (number && !triton_ends_deleted(task))
		return triton_container_signal(plugin, task, number, err);
	/* The server sends the image's own signal, waits, and kills. */
	if (want && want->stop_timeout > 0)
		timeout_ms = (unsigned)want->stop_timeout * 1000;
	seconds = (timeout_ms + 999) / 1000;
	r = triton_site_docker(plugin->site, &docker, err);
	if (r >= 0)
		r = triton_docker_stop(&docker, id, seconds, err);
	triton_poller_poke(plugin->poller, nomad_task_id(task));
	return r;
}

/* ---- Exec ---- */

int triton_container_exec(struct triton_site *site, struct nomad_task *task, struct nomad_exec *exec,
			  struct nomad_error **err)
{
	const char *id = nomad_task_get(task, TRITON_RECORD_CONTAINER);
	struct triton_docker docker;
	char **argv = NULL;
	int r;

	if (!id)
		return nomad_error_set(err, ENOENT, "the task has no container");
	r = triton_site_docker(site, &docker, err);
	if (r < 0)
		return r;
	/* This very program, whatever was put at its path since. */
	r = nomad_strv_add(&argv, "/proc/self/exe");
	if (r >= 0)
		r = nomad_strv_add(&argv, TRITON_EXEC_WORD);
	if (r >= 0)
		r = nomad_strv_add(&argv, id);
	if (r >= 0)
		r = nomad_strv_add(&argv, exec->tty ? "tty" : "pipe");
	for (size_t i = 0; r >= 0 && exec->argv[i]; i++)
		r = nomad_strv_add(&argv, exec->argv[i]);
	/* The command has the environment of the container; this one is the helper's. */
	nomad_map_done(&exec->env);
	if (r >= 0)
		r = nomad_map_set(&exec->env, "TRITON_EXEC_URL", triton_http_base(docker.http));
	if (r >= 0 && site->docker_cert_path)
		r = nomad_map_set(&exec->env, "TRITON_EXEC_CERTS", site->docker_cert_path);
	if (r >= 0 && site->docker_insecure)
		r = nomad_map_set(&exec->env, "TRITON_EXEC_INSECURE", "1");
	if (r < 0) {
		nomad_strv_free(argv);
		return nomad_error_errno(err, -r, "run a command in a container");
	}
	nomad_strv_free(exec->argv);
	exec->argv = argv;
	return 0;
}
