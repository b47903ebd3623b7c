/* SPDX-License-Identifier: MPL-2.0
 *
 * The driver table and the life of a task.
 *
 *	Nomad --gRPC--> nomad-driver-nspawn --exec--> supervisor --exec-->
 *		nspawn-init launch --exec--> systemd-nspawn --clone--> nspawn-init, PID 1
 *		of the container --fork--> the command, PID 2
 *
 * What people may write is in config.c, the command line in argv.c, where
 * images are in image.c, networks in network.c.  What a task leaves on the
 * host beyond its state directory is its network alone; it is recorded
 * before it is made, and destroy() takes it away.  All mounts live in the
 * mount namespace of systemd-nspawn and go with it. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "argv.h"
#include "download.h"
#include "driver.h"
#include "host.h"
#include "image.h"
#include "init/init.h"
#include "network.h"
#include "tool.h"

/* Everything that one start holds. */
struct start {
	struct nomad_task *task;
	const struct nomad_task_info *info;
	const struct nspawn_config *config;
	const struct nspawn_plugin_config *site;
	struct nspawn_data *data;
	struct nspawn_image image;
	struct nspawn_machine machine;
	struct nspawn_network network;
	char *exit_file, *spec_path, *resolv_conf, *network_file;
	char **argv;
	int spec_fd;
};

/* ---- Binds ---- */

static const char *env_or(const struct nomad_map *env, const char *name, const char *otherwise)
{
	const char *value = nomad_map_get(env, name);

	return value && *value == '/' ? value : otherwise;
}

static int bind_task_dirs(struct start *s, struct nomad_error **err)
{
	const struct nomad_map *env = &s->info->env;
	const char *alloc = env_or(env, "NOMAD_ALLOC_DIR", "/alloc");
	NOMAD_AUTO_FREE char *logs = nomad_strdupf("%s/logs", nomad_task_shared_dir(s->task));
	NOMAD_AUTO_FREE char *logs_in = nomad_strdupf("%s/logs", alloc);
	int r;

	if (!logs || !logs_in)
		return nomad_error_errno(err, ENOMEM, "bind the task's directories");
	r = nspawn_machine_bind(&s->machine, nomad_task_shared_dir(s->task), alloc, false, err);
	/* The log pipes are in there: a task that could replace them could make Nomad read any file. */
	if (r >= 0 && !access(logs, F_OK))
		r = nspawn_machine_bind(&s->machine, logs, logs_in, true, err);
	if (r >= 0)
		r = nspawn_machine_bind(&s->machine, nomad_task_local_dir(s->task),
					env_or(env, "NOMAD_TASK_DIR", "/local"), false, err);
	if (r >= 0)
		r = nspawn_machine_bind(&s->machine, nomad_task_secrets_dir(s->task),
					env_or(env, "NOMAD_SECRETS_DIR", "/secrets"), false, err);
	return r;
}

static int bind_map(struct start *s, const struct nomad_map *map, bool read_only, struct nomad_error **err)
{
	size_t i;
	int r = 0;

	for (i = 0; i < map->count && r >= 0; i++)
		r = nspawn_machine_bind(&s->machine, map->pairs[i].key, map->pairs[i].value, read_only, err);
	return r;
}

static int bind_devices(struct start *s, struct nomad_error **err)
{
	size_t i;
	int r = 0;

	for (i = 0; i < s->info->n_devices && r >= 0; i++)
		r = nspawn_machine_bind(&s->machine, s->info->devices[i].host_path, s->info->devices[i].task_path,
					false, err);
	for (i = 0; s->config->devices && s->config->devices[i] && r >= 0; i++) {
		NOMAD_AUTO_FREE char *host = strdup(s->config->devices[i]);
		char *inside = host ? strchr(host, ':') : NULL;

		if (!host)
			return nomad_error_errno(err, ENOMEM, "bind a device");
		if (inside)
			*inside++ = 0;
		r = nspawn_machine_bind(&s->machine, host, inside ? inside : host, false, err);
	}
	return r;
}

