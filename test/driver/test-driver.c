/* SPDX-License-Identifier: MPL-2.0
 *
 * test-driver.c: a driver for tests, on the public headers only.
 *
 *   tests --gRPC--> nomad-driver-test --> supervisor --> /bin/sh -c COMMAND
 *
 * It needs no backend, so that all of the library can be tested on any
 * host.  A task is a shell command, or a thing that a made-up remote system
 * runs: a thread here that reports its end after a while.  Starts fail on
 * demand.  The environment of the plugin says what a table cannot:
 * TESTDRIVER_NETWORK=1 (must_create_network), TESTDRIVER_REMOTE=1 (all tasks
 * are remote ones: stop, kill, signal and destroy are the driver's). */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "config.h"

/* ---- The remote system ------------------------------------------------------- */

struct remote {
	char *id;
	int64_t end_ms;
	int exit_code;
	int signal;
	struct remote *next;
};

struct data {
	struct nomad_plugin *plugin;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	struct remote *remotes;
	bool stop;
	struct nomad_counter *runs, *fails, *remote_starts;
};

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static struct remote *take_ended(struct data *data)
{
	for (struct remote **p = &data->remotes; *p; p = &(*p)->next) {
		struct remote *r = *p;

		if (r->end_ms <= now_ms()) {
			*p = r->next;
			return r;
		}
	}
	return NULL;
}

static void remote_free(struct remote *r)
{
	if (r)
		free(r->id);
	free(r);
}

static void *watch(void *arg)
{
	struct data *data = arg;

	pthread_mutex_lock(&data->lock);
	while (!data->stop) {
		struct remote *r = take_ended(data);
		struct timespec soon;

		if (r) {
			struct nomad_exit result = { .exit_code = r->exit_code, .signal = r->signal };

			pthread_mutex_unlock(&data->lock);
			(void)nomad_task_exited_by_id(data->plugin, r->id, &result);
			remote_free(r);
			pthread_mutex_lock(&data->lock);
			continue;
		}
		clock_gettime(CLOCK_REALTIME, &soon);
		soon.tv_nsec += 20000000;
		if (soon.tv_nsec >= 1000000000) {
			soon.tv_nsec -= 1000000000;
			soon.tv_sec++;
		}
		pthread_cond_timedwait(&data->wake, &data->lock, &soon);
	}
	pthread_mutex_unlock(&data->lock);
	return NULL;
}

static int remote_add(struct data *data, const char *id, int64_t end_ms, int exit_code)
{
	struct remote *r = calloc(1, sizeof(*r));

	if (!r || !(r->id = strdup(id))) {
		remote_free(r);
		return -ENOMEM;
	}
	r->end_ms = end_ms;
	r->exit_code = exit_code;
	pthread_mutex_lock(&data->lock);
	r->next = data->remotes;
	data->remotes = r;
	pthread_mutex_unlock(&data->lock);
	return 0;
}

/* End a remote task now, if it still runs. */
static void remote_end(struct data *data, const char *id, int sig)
{
	struct remote *r;

	pthread_mutex_lock(&data->lock);
	for (r = data->remotes; r && strcmp(r->id, id); r = r->next)
		;
	if (r) {
		r->end_ms = 0;
		r->signal = sig;
		r->exit_code = 128 + sig;
	}
	pthread_cond_signal(&data->wake);
	pthread_mutex_unlock(&data->lock);
}

/* ---- The driver ---------------------------------------------------------------- */

static int testdriver_init(struct nomad_plugin *plugin, void **ret_data, struct nomad_error **err)
{
	const struct testdriver_config *config = nomad_plugin_config(plugin);
	struct data *data;

	if (config->init_fails)
		return nomad_error_set(err, EIO, "initialise: told to fail by init_fails");
	data = calloc(1, sizeof(*data));
	if (!data)
		return nomad_error_errno(err, ENOMEM, "initialise");
	data->plugin = plugin;
	data->runs = nomad_counter_new(plugin, "modes", "Starts by mode.", "mode", "run", err);
	data->fails = data->runs ? nomad_counter_new(plugin, "modes", "Starts by mode.", "mode", "fail", err) : NULL;
	data->remote_starts =
		data->fails ? nomad_counter_new(plugin, "modes", "Starts by mode.", "mode", "remote", err) : NULL;
	if (!data->remote_starts) {
		free(data);
		return -nomad_error_code(*err);
	}
	pthread_mutex_init(&data->lock, NULL);
	pthread_cond_init(&data->wake, NULL);
	if (pthread_create(&data->thread, NULL, watch, data)) {
		free(data);
		return nomad_error_set(err, EAGAIN, "initialise: cannot start a thread");
	}
	*ret_data = data;
	return 0;
}

