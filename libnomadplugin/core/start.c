/* SPDX-License-Identifier: MPL-2.0
 *
 * StartTask and RecoverTask.
 *
 * Nomad repeats a StartTask with the same id when the plugin died under it;
 * and never speaks of a failed one again.  So: an intent record comes first;
 * a start that finds the records of an earlier one takes over what runs, or
 * clears away what was half made and begins anew; a start that fails leaves
 * nothing.  See 5.7, 5.11 and 7.2 of the protocol. */
#include "core/plugin.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "supervisor/crash.h"
#include "core/handle.h"
#include "core/tidy.h"
#include "schema/schema.h"

enum {
	/* Another plugin may just be ending, or collecting garbage. */
	START_PATIENCE_MS = 2000,
	RECOVER_PATIENCE_MS = 300,
	OPEN_ATTEMPTS = 20,
};

/* ---- Records ---- */

/* Open the journal and claim it.  A start does not go on without the claim:
 * there would be two instances.  A recovery does: what runs is Nomad's. */
static int open_record(struct nomad_task *task, bool create, struct nomad_error **err)
{
	NOMAD_AUTO_FREE char *path = nomad_strdupf("%s/task", task->state_dir);
	NOMAD_AUTO_FREE char *tasks = nomad_strdupf("%s/tasks", task->plugin->state_dir);
	int r;

	if (!path || !tasks)
		return nomad_error_errno(err, ENOMEM, "open the task's record");
	for (int i = 0;; i++) {
		if (create) {
			r = nomad__make_dirs(task->plugin->state_dir, 0700);
			if (r >= 0)
				r = nomad__make_dirs(tasks, 0700);
			if (r >= 0)
				r = nomad__make_dirs(task->state_dir, 0700);
			if (r < 0)
				return nomad_error_errno(err, -r, "make the task's state directory '%s'",
							 task->state_dir);
		}
		r = nomad__journal_open(&task->record, path, create, err);
		if (r < 0)
			return r;
		r = nomad__journal_claim(&task->record, create ? START_PATIENCE_MS : RECOVER_PATIENCE_MS);
		if (r == 0)
			return 0;
		if (r == -EWOULDBLOCK && !create) {
			nomad_log_kv(NOMAD_LOG_WARN, "another instance of this driver holds the task as well",
				     "task_id", task->info.id, NULL);
			return 0;
		}
		nomad__journal_close(&task->record);
		if (r != -ESTALE || i >= OPEN_ATTEMPTS)
			break;
	}
	if (r == -EWOULDBLOCK)
		return nomad_error_set(err, EBUSY, "another living instance of this driver holds the task");
	return nomad_error_errno(err, -r, "claim the task's record '%s'", path);
}

/* What an operator, gc and destroy() have to know of a task nobody remembers. */
static int write_identity(struct nomad_task *task, struct nomad_error **err)
{
	const struct nomad_task_info *info = &task->info;
	char cpu[24], memory[24], now[24];
	const struct {
		const char *key, *value;
	} facts[] = {
		{ "driver", task->plugin->driver->name },
		{ "time", now },
		{ "cpu", cpu },
		{ "memory", memory },
		{ "id", info->id },
		{ "alloc", info->alloc_id },
		{ "name", info->name },
		{ "node", info->node_id },
		{ "job", info->job_id },
		{ "namespace", info->namespace_name },
		{ "dir", info->alloc_dir },
		{ "boot", task->plugin->boot_id },
	};

	snprintf(now, sizeof(now), "%lld", (long long)nomad_wall_ns());
	snprintf(cpu, sizeof(cpu), "%lld", (long long)info->resources.cpu_shares);
	snprintf(memory, sizeof(memory), "%lld", (long long)info->resources.memory_limit_bytes);
	for (size_t i = 0; i < NOMAD_ARRAY_LEN(facts); i++)
		if (nomad_map_set(&task->record.map, facts[i].key, facts[i].value) < 0)
			return nomad_error_errno(err, ENOMEM, "write the task's record");
	return nomad__journal_put_all(&task->record, err);
}

bool nomad__task_is_of_this_boot(const struct nomad_task *task)
{
	const char *boot = nomad_map_get(&task->record.map, "boot");

	return boot && strcmp(boot, task->plugin->boot_id) == 0;
}

