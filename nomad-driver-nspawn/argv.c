/* SPDX-License-Identifier: MPL-2.0
 *
 * From a job to a command line.  Nothing here looks at the host.
 *
 *	nspawn-init launch STEPS -- systemd-nspawn OPTIONS -- /run/nomad/init MODE COMMAND
 *
 * The steps make the root file system.  Unless the job asks for the image
 * itself (writable_image), the root is an overlay in the task's state
 * directory: the image, with its owners shifted where the container has
 * users of its own, below an upper directory that goes with the task.  So
 * mount points can be made in any image, read-only or not, images stay as
 * they are, and any number of tasks shares one without a copy.
 *
 * Every container is started through nspawn-init as PID 1, also one that
 * boots (nspawn-init then becomes the image's init), so that the environment
 * never stands in a command line. */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "argv.h"
#include "command.h"
#include "init/init.h"

/* Out of memory is remembered and told once, at the end. */
struct list {
	char **v;
	int r;
};

static void add(struct list *list, const char *s)
{
	if (!list->r)
		list->r = s ? nomad_strv_add(&list->v, s) : -ENOMEM;
}

static void add3(struct list *list, const char *a, const char *b, const char *c)
{
	add(list, a);
	add(list, b);
	if (c)
		add(list, c);
}

#define addf(list, ...)                                                                                                \
	do {                                                                                                           \
		if (!(list)->r)                                                                                        \
			(list)->r = nomad_strv_addf(&(list)->v, __VA_ARGS__);                                          \
	} while (0)

char *nspawn_escape(const char *path)
{
	char *out = malloc(2 * strlen(path) + 1), *p = out;

	for (; out && *path; path++) {
		if (*path == ':' || *path == '\\')
			*p++ = '\\';
		*p++ = *path;
	}
	if (out)
		*p = 0;
	return out;
}

static bool is(const char *value, const char *what)
{
	return value && strcmp(value, what) == 0;
}

bool nspawn_userns(const struct nspawn_config *config)
{
	return config->user_namespacing && !is(config->private_users, "no");
}

bool nspawn_shifts(const struct nspawn_config *config)
{
	return nspawn_userns(config) && !is(config->private_users, "identity") && !is(config->private_users, "yes");
}

bool nspawn_overlays(const struct nspawn_config *config)
{
	return !config->writable_image && !is(config->root, "image");
}

bool nspawn_sticky(const struct nspawn_config *config)
{
	return is(config->root, "sticky");
}

bool nspawn_in_memory(const struct nspawn_config *config, const char *image)
{
	return is(config->volatile_mode, "overlay") || strcmp(image, "/") == 0;
}

/* Whether the owners of the root are shifted below the overlay, which
 * systemd-nspawn must then leave alone. */
static bool shifted(const struct nspawn_config *config, const struct nspawn_machine *m)
{
	return nspawn_overlays(config) && m->idmap_image && m->users.first &&
	       !is(config->private_users_ownership, "chown") && !is(config->private_users_ownership, "foreign");
}

/* A bind whose owners are shifted back before systemd-nspawn sees it: with :idmap it would make one user
 * namespace more for each, which takes longer than all else that we do. */
static bool shifted_here(const struct nspawn_machine *m, const struct nspawn_bind *b)
{
	return b->idmap && !b->device && *b->host == '/' && m->users.first;
}

/* No file system of devices can shift owners: what the container gets is a node of its own. */
static bool copied_here(const struct nspawn_config *config, const struct nspawn_machine *m, const struct nspawn_bind *b)
{
	return b->device && *b->host == '/' && nspawn_shifts(config) && m->users.first;
}

/* A path that was judged: systemd-nspawn would follow links that appear in it meanwhile. */
static bool cloned_here(const struct nspawn_config *config, const struct nspawn_machine *m, const struct nspawn_bind *b)
{
	return b->pinned && *b->host == '/' && !shifted_here(m, b) && !copied_here(config, m, b);
}

