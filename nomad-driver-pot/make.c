/* SPDX-License-Identifier: MPL-2.0
 *
 * make.c: makes the pot of a task, all but started. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "call.h"
#include "env.h"
#include "hold.h"
#include "images.h"
#include "judge.h"
#include "limits.h"
#include "nomad/driver.h"
#include "nomad/error.h"
#include "nomad/tool.h"
#include "pot-cli.h"
#include "pot.h"
#include "run.h"

enum { PROGRESS_INTERVAL_S = 15 };

static int64_t now_s(void)
{
	return nomad_monotonic_ns() / 1000000000;
}

struct progress {
	struct nomad_task *task;
	const char *dir; /* the plugin's */
	int64_t started, last;
	bool unpacking;
};

static void on_line(void *ud, const char *line)
{
	struct progress *p = ud;
	int64_t now = now_s();
	const char *as = strstr(line, " as ");

	p->unpacking |= strstr(line, "Hash confirmed") != NULL;

	if (as && strncmp(line, "importing ", 10) == 0)
		pot_image_imported(p->dir, as + 4);
	if (strncmp(line, "importing ", 10) == 0 || strncmp(line, "Installing dependency", 21) == 0) {
		nomad_task_event(p->task, "Pot is %s%s", *line == 'I' ? "i" : "", line + (*line == 'I'));
		p->last = now;
	} else if (now - p->last >= PROGRESS_INTERVAL_S) {
		nomad_task_event(p->task, "Still preparing the pot after %lld s: %s", (long long)(now - p->started),
				 line);
		p->last = now;
	}
}

/* A cancelled start does not wait for a download.  An image that is cut while it is unpacked stays broken. */
static void on_tick(void *ud)
{
	const struct progress *p = ud;

	if (!p->unpacking && nomad_task_is_cancelled(p->task))
		pot_hold_kill();
}

/* The resolv.conf of a job's dns block, or NULL without one. */
static int write_dns(struct nomad_task *task, char **ret_file, struct nomad_error **err)
{
	const struct nomad_task_info *info = nomad_task_info(task);
	NOMAD_AUTO_FREE char *file = NULL, *text = NULL;
	NOMAD_AUTO_FD int fd = -1;
	int r;

	*ret_file = NULL;
	if (!info->has_dns)
		return 0;
	file = nomad_strdupf("%s/resolv.conf", nomad_task_state_dir(task));
	text = nomad_resolv_conf(info);
	if (!file || !text)
		return nomad_error_errno(err, ENOMEM, "write a resolv.conf for the task");
	fd = open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	r = fd < 0 ? -errno : nomad_write_all(fd, text, strlen(text));
	if (r < 0)
		return nomad_error_errno(err, -r, "write '%s'", file);
	*ret_file = NOMAD_TAKE_PTR(file);
	return 0;
}

static int mount_one(const struct pot_config *site, const char *name, const char *source, const char *destination,
		     bool read_only, struct nomad_error **err)
{
	int r;

	/* pot keeps both in one line and splits it at blanks. */
	if (strpbrk(source, " \t\n") || strpbrk(destination, " \t\n"))
		return nomad_error_set(err, EINVAL, "mount '%s' at '%s': pot cannot mount paths with blanks", source,
				       destination);
	if (strcmp(source, "/") == 0)
		return nomad_error_set(err, EINVAL, "mount '/' at '%s': pot cannot mount the host's root", destination);
	r = pot_call(site, pot_argv_mount_in(site->pot_path, name, source, destination, read_only), NULL, err);
	return r < 0 ? nomad_error_wrap(err, "mount '%s' at '%s'", source, destination) : 0;
}

static int mount_list(const struct pot_config *site, struct nomad_task *task, const char *name, const char *option,
		      char **entries, bool read_only, struct nomad_error **err)
{
	for (; entries && *entries; entries++) {
		NOMAD_AUTO_FREE char *source = NULL;
		const char *destination;
		int r = pot_source(task, option, *entries, &source, &destination, err);

		if (r == 0)
			r = mount_one(site, name, source, destination, read_only, err);
		if (r < 0)
			return r;
	}
	return 0;
}

static const char *dir_in_jail(const struct nomad_task_info *info, const char *variable, const char *otherwise)
{
	const char *dir = nomad_map_get(&info->env, variable);

	return dir && *dir == '/' ? dir : otherwise;
}

/* Mounts what Nomad's shared directory has, one by one: FreeBSD refuses (EDEADLK) to mount its logs on themselves, as
 * they would show in a mount of the whole, and Nomad reads logs as root, so a task must not write there. */
static int mount_shared(const struct pot_config *site, struct nomad_task *task, const char *name,
			struct nomad_error **err)
{
	static const struct {
		const char *name;
		bool read_only;
	} parts[] = { { "data", false }, { "tmp", false }, { "logs", true } };
	const char *alloc = dir_in_jail(nomad_task_info(task), "NOMAD_ALLOC_DIR", "/alloc");