static void testdriver_fini(struct nomad_plugin *plugin, void *arg)
{
	struct data *data = arg;

	(void)plugin;
	if (!data)
		return;
	pthread_mutex_lock(&data->lock);
	data->stop = true;
	pthread_cond_signal(&data->wake);
	pthread_mutex_unlock(&data->lock);
	pthread_join(data->thread, NULL);
	while (data->remotes) {
		struct remote *r = data->remotes;

		data->remotes = r->next;
		remote_free(r);
	}
	pthread_cond_destroy(&data->wake);
	pthread_mutex_destroy(&data->lock);
	free(data);
}

static void read_health(const char *path, char *word, size_t size)
{
	FILE *f = path ? fopen(path, "re") : NULL;

	snprintf(word, size, "healthy");
	if (!f)
		return;
	if (!fgets(word, (int)size, f))
		word[0] = 0;
	word[strcspn(word, " \n")] = 0;
	fclose(f);
}

static void testdriver_fingerprint(struct nomad_plugin *plugin, struct nomad_fingerprint *fp)
{
	const struct testdriver_config *config = nomad_plugin_config(plugin);
	char health[32];

	read_health(config->health_file, health, sizeof(health));
	nomad_fp_string(fp, "greeting", config->greeting);
	nomad_fp_int(fp, "limit", config->limit, NULL);
	nomad_fp_int(fp, "memory", 64, "MiB");
	nomad_fp_bool(fp, "flag", config->flag);
	nomad_fp_check(fp, "backend", strcmp(health, "undetected") != 0, NOMAD_UNDETECTED,
		       "the backend is not installed", "install it");
	nomad_fp_check(fp, "daemon", strcmp(health, "unhealthy") != 0, NOMAD_UNHEALTHY, "the daemon does not answer",
		       "start it");
}

static int start_remote(struct nomad_task *task, const struct testdriver_task_config *config, struct nomad_error **err)
{
	struct data *data = nomad_plugin_data(nomad_task_plugin(task));
	int64_t end = now_ms() + config->delay_ms;
	char value[64];
	int r;

	snprintf(value, sizeof(value), "%" PRId64 " %" PRId64, end, config->exit_code);
	r = nomad_task_put(task, "remote", value, err);
	if (r < 0)
		return r;
	r = remote_add(data, nomad_task_id(task), end, (int)config->exit_code);
	return r < 0 ? nomad_error_errno(err, -r, "start remote task") : 0;
}

static int stop_signal_of(const struct testdriver_task_config *config)
{
	if (!config->stop_signal)
		return 0;
	if (strcmp(config->stop_signal, "SIGINT") == 0)
		return SIGINT;
	return strcmp(config->stop_signal, "SIGUSR1") == 0 ? SIGUSR1 : SIGTERM;
}

struct limits {
	struct nomad_rlimit rlimits[16];
	struct nomad_device devices[8];
	char *paths[8];
};

static void limits_done(struct limits *limits)
{
	for (size_t i = 0; i < NOMAD_ARRAY_LEN(limits->paths); i++)
		free(limits->paths[i]);
}

static int set_limits(const struct testdriver_task_config *config, struct limits *limits, struct nomad_command *command,
		      struct nomad_error **err)
{
	command->cpu_hard_limit = config->cpu_hard_limit;
	command->cpu_period_us = config->cpu_period;
	command->oom_score_adj = (int)config->oom_score_adj;
	command->device_policy = strcmp(config->device_policy, "listed") ? NOMAD_DEVICES_ANY : NOMAD_DEVICES_LISTED;
	command->devices = limits->devices;
	command->rlimits = limits->rlimits;
	for (size_t i = 0; i < config->ulimit.count && i < NOMAD_ARRAY_LEN(limits->rlimits); i++) {
		int r = nomad_rlimit_parse(config->ulimit.pairs[i].key, config->ulimit.pairs[i].value,
					   &limits->rlimits[i], err);

		if (r < 0)
			return r;
		command->n_rlimits++;
	}
	for (size_t i = 0; config->devices && config->devices[i]; i++) {
		char *colon;

		limits->paths[i] = strdup(config->devices[i]);
		if (!limits->paths[i])
			return nomad_error_errno(err, ENOMEM, "start");
		colon = strchr(limits->paths[i], ':');
		if (colon)
			*colon++ = 0;
		limits->devices[i] =
			(struct nomad_device){ .host_path = limits->paths[i], .cgroup_permissions = colon };
		command->n_devices++;
	}
	return 0;
}