bool nspawn_is_below(const char *path, const char *dir)
{
	size_t n = dir ? strlen(dir) : 0;

	return n && strncmp(path, dir, n) == 0 && (!path[n] || path[n] == '/');
}

static bool made_by_nspawn(const char *path)
{
	static const char *const dirs[] = { "/run", "/dev", "/proc", "/sys", "/tmp" };

	for (size_t i = 0; i < NOMAD_ARRAY_LEN(dirs); i++)
		if (nspawn_is_below(path, dirs[i]))
			return true;
	return false;
}

/* Directories and files for what is mounted in the root. */
static void mount_points(struct list *list, const struct nspawn_config *config, const struct nspawn_machine *m,
			 const char *owner)
{
	const struct nspawn_mount *mounts = config->mount.items;
	size_t i;

	for (i = 0; i < m->n_binds; i++)
		if (!made_by_nspawn(m->binds[i].container)) {
			add3(list, m->binds[i].file ? "mkfile" : "mkdir", "root", m->binds[i].container);
			add(list, owner);
		}
	for (i = 0; config->tmpfs && config->tmpfs[i]; i++)
		if (!made_by_nspawn(config->tmpfs[i])) {
			add3(list, "mkdir", "root", NULL);
			addf(list, "%.*s", (int)strcspn(config->tmpfs[i], ":"), config->tmpfs[i]);
			add(list, owner);
		}
	for (i = 0; i < config->mount.count; i++)
		if (is(mounts[i].type, "tmpfs") && !made_by_nspawn(mounts[i].target)) {
			add3(list, "mkdir", "root", mounts[i].target);
			add(list, owner);
		}
}

static void lower_step(struct list *list, const char *tree, size_t number, unsigned base)
{
	add3(list, base ? "idmap" : "clone", tree, NULL);
	addf(list, "lower%zu", number);
	if (base)
		addf(list, "%u", base);
}

static void root_steps(struct list *list, const struct nspawn_config *config, const struct nspawn_machine *m)
{
	unsigned base = shifted(config, m) ? m->users.first : 0;
	const char *up = nspawn_in_memory(config, m->image) ? "memory" : m->layer || m->sticky ? "layer" : ".";
	const char *lower = m->image;
	char owner[16];
	size_t i;

	if (m->image_kind == NSPAWN_RAW) {
		add(list, "loop");
		add3(list, m->image, "image", nspawn_overlays(config) ? "ro" : "rw");
		lower = "image";
	}
	if (!nspawn_overlays(config)) {
		if (m->image_kind == NSPAWN_DIRECTORY)
			add3(list, "bind", m->image, "image");
		return;
	}
	for (i = 0; m->oci->layers && m->oci->layers[i]; i++)
		lower_step(list, m->oci->layers[i], i, base);
	if (!i)
		lower_step(list, lower, i++, base);
	if (nspawn_in_memory(config, m->image))
		add3(list, "tmpfs", "memory", NULL);
	else if (m->layer)
		add3(list, "layer", m->layer, "layer");
	else if (m->sticky)
		add3(list, "clone", m->sticky, "layer");
	add(list, "overlay");
	addf(list, "%zu", i);
	add3(list, up, "root", NULL);
	/* Each run of the task has other users, so a layer that stays has the owners of none. */
	addf(list, "%u", m->sticky ? base : 0);
	snprintf(owner, sizeof(owner), "%u", base);
	add3(list, "mkdir", "root", "/usr"); /* systemd-nspawn knows a root file system by it */
	add(list, owner);
	mount_points(list, config, m, owner);
	if (m->resolv_conf) {
		add3(list, "mkfile", "root", "/etc/resolv.conf");
		add(list, owner);
	}
	/* The image's own id would win over --uuid=. */
	add3(list, "machine-id", "root", m->uuid);
	add(list, owner);
}