/* What is bound where, and how its owners look. */
static int bind_all(struct start *s, struct nomad_error **err)
{
	bool users = nspawn_shifts(s->config);
	size_t i;
	int r;

	if (s->info->n_mounts && !s->site->volumes)
		return nomad_error_set(err, EACCES,
				       "volumes are not enabled; cannot mount host paths: set volumes = true in "
				       "the plugin block of the client");
	r = bind_task_dirs(s, err);
	for (i = 0; i < s->info->n_mounts && r >= 0; i++) {
		const struct nomad_mount *m = &s->info->mounts[i];

		/* systemd-nspawn cuts the way back; what the host mounts later is seen in the container. */
		if (m->propagation_mode && !strcmp(m->propagation_mode, "bidirectional"))
			return nomad_error_set(err, EOPNOTSUPP,
					       "volume at '%s': systemd-nspawn cannot propagate mounts from a "
					       "container to the host; use host-to-task", m->task_path);
		r = nspawn_machine_bind(&s->machine, m->host_path, m->task_path, m->readonly, err);
	}
	if (r >= 0)
		r = bind_map(s, &s->config->bind, false, err);
	if (r >= 0)
		r = bind_map(s, &s->config->bind_read_only, true, err);
	if (r >= 0)
		r = bind_devices(s, err);
	for (i = 0; i < s->machine.n_binds && r >= 0; i++) {
		struct nspawn_bind *b = &s->machine.binds[i];
		struct stat st;

		if (*b->host != '/')
			continue;	/* + and - of systemd-nspawn: it looks by itself */
		if (stat(b->host, &st) < 0)
			return nomad_error_errno(err, errno, "bind '%s'", b->host);
		b->file = !S_ISDIR(st.st_mode);
		b->idmap = users && !S_ISCHR(st.st_mode) && !S_ISBLK(st.st_mode) &&
			   nspawn_can_idmap(s->data, b->host, true);
	}
	return r;
}

/* A file of ours in the state directory. */
static int bind_file(struct start *s, const char *file, const char *container, struct nomad_error **err)
{
	int r = nspawn_machine_bind(&s->machine, file, container, true, err);

	if (r >= 0) {
		s->machine.binds[s->machine.n_binds - 1].file = true;
		s->machine.binds[s->machine.n_binds - 1].idmap = nspawn_shifts(s->config) && s->machine.idmap_state;
	}
	return r;
}

/* ---- Files of ours in the state directory ---- */

static int write_file(const char *path, mode_t mode, const char *text, struct nomad_error **err)
{
	size_t n = strlen(text);
	int r = 0, fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode);

	if (fd < 0)
		return nomad_error_errno(err, errno, "create '%s'", path);
	if (fchmod(fd, mode) < 0 || write(fd, text, n) != (ssize_t)n)
		r = nomad_error_errno(err, errno, "write '%s'", path);
	close(fd);
	return r;
}

static int make_exit_file(struct start *s, struct nomad_error **err)
{
	bool shifted = nspawn_shifts(s->config);

	s->exit_file = nomad_strdupf("%s/payload-exit", nomad_task_state_dir(s->task));
	if (!s->exit_file)
		return nomad_error_errno(err, ENOMEM, "start");
	/* Only root of the container writes it; who that is on the host is not known without idmap. */
	return write_file(s->exit_file, shifted && !s->machine.idmap_state ? 0666 : 0600, "", err);
}

/* The host's stub resolver listens on 127.0.0.53, which in a network of its own is nobody. */
static int use_uplink_resolv_conf(struct start *s, struct nomad_error **err)
{
	static const char uplink[] = "/run/systemd/resolve/resolv.conf";
	bool stub = false;
	char line[256];
	FILE *file;

	if (s->network.kind == NSPAWN_NET_HOST || access(uplink, R_OK) ||
	    (s->config->resolv_conf && strcmp(s->config->resolv_conf, "auto")))
		return 0;
	file = fopen("/etc/resolv.conf", "re");
	while (file && fgets(line, sizeof(line), file))
		stub = stub || !strncmp(line, "nameserver 127.", 15);
	if (file)
		fclose(file);
	if (!stub)
		return 0;
	s->resolv_conf = strdup(uplink);
	s->machine.resolv_conf = s->resolv_conf;
	return s->resolv_conf ? 0 : nomad_error_errno(err, ENOMEM, "write resolv.conf");
}