/* What runs elsewhere does not end with a boot of this host: its word is
 * waited for.  A supervisor and its task do, and so may what we say of them. */
static int record_started(struct nomad_task *task, struct nomad_error **err)
{
	int r;

	pthread_mutex_lock(&task->journal);
	if (nomad_map_get(&task->record.map, "supervised"))
		r = nomad__journal_note(&task->record, "started", "1", err);
	else
		r = nomad__journal_put(&task->record, "started", NOMAD__STARTED_REMOTE, err);
	pthread_mutex_unlock(&task->journal);
	return r;
}

/* ---- What start() may call ---- */

int nomad_task_run(struct nomad_task *task, const struct nomad_command *command, struct nomad_error **err)
{
	struct nomad_plugin *plugin = task->plugin;
	const struct nomad__library_config *config = nomad__library_config(plugin);
	const struct nomad_task_info *info = &task->info;
	NOMAD_AUTO_FREE char *title = nomad_strdupf("nomad-driver-%s: %s", plugin->driver->name, task->slug);
	NOMAD_AUTO_FREE char *log_dir = nomad_strdupf("%s/logs", task->shared_dir);
	struct nomad__supervisor *supervisor = NULL;
	struct nomad__supervise spec = {
		.dir = task->state_dir,
		.title = title,
		.command = command,
		.env = command->env ? command->env : &info->env,
		.stdout_path = info->stdout_path,
		.stderr_path = info->stderr_path,
		.alloc_id = info->alloc_id,
		.task_name = info->name,
		.resources = &info->resources,
		.devices = info->devices,
		.n_devices = info->n_devices,
	};
	int r;

	if (!title || !log_dir)
		return nomad_error_errno(err, ENOMEM, "start the task's process");
	if (task->supervisor)
		return nomad_error_set(err, EALREADY, "start the task's process: it has one already");
	if (!command->argv || !command->argv[0] || command->argv[0][0] != '/')
		return nomad_error_set(err, EINVAL, "start the task's process: '%s' is not an absolute path",
				       command->argv && command->argv[0] ? command->argv[0] : "");
	/* A path of /dev/null says that the job wants no logs at all. */
	if ((nomad__plugin_capabilities(plugin) & NOMAD_OWN_LOGS) && info->stdout_path &&
	    strcmp(info->stdout_path, "/dev/null") != 0) {
		spec.log_dir = log_dir;
		spec.log_name = info->name;
		spec.log_max_files = (unsigned)config->log_max_files;
		spec.log_max_bytes = (uint64_t)config->log_max_file_size_mb << 20;
	}
	pthread_mutex_lock(&task->journal);
	r = nomad__journal_note(&task->record, "supervised", "1", err);
	pthread_mutex_unlock(&task->journal);
	if (r < 0)
		return r;
	nomad__crash_at("core-run-recorded");
	r = nomad__supervisor_start(plugin->loop, &spec, &nomad__task_supervisor_events, task, &supervisor, err);
	if (r < 0)
		return r;
	nomad__crash_at("core-run-started");
	pthread_mutex_lock(&task->lock);
	task->supervisor = supervisor;
	task->started_ns = nomad__supervisor_started_ns(supervisor);
	pthread_mutex_unlock(&task->lock);
	return 0;
}

/* ---- StartTask ---- */

static int make_handle(struct nomad_task *task, struct nomad__started *ret, struct nomad_error **err)
{
	struct nomad__handle handle = {
		.version = NOMAD__HANDLE_VERSION,
		.driver = (char *)task->plugin->driver->name,
		.boot_id = task->plugin->boot_id,
		.state_dir = task->state_dir,
		.config = task->stored_config,
		.config_size = task->stored_config_size,
	};
	struct nomad__started started = { 0 };
	int r = nomad__handle_encode(&handle, &started.driver_state, &started.driver_state_size, err);

	pthread_mutex_lock(&task->lock);
	if (r >= 0 && task->has_network) {
		started.has_network = true;
		started.auto_advertise = task->auto_advertise;
		started.addr = task->addr ? strdup(task->addr) : NULL;
		if (task->addr && !started.addr)
			r = -ENOMEM;
		for (size_t i = 0; r >= 0 && i < task->port_map.count; i++)
			r = nomad_int_map_set(&started.port_map, task->port_map.pairs[i].key,
					      task->port_map.pairs[i].value);
		if (r < 0)
			nomad_error_errno(err, ENOMEM, "make the task's handle");
	}
	pthread_mutex_unlock(&task->lock);
	if (r < 0)
		nomad__started_done(&started);
	else
		*ret = started;
	return r;
}

