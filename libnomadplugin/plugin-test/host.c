/* SPDX-License-Identifier: MPL-2.0
 *
 * The process of the plugin, and what of its tasks is seen from outside. */
#include "plugin-test/host.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "wire/convert.h"

/* As Nomad sets them: plugins/base/plugin.go, and go-plugin's client.go. */
static const char *const nomad_env[][2] = {
	{ "NOMAD_PLUGIN_MAGIC_COOKIE", "e4327c2e01eabfd75a8a67adb114fb34a757d57eee7728d857a8cec6e91a7255" },
	{ "PLUGIN_PROTOCOL_VERSIONS", "2" },
	{ "PLUGIN_MIN_PORT", "10000" },
	{ "PLUGIN_MAX_PORT", "25000" },
};

static void run_child(const struct host *host, bool as_plugin, int out)
{
	char *argv[] = { (char *)host->exe, NULL };
	int null_fd = open("/dev/null", O_RDWR);

	for (size_t i = 0; i < NOMAD_ARRAY_LEN(nomad_env); i++)
		if (as_plugin)
			setenv(nomad_env[i][0], nomad_env[i][1], 1);
		else
			unsetenv(nomad_env[i][0]);
	dup2(null_fd, STDIN_FILENO);
	dup2(out, STDOUT_FILENO);
	if (!host->verbose)
		dup2(null_fd, STDERR_FILENO);
	execv(host->exe, argv);
	_exit(127);
}

static void read_line(struct host *host)
{
	struct pollfd pfd = { .fd = host->out, .events = POLLIN };
	size_t n = 0;

	while (n + 1 < sizeof(host->line) && poll(&pfd, 1, 10000) > 0 && read(host->out, host->line + n, 1) == 1)
		if (host->line[n++] == '\n')
			break;
	host->line[n] = 0;
	host->address[0] = 0;
	(void)sscanf(host->line, "%*d|%*d|%*[^|]|%255[^|]", host->address);
}

int host_launch(struct host *host, bool as_plugin)
{
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	host->pid = fork();
	if (host->pid == 0)
		run_child(host, as_plugin, fds[1]);
	close(fds[1]);
	host->out = fds[0];
	if (host->pid < 0) {
		host->pid = 0;
		return -EAGAIN;
	}
	read_line(host);
	return 0;
}

bool host_ends(struct host *host, int ms, int *ret_status)
{
	for (int i = 0; host->pid && i <= ms / 10; i++, usleep(10000))
		if (waitpid(host->pid, ret_status, WNOHANG) == host->pid) {
			host->pid = 0;
			close(host->out);
			return true;
		}
	return host->pid == 0;
}

void host_kill(struct host *host)
{
	struct stat st;
	int status;

	if (!host->pid)
		return;
	kill(host->pid, SIGKILL);
	(void)host_ends(host, 10000, &status);
	/* It could not remove its socket. */
	if (lstat(host->address, &st) == 0 && S_ISSOCK(st.st_mode))
		(void)unlink(host->address);
}

bool host_said_more(const struct host *host)
{
	struct pollfd pfd = { .fd = host->out, .events = POLLIN };

	return poll(&pfd, 1, 0) > 0 && pfd.revents & POLLIN;
}

static int count_entries(const char *path)
{
	DIR *dir = opendir(path);
	int n = 0;

	while (dir && readdir(dir))
		n++;
	if (dir)
		closedir(dir);
	return n;
}

int host_descriptors(const struct host *host)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/fd", host->pid);
	return count_entries(path);
}

static bool has_alloc(const char *pid, const char *alloc_id)
{
	char path[300], want[128];
	char *text = NULL;
	size_t size = 0;
	bool found = false;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%s/environ", pid);
	snprintf(want, sizeof(want), "NOMAD_ALLOC_ID=%s", alloc_id);
	f = fopen(path, "re");
	while (f && !found && getdelim(&text, &size, 0, f) > 0)
		found = strcmp(text, want) == 0;
	if (f)
		fclose(f);
	free(text);
	return found;
}

int host_task_pids(const char *alloc_id, int *ret, int max)
{
	DIR *proc = opendir("/proc");
	struct dirent *d;
	int n = 0;

	while (proc && n < max && (d = readdir(proc)))
		if (isdigit((unsigned char)d->d_name[0]) && has_alloc(d->d_name, alloc_id))
			ret[n++] = atoi(d->d_name);
	if (proc)
		closedir(proc);
	return n;
}