	for (size_t i = 0; i < NOMAD_ARRAY_LEN(parts); i++) {
		NOMAD_AUTO_FREE char *source = nomad_strdupf("%s/%s", nomad_task_shared_dir(task), parts[i].name);
		NOMAD_AUTO_FREE char *target = nomad_strdupf("%s/%s", alloc, parts[i].name);
		int r;

		if (!source || !target)
			return nomad_error_errno(err, ENOMEM, "mount the task's directories");
		if (access(source, F_OK) < 0)
			continue;
		r = mount_one(site, name, source, target, parts[i].read_only, err);
		if (r < 0)
			return r;
	}
	return 0;
}

/* Mounts pot-run, which starts the task's command. */
static int mount_run(const struct pot_config *site, struct nomad_task *task, const char *name, struct nomad_error **err)
{
	NOMAD_AUTO_FREE char *dir = NULL;
	int r = pot_run_write(nomad_task_state_dir(task), &dir, err);

	return r < 0 ? r : mount_one(site, name, dir, POT_RUN_MOUNT, true, err);
}

static int make_mounts(const struct pot_config *site, struct nomad_task *task, const char *name,
		       struct nomad_error **err)
{
	const struct pot_task_config *config = nomad_task_config(task);
	const struct nomad_task_info *info = nomad_task_info(task);
	int r;

	r = mount_run(site, task, name, err);
	if (r == 0)
		r = mount_shared(site, task, name, err);
	if (r == 0)
		r = mount_one(site, name, nomad_task_local_dir(task), dir_in_jail(info, "NOMAD_TASK_DIR", "/local"),
			      false, err);
	if (r == 0)
		r = mount_one(site, name, nomad_task_secrets_dir(task),
			      dir_in_jail(info, "NOMAD_SECRETS_DIR", "/secrets"), false, err);
	for (size_t i = 0; r == 0 && i < info->n_mounts; i++)
		r = mount_one(site, name, info->mounts[i].host_path, info->mounts[i].task_path,
			      info->mounts[i].readonly, err);
	if (r == 0)
		r = mount_list(site, task, name, "mount", config->mount, false, err);
	if (r == 0)
		r = mount_list(site, task, name, "mount_read_only", config->mount_read_only, true, err);
	return r;
}

static int make_environment(const struct pot_config *site, struct nomad_task *task, const char *name,
			    struct nomad_error **err)
{
	const struct nomad_task_info *info = nomad_task_info(task);
	NOMAD_AUTO_STRV char **assignments = NULL;
	struct nomad_tool quiet = { .quiet = true };
	int r;

	r = pot_env_assignments(&info->env, site->env_files ? nomad_task_secrets_dir(task) : NULL,
				dir_in_jail(info, "NOMAD_SECRETS_DIR", "/secrets"), &assignments, err);
	if (r < 0 || !assignments)
		return r;
	return pot_call(site, pot_argv_set_env(site->pot_path, name, (const char *const *)assignments), &quiet, err);
}

static int make_hosts(const struct pot_config *site, const struct pot_task_config *config, const char *name,
		      struct nomad_error **err)
{
	struct nomad_tool run = { .what = "'pot set-hosts'" };

	if (!config->extra_hosts || !config->extra_hosts[0])
		return 0;
	return pot_call(site, pot_argv_set_hosts(site->pot_path, name, (const char *const *)config->extra_hosts), &run,
			err);
}

/* The command that the image has, malloc()ed, or NULL. */
static char *image_command(const char *fs_root, const char *name)
{
	NOMAD_AUTO_FREE char *path = nomad_strdupf("%s/jails/%s/conf/pot.conf", fs_root, name);
	FILE *file = path ? fopen(path, "re") : NULL;
	char *line = NULL, *command = NULL;
	size_t size = 0;

	while (file && getline(&line, &size, file) > 0) {
		line[strcspn(line, "\n")] = '\0';
		if (strncmp(line, "pot.cmd=", 8) == 0) {
			free(command);
			command = strdup(line + 8);
		}
	}
	free(line);
	if (file)
		fclose(file);
	return command;
}

/* The image's own command is started by pot-run, too. */
static int wrap_image_command(const struct pot_config *site, const char *user, const char *name,
			      struct nomad_error **err)
{
	struct nomad_tool run = { 0 };
	NOMAD_AUTO_FREE char *command = NULL, *line = NULL, *fs_root = NULL;
	int r = pot_call_for_output(site, pot_argv_config(site->pot_path, "fs_root"), &run, err);