/* `busy` is held.  0: it runs (or ran) and is taken over; else it is not there. */
static int take_over(struct nomad_task *task, struct nomad_error **err)
{
	struct nomad_plugin *plugin = task->plugin;
	struct nomad__supervisor *supervisor = NULL;
	bool supervised = nomad_map_get(&task->record.map, "supervised");
	int r;

	if (!nomad__task_is_of_this_boot(task) && !nomad__journal_is_remote(&task->record.map))
		return nomad_error_set(err, ENOENT, "the task is lost: this host was restarted since");
	if (nomad_map_get(&task->record.map, "destroying"))
		return nomad_error_set(err, ENOENT, "the task is lost: it is half destroyed");
	if (supervised) {
		/* Its end may be told from within attach(): the phase has to be right. */
		r = nomad__supervisor_attach(plugin->loop, task->state_dir, &nomad__task_supervisor_events, task,
					     &supervisor, err);
		if (r == -ENOENT) {
			nomad_error_free(err ? *err : NULL);
			if (err)
				*err = NULL;
			nomad__metric_add(plugin->metrics, NOMAD__SUPERVISORS_DEAD, 1);
			return nomad_error_set(err, ENOENT,
					       "the task is lost: its supervisor is gone and left no exit record");
		}
		if (r < 0)
			return r;
		pthread_mutex_lock(&task->lock);
		task->supervisor = supervisor;
		task->started_ns = nomad__supervisor_started_ns(supervisor);
		pthread_mutex_unlock(&task->lock);
	} else if (!plugin->driver->recover) {
		return nomad_error_set(err, ENOENT, "the task is lost: it was never started");
	}
	nomad__task_restore_network(task);
	if (!plugin->driver->recover)
		return 0;
	r = plugin->driver->recover(task, err);
	if (r < 0) {
		pthread_mutex_lock(&task->lock);
		task->supervisor = NULL;
		pthread_mutex_unlock(&task->lock);
		nomad__supervisor_free(supervisor);
	}
	return r;
}

static void set_running(struct nomad_task *task)
{
	pthread_mutex_lock(&task->lock);
	if (!task->started_ns)
		task->started_ns = nomad_wall_ns();
	if (task->phase == NOMAD__STARTING)
		task->phase = NOMAD__RUNNING;
	pthread_mutex_unlock(&task->lock);
}

/* The end of what could not be taken over may have been told already: it is
 * not the end of what is started instead. */
static void begin_anew(struct nomad_task *task)
{
	pthread_mutex_lock(&task->lock);
	task->phase = NOMAD__STARTING;
	free(task->result.message);
	task->result = (struct nomad_exit){ 0 };
	task->started_ns = task->ended_ns = 0;
	task->lost = false;
	pthread_mutex_unlock(&task->lock);
}

/* `busy` is held.  Runs the driver's start(), or takes over what an earlier call with this id made. */
static int start_or_adopt(struct nomad_task *task, enum nomad__metric *ret_kind, struct nomad_error **err)
{
	NOMAD_AUTO_ERROR struct nomad_error *why = NULL;
	struct stat st;
	int r;

	if (lstat(task->state_dir, &st) == 0) {
		r = open_record(task, true, err);
		if (r < 0)
			return r;
		if (nomad_map_get(&task->record.map, "started") && take_over(task, &why) == 0) {
			nomad_task_event(task, "Adopted: the task ran already");
			*ret_kind = NOMAD__STARTS_ADOPTED;
			return 0;
		}
		nomad_log_kv(NOMAD_LOG_WARN, "clearing away what an earlier start of this task left", "task_id",
			     task->info.id, "why", why ? nomad_error_message(why) : "it was not completed", NULL);
		nomad_error_free(NOMAD_TAKE_PTR(why));
		r = nomad__task_tidy(task, err);
		if (r < 0) {
			(void)nomad_error_wrap(err, "clear away what an earlier start left");
			return r;
		}
		begin_anew(task);
	}
	nomad__crash_at("core-start-intent");
	r = open_record(task, true, err);
	if (r >= 0)
		r = write_identity(task, err);
	if (r < 0)
		goto undo;
	nomad__crash_at("core-start-recorded");
	r = task->plugin->driver->start(task, err);
	if (r < 0)
		goto undo;
	nomad__crash_at("core-start-driver");
	r = record_started(task, err);
	nomad__crash_at("core-start-done");
	if (r >= 0)
		return 0;
undo:
	if (nomad__task_tidy(task, &why) < 0)
		nomad_log_kv(NOMAD_LOG_WARN, "a failed start left something behind", "task_id", task->info.id, "error",
			     nomad_error_message(why), NULL);
	return r;
}