static void steps(struct list *list, const struct nspawn_config *config, const struct nspawn_machine *m)
{
	size_t i;

	add3(list, "dir", m->state_dir, NULL);
	add3(list, "tmpfs", "/run/systemd/nspawn/propagate", NULL);
	if (m->users.count) {
		add(list, "users");
		addf(list, "%u", m->users.first);
		addf(list, "%u", m->users.count);
		add(list, m->users.named ? "shared" : "alone");
	}
	root_steps(list, config, m);
	/* An image can have nodes of the host's disks, whose owners are the container's. */
	if (nspawn_userns(config) && !m->limit_devices && !is(config->device_policy, "open"))
		add3(list, "nodev", nspawn_overlays(config) ? "root" : "image", NULL);
	for (i = 0; i < m->n_binds; i++)
		if (shifted_here(m, &m->binds[i]) || copied_here(config, m, &m->binds[i])) {
			add3(list, m->binds[i].device ? "node" : "idmap", m->binds[i].host, NULL);
			addf(list, "bind%zu", i);
			addf(list, "%u", m->users.first);
		} else if (cloned_here(config, m, &m->binds[i])) {
			add3(list, "bind", m->binds[i].host, NULL);
			addf(list, "bind%zu", i);
		}
}

static void dhcp_step(struct list *list, const struct nspawn_config *config, const struct nspawn_machine *m)
{
	if (!config->dhcp || !m->dhcp_link)
		return;
	add3(list, "dhcp", m->dhcp_link, m->peer);
	add3(list, m->address, m->gateway, NULL);
	addf(list, "%d", m->bits);
}

static void net_step(struct list *list, const struct nspawn_machine *m)
{
	if (!m->peer)
		return;
	add3(list, "net", m->peer, m->address ? m->address : "-");
	add(list, m->gateway ? m->gateway : "-");
	addf(list, "%d", m->bits);
	add3(list, m->address6 ? m->address6 : "-", m->gateway6 ? m->gateway6 : "-", NULL);
}

/* Last, when what needs devices of the host is done. */
static void device_step(struct list *list, const struct nspawn_config *config, const struct nspawn_machine *m)
{
	NOMAD_AUTO_FREE char *rules = NULL;
	size_t size, i;
	FILE *out;

	if (is(config->device_policy, "open") || !m->limit_devices)
		return;
	out = open_memstream(&rules, &size);
	for (i = 0; out && i < m->n_binds; i++) {
		const struct nspawn_bind *b = &m->binds[i];

		if (b->device)
			fprintf(out, "%s%c%u:%u:%s", ftell(out) ? "," : "", b->device, b->major, b->minor,
				b->access[0]   ? b->access
				: b->read_only ? "r"
					       : "rwm");
	}
	if (!out || fclose(out))
		list->r = -ENOMEM;
	else
		add3(list, "devices", rules, NULL);
}

/* What systemd-nspawn does by default where the network is the host's: ours leads there. */
static const char *resolv_conf_of(const struct nspawn_config *config, const struct nspawn_machine *m)
{
	if (!m->peer || (config->resolv_conf && !is(config->resolv_conf, "auto")))
		return config->resolv_conf;
	return config->read_only || m->oci->read_only ? "bind-host" : "copy-host";
}

static void root_options(struct list *list, const struct nspawn_config *config, const struct nspawn_machine *m)
{
	const char *resolv_conf = resolv_conf_of(config, m);

	if (nspawn_overlays(config))
		addf(list, "--directory=%s/root", m->state_dir);
	else
		addf(list, "--directory=%s/image", m->state_dir);
	if (config->read_only || m->oci->read_only)
		add(list, "--read-only");
	if (config->volatile_mode && !is(config->volatile_mode, "overlay"))
		addf(list, "--volatile=%s", config->volatile_mode);
	if (config->pivot_root)
		addf(list, "--pivot-root=%s", config->pivot_root);
	if (m->resolv_conf) {
		add(list, "--resolv-conf=off");
		addf(list, "--bind-ro=%s:/etc/resolv.conf", m->resolv_conf);
	} else if (resolv_conf) {
		addf(list, "--resolv-conf=%s", resolv_conf);
	}
	if (config->timezone)
		addf(list, "--timezone=%s", config->timezone);
}