static int parent_of(int pid)
{
	char path[64], line[1024];
	int parent = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	f = fopen(path, "re");
	if (f && fgets(line, sizeof(line), f) && strrchr(line, ')'))
		(void)sscanf(strrchr(line, ')') + 1, " %*c %d", &parent);
	if (f)
		fclose(f);
	return parent;
}

int host_task_roots(const char *alloc_id)
{
	int pids[256], n = host_task_pids(alloc_id, pids, 256), roots = n;

	for (int i = 0; i < n; i++) {
		int parent = parent_of(pids[i]);

		for (int j = 0; j < n; j++)
			roots -= pids[j] == parent || (j == i && parent == 0); /* it has ended */
	}
	return roots;
}

bool host_has_mounts(const char *below)
{
	FILE *f = fopen("/proc/self/mountinfo", "re");
	char line[4096];
	bool found = false;

	while (f && !found && fgets(line, sizeof(line), f))
		found = strstr(line, below) != NULL;
	if (f)
		fclose(f);
	return found;
}

/* ---- A task ---- */

static void strings(const struct nomad_task_info *info, Pb__TaskConfig *task)
{
	task->id = info->id;
	task->name = info->name;
	task->alloc_id = info->alloc_id;
	task->alloc_dir = info->alloc_dir;
	task->stdout_path = info->stdout_path;
	task->stderr_path = info->stderr_path;
	task->task_group_name = info->task_group_name;
	task->job_id = info->job_id;
	task->job_name = info->job_name;
	task->namespace_ = info->namespace_name;
	task->node_id = info->node_id;
	task->node_name = info->node_name;
	if (info->user)
		task->user = info->user;
}

static int ports(const struct nomad_resources *from, struct task_message *ret)
{
	ret->ports = calloc(from->n_ports + 1, sizeof(*ret->ports));
	ret->port_list = calloc(from->n_ports + 1, sizeof(*ret->port_list));
	if (!ret->ports || !ret->port_list)
		return -ENOMEM;
	for (size_t i = 0; i < from->n_ports; i++) {
		pb__port_mapping__init(&ret->ports[i]);
		ret->ports[i].label = from->ports[i].label;
		ret->ports[i].value = from->ports[i].value;
		ret->ports[i].to = from->ports[i].to;
		if (from->ports[i].host_ip)
			ret->ports[i].host_ip = from->ports[i].host_ip;
		ret->port_list[i] = &ret->ports[i];
	}
	ret->resources.ports = ret->port_list;
	ret->resources.n_ports = from->n_ports;
	return 0;
}

int task_message_new(const struct nomad_task_info *info, const void *config, size_t size, struct task_message *ret)
{
	const struct nomad_resources *from = &info->resources;
	int r;

	memset(ret, 0, sizeof(*ret));
	pb__task_config__init(&ret->task);
	pb__resources__init(&ret->resources);
	pb__allocated_task_resources__init(&ret->allocated);
	pb__allocated_cpu_resources__init(&ret->cpu);
	pb__allocated_memory_resources__init(&ret->memory);
	pb__linux_resources__init(&ret->linux_part);
	strings(info, &ret->task);
	ret->task.msgpack_driver_config = (ProtobufCBinaryData){ size, (uint8_t *)config };
	ret->cpu.cpu_shares = ret->linux_part.cpu_shares = from->cpu_shares;
	ret->memory.memory_mb = from->memory_mb;
	ret->memory.memory_max_mb = from->memory_max_mb;
	ret->linux_part.memory_limit_bytes = from->memory_limit_bytes;
	ret->linux_part.percentticks = from->percent_ticks;
	ret->allocated.cpu = &ret->cpu;
	ret->allocated.memory = &ret->memory;
	ret->resources.allocated_resources = &ret->allocated;
	ret->resources.linux_resources = &ret->linux_part;
	ret->task.resources = &ret->resources;
	r = ports(from, ret);
	if (r >= 0)
		r = nomad__map_entries(&info->env, &pb__task_config__env_entry__descriptor, &ret->task.env,
				       &ret->task.n_env);
	return r;
}

void task_message_done(struct task_message *message)
{
	free(message->task.env);
	free(message->ports);
	free(message->port_list);
	memset(message, 0, sizeof(*message));
}
