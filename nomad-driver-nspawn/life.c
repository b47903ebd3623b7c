/* SPDX-License-Identifier: MPL-2.0
 *
 * A task that runs: signals, its end, commands in it. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "download.h"
#include "oci.h"
#include "start.h"

char *nspawn_images_dir(struct nomad_plugin *plugin)
{
	return nomad_strdupf("%s/images", nomad_plugin_state_dir(plugin));
}

int nspawn_recover(struct nomad_task *task, struct nomad_error **err)
{
	const struct nspawn_config *config = nomad_task_config(task);

	(void)err;
	nspawn_machined_register(task, config->image);
	return 0;
}

/* ---- Signals and the end ---- */

/* The command below our init; 0 if there is none. */
static pid_t payload_of(pid_t leader)
{
	char path[64];
	int pid = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)leader, (int)leader);
	file = fopen(path, "re");
	if (file && fscanf(file, "%d", &pid) != 1)
		pid = 0;
	if (file)
		fclose(file);
	return pid;
}

static int send_signal(struct nomad_task *task, int signal, struct nomad_error **err)
{
	const struct nspawn_config *config = nomad_task_config(task);
	pid_t leader = nomad_task_leader(task), pid = leader;
	int fd, r = 0;

	/* PID 1 cannot pass these on: they would end the container, or stop it without the payload. */
	if (leader > 0 && !config->boot && config->init && (signal == SIGKILL || signal == SIGSTOP))
		pid = payload_of(leader);
	if (pid <= 0)
		return nomad_error_set(err, ESRCH, "the task has ended");
	fd = (int)syscall(SYS_pidfd_open, pid, 0);
	/* Still the one that was looked up: a number could have changed hands before it was opened. */
	if (fd < 0 || nomad_task_leader(task) != leader)
		r = nomad_error_set(err, ESRCH, "the task has ended");
	else if (syscall(SYS_pidfd_send_signal, fd, signal, NULL, 0) < 0)
		r = nomad_error_errno(err, errno, "send signal %d to the task", signal);
	if (fd >= 0)
		close(fd);
	return r;
}

int nspawn_signal(struct nomad_task *task, int signal, struct nomad_error **err)
{
	return send_signal(task, signal, err);
}

int nspawn_stop(struct nomad_task *task, int signal, unsigned timeout_ms, struct nomad_error **err)
{
	const struct nspawn_config *config = nomad_task_config(task);
	struct nomad_error *ended = NULL;
	int r;

	(void)timeout_ms;
	/* systemd as PID 1 takes SIGTERM for "execute yourself anew" and SIGINT for a reboot. */
	if (config->boot && (!signal || signal == SIGTERM || signal == SIGINT || signal == SIGQUIT))
		signal = SIGRTMIN + 3;
	r = send_signal(task, signal ? signal : SIGTERM, &ended);
	if (r == -ESRCH) {
		nomad_error_free(ended);
		return 0;
	}
	if (r < 0 && err)
		*err = ended;
	else
		nomad_error_free(ended);
	return r;
}

int nspawn_destroy(struct nomad_task *task, struct nomad_error **err)
{
	NOMAD_AUTO_FREE char *dir = nspawn_images_dir(nomad_task_plugin(task));

	if (!dir)
		return nomad_error_errno(err, ENOMEM, "clean up");
	nspawn_download_release(task, dir);
	return nspawn_network_remove(task, err);
}

/* ---- Exec, inspect ---- */

static int add_defaults(struct nomad_map *env, const struct nomad_pair *pairs, size_t n)
{
	size_t i;
	int r = 0;

	for (i = 0; i < n && r >= 0; i++)
		if (!nomad_map_get(env, pairs[i].key))
			r = nomad_map_set(env, pairs[i].key, pairs[i].value);
	return r;
}