static void user_options(struct list *list, const struct nspawn_config *config, const struct nspawn_machine *m)
{
	const char *users = config->private_users ? config->private_users : "pick";

	if (!config->user_namespacing)
		return;
	if (m->users.count && !m->users.named)
		addf(list, "--private-users=%u:%u", m->users.first, m->users.count);
	else
		addf(list, "--private-users=%s", users);
	if (!nspawn_userns(config))
		return;
	if (shifted(config, m))
		add(list, "--private-users-ownership=off");
	else
		addf(list, "--private-users-ownership=%s",
		     config->private_users_ownership ? config->private_users_ownership : "auto");
}

static void bind_option(struct list *list, const struct nspawn_config *config, const struct nspawn_machine *m, size_t i)
{
	const struct nspawn_bind *b = &m->binds[i];
	const char *source = b->host + strspn(b->host, "+-"), *ro = b->read_only ? "-ro" : "";
	NOMAD_AUTO_FREE char *host = nspawn_escape(source), *container = nspawn_escape(b->container);

	if (!host || !container)
		list->r = -ENOMEM;
	else if (copied_here(config, m, b))
		addf(list, "--bind%s=%s/nodes/bind%zu:%s", ro, m->state_dir, i, container);
	else if (shifted_here(m, b))
		addf(list, "--bind%s=%s/bind%zu:%s", ro, m->state_dir, i, container);
	else if (cloned_here(config, m, b))
		addf(list, "--bind%s=%s/bind%zu:%s%s", ro, m->state_dir, i, container,
		     b->idmap && !b->device ? ":idmap" : "");
	else
		addf(list, "--bind%s=%.*s%s:%s%s", ro, (int)(source - b->host), b->host, host, container,
		     b->idmap && !b->device ? ":idmap" : "");
}

/* Nothing in the container may write to the file system below it. */
static void hide_sticky(struct list *list, const struct nspawn_machine *m)
{
	for (size_t i = 0; m->hidden && i < m->n_binds; i++) {
		const struct nspawn_bind *b = &m->binds[i];
		size_t n = strlen(b->host);
		NOMAD_AUTO_FREE char *container = NULL;

		if (strncmp(m->hidden, b->host, n) != 0 || m->hidden[n] != '/')
			continue;
		container = nspawn_escape(b->container);
		addf(list, "--tmpfs=%s%s:mode=0700,ro", container ? container : "", m->hidden + n);
	}
}

static void tmpfs_options(struct list *list, const struct nspawn_config *config)
{
	const struct nspawn_mount *m = config->mount.items, *end = m ? m + config->mount.count : NULL;

	for (; m != end; m++) {
		const struct nspawn_tmpfs *o = m->tmpfs_options;
		NOMAD_AUTO_FREE char *target = nspawn_escape(m->target);
		NOMAD_AUTO_FREE char *size =
			o && o->size ? nomad_strdupf(",size=%lld", (long long)o->size) : strdup("");

		if (is(m->type, "bind"))
			continue;
		if (!target || !size)
			list->r = -ENOMEM;
		else
			addf(list, "--tmpfs=%s:mode=%llo%s%s", target, (long long)(o ? o->mode : 01777), size,
			     m->readonly ? ",ro" : "");
	}
	if (config->shm_size)
		addf(list, "--tmpfs=/dev/shm:mode=1777,size=%lld", (long long)config->shm_size);
}

static void bind_options(struct list *list, const struct nspawn_config *config, const struct nspawn_machine *m)
{
	size_t i;

	for (i = 0; i < m->n_binds; i++)
		bind_option(list, config, m, i);
	hide_sticky(list, m);
	for (i = 0; config->tmpfs && config->tmpfs[i]; i++)
		addf(list, "--tmpfs=%s", config->tmpfs[i]);
	tmpfs_options(list, config);
	for (i = 0; config->overlay && config->overlay[i]; i++)
		addf(list, "--overlay=%s", config->overlay[i]);
	for (i = 0; config->overlay_read_only && config->overlay_read_only[i]; i++)
		addf(list, "--overlay-ro=%s", config->overlay_read_only[i]);
}

