/* SPDX-License-Identifier: MPL-2.0
 *
 * What is seen in a container beside its image: the task's directories,
 * volumes, devices, and a few files of the driver's own, which stand in the
 * state directory of the task (but for the environment, which is in memory).
 * Nothing is mounted here: all of it ends in struct nspawn_machine. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "docker.h"
#include "start.h"

/* ---- Binds ---- */

const char *nspawn_env_path(const struct nomad_map *env, const char *name, const char *otherwise)
{
	const char *value = nomad_map_get(env, name);

	return value && *value == '/' ? value : otherwise;
}

static int bind_logs(struct nspawn_start *s, const char *alloc, struct nomad_error **err)
{
	NOMAD_AUTO_FREE char *shared = realpath(nomad_task_shared_dir(s->task), NULL);
	NOMAD_AUTO_FREE char *logs = nomad_strdupf("%s/logs", shared ? shared : nomad_task_shared_dir(s->task));
	NOMAD_AUTO_FREE char *logs_in = nomad_strdupf("%s/logs", alloc);
	struct stat st;
	int r;

	if (!logs || !logs_in)
		return nomad_error_errno(err, ENOMEM, "bind the task's directories");
	if (lstat(logs, &st) < 0)
		return 0;
	r = nspawn_machine_bind(&s->machine, logs, logs_in, true, err);
	/* Another task of the group may have put a link to the host in its place: that is not followed. */
	if (r >= 0 && shared)
		nspawn_bind_at(s, logs_in)->pinned = true;
	return r;
}

static int bind_task_dirs(struct nspawn_start *s, struct nomad_error **err)
{
	const struct nomad_map *env = &s->info->env;
	const char *alloc = nspawn_env_path(env, "NOMAD_ALLOC_DIR", "/alloc");
	int r = nspawn_machine_bind(&s->machine, nomad_task_shared_dir(s->task), alloc, false, err);

	/* The log pipes are in there: a task that could replace them could make Nomad read any file. */
	if (r >= 0)
		r = bind_logs(s, alloc, err);
	if (r >= 0)
		r = nspawn_machine_bind(&s->machine, nomad_task_local_dir(s->task),
					nspawn_env_path(env, "NOMAD_TASK_DIR", "/local"), false, err);
	if (r >= 0)
		r = nspawn_machine_bind(&s->machine, nomad_task_secrets_dir(s->task),
					nspawn_env_path(env, "NOMAD_SECRETS_DIR", "/secrets"), false, err);
	return r;
}

static int bind_map(struct nspawn_start *s, const char *option, const struct nomad_map *map, bool read_only,
		    struct nomad_error **err)
{
	size_t i;
	int r = 0;

	for (i = 0; i < map->count && r >= 0; i++) {
		const char *host = map->pairs[i].key, *source = host + (*host == '-'), *container = map->pairs[i].value;

		if (*source == '/' && *host == '-' && access(source, F_OK) < 0)
			continue; /* it may be missing */
		if (*source == '/')
			r = nspawn_bind_judged(s, option, source, container, read_only, err);
		else /* systemd-nspawn looks by itself */
			r = nspawn_machine_bind(&s->machine, host, container, read_only, err);
	}
	return r;
}

static void set_access(struct nspawn_bind *b, const char *access)
{
	snprintf(b->access, sizeof(b->access), "%s", access);
}

static int bind_devices(struct nspawn_start *s, struct nomad_error **err)
{
	size_t i;
	int r = 0;

	for (i = 0; i < s->info->n_devices && r >= 0; i++) {
		const struct nomad_device *d = &s->info->devices[i];

		const char *inside = d->task_path && *d->task_path ? d->task_path : d->host_path;

		r = nspawn_machine_bind(&s->machine, d->host_path, inside, false, err);
		if (r >= 0)
			set_access(nspawn_bind_at(s, inside),
				   d->cgroup_permissions && *d->cgroup_permissions ? d->cgroup_permissions : "rwm");
	}
	for (i = 0; s->config->devices && s->config->devices[i] && r >= 0; i++) {
		NOMAD_AUTO_FREE char *host = strdup(s->config->devices[i]);
		char *inside = host ? strchr(host, ':') : NULL, *access = inside ? strchr(inside + 1, ':') : NULL;

		if (!host)
			return nomad_error_errno(err, ENOMEM, "bind a device");
		if (access)
			*access++ = 0;
		if (inside)
			*inside++ = 0;
		r = nspawn_bind_judged(s, "devices", host, inside ? inside : host, false, err);
		if (r >= 0)
			set_access(nspawn_bind_at(s, inside ? inside : host), access ? access : "rwm");
	}
	return r;
}

