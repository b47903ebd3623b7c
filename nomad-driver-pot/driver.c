/* SPDX-License-Identifier: MPL-2.0
 *
 * driver.c: the driver's table, and the life of a task.
 *
 *	Nomad --gRPC--> nomad-driver-pot --pot prepare, mount-in, ...--> a pot
 *	                      |                                          |
 *	                      +--> supervisor --> sh --> pot start NAME --+--> jail
 *
 * What users may write is in config.c, every command line in pot-cli.c, what
 * can be done with a pot in pot.c, how variables get into the jail in env.c.
 *
 * The pot is called nomad_SLUG, a function of the task's id, and is recorded
 * before it is made: whatever happens, destroy() finds it.  `pot start` stays
 * in the foreground for as long as the task lives, as the supervisor's child,
 * and is never killed while the pot can still be stopped: its cleaning up is
 * what takes the mounts, interfaces and redirections away. */
#include "driver.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config.h"
#include "env.h"
#include "images.h"
#include "judge.h"
#include "nomad/error.h"
#include "nomad/log.h"
#include "nomad/task.h"
#include "os.h"
#include "pot-cli.h"
#include "pot.h"
#include "run.h"
#include "usage.h"

/* The records of a task. */
#define RECORD_POT "pot"

static const struct pot_config *site_of(struct nomad_task *task)
{
	return nomad_plugin_config(nomad_task_plugin(task));
}

static int64_t now_ms(void)
{
	return nomad_monotonic_ns() / 1000000;
}

static int pot_init(struct nomad_plugin *plugin, void **ret_data, struct nomad_error **err)
{
	struct pot_usage *usage = pot_usage_new();

	(void)plugin;
	if (!usage)
		return nomad_error_errno(err, ENOMEM, "start the driver");
	*ret_data = usage;
	return 0;
}

static void pot_fini(struct nomad_plugin *plugin, void *data)
{
	(void)plugin;
	pot_usage_free(data);
}

/* ---- Start ---- */

/* What the job asks for and a pot cannot do. */
static int refuse(const struct pot_config *site, const struct nomad_task_info *info, struct nomad_error **err)
{
	if (!site->enabled)
		return nomad_error_set(err, EPERM,
				       "start the task: the driver is disabled on this node (plugin option 'enabled')");
	if (info->user && strpbrk(info->user, " \t\r\n"))
		return nomad_error_set(err, EINVAL, "user '%s': not a name, a number or USER:GROUP", info->user);
	if (info->n_devices > 0)
		return nomad_error_set(err, EINVAL,
				       "device '%s': pots do not support devices; use the attribute devfs_ruleset",
				       info->devices[0].task_path);
	for (size_t i = 0; i < info->n_mounts; i++) {
		const char *mode = info->mounts[i].propagation_mode;

		if (mode && *mode && strcmp(mode, "private") != 0)
			return nomad_error_set(
				err, EINVAL,
				"volume at '%s': propagation mode '%s': not supported by pot; use 'private'",
				info->mounts[i].task_path, mode);
	}
	return 0;
}

static int run_start(const struct pot_config *site, struct nomad_task *task, const char *name, struct nomad_error **err)
{
	NOMAD_AUTO_FREE char *file = pot_start_file(nomad_task_state_dir(task));
	NOMAD_AUTO_STRV char **argv = file ? pot_argv_start(site->pot_path, name, file) : NULL;
	/* jexec hands all of it on to the task, so it is small; the task's own environment never gets near the
	 * scripts that root runs on the host. */
	struct nomad_map env = { 0 };
	struct nomad_command command = { 0 };
	int r = -ENOMEM;

	if (argv && nomad_map_set(&env, "PATH", site->path) >= 0 && nomad_map_set(&env, "HOME", "/root") >= 0) {
		command.argv = (const char *const *)argv;
		command.env = &env;
		command.cwd = "/";
		command.user = command.netns = ""; /* the jail has its own */
		command.exit_channel = true;
		command.no_limits = true; /* the jail has them */
		r = nomad_task_run(task, &command, err);
	} else {
		nomad_error_errno(err, ENOMEM, "start pot '%s'", name);
	}
	nomad_map_done(&env);
	return r;
}

