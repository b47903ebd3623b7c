/* SPDX-License-Identifier: MPL-2.0
 *
 * Containers: instances made by the Docker API.
 *
 * A container is a machine as well, whose UUID is the front of its id; tags,
 * metadata, firewall rules, protection and the removal are CloudAPI's matter.
 * The labels nomad.task and nomad.alloc are there from the creation on, the
 * tags a moment later.
 *
 * As for machines: written down, looked for, created, and looked for again
 * where the answer was lost; names are unique here, too.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <signal.h>

#include "life.h"

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

/* 1 and *ret_id if the task's container is there already, 0 if there is none. */
static int adopt(struct triton_site *site, const struct triton_docker *docker, struct nomad_task *task,
		 const char *name, char **ret_id, struct nomad_error **err)
{
	struct triton_container it = { 0 };
	struct nomad_error *why = NULL;
	int r = triton_docker_inspect(docker, name, &it, &why);

	if (r == -ENOENT) {
		nomad_error_free(why);
		return 0;
	}
	if (r < 0) {
		if (err)
			*err = why;
		else
			nomad_error_free(why);
		return r;
	}
	/* "name" may also be the beginning of an id. */
	if (!it.name || strcmp(it.name, name) != 0) {
		r = 0;
	} else if (!it.task || strcmp(it.task, nomad_task_id(task)) != 0) {
		r = nomad_error_set(err, EEXIST,
				    "the name '%s' is taken by the container '%.12s', which is not of this task", name,
				    it.id);
	} else if (it.running || it.never_started) {
		*ret_id = NOMAD_TAKE_PTR(it.id);
		r = 1;
	} else {
		struct triton_remains remains = {
			.task_id = (char *)(uintptr_t)nomad_task_id(task),
			.name = (char *)(uintptr_t)name,
		};

		r = triton_remains_clear(site, &remains, 120000, err);
	}
	triton_container_done(&it);
	return r;
}

static int create(struct triton_site *site, const struct triton_docker *docker, struct nomad_task *task,
		  const struct triton_task *want, const char *name, const json_t *body, int64_t deadline, char **ret_id,
		  struct nomad_error **err)
{
	const struct triton_docker_task *container = want->docker_api;
	bool pulled = container->image->auto_pull;
	int r = 0;

	if (pulled)
		r = triton_docker_pull(docker, container->image->name, container->image->tag, container->auth,
				       left_ms(deadline), err);
	if (r >= 0)
		r = adopt(site, docker, task, name, ret_id, err);
	for (unsigned turn = 1; r == 0; turn++) {
		struct nomad_error *why = NULL;
		bool maybe = false;

		r = triton_docker_create(docker, name, body, left_ms(deadline), ret_id, &maybe, &why);
		if (r >= 0)
			return 1;
		if (r == -ENOENT && !pulled) {
			/* The image is not there yet. */
			nomad_error_free(why);
			r = triton_docker_pull(docker, container->image->name, container->image->tag, container->auth,
					       left_ms(deadline), err);
			pulled = true;
			continue;
		}
		for (unsigned look = 1; (maybe || r == -EEXIST) && look <= 5; look++) {
			if (triton_site_sleep(site, triton_backoff_ms(look, 500, 4000), NULL) < 0)
				break;
			if (adopt(site, docker, task, name, ret_id, NULL) == 1) {
				nomad_error_free(why);
				return 1;
			}
		}
		if (maybe && turn < 3 && triton_now_ms() < deadline && !atomic_load(&site->budget.closing)) {
			nomad_error_free(why);
			r = 0;
			continue;
		}
		if (err)
			*err = why;
		else
			nomad_error_free(why);
	}
	return r;
}

/* Tags are shown a moment after they were set; rules count users by them. */
static int wait_for_tags(struct triton_site *site, const struct triton_cloud *cloud, const char *id, int64_t deadline,
			 struct nomad_error **err)
{
	for (unsigned n = 1;; n++) {
		struct triton_machine machine = { 0 };
		struct nomad_error *why = NULL;
		int r = triton_cloud_get(cloud, id, &machine, &why);
		bool there = r >= 0 && nomad_map_get(&machine.tags, "nomad_task");

		if (r >= 0)
			triton_machine_done(&machine);
		nomad_error_free(why);
		if (there)
			return 0;
		if (triton_now_ms() > deadline || n > 120)
			return nomad_error_set(err, ETIMEDOUT, "set the tags of the instance '%s': they do not show",
					       id);
		r = triton_site_sleep(site, 500, err);
		if (r < 0)
			return r;
	}
}

static int dress(struct triton_site *site, const struct triton_cloud *cloud, struct nomad_task *task,
		 const struct triton_task *want, const struct triton_fwset *rules, const char *uuid, int64_t deadline,
		 struct nomad_error **err)
{
	struct nomad_map tags = { 0 };
	int r = triton_task_tags(nomad_task_info(task), want, rules, &tags);

	if (r < 0)
		r = nomad_error_errno(err, ENOMEM, "set the tags of the instance");
	else
		r = triton_cloud_add(cloud, uuid, "tags", &tags, err);
	nomad_map_done(&tags);
	if (r >= 0)
		r = triton_cloud_add(cloud, uuid, "metadata", &want->metadata, err);
	if (r >= 0 && rules->count)
		r = wait_for_tags(site, cloud, uuid, deadline, err);
	if (r >= 0)
		r = triton_fwshare_ensure(site->rules, cloud, rules, err);
	if (r >= 0 && want->deletion_protection)
		r = triton_cloud_action(cloud, uuid, "enable_deletion_protection", err);
	return r;
}