static int wait_unless_cancelled(struct nomad_task *task, int64_t delay_ms, struct nomad_error **err)
{
	for (int64_t end_ms = now_ms() + delay_ms; now_ms() < end_ms; usleep(10000))
		if (nomad_task_is_cancelled(task))
			return nomad_error_set(err, ECANCELED, "start '%s': cancelled", nomad_task_info(task)->name);
	return 0;
}

static int testdriver_start(struct nomad_task *task, struct nomad_error **err)
{
	const struct testdriver_task_config *config = nomad_task_config(task);
	const struct data *data = nomad_plugin_data(nomad_task_plugin(task));
	NOMAD_AUTO_STRV char **argv = NULL;
	struct limits limits = { 0 };
	struct nomad_command command = {
		.user = config->user,
		.notify = config->notify,
		.ready_timeout_ms = (unsigned)config->ready_timeout_ms,
		.stop_signal = stop_signal_of(config),
		.pids_max = config->pids_max,
	};
	int r;

	nomad_counter_add(strncmp(config->mode, "fail", 4) == 0 ? data->fails
			  : strcmp(config->mode, "remote") == 0 ? data->remote_starts
								: data->runs,
			  1);
	if (strcmp(config->mode, "fail") == 0)
		return nomad_error_set(err, EINVAL, "start '%s': told to fail", nomad_task_info(task)->name);
	if (strcmp(config->mode, "fail-retryable") == 0) {
		(void)nomad_error_set(err, EIO, "start '%s': told to fail for now", nomad_task_info(task)->name);
		return nomad_error_retryable(err);
	}
	if (strcmp(config->mode, "remote") == 0)
		return start_remote(task, config, err);
	if (!config->command)
		return nomad_error_set(err, EINVAL, "start '%s': command is missing", nomad_task_info(task)->name);
	if (strcmp(config->mode, "slow") == 0)
		usleep((useconds_t)config->delay_ms * 1000);
	r = strcmp(config->mode, "waits") == 0 ? wait_unless_cancelled(task, config->delay_ms, err) : 0;
	if (r < 0)
		return r;
	nomad_task_event(task, "starting %s", nomad_task_info(task)->name);
	if (nomad_strv_add(&argv, "/bin/sh") < 0 || nomad_strv_add(&argv, "-c") < 0 ||
	    nomad_strv_add(&argv, config->command) < 0 || nomad_strv_add(&argv, "sh") < 0)
		return nomad_error_errno(err, ENOMEM, "start");
	for (char **a = config->args; a && *a; a++)
		if (nomad_strv_add(&argv, *a) < 0)
			return nomad_error_errno(err, ENOMEM, "start");
	command.argv = (const char *const *)argv;
	r = set_limits(config, &limits, &command, err);
	if (r >= 0)
		r = nomad_task_run(task, &command, err);
	limits_done(&limits);
	return r < 0 ? r : 0;
}

/* Tasks of the remote system have a record. */
static int testdriver_recover(struct nomad_task *task, struct nomad_error **err)
{
	const char *record = nomad_task_get(task, "remote");
	int64_t end;
	int code;

	if (!record)
		return 0;
	if (sscanf(record, "%" SCNd64 " %d", &end, &code) != 2)
		return nomad_error_set(err, EINVAL, "recover: record '%s' is damaged", record);
	if (remote_add(nomad_plugin_data(nomad_task_plugin(task)), nomad_task_id(task), end, code) < 0)
		return nomad_error_errno(err, ENOMEM, "recover");
	return 0;
}

static int testdriver_network_path(const char *alloc_id, char *path, size_t size)
{
	return snprintf(path, size, "/run/netns/%s", alloc_id) < (int)size ? 0 : -ENAMETOOLONG;
}

static int testdriver_create_network(struct nomad_plugin *plugin, const char *alloc_id, const char *hostname,
				     struct nomad_network_isolation *ret, bool *ret_created, struct nomad_error **err)
{
	char path[256];