static void look_at(struct nspawn_start *s, struct nspawn_bind *b, const struct stat *st)
{
	b->file = !S_ISDIR(st->st_mode);
	if (S_ISCHR(st->st_mode) || S_ISBLK(st->st_mode)) {
		b->device = S_ISCHR(st->st_mode) ? 'c' : 'b';
		b->major = major(st->st_rdev);
		b->minor = minor(st->st_rdev);
	}
	b->idmap = nspawn_shifts(s->config) && nspawn_can_idmap(s->data, b->host, true);
}

/* What Nomad and this driver bind may be named through links of the operator's. */
static int pin(struct nspawn_bind *b, struct nomad_error **err)
{
	char *real;

	if (b->pinned || *b->host != '/')
		return 0;
	real = realpath(b->host, NULL);
	if (!real)
		return nomad_error_errno(err, errno, "bind '%s'", b->host);
	free(b->host);
	b->host = real;
	b->pinned = true;
	return 0;
}

/* What is bound where, and how its owners look. */
int nspawn_bind_all(struct nspawn_start *s, struct nomad_error **err)
{
	size_t i;
	int r;

	if (s->info->n_mounts && !s->site->volumes)
		return nomad_error_set(err, EACCES,
				       "volumes are not enabled; cannot mount host paths: set volumes = true in the "
				       "plugin block of the client");
	r = bind_task_dirs(s, err);
	for (i = 0; i < s->info->n_mounts && r >= 0; i++) {
		const struct nomad_mount *m = &s->info->mounts[i];

		/* systemd-nspawn cuts the way back; what the host mounts later is seen in the container. */
		if (m->propagation_mode && strcmp(m->propagation_mode, "bidirectional") == 0)
			return nomad_error_set(err, EOPNOTSUPP,
					       "volume at '%s': systemd-nspawn cannot propagate mounts from a "
					       "container to the host; use host-to-task",
					       m->task_path);
		r = nspawn_machine_bind(&s->machine, m->host_path, m->task_path, m->readonly, err);
	}
	if (r >= 0)
		r = bind_map(s, "bind", &s->config->bind, false, err);
	if (r >= 0)
		r = bind_map(s, "bind_read_only", &s->config->bind_read_only, true, err);
	if (r >= 0)
		r = nspawn_bind_docker(s, err);
	if (r >= 0)
		r = bind_devices(s, err);
	for (i = 0; i < s->machine.n_binds && r >= 0; i++) {
		struct nspawn_bind *b = &s->machine.binds[i];
		struct stat st;

		if (*b->host != '/')
			continue; /* systemd-nspawn looks by itself */
		r = pin(b, err);
		if (r < 0)
			return r;
		if (lstat(b->host, &st) < 0)
			return nomad_error_errno(err, errno, "bind '%s'", b->host);
		if (nspawn_is_below(b->host, s->machine.hidden))
			return nomad_error_set(err, EACCES, "bind '%s': it is the root of the container", b->host);
		if (b->access[0] && !S_ISCHR(st.st_mode) && !S_ISBLK(st.st_mode))
			return nomad_error_set(err, ENODEV, "device '%s' is no device node", b->host);
		look_at(s, b, &st);
	}
	return r;
}