static int ended_early(struct nomad_task *task, struct nomad_error **err)
{
	NOMAD_AUTO_FREE char *output = pot_start_output(nomad_task_state_dir(task));
	NOMAD_AUTO_FREE char *complaint = pot_first_complaint(output);

	/* It says so of a jail that it could not make, too, whose reason jail(8) gives. */
	if (complaint && strstr(complaint, "reported application error"))
		free(NOMAD_TAKE_PTR(complaint));
	return nomad_error_set(err, EIO, "'pot start' ended before the jail ran: %s",
			       complaint ? complaint : "see the task's stderr");
}

static bool has_run(const struct nomad_task *task)
{
	NOMAD_AUTO_FREE char *output = pot_start_output(nomad_task_state_dir(task));

	return output && strstr(output, POT_RUN_MARK);
}

/* The jail runs, or has run. */
static int wait_until_running(const struct pot_config *site, struct nomad_task *task, const char *name,
			      struct nomad_error **err)
{
	int64_t deadline = now_ms() + site->start_timeout * 1000;
	long pause = 100;

	for (;;) {
		/* Asked before, so that an end in between is seen the next time. */
		bool alive = nomad_task_leader(task) != 0;
		int r = pot_is_running(site, name, err);

		if (r != 0)
			return r < 0 ? r : 0;
		if (!alive) {
			if (has_run(task))
				return 0;
			return ended_early(task, err);
		}
		if (nomad_task_is_cancelled(task))
			return nomad_error_set(err, ECANCELED, "the start was cancelled");
		if (now_ms() >= deadline)
			return nomad_error_set(err, ETIMEDOUT, "the jail did not run within %lld s (start_timeout)",
					       (long long)site->start_timeout);
		usleep((useconds_t)pause * 1000);
		pause = pause < 1000 ? pause * 2 : 1000;
	}
}

/* Where the pot is and what ports it has there, for services with address_mode "driver".  An address of the bridge is
 * known on this host only: services that do not ask for it keep the host's. */
static int announce(const struct pot_config *site, struct nomad_task *task, const char *name, struct nomad_error **err)
{
	const struct pot_task_config *config = nomad_task_config(task);
	const bool alias = config->network_mode && strcmp(config->network_mode, "alias") == 0;
	NOMAD_AUTO_FREE char *address = alias || pot_has_own_network(config) ? pot_address(site, name) : NULL;
	struct nomad_int_map ports = { 0 };
	const char *label;
	int r = 0;

	if (!address)
		return 0;
	for (size_t i = 0; r >= 0 && i < config->port_map.count; i++) {
		const char *inside;

		pot_is_udp(config->port_map.pairs[i].value, &inside);
		r = nomad_int_map_set(&ports, config->port_map.pairs[i].key, atoi(inside));
	}
	for (char **p = config->ports; r >= 0 && p && *p; p++) {
		const struct nomad_port *port;

		pot_is_udp(*p, &label);
		port = nomad_port_find(&nomad_task_info(task)->resources, label);
		if (port)
			r = nomad_int_map_set(&ports, label, port->to > 0 ? port->to : port->value);
	}
	if (r >= 0)
		r = nomad_task_set_network(task, address, false, &ports);
	nomad_int_map_done(&ports);
	return r < 0 ? nomad_error_errno(err, -r, "report the address of pot '%s'", name) : 0;
}

static bool is_starting(void *ud)
{
	return nomad_task_leader(ud) != 0;
}