/* One option with all elements: the commas are ours, so none may be in them. */
static void add_joined(struct list *list, const char *option, char **values)
{
	char *joined = NULL, *longer;
	size_t i;

	for (i = 0; values && values[i]; i++) {
		longer = nomad_strdupf("%s%s%s", joined ? joined : "", joined ? "," : "", values[i]);
		free(joined);
		joined = longer;
		if (!joined) {
			list->r = -ENOMEM;
			return;
		}
	}
	if (joined)
		addf(list, "%s=%s", option, joined);
	free(joined);
}

static void right_options(struct list *list, const struct nspawn_config *config, const struct nspawn_machine *m)
{
	size_t i;

	add_joined(list, "--capability", config->capability);
	add_joined(list, "--drop-capability", config->drop_capability);
	for (i = 0; config->system_call_filter && config->system_call_filter[i]; i++)
		addf(list, "--system-call-filter=%s", config->system_call_filter[i]);
	if (config->no_new_privileges || m->oci->no_new_privileges)
		add(list, "--no-new-privileges=yes");
	for (i = 0; i < config->ulimit.count; i++) {
		NOMAD_AUTO_FREE char *name = strdup(config->ulimit.pairs[i].key);

		for (char *p = name; p && *p; p++)
			*p = (char)toupper((unsigned char)*p);
		addf(list, "--rlimit=%s=%s", name ? name : "", config->ulimit.pairs[i].value);
	}
	for (i = 0; i < config->rlimits.count; i++)
		addf(list, "--rlimit=%s=%s", config->rlimits.pairs[i].key, config->rlimits.pairs[i].value);
}

static void network_options(struct list *list, const struct nspawn_machine *m)
{
	if (m->own_network)
		add(list, "--private-network");
	if (m->peer)
		addf(list, "--bind-ro=%s/%s:%s", m->state_dir, NSPAWN_NET_NAME, NSPAWN_NET_PATH);
}

int nspawn_argv(const struct nspawn_config *config, const struct nspawn_machine *m, char ***ret_argv,
		struct nomad_error **err)
{
	const char *mode = config->boot && config->journal ? "boot-journal"
			   : config->boot		   ? "boot"
			   : config->init		   ? "supervise"
							   : "exec";
	const char *hostname = config->hostname ? config->hostname : m->oci->hostname;
	NOMAD_AUTO_STRV char **command = NULL;
	struct list list = { 0 };
	size_t i;

	add3(&list, m->init, "launch", NULL);
	steps(&list, config, m);
	dhcp_step(&list, config, m);
	net_step(&list, m);
	device_step(&list, config, m);
	add3(&list, "--", m->nspawn, "--quiet");
	add(&list, "--settings=no");
	add(&list, "--keep-unit");
	add(&list, "--register=no");
	addf(&list, "--machine=%s", m->name);
	addf(&list, "--uuid=%s", m->uuid);
	if (hostname)
		addf(&list, "--hostname=%s", hostname);
	addf(&list, "--kill-signal=%s", config->boot ? "SIGRTMIN+3" : "SIGTERM");
	addf(&list, "--notify-ready=%s", config->boot && !config->notify_ready ? "no" : "yes");
	addf(&list, "--console=%s", config->console ? config->console : "pipe");
	root_options(&list, config, m);
	user_options(&list, config, m);
	right_options(&list, config, m);
	network_options(&list, m);
	bind_options(&list, config, m);
	addf(&list, "--load-credential=%s:%s", NSPAWN_SPEC_NAME, m->spec);
	addf(&list, "--bind-ro=%s:%s", m->init, NSPAWN_INIT_PATH);
	add3(&list, "--", NSPAWN_INIT_PATH, mode);
	if (!list.r)
		list.r = nspawn_command(config, m->oci, &command);
	for (i = 0; command && command[i]; i++)
		add(&list, command[i]);
	if (list.r < 0) {
		nomad_strv_free(list.v);
		return nomad_error_errno(err, ENOMEM, "make the command line of systemd-nspawn");
	}
	*ret_argv = list.v;
	return 0;
}