/* A file of ours in the state directory. */
static int bind_file(struct nspawn_start *s, const char *file, const char *container, struct nomad_error **err)
{
	int r = nspawn_machine_bind(&s->machine, file, container, true, err);

	if (r >= 0) {
		struct nspawn_bind *b = nspawn_bind_at(s, container);

		b->file = true;
		b->idmap = nspawn_shifts(s->config) && s->machine.idmap_state;
		r = pin(b, err);
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

/* A file of ours that is seen in the container; `text` may be NULL for lack of memory. */
static int put_file(struct nspawn_start *s, const char *name, const char *text, const char *container,
		    struct nomad_error **err)
{
	NOMAD_AUTO_FREE char *path = nomad_strdupf("%s/%s", nomad_task_state_dir(s->task), name);
	int r;

	if (!path || !text)
		return nomad_error_errno(err, ENOMEM, "write '%s' for the container", container);
	r = write_file(path, 0644, text, err);
	return r < 0 ? r : bind_file(s, path, container, err);
}

/* The host's stub resolver listens on 127.0.0.53, which in a network of its own is nobody. */
static int use_uplink_resolv_conf(struct nspawn_start *s, struct nomad_error **err)
{
	static const char uplink[] = "/run/systemd/resolve/resolv.conf";
	bool stub = false;
	char line[256];
	FILE *file;

	if (s->network.kind == NSPAWN_NET_HOST || access(uplink, R_OK) ||
	    (s->config->resolv_conf && strcmp(s->config->resolv_conf, "auto") != 0))
		return 0;
	file = fopen("/etc/resolv.conf", "re");
	while (file && fgets(line, sizeof(line), file))
		stub = stub || strncmp(line, "nameserver 127.", 15) == 0;
	if (file)
		fclose(file);
	if (!stub)
		return 0;
	s->resolv_conf = strdup(uplink);
	s->machine.resolv_conf = s->resolv_conf;
	return s->resolv_conf ? 0 : nomad_error_errno(err, ENOMEM, "write resolv.conf");
}

int nspawn_make_resolv_conf(struct nspawn_start *s, struct nomad_error **err)
{
	const struct nomad_task_info *info = s->info;
	NOMAD_AUTO_FREE char *text = NULL;
	int r;

	if (!info->has_dns)
		return use_uplink_resolv_conf(s, err);
	text = nomad_resolv_conf(info);
	s->resolv_conf = nomad_strdupf("%s/resolv.conf", nomad_task_state_dir(s->task));
	if (!text || !s->resolv_conf)
		return nomad_error_errno(err, ENOMEM, "write resolv.conf");
	r = write_file(s->resolv_conf, 0644, text, err);
	s->machine.resolv_conf = s->resolv_conf;
	return r;
}

/* The environment, in memory that only root can look at; systemd-nspawn reads it through /proc. */
int nspawn_make_spec(struct nspawn_start *s, struct nomad_error **err)
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

/* A systemd-networkd in the image would wait for a DHCP server on host0, and take our address away. */
int nspawn_make_network_file(struct nspawn_start *s, struct nomad_error **err)
{
	const struct nspawn_network *net = &s->network;
	NOMAD_AUTO_FREE char *text = NULL, *more = NULL;

	if (!net->address[0] || !s->config->boot || !nspawn_overlays(s->config))
		return 0;
	if (net->address6[0])
		more = nomad_strdupf("\n[Route]\nGateway=%s\nGatewayOnLink=yes\n", net->gateway6);
	else
		more = strdup("");
	text = nomad_strdupf("[Match]\nName=host0\n\n[Link]\nRequiredForOnline=yes\n\n[Network]\nAddress=%s/%d\n"
			     "%s%s%s"
			     "DHCP=no\nIPv6AcceptRA=no\nLinkLocalAddressing=%s\nKeepConfiguration=yes\n\n[Route]\n"
			     "Gateway=%s\nGatewayOnLink=yes\n%s",
			     net->address, net->bits, net->address6[0] ? "Address=" : "", net->address6,
			     !net->address6[0] ? ""
			     : net->bits == 32 ? "/128\n"
					       : "/120\n",
			     net->address6[0] ? "ipv6" : "no", net->gateway, more ? more : "");
	/* Not below /run, where the directories above it would belong to nobody and stop systemd. */
	return put_file(s, "host0.network", text, "/etc/systemd/network/10-nomad.network", err);
}

/* ---- /etc/hosts ---- */

struct lookup {
	const char *netns;
	char address[INET6_ADDRSTRLEN];
};

/* A thread of its own, because it stays in the namespace. */
static void *look_up_address(void *arg)
{
	struct lookup *l = arg;
	NOMAD_AUTO_FD int fd = open(l->netns, O_RDONLY | O_CLOEXEC);
	struct ifaddrs *list = NULL, *i;

	if (fd < 0 || setns(fd, CLONE_NEWNET) < 0 || getifaddrs(&list) < 0)
		return NULL;
	for (i = list; i && !l->address[0]; i = i->ifa_next)
		if (i->ifa_addr && i->ifa_addr->sa_family == AF_INET && !(i->ifa_flags & IFF_LOOPBACK))
			inet_ntop(AF_INET, &((struct sockaddr_in *)i->ifa_addr)->sin_addr, l->address,
				  sizeof(l->address));
	freeifaddrs(list);
	return NULL;
}

/* The container's own name: systemd-nspawn takes the machine's where nobody says another. */
static const char *own_name(const struct nspawn_start *s)
{
	return s->config->hostname ? s->config->hostname : s->oci.hostname ? s->oci.hostname : s->machine.name;
}

/* The host's own lines, for a container that shares its network. */
static void copy_hosts(FILE *out)
{
	char text[1 << 16];
	FILE *file = fopen("/etc/hosts", "re");
	size_t n = file ? fread(text, 1, sizeof(text), file) : 0;

	if (file)
		fclose(file);
	fwrite(text, 1, n, out);
	if (n && text[n - 1] != '\n')
		fputc('\n', out);
}

static char *hosts_text(const struct nspawn_start *s)
{
	struct lookup l = { .netns = s->network.netns };
	const char *address = s->network.address;
	char *text = NULL;
	size_t size;
	pthread_t thread;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		return NULL;
	if (l.netns && pthread_create(&thread, NULL, look_up_address, &l) == 0) {
		pthread_join(thread, NULL);
		address = l.address;
	}
	if (s->network.kind == NSPAWN_NET_HOST)
		copy_hosts(out);
	else
		fputs("127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n"
		      "ff02::1 ip6-allnodes\nff02::2 ip6-allrouters\n",
		      out);
	/* As Debian does for a name without an address of its own. */
	fprintf(out, "%s %s\n", address[0] ? address : "127.0.1.1", own_name(s));
	if (s->network.address6[0])
		fprintf(out, "%s %s\n", s->network.address6, own_name(s));
	nspawn_write_extra_hosts(s->config, out);
	if (!fclose(out))
		return text;
	free(text);
	return NULL;
}

/* Whether systemd-nspawn can mount a file there without a change of the image, and the job has none there. */
static bool takes_file(const struct nspawn_start *s, const char *container)
{
	NOMAD_AUTO_FREE char *path = nomad_strdupf("%s%s", s->image.path, container);
	struct stat st;

	if (nspawn_bind_at(s, container))
		return false;
	if (nspawn_overlays(s->config) || s->config->volatile_mode)
		return true;
	return path && lstat(path, &st) == 0 && S_ISREG(st.st_mode);
}

int nspawn_make_names(struct nspawn_start *s, struct nomad_error **err)
{
	NOMAD_AUTO_FREE char *hosts = NULL, *name = NULL;
	int r = 0;

	if (takes_file(s, "/etc/hosts")) {
		hosts = hosts_text(s);
		r = put_file(s, "hosts", hosts, "/etc/hosts", err);
	}
	/* A systemd in there would take its name from the image. */
	if (r >= 0 && s->config->boot && takes_file(s, "/etc/hostname")) {
		name = nomad_strdupf("%s\n", own_name(s));
		r = put_file(s, "hostname", name, "/etc/hostname", err);
	}
	return r;
}