static int pot_start(struct nomad_task *task, struct nomad_error **err)
{
	const struct pot_config *site = site_of(task);
	NOMAD_AUTO_FREE char *name = nomad_strdupf(POT_NAME_PREFIX "_%s", nomad_task_slug(task));
	bool started = false;
	int r;

	if (!name)
		return nomad_error_errno(err, ENOMEM, "name a pot");
	r = refuse(site, nomad_task_info(task), err);
	if (r == 0)
		r = pot_judge(task, err);
	if (r < 0)
		return r;
	r = nomad_task_put(task, RECORD_POT, name, err);
	if (r < 0)
		return r;
	r = pot_make(site, task, name, err);
	if (r == 0) {
		nomad_task_event(task, "Starting the pot");
		r = run_start(site, task, name, err);
		started = r == 0;
	}
	if (r == 0)
		r = wait_until_running(site, task, name, err);
	if (r == 0)
		r = announce(site, task, name, err);
	if (r < 0) {
		NOMAD_AUTO_ERROR struct nomad_error *left = NULL;

		pot_log_start(name, nomad_task_state_dir(task));

		if (started)
			(void)pot_end(site, name, is_starting, task, NULL);
		if (pot_remove(site, name, nomad_task_state_dir(task), &left) == 0)
			nomad_task_forget(task, RECORD_POT);
		else
			nomad_log_kv(NOMAD_LOG_WARN, "a failed start left a pot behind", "pot", name, "error",
				     nomad_error_message(left), NULL);
		return nomad_error_wrap(err, "start pot '%s'", name);
	}
	return 0;
}

/* ---- What happens to it later ---- */

static const char *recorded(struct nomad_task *task, struct nomad_error **err)
{
	const char *name = nomad_task_get(task, RECORD_POT);

	if (!name)
		nomad_error_set(err, ENOENT, "task '%s' has no pot", nomad_task_id(task));
	return name;
}

static int pot_recover(struct nomad_task *task, struct nomad_error **err)
{
	return recorded(task, err) ? 0 : -ENOENT;
}

static int pot_stop(struct nomad_task *task, int signal, unsigned timeout_ms, struct nomad_error **err)
{
	NOMAD_AUTO_ERROR struct nomad_error *why = NULL;
	const char *name = recorded(task, err);

	(void)timeout_ms;
	if (!name)
		return -ENOENT;
	if (pot_signal(site_of(task), name, signal ? signal : SIGTERM, &why) < 0)
		/* It may be over already, or not up yet; else the time runs out, and kill() comes. */
		nomad_log_kv(NOMAD_LOG_DEBUG, "the task did not get the stop request", "pot", name, "error",
			     nomad_error_message(why), NULL);
	return 0;
}

/* The jail has been removed: a `pot start` that does not end by itself hangs in its own cleanup. */
static void end_start(struct nomad_task *task)
{
	enum { TERM_AFTER = 100, KILL_AFTER = 300, GIVE_UP_AFTER = 350 }; /* tenths of a second */
	int leader;

	for (int i = 0; i < GIVE_UP_AFTER && (leader = nomad_task_leader(task)) > 1; i++) {
		if (i == TERM_AFTER || i == KILL_AFTER)
			kill(-leader, i == TERM_AFTER ? SIGTERM : SIGKILL);
		usleep(100000);
	}
}

static int pot_kill(struct nomad_task *task, struct nomad_error **err)
{
	const char *name = recorded(task, err);
	int r = name ? pot_end(site_of(task), name, is_starting, task, err) : -ENOENT;

	if (r == 0)
		end_start(task);
	return r;
}

static int pot_send_signal(struct nomad_task *task, int signal, struct nomad_error **err)
{
	const char *name = recorded(task, err);

	return name ? pot_signal(site_of(task), name, signal, err) : -ENOENT;
}