/* Where it runs; one that has ended already is fine, and has no address. */
static int find_address(struct triton_site *site, const struct triton_cloud *cloud, const char *uuid,
			struct triton_machine *ret, struct nomad_error **err)
{
	for (unsigned n = 1;; n++) {
		int r;

		triton_machine_done(ret);
		r = triton_cloud_get(cloud, uuid, ret, err);
		if (r < 0)
			return nomad_error_wrap(err, "look for the address of the instance");
		if (ret->primary_ip || n > 10 || ret->state == TRITON_STOPPED)
			return 0;
		r = triton_site_sleep(site, 500, err);
		if (r < 0)
			return r;
	}
}

static int build(struct triton_site *site, struct nomad_task *task, const struct triton_task *want,
		 const struct triton_fwset *rules, const char *name, int64_t deadline, struct nomad_error **err)
{
	const struct nomad_task_info *info = nomad_task_info(task);
	const struct triton_log_config *log = want->docker_api->log_config;
	NOMAD_AUTO_FREE char *package = NULL, *cns = triton_join(want->cns), *id = NULL;
	struct triton_docker_spec spec = {
		.task = want->docker_api,
		.affinity = (const char *const *)want->affinity,
		.volumes = &want->volumes,
		.env = &info->env,
		.cns = cns,
		.task_id = info->id,
		.alloc_id = info->alloc_id,
	};
	struct triton_machine machine = { 0 };
	struct triton_docker docker;
	struct triton_cloud cloud;
	json_t *body = NULL;
	char uuid[37];
	int r = triton_site_cloud(site, &cloud, err);

	if (r >= 0)
		r = triton_site_docker(site, &docker, err);
	if (r >= 0)
		r = triton_find_package(&cloud, want->package, &package, err);
	spec.package = package;
	if (r >= 0)
		r = triton_docker_body(&spec, &body, err);
	if (r >= 0)
		r = triton_begin(site, task, want, "docker", name, rules, err);
	if (r >= 0 && want->docker_api->tty)
		r = nomad_task_put(task, TRITON_RECORD_TTY, "1", err);
	if (r >= 0 && log && log->type && strcmp(log->type, "none") == 0)
		r = nomad_task_put(task, "nolog", "1", err);
	if (r >= 0)
		r = triton_make_volumes(site, task, want, deadline, err);
	if (r >= 0)
		r = create(site, &docker, task, want, name, body, deadline, &id, err);
	if (r >= 0 && triton_docker_uuid(id, uuid) < 0)
		r = nomad_error_set(err, EPROTO, "the Docker API named a container that cannot be");
	if (r >= 0)
		r = nomad_task_put(task, TRITON_RECORD_CONTAINER, id, err);
	if (r >= 0)
		r = nomad_task_put(task, TRITON_RECORD_INSTANCE, uuid, err);
	if (r >= 0)
		r = dress(site, &cloud, task, want, rules, uuid, deadline, err);
	if (r >= 0)
		r = triton_docker_start(&docker, id, left_ms(deadline), err);
	if (r >= 0)
		r = find_address(site, &cloud, uuid, &machine, err);
	if (r >= 0)
		r = triton_fwshare_ensure(site->rules, &cloud, rules, err);
	if (r >= 0)
		r = triton_announce(task, &machine, err);
	if (r >= 0)
		r = triton_watch_task(site, task, err);
	triton_machine_done(&machine);
	json_decref(body);
	return r;
}

int triton_container_start(struct triton_site *site, struct nomad_task *task, const struct triton_task *want,
			   struct nomad_error **err)
{
	return triton_start_with(site, task, want, build, "container", err);
}

/* ---- Ending it ---- */

int triton_container_signal(struct triton_site *site, struct nomad_task *task, int number, struct nomad_error **err)
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
	r = triton_site_docker(site, &docker, err);
	if (r < 0)
		return r;
	if (number == SIGKILL)
		triton_poller_expect_end(site->poller, nomad_task_id(task), true);
	r = triton_docker_kill(&docker, id, name, err);
	triton_poller_poke(site->poller, nomad_task_id(task));
	return r;
}

int triton_container_stop(struct triton_site *site, struct nomad_task *task, int number, unsigned timeout_ms,
			  struct nomad_error **err)
{
	const char *id = nomad_task_get(task, TRITON_RECORD_CONTAINER);
	const struct triton_task *want = nomad_task_config(task);
	const char *exit = nomad_task_get(task, TRITON_RECORD_EXIT);
	bool deleted = exit && strcmp(exit, "deleted") == 0;
	struct triton_docker docker;
	unsigned seconds;
	int r;

	if (!id)
		return 0;
	triton_poller_expect_end(site->poller, nomad_task_id(task), false);
	if (number && !deleted)
		return triton_container_signal(site, task, number, err);
	/* The server sends the image's own signal, waits, and kills. */
	if (want && want->stop_timeout > 0)
		timeout_ms = (unsigned)want->stop_timeout * 1000;
	seconds = (timeout_ms + 999) / 1000;
	r = triton_site_docker(site, &docker, err);
	if (r >= 0)
		r = triton_docker_stop(&docker, id, seconds, err);
	triton_poller_poke(site->poller, nomad_task_id(task));
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
	exec->enter_leader = false;
	return 0;
}