static int make_resolv_conf(struct start *s, struct nomad_error **err)
{
	const struct nomad_task_info *info = s->info;
	NOMAD_AUTO_FREE char *text = NULL;
	size_t size = 0, i;
	FILE *out;
	int r;

	if (!info->has_dns)
		return use_uplink_resolv_conf(s, err);
	out = open_memstream(&text, &size);
	if (!out)
		return nomad_error_errno(err, errno, "write resolv.conf");
	for (i = 0; info->dns_servers && info->dns_servers[i]; i++)
		fprintf(out, "nameserver %s\n", info->dns_servers[i]);
	for (i = 0; info->dns_searches && info->dns_searches[i]; i++)
		fprintf(out, "%s%s", i ? " " : "search ", info->dns_searches[i]);
	if (i)
		fputc('\n', out);
	for (i = 0; info->dns_options && info->dns_options[i]; i++)
		fprintf(out, "%s%s", i ? " " : "options ", info->dns_options[i]);
	if (i)
		fputc('\n', out);
	if (fclose(out) || !text)
		return nomad_error_errno(err, ENOMEM, "write resolv.conf");
	s->resolv_conf = nomad_strdupf("%s/resolv.conf", nomad_task_state_dir(s->task));
	if (!s->resolv_conf)
		return nomad_error_errno(err, ENOMEM, "write resolv.conf");
	r = write_file(s->resolv_conf, 0644, text, err);
	s->machine.resolv_conf = s->resolv_conf;
	return r;
}

/* The environment, in memory that only root can look at; systemd-nspawn reads it through /proc. */
static int make_spec(struct start *s, struct nomad_error **err)
{
	NOMAD_AUTO_FREE char *data = NULL;
	size_t size, done = 0;
	int r = nspawn_spec(s->config, &s->machine, &s->info->env, &data, &size, err);

	if (r < 0)
		return r;
	s->spec_fd = (int)syscall(SYS_memfd_create, "task", MFD_CLOEXEC);
	while (s->spec_fd >= 0 && done < size) {
		ssize_t n = write(s->spec_fd, data + done, size - done);

		if (n < 0 && errno != EINTR)
			break;
		done += n > 0 ? (size_t)n : 0;
	}
	if (done < size)
		r = nomad_error_errno(err, errno, "write the environment of the task");
	explicit_bzero(data, size);
	if (r < 0)
		return r;
	s->spec_path = nomad_strdupf("/proc/%d/fd/%d", (int)getpid(), s->spec_fd);
	s->machine.spec = s->spec_path;
	return s->spec_path ? 0 : nomad_error_errno(err, ENOMEM, "start");
}

/* ---- Start ---- */

static char *images_dir(struct nomad_task *task)
{
	return nomad_strdupf("%s/images", nomad_plugin_state_dir(nomad_task_plugin(task)));
}

static int find_image(struct start *s, struct nomad_error **err)
{
	NOMAD_AUTO_FREE char *dir = images_dir(s->task);
	struct nomad_error *missing = NULL;
	int r;

	if (!dir)
		return nomad_error_errno(err, ENOMEM, "find the image");
	if (!s->config->image_download)
		return nspawn_image_find(s->config->image, NULL, NULL, dir, &s->image, err);
	/* One that somebody put there by hand is as good, unless force says otherwise. */
	if (!s->config->image_download->force) {
		r = nspawn_image_find(s->config->image, NULL, NULL, NULL, &s->image, &missing);
		nomad_error_free(missing);
		if (r >= 0)
			return 0;
	}
	r = nspawn_download(s->task, dir, s->config, s->site, err);
	return r < 0 ? r : nspawn_image_find(s->config->image, dir, NULL, dir, &s->image, err);
}

static int prepare(struct start *s, struct nomad_error **err)
{
	const struct nspawn_host *host = &s->data->host;
	int r;

	if (!s->site->enabled)
		return nomad_error_set(err, EACCES, "the driver is disabled on this client");
	if (!host->nspawn)
		return nomad_error_set(err, ENOENT,
				       "systemd-nspawn is not installed; install the package systemd-container");
	r = nspawn_config_check_version(s->config, host->version, err);
	if (r >= 0)
		r = find_image(s, err);
	if (r < 0)
		return r;
	s->machine = (struct nspawn_machine) {
		.version = host->version,
		.nspawn = host->nspawn,
		.name = nomad_task_slug(s->task),
		.uuid = s->info->alloc_id,
		.image = s->image.path,
		.image_kind = s->image.kind,
		.init = s->data->init,
		.state_dir = nomad_task_state_dir(s->task),
		.user = s->info->user && *s->info->user ? s->info->user : NULL,
	};
	if (nspawn_shifts(s->config)) {
		s->machine.idmap_state = nspawn_can_idmap(s->data, s->machine.state_dir, false);
		/* What a raw image holds is not known before it is mounted: ext4, xfs, btrfs and the like can. */
		s->machine.idmap_image = s->image.kind == NSPAWN_RAW || nspawn_can_idmap(s->data, s->image.path, false);
	}
	r = make_exit_file(s, err);
	s->machine.exit_file = s->exit_file;
	if (r >= 0)
		r = bind_all(s, err);
	if (r >= 0)
		r = make_spec(s, err);
	return r;
}