static int pot_destroy(struct nomad_task *task, struct nomad_error **err)
{
	const char *name = nomad_task_get(task, RECORD_POT);
	struct pot_usage *usage = nomad_plugin_data(nomad_task_plugin(task));
	int r;

	if (usage)
		pot_usage_forget(usage, nomad_task_slug(task));
	/* Without a record nothing was begun. */
	if (!name)
		return 0;
	pot_log_start(name, nomad_task_state_dir(task));
	r = pot_remove(site_of(task), name, nomad_task_state_dir(task), err);
	if (r == 0)
		pot_images_collect(site_of(task), nomad_plugin_state_dir(nomad_task_plugin(task)), pot_remove_image);
	return r;
}

static int pot_exec(struct nomad_task *task, struct nomad_exec *exec, struct nomad_error **err)
{
	const struct pot_config *site = site_of(task);
	const char *name = recorded(task, err);
	const char *secrets = nomad_map_get(&exec->env, "NOMAD_SECRETS_DIR");
	NOMAD_AUTO_FREE char *script = NULL;
	NOMAD_AUTO_STRV char **assignments = NULL;
	char **argv;
	int r;

	if (!name)
		return -ENOENT;
	if (site->env_files) {
		script = nomad_strdupf("%s/" POT_ENV_SCRIPT, secrets && *secrets == '/' ? secrets : "/secrets");
		if (!script)
			return nomad_error_errno(err, ENOMEM, "run a command in pot '%s'", name);
	} else {
		r = pot_env_plain(&exec->env, &assignments, err);
		if (r < 0)
			return r;
	}
	argv = pot_argv_exec(site->pot_path, name, nomad_task_info(task)->user, (const char *const *)exec->argv, script,
			     (const char *const *)assignments);
	if (!argv)
		return nomad_error_errno(err, ENOMEM, "run a command in pot '%s'", name);
	nomad_strv_free(exec->argv);
	exec->argv = argv;
	/* pot itself runs on the host, as root: none of the job's variables there. */
	nomad_map_done(&exec->env);
	if (nomad_map_set(&exec->env, "PATH", site->path) < 0 || nomad_map_set(&exec->env, "HOME", "/root") < 0)
		return nomad_error_errno(err, ENOMEM, "run a command in pot '%s'", name);
	return 0;
}

int pot_driver_stats(struct nomad_task *task, struct nomad_stats *ret, struct nomad_error **err)
{
	const char *name = recorded(task, err);
	char racct[2048];
	int r;

	if (!name)
		return -ENOENT;
	r = pot_os_jail_usage(name, racct, sizeof(racct));
	if (r < 0)
		return nomad_error_errno(err, -r, "read the resource usage of pot '%s'", name);
	return pot_usage_sample(nomad_plugin_data(nomad_task_plugin(task)), nomad_task_slug(task), racct, now_ms(), ret,
				err);
}

static int pot_inspect(struct nomad_task *task, struct nomad_map *attributes, struct nomad_error **err)
{
	const char *name = nomad_task_get(task, RECORD_POT);

	if (name && nomad_map_set(attributes, "pot", name) < 0)
		return nomad_error_errno(err, ENOMEM, "inspect pot '%s'", name);
	return 0;
}

const struct nomad_driver pot_driver = {
	.name = "pot",
	.version = NOMAD_VERSION,
	.summary = "Nomad tasks in FreeBSD jails, by pot(8)",
	.capabilities = NOMAD_CAN_SIGNAL | NOMAD_CAN_EXEC,
	/* So that the agent's own environment stays out of the task's. */
	.fs_isolation = NOMAD_FS_IMAGE,
	.config_schema = &pot_config_schema,
	.task_schema = &pot_task_schema,
	.init = pot_init,
	.fini = pot_fini,
	.fingerprint = pot_fingerprint,
	.start = pot_start,
	.recover = pot_recover,
	.stop = pot_stop,
	.kill = pot_kill,
	.signal = pot_send_signal,
	.destroy = pot_destroy,
	.exec = pot_exec,
	.inspect = pot_inspect,
};