	fs_root = run.output;
	if (r < 0)
		return r;
	fs_root[strcspn(fs_root, "\r\n")] = '\0';
	command = image_command(fs_root, name);
	/* Without one pot runs rc. */
	line = pot_run_line(user, command && *command ? command : "sh /etc/rc");
	return pot_call(site, line ? pot_argv_set_command(site->pot_path, name, line) : NULL, NULL, err);
}

/* Runs `pot prepare`.  *ret_output is what it said, which the caller frees. */
static int run_prepare(const struct pot_config *site, struct nomad_task *task, char **take_argv, char **ret_output,
		       struct nomad_error **err)
{
	const struct pot_task_config *config = nomad_task_config(task);
	const char *dir = nomad_plugin_state_dir(nomad_task_plugin(task));
	struct progress progress = { .task = task, .dir = dir, .started = now_s(), .last = now_s() };
	struct nomad_tool run = {
		.timeout_ms = (unsigned)site->prepare_timeout * 1000, .line = on_line, .tick = on_tick, .ud = &progress
	};
	NOMAD_AUTO_FREE char *image = pot_image_name(config->pot, config->tag);
	int r;

	pot_images_hold();
	r = pot_call_for_output(site, take_argv, &run, err);
	if (image)
		pot_image_used(dir, image);
	pot_images_release();
	*ret_output = run.output;
	if (r == -EIO && image && pot_image_repair(site, image, pot_remove_half_image))
		nomad_task_event(task, "Removed an incomplete import of image %s", image);
	return r;
}

static int prepare(const struct pot_config *site, struct nomad_task *task, const char *name, struct nomad_error **err)
{
	const struct pot_task_config *config = nomad_task_config(task);
	NOMAD_AUTO_FREE char *dns_file = NULL, *output = NULL, *complaint = NULL;
	int64_t began = now_s();
	struct pot_port *ports = NULL;
	size_t n_ports = 0;
	int r;

	r = pot_ports(config, nomad_task_info(task), &ports, &n_ports, err);
	if (r < 0)
		return r;
	r = write_dns(task, &dns_file, err);
	if (r == 0) {
		nomad_task_event(task, "Preparing a pot from %s %s of %s", config->pot, config->tag, config->image);
		r = run_prepare(site, task,
				pot_argv_prepare(site->pot_path, config, ports, n_ports, dns_file,
						 nomad_task_info(task)->user, nomad_task_slug(task)),
				&output, err);
	}
	free(ports);
	if (r < 0)
		return r == -ETIMEDOUT || r == -EIO ? nomad_error_retryable(err) : r;
	/* It ends with 0 after several failures, too. */
	r = pot_exists(site, name, err);
	if (r == 0) {
		complaint = pot_first_complaint(output);
		return nomad_error_set(err, EIO, "'pot prepare' created an incomplete pot: %s",
				       complaint ? complaint : "the image or the ZFS pool may be damaged");
	}
	if (r < 0)
		return r;
	nomad_task_event(task, "Prepared the pot in %lld s", (long long)(now_s() - began));
	return 0;
}

static int make(const struct pot_config *site, struct nomad_task *task, const char *name, struct nomad_error **err)
{
	const struct pot_task_config *config = nomad_task_config(task);
	int r;

	r = prepare(site, task, name, err);
	if (r == 0 && !config->command)
		r = wrap_image_command(site, nomad_task_info(task)->user, name, err);
	for (char **a = config->attributes; r == 0 && a && *a; a++) {
		const char *value = strchr(*a, ':') + 1;
		NOMAD_AUTO_FREE char *key = nomad_strdupf("%.*s", (int)(value - 1 - *a), *a);

		r = pot_call(site, key ? pot_argv_set_attribute(site->pot_path, name, key, value) : NULL, NULL, err);
	}
	for (char **c = config->copy; r == 0 && c && *c; c++) {
		NOMAD_AUTO_FREE char *source = NULL;
		const char *destination = NULL;
		/* Waits for the same lock as a download of another task. */
		struct nomad_tool run = { .timeout_ms = (unsigned)site->prepare_timeout * 1000 };

		r = pot_source(task, "copy", *c, &source, &destination, err);
		if (r == 0)
			r = pot_call(site, pot_argv_copy_in(site->pot_path, name, source, destination), &run, err);
	}
	if (r == 0)
		r = make_mounts(site, task, name, err);
	if (r == 0)
		r = make_environment(site, task, name, err);
	if (r == 0)
		r = make_hosts(site, config, name, err);
	if (r == 0)
		r = pot_make_limits(site, task, name, err);
	return r;
}

int pot_make(const struct pot_config *site, struct nomad_task *task, const char *name, struct nomad_error **err)
{
	int fd = pot_hold_new(nomad_task_state_dir(task), err), r;

	if (fd < 0)
		return fd;
	pot_call_for_start(task, fd);
	r = make(site, task, name, err);
	pot_call_for_start(NULL, 0);
	pot_hold_free(nomad_task_state_dir(task), fd);
	return r;
}