/* A systemd-networkd in the image would wait for a DHCP server on host0, and take our address away. */
static int make_network_file(struct start *s, struct nomad_error **err)
{
	const struct nspawn_network *net = &s->network;
	NOMAD_AUTO_FREE char *text = NULL;
	int r;

	if (!net->address[0] || !s->config->boot || s->config->writable_image)
		return 0;
	text = nomad_strdupf("[Match]\nName=host0\n\n[Link]\nRequiredForOnline=yes\n\n[Network]\nAddress=%s/%d\n"
			     "DHCP=no\nLinkLocalAddressing=no\nKeepConfiguration=yes\n\n[Route]\nGateway=%s\n"
			     "GatewayOnLink=yes\n", net->address, net->bits, net->gateway);
	s->network_file = nomad_strdupf("%s/host0.network", nomad_task_state_dir(s->task));
	if (!text || !s->network_file)
		return nomad_error_errno(err, ENOMEM, "write the network of the container");
	r = write_file(s->network_file, 0644, text, err);
	/* Not below /run, where the directories above it would belong to nobody and stop systemd. */
	return r < 0 ? r : bind_file(s, s->network_file, "/etc/systemd/network/10-nomad.network", err);
}

static int connect_network(struct start *s, struct nomad_error **err)
{
	int r = nspawn_network_plan(s->config, s->info, nomad_task_slug(s->task), &s->network, err);

	if (r < 0)
		return r;
	s->machine.joined_network = s->network.kind == NSPAWN_NET_JOINED;
	s->machine.own_network = s->network.kind == NSPAWN_NET_OWN;
	if (s->machine.joined_network && nspawn_userns(s->config))
		return nspawn_tool_run((const char *const []) { s->data->init, "open-netns", s->network.netns, NULL },
				       &(struct nspawn_tool) { .what = "prepare the network of the group" }, NULL,
				       err) < 0 ? -EIO : 0;
	if (!s->machine.own_network)
		return 0;
	r = nspawn_network_make(s->task, s->data->init, s->site->network_pool, &s->network, s->config, err);
	if (r >= 0 && s->network.address[0] &&
	    nomad_task_set_network(s->task, s->network.address, false, &s->config->port_map) < 0)
		r = nomad_error_errno(err, ENOMEM, "report the address");
	return r < 0 ? r : make_network_file(s, err);
}

static int run(struct start *s, struct nomad_error **err)
{
	/* Nothing of the task's: systemd-nspawn shows its own environment to PID 1. */
	struct nomad_pair pairs[] = {
		{ (char *)"PATH", (char *)"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" },
		{ (char *)"LANG", (char *)"C.UTF-8" },
	};
	struct nomad_map env = { pairs, NOMAD_ARRAY_LEN(pairs) };
	int r = nspawn_argv(s->config, &s->machine, &s->argv, err);

	if (r < 0)
		return r;
	return nomad_task_run(s->task, &(struct nomad_command) {
		.argv = (const char *const *)s->argv,
		.env = &env,
		.netns = s->network.netns,
		.notify = true,
		.leader_key = "X_NSPAWN_LEADER_PID",
		.ready_timeout_ms = s->config->notify_ready ? 300000 : 60000,
		.pids_max = s->config->pids_limit,
		.exit_file = !s->config->boot && s->config->init ? s->exit_file : NULL,
	}, err);
}

static int nspawn_destroy(struct nomad_task *task, struct nomad_error **err);

static int nspawn_start(struct nomad_task *task, struct nomad_error **err)
{
	struct nomad_plugin *plugin = nomad_task_plugin(task);
	struct start s = {
		.task = task,
		.info = nomad_task_info(task),
		.config = nomad_task_config(task),
		.site = nomad_plugin_config(plugin),
		.data = nomad_plugin_data(plugin),
		.spec_fd = -1,
	};
	int r = prepare(&s, err);

	if (r >= 0)
		r = connect_network(&s, err);
	if (r >= 0)
		r = make_resolv_conf(&s, err);
	if (r >= 0)
		r = run(&s, err);
	if (r < 0)
		(void)nspawn_destroy(task, NULL);
	else if (s.data->host.machined && strcmp(s.site->machined, "no"))
		nspawn_machined_register(nomad_task_slug(task), s.info->alloc_id, nomad_task_leader(task),
					 s.image.path);
	if (s.spec_fd >= 0)
		close(s.spec_fd);
	nspawn_machine_done(&s.machine);
	nspawn_network_done(&s.network);
	nspawn_image_done(&s.image);
	nomad_strv_free(s.argv);
	free(s.exit_file);
	free(s.spec_path);
	free(s.resolv_conf);
	free(s.network_file);
	return r;
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
	if (fd < 0 || nomad_task_leader(task) != leader || syscall(SYS_pidfd_send_signal, fd, signal, NULL, 0) < 0)
		r = nomad_error_errno(err, fd < 0 || errno == ESRCH ? ESRCH : errno, "send signal %d to the task",
				      signal);
	if (fd >= 0)
		close(fd);
	return r;
}