/* Who the command is and where it lives: its own environment says so, looked up in its image. */
static int add_home(struct nomad_map *env, pid_t pid)
{
	enum { MAX = 2 << 20 };
	static const char *const names[] = { "HOME=", "USER=", "LOGNAME=" };
	NOMAD_AUTO_FREE char *data = malloc(MAX + 1);
	char path[64], *p;
	size_t n, i;
	FILE *file;
	int r = data ? 0 : -ENOMEM;

	snprintf(path, sizeof(path), "/proc/%d/environ", (int)pid);
	file = data ? fopen(path, "re") : NULL;
	n = file ? fread(data, 1, MAX, file) : 0;
	if (file)
		fclose(file);
	if (data)
		data[n] = 0;
	for (p = data; r >= 0 && n && p < data + n; p += strlen(p) + 1)
		for (i = 0; i < NOMAD_ARRAY_LEN(names) && r >= 0; i++) {
			size_t length = strlen(names[i]);
			char name[16];

			if (strncmp(p, names[i], length) != 0)
				continue;
			snprintf(name, sizeof(name), "%.*s", (int)length - 1, names[i]);
			r = add_defaults(env, &(struct nomad_pair){ name, p + length }, 1);
		}
	return r;
}

static int replace(char **field, const char *value)
{
	char *copy = strdup(value);

	if (!copy)
		return -ENOMEM;
	free(*field);
	*field = copy;
	return 0;
}

static int exec_as(struct nomad_exec *exec, const struct nspawn_config *config, const char *task_user,
		   const struct nspawn_oci *oci)
{
	static const struct nomad_pair defaults[] = {
		{ (char *)"PATH", (char *)"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" },
		{ (char *)"HOME", (char *)"/root" },
		{ (char *)"TERM", (char *)"xterm" },
		{ (char *)"LANG", (char *)"C.UTF-8" },
		{ (char *)"container", (char *)"systemd-nspawn" },
	};
	const char *user = config->user ? config->user : task_user && *task_user ? task_user : oci->user;
	const char *cwd = config->working_directory ? config->working_directory : oci->cwd;
	int r = 0;

	exec->enter_leader = true;
	if (user && *user && !config->boot)
		r = replace(&exec->user, user); /* looked up in the container */
	if (r >= 0 && cwd && !config->boot)
		r = replace(&exec->cwd, cwd);
	if (r >= 0)
		r = add_defaults(&exec->env, config->environment.pairs, config->environment.count);
	if (r >= 0)
		r = add_defaults(&exec->env, oci->env.pairs, oci->env.count);
	return r < 0 ? r : add_defaults(&exec->env, defaults, NOMAD_ARRAY_LEN(defaults));
}

int nspawn_exec(struct nomad_task *task, struct nomad_exec *exec, struct nomad_error **err)
{
	const struct nspawn_config *config = nomad_task_config(task);
	const char *path = nomad_task_get(task, "oci");
	pid_t leader = nomad_task_leader(task);
	struct nspawn_oci oci = { 0 };
	int r = path ? nspawn_oci_read(path, &oci, err) : 0;

	if (r >= 0) {
		r = config->boot || leader <= 0 ? 0 : add_home(&exec->env, config->init ? payload_of(leader) : leader);
		if (r >= 0)
			r = exec_as(exec, config, nomad_task_info(task)->user, &oci);
		if (r < 0)
			r = nomad_error_errno(err, -r, "prepare a command");
	}
	nspawn_oci_done(&oci);
	return r;
}

int nspawn_inspect(struct nomad_task *task, struct nomad_map *attributes, struct nomad_error **err)
{
	const struct nspawn_config *config = nomad_task_config(task);
	char pid[16];
	int r;

	snprintf(pid, sizeof(pid), "%d", nomad_task_leader(task));
	r = nomad_map_set(attributes, "pid", pid);
	if (r >= 0)
		r = nomad_map_set(attributes, "machine", nomad_task_slug(task));
	if (r >= 0)
		r = nomad_map_set(attributes, "image", config->image);
	return r < 0 ? nomad_error_errno(err, ENOMEM, "inspect the task") : 0;
}
