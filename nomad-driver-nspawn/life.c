/* SPDX-License-Identifier: MPL-2.0
 *
 * A task that runs: signals and its end. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "download.h"
#include "layer.h"
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
	const char *of_image = nomad_task_get(task, "stop_signal");
	struct nomad_error *ended = NULL;
	int r;

	(void)timeout_ms;
	/* systemd as PID 1 takes SIGTERM for "execute yourself anew" and SIGINT for a reboot. */
	if (config->boot && (!signal || signal == SIGTERM || signal == SIGINT || signal == SIGQUIT))
		signal = SIGRTMIN + 3;
	if (!signal && of_image)
		signal = atoi(of_image);
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
	nspawn_users_release(task);
	nspawn_layer_remove(task);
	return nspawn_network_remove(task, err);
}

/* ---- Inspect ---- */

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