static int nspawn_signal(struct nomad_task *task, int signal, struct nomad_error **err)
{
	return send_signal(task, signal, err);
}

static int nspawn_stop(struct nomad_task *task, int signal, unsigned timeout_ms, struct nomad_error **err)
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

static int nspawn_destroy(struct nomad_task *task, struct nomad_error **err)
{
	NOMAD_AUTO_FREE char *dir = images_dir(task);

	if (!dir)
		return nomad_error_errno(err, ENOMEM, "clean up");
	nspawn_download_release(task, dir);
	return nspawn_network_remove(task, err);
}

/* ---- Exec, inspect ---- */

static int nspawn_exec(struct nomad_task *task, struct nomad_exec *exec, struct nomad_error **err)
{
	static const struct nomad_pair defaults[] = {
		{ (char *)"PATH", (char *)"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" },
		{ (char *)"HOME", (char *)"/root" },
		{ (char *)"TERM", (char *)"xterm" },
		{ (char *)"LANG", (char *)"C.UTF-8" },
		{ (char *)"container", (char *)"systemd-nspawn" },
	};
	const struct nspawn_config *config = nomad_task_config(task);
	const char *user = config->user ? config->user : nomad_task_info(task)->user;
	size_t i;
	int r = 0;

	exec->enter_leader = true;
	if (user && *user && !config->boot) {
		free(exec->user);
		exec->user = strdup(user);	/* looked up in the container */
		r = exec->user ? 0 : -ENOMEM;
	}
	for (i = 0; i < config->environment.count && r >= 0; i++)
		if (!nomad_map_get(&exec->env, config->environment.pairs[i].key))
			r = nomad_map_set(&exec->env, config->environment.pairs[i].key,
					  config->environment.pairs[i].value);
	for (i = 0; i < NOMAD_ARRAY_LEN(defaults) && r >= 0; i++)
		if (!nomad_map_get(&exec->env, defaults[i].key))
			r = nomad_map_set(&exec->env, defaults[i].key, defaults[i].value);
	if (r >= 0 && config->working_directory && !config->boot) {
		free(exec->cwd);
		exec->cwd = strdup(config->working_directory);
		r = exec->cwd ? 0 : -ENOMEM;
	}
	return r < 0 ? nomad_error_errno(err, ENOMEM, "prepare a command") : 0;
}

static int nspawn_inspect(struct nomad_task *task, struct nomad_map *attributes, struct nomad_error **err)
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

/* ---- The plugin ---- */

static int nspawn_init(struct nomad_plugin *plugin, void **ret_data, struct nomad_error **err)
{
	NOMAD_AUTO_FREE char *images = NULL;
	struct nspawn_data *data;
	int r = nspawn_data_new(nomad_plugin_state_dir(plugin), &data, err);

	if (r < 0)
		return r;
	nspawn_network_sweep(nomad_plugin_state_dir(plugin));
	images = nomad_strdupf("%s/images", nomad_plugin_state_dir(plugin));
	if (images)
		nspawn_download_sweep(images);
	*ret_data = data;
	return 0;
}

static void nspawn_fini(struct nomad_plugin *plugin, void *data)
{
	(void)plugin;
	nspawn_data_free(data);
}

const struct nomad_driver nspawn_driver = {
	.name = "nspawn",
	.version = NOMAD_VERSION,
	.summary = "tasks in containers of systemd-nspawn",
	.capabilities = NOMAD_CAN_SIGNAL | NOMAD_CAN_EXEC | NOMAD_JOIN_GROUP_NETWORK,
	.fs_isolation = NOMAD_FS_IMAGE,
	.config_schema = &nspawn_plugin_schema,
	.task_schema = &nspawn_task_schema,
	.init = nspawn_init,
	.fini = nspawn_fini,
	.fingerprint = nspawn_fingerprint,
	.start = nspawn_start,
	.stop = nspawn_stop,
	.signal = nspawn_signal,
	.destroy = nspawn_destroy,
	.exec = nspawn_exec,
	.inspect = nspawn_inspect,
};