static int decode_config(struct nomad_task *task, const void *config, size_t size, unsigned flags,
			 struct nomad_error **err)
{
	const struct nomad_schema *schema = task->plugin->driver->task_schema;
	int r = nomad__config_decode(schema, "task config", config, size, flags, &task->config, err);

	if (r < 0)
		return r;
	if (size)
		return nomad__config_redact(schema, config, size, &task->stored_config, &task->stored_config_size, err);
	return 0;
}

/* Directories are made of it. */
static int check_name(const struct nomad_task *task, struct nomad_error **err)
{
	const char *name = task->info.name;

	if (strchr(name, '/') || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return nomad_error_set(err, EINVAL, "task '%s': its name '%s' cannot be that of a directory",
				       task->info.id, name);
	return 0;
}

int nomad__task_start(struct nomad_plugin *plugin, struct nomad_task_info *take_info, const void *config,
		      size_t config_size, struct nomad__started *ret, struct nomad_error **err)
{
	enum nomad__metric kind = NOMAD__STARTS_STARTED;
	struct nomad_task *task = NULL, *other = NULL;
	int r;

	r = nomad__plugin_ensure_init(plugin, err);
	if (r < 0) {
		nomad__task_info_done(take_info);
		return r;
	}
	r = nomad__task_new(plugin, take_info, &task, err);
	if (r < 0)
		return r;
	r = check_name(task, err);
	if (r < 0) {
		nomad__task_unref(task);
		return r;
	}
	pthread_mutex_lock(&task->busy);
	r = nomad__task_insert(plugin, task, &other);
	if (r == -EEXIST) {
		/* The same call again on the same process: its answer was lost. */
		pthread_mutex_unlock(&task->busy);
		nomad__task_unref(task);
		pthread_mutex_lock(&other->busy);
		if (nomad__task_phase(other) == NOMAD__RUNNING || nomad__task_phase(other) == NOMAD__EXITED)
			r = make_handle(other, ret, err);
		else
			r = nomad_error_set(err, EEXIST, "start task '%s': the task exists already", other->info.id);
		pthread_mutex_unlock(&other->busy);
		nomad__task_unref(other);
		return r;
	}
	if (r < 0) {
		nomad_error_errno(err, -r, "start task '%s'", task->info.id);
		goto out;
	}
	r = decode_config(task, config, config_size, 0, err);
	if (r >= 0)
		r = start_or_adopt(task, &kind, err);
	if (r >= 0) {
		set_running(task);
		r = make_handle(task, ret, err);
		if (r < 0)
			(void)nomad__task_tidy(task, NULL);
	}
	if (r < 0)
		nomad__task_gone(task);
	nomad__metric_add(plugin->metrics, r < 0 ? NOMAD__STARTS_FAILED : kind, 1);
out:
	pthread_mutex_unlock(&task->busy);
	nomad__task_unref(task);
	return r;
}

/* ---- RecoverTask ---- */

/* The option state_dir may be another one than when the task was started.
 * A handle is not to be believed: whatever it says is to be a directory of
 * this very task, or it is not touched. */
static int use_recorded_dir(struct nomad_task *task, const char *dir)
{
	NOMAD_AUTO_FREE char *tail = nomad_strdupf("/tasks/%s", task->slug);
	size_t size = strlen(dir), tail_size = tail ? strlen(tail) : 0;
	char *copy;

	if (!tail)
		return -ENOMEM;
	if (*dir != '/' || strstr(dir, "/../") || size <= tail_size || strcmp(dir + size - tail_size, tail) != 0)
		return 0;
	copy = strdup(dir);
	if (!copy)
		return -ENOMEM;
	free(task->state_dir);
	task->state_dir = copy;
	return 0;
}

static int open_recorded(struct nomad_task *task, const char *dir, struct nomad_error **err)
{
	const char *id, *driver;
	struct stat st;
	int r = lstat(task->state_dir, &st) < 0 && errno == ENOENT ? use_recorded_dir(task, dir) : 0;

	if (r < 0)
		return nomad_error_errno(err, -r, "recover task '%s'", task->info.id);
	if (lstat(task->state_dir, &st) < 0 && errno == ENOENT)
		return nomad_error_set(err, ENOENT, "the task is lost: its state directory '%s' is gone",
				       task->state_dir);
	r = open_record(task, false, err);
	if (r < 0)
		return r;
	id = nomad_map_get(&task->record.map, "id");
	driver = nomad_map_get(&task->record.map, "driver");
	if (!id || strcmp(id, task->info.id) != 0 || (driver && strcmp(driver, task->plugin->driver->name) != 0))
		return nomad_error_set(err, EINVAL, "recover task '%s': its record '%s' is of another one",
				       task->info.id, task->record.path);
	return 0;
}

/* Another call is at it, or was. */
static int recovered_already(struct nomad_task *other, struct nomad_error **err)
{
	int r = 0;

	if (nomad__task_phase(other) == NOMAD__RUNNING)
		return 0;
	pthread_mutex_lock(&other->busy);
	if (nomad__task_phase(other) == NOMAD__GONE)
		r = nomad_error_set(err, ENOENT, "recover task '%s': it could not be", other->info.id);
	pthread_mutex_unlock(&other->busy);
	return r;
}

int nomad__task_recover(struct nomad_plugin *plugin, struct nomad_task_info *take_info, const void *driver_state,
			size_t driver_state_size, struct nomad_error **err)
{
	struct nomad_task *task = NULL, *other = NULL;
	struct nomad__handle handle = { 0 };
	int r;

	r = nomad__plugin_ensure_init(plugin, err);
	if (r >= 0)
		other = nomad__task_find(plugin, take_info->id ? take_info->id : "");
	if (other) /* known: the agent reattached to this process */
		r = recovered_already(other, err);
	if (r < 0 || other) {
		nomad__task_info_done(take_info);
		nomad__task_unref(other);
		return r;
	}
	r = nomad__handle_decode(driver_state, driver_state_size, &handle, err);
	if (r < 0) {
		nomad__task_info_done(take_info);
		return r;
	}
	r = nomad__task_new(plugin, take_info, &task, err);
	if (r < 0)
		goto out_handle;
	r = check_name(task, err);
	if (r < 0) {
		nomad__task_unref(task);
		goto out_handle;
	}
	pthread_mutex_lock(&task->busy);
	if (strcmp(handle.driver, plugin->driver->name) != 0) {
		r = nomad_error_set(err, EINVAL, "recover task '%s': its handle is of driver '%s'", task->info.id,
				    handle.driver);
		goto out;
	}
	r = decode_config(task, handle.config, handle.config_size, NOMAD__DECODE_STORED, err);
	if (r < 0)
		goto out;
	/* Into the table first: of two at a time the second waits for the first. */
	r = nomad__task_insert(plugin, task, &other);
	if (r == -EEXIST) {
		r = recovered_already(other, err);
		nomad__task_unref(other);
		goto out;
	}
	if (r < 0) {
		nomad_error_errno(err, -r, "recover task '%s'", task->info.id);
		goto out;
	}
	r = open_recorded(task, handle.state_dir, err);
	if (r >= 0 && strcmp(handle.boot_id, plugin->boot_id) != 0 && !nomad__journal_is_remote(&task->record.map))
		r = nomad_error_set(err, ENOENT, "the task is lost: this host was restarted since");
	if (r >= 0)
		r = take_over(task, err);
	nomad__crash_at("core-recover-attached");
	nomad__metric_add(plugin->metrics,
			  r >= 0	 ? NOMAD__RECOVERS_RECOVERED
			  : r == -ENOENT ? NOMAD__RECOVERS_LOST
					 : NOMAD__RECOVERS_FAILED,
			  1);
	if (r >= 0) {
		set_running(task);
		nomad_task_event(task, "Recovered after a restart of the driver");
	} else {
		nomad__task_gone(task);
	}
out:
	pthread_mutex_unlock(&task->busy);
	nomad__task_unref(task);
out_handle:
	nomad__handle_done(&handle);
	return r;
}