	(void)plugin;
	if (testdriver_network_path(alloc_id, path, sizeof(path)) < 0)
		return nomad_error_set(err, EINVAL, "create network: the allocation id is too long");
	ret->mode = NOMAD_NET_GROUP;
	ret->path = strdup(path);
	if (!ret->path || nomad_map_set(&ret->labels, "hostname", hostname ? hostname : "") < 0)
		return nomad_error_errno(err, ENOMEM, "create network");
	*ret_created = true;
	return 0;
}

static int testdriver_destroy_network(struct nomad_plugin *plugin, const char *alloc_id,
				      const struct nomad_network_isolation *spec, struct nomad_error **err)
{
	(void)plugin;
	(void)spec;
	return strcmp(alloc_id, "busy") ? 0 : nomad_error_set(err, EBUSY, "destroy network: it is in use");
}

/* Runs beside the task, with a word more in its environment. */
static int testdriver_exec(struct nomad_task *task, struct nomad_exec *exec, struct nomad_error **err)
{
	if (nomad_map_set(&exec->env, "TESTDRIVER_EXEC", "yes") < 0)
		return nomad_error_errno(err, ENOMEM, "exec");
	free(exec->cwd);
	exec->cwd = strdup(nomad_task_dir(task));
	return exec->cwd ? 0 : nomad_error_errno(err, ENOMEM, "exec");
}

static int testdriver_inspect(struct nomad_task *task, struct nomad_map *attributes, struct nomad_error **err)
{
	const struct testdriver_task_config *config = nomad_task_config(task);
	char pid[16];
	int r = 0;

	snprintf(pid, sizeof(pid), "%d", nomad_task_leader(task));
	r = nomad_map_set(attributes, "leader", pid);
	if (r == 0)
		r = nomad_map_set(attributes, "slug", nomad_task_slug(task));
	if (r == 0 && config)
		r = testdriver_show_config(config, attributes);
	return r < 0 ? nomad_error_errno(err, -r, "inspect") : 0;
}

/* ---- The functions that only remote tasks need -------------------------------- */

static int remote_stop(struct nomad_task *task, int sig, unsigned timeout_ms, struct nomad_error **err)
{
	(void)timeout_ms;
	(void)err;
	remote_end(nomad_plugin_data(nomad_task_plugin(task)), nomad_task_id(task), sig ? sig : SIGTERM);
	return 0;
}

static int remote_kill(struct nomad_task *task, struct nomad_error **err)
{
	return remote_stop(task, SIGKILL, 0, err);
}

static int remote_signal(struct nomad_task *task, int sig, struct nomad_error **err)
{
	(void)task;
	if (sig != SIGUSR1)
		return nomad_error_set(err, EOPNOTSUPP, "signal: the remote system knows SIGUSR1 only");
	return 0;
}

static int remote_destroy(struct nomad_task *task, struct nomad_error **err)
{
	return nomad_task_get(task, "remote") ? remote_kill(task, err) : 0;
}

int main(int argc, char **argv)
{
	static struct nomad_driver driver = {
		.name = "testdriver",
		.version = NOMAD_VERSION,
		.summary = "run shell commands, for tests",
		.capabilities = NOMAD_CAN_SIGNAL | NOMAD_CAN_EXEC | NOMAD_JOIN_GROUP_NETWORK,
		.fs_isolation = NOMAD_FS_NONE,
		.fingerprint_interval_s = 1,
		.config_schema = &testdriver_config_schema,
		.task_schema = &testdriver_task_schema,
		.init = testdriver_init,
		.fini = testdriver_fini,
		.fingerprint = testdriver_fingerprint,
		.start = testdriver_start,
		.recover = testdriver_recover,
		.exec = testdriver_exec,
		.inspect = testdriver_inspect,
	};

	if (getenv("TESTDRIVER_NETWORK")) {
		driver.capabilities |= NOMAD_NEEDS_NETWORK;
		driver.create_network = testdriver_create_network;
		driver.destroy_network = testdriver_destroy_network;
	}
	if (getenv("TESTDRIVER_REMOTE")) {
		driver.stop = remote_stop;
		driver.kill = remote_kill;
		driver.signal = remote_signal;
		driver.destroy = remote_destroy;
	}
	return nomad_plugin_main(argc, argv, &driver);
}
