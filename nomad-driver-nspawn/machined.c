/* SPDX-License-Identifier: MPL-2.0
 *
 * systemd-machined, a courtesy: machinectl shows our containers where it
 * runs, enters them and ends them.  No container depends on it, and no start
 * waits for it: a thread does all this.
 *
 * systemd-nspawn itself is told not to register.  It would fail the start
 * wherever systemd-machined finds no unit above the container's cgroup, or
 * take the container out of the cgroup with the task's limits.
 *
 * systemd-machined wants a machine to be in a unit, which it reads from the
 * path of the leader's cgroup: of /nomad.slice/share.slice/ID.TASK.scope that
 * is "ID.TASK.scope".  But that directory is Nomad's, systemd knows no such
 * unit, and so a machine would be forgotten as soon as systemd-machined looks
 * whether its unit is active: when somebody has asked for its status, or
 * systemd was reloaded.  Hence we have systemd make the scope of this name,
 * in machine.slice, with one process in it: systemd-nspawn.  The container
 * stays where it is, with its limits.
 *
 *	/nomad.slice/share.slice/ID.TASK.scope/payload	the container
 *	/machine.slice/ID.TASK.scope			systemd-nspawn
 *
 * The scope lives as long as systemd-nspawn does, and systemd-machined
 * forgets the machine with it.  Who stops it (machinectl terminate, or systemd
 * when the host is shut down) sends SIGTERM to systemd-nspawn, which makes
 * the container end as a stop of the task would: a true end, told to Nomad.
 *
 * The plugin that recovers a task does the same again, if a predecessor did
 * not get so far. */
#include <ctype.h>
#include <errno.h>
#include <net/if.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "config.h"
#include "host.h"
#include "tool.h"

enum { CALL_MS = 12000, SCOPE_MS = 10000, POLL_MS = 20 };

struct machine {
	struct nspawn_data *data;
	char *name, *uuid, *root;
	int leader;
	unsigned link; /* index of the host's end of the link; 0: none */
};

static void machine_free(struct machine *m)
{
	if (!m)
		return;
	free(m->name);
	free(m->uuid);
	free(m->root);
	free(m);
}

/* ---- Units and cgroups ---- */

static bool is_slice(const char *part, size_t n)
{
	return n > 6 && strncmp(part + n - 6, ".slice", 6) == 0;
}

static bool unit_of_path(const char *path, size_t size, char *ret, size_t room)
{
	const char *end = path + size;
	size_t n;

	for (;;) {
		while (path < end && *path == '/')
			path++;
		for (n = 0; path + n < end && path[n] != '/'; n++)
			;
		if (!is_slice(path, n))
			break;
		path += n;
	}
	if (n && *path == '_') { /* so systemd marks a name that the kernel could take for a file of its own */
		path++;
		n--;
	}
	if (n <= 6 || n >= room)
		return false;
	memcpy(ret, path, n);
	ret[n] = 0;
	return strcmp(ret + n - 6, ".scope") == 0 || (n > 8 && strcmp(ret + n - 8, ".service") == 0);
}

bool nspawn_unit_of(const char *cgroups, char *ret, size_t room)
{
	const char *line, *path = NULL;
	size_t n, size = 0;

	/* cgroup v2, unless nothing but v1 is used. */
	for (line = cgroups; *line; line += n + (line[n] == '\n')) {
		n = strcspn(line, "\n");
		if (strncmp(line, "0::/", 4) == 0 && (n > 4 || !path)) {
			path = line + 3;
			size = n - 3;
			if (n > 4)
				break;
		} else if (strstr(line, ":name=systemd:/") && strstr(line, ":name=systemd:/") < line + n) {
			path = strstr(line, ":name=systemd:/") + 14;
			size = (size_t)(line + n - path);
		}
	}
	return path && unit_of_path(path, size, ret, room);
}

static bool read_proc(int pid, const char *file, char *ret, size_t room)
{
	char path[64];
	size_t n;
	FILE *in;

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, file);
	in = fopen(path, "re");
	n = in ? fread(ret, 1, room - 1, in) : 0;
	ret[n] = 0;
	if (in)
		fclose(in);
	return n > 0;
}

static bool unit_of_process(int pid, char *ret, size_t room)
{
	char cgroups[4096];

	return read_proc(pid, "cgroup", cgroups, sizeof(cgroups)) && nspawn_unit_of(cgroups, ret, room);
}

/* The systemd-nspawn of the container, or 0. */
static int keeper_of(int leader)
{
	char text[512], *p;
	int parent;

	if (!read_proc(leader, "stat", text, sizeof(text)))
		return 0;
	p = strrchr(text, ')');
	if (!p || sscanf(p + 1, " %*c %d", &parent) != 1 || !read_proc(parent, "comm", text, sizeof(text)))
		return 0;
	return strcmp(text, "systemd-nspawn\n") ? 0 : parent;
}

static bool is_in_scope(int keeper, const char *unit)
{
	char cgroups[4096];
	NOMAD_AUTO_FREE char *path = nomad_strdupf("/machine.slice/%s", unit);

	return path && read_proc(keeper, "cgroup", cgroups, sizeof(cgroups)) && strstr(cgroups, path);
}

/* ---- Calls ---- */

/* busctl call TO..., with `argv` behind it.  Takes `argv`. */
static int call(char **argv, const char *what, struct nomad_error **err)
{
	int r = nspawn_tool_run((const char *const *)argv, &(struct nspawn_tool){ .timeout_ms = CALL_MS, .what = what },
				NULL, err);

	nomad_strv_free(argv);
	return r;
}

static int add_all(char ***argv, ...)
{
	const char *arg;
	va_list ap;
	int r = 0;

	va_start(ap, argv);
	while (r >= 0 && (arg = va_arg(ap, const char *)))
		r = nomad_strv_add(argv, arg);
	va_end(ap);
	return r;
}

static int begin(char ***argv, const char *service, const char *object, const char *interface)
{
	NOMAD_AUTO_FREE char *busctl = nomad_tool_find("busctl");

	*argv = NULL;
	return busctl ? add_all(argv, busctl, "--quiet", "--timeout=10", "call", service, object, interface, NULL) : -1;
}

static int scope_start(const struct machine *m, int keeper, const char *unit, struct nomad_error **err)
{
	char agent[256], **argv;
	/* When the host is shut down, the agent ends first, and takes no end for one that it has to act upon. */
	bool ordered = unit_of_process(getpid(), agent, sizeof(agent));
	int r = begin(&argv, "org.freedesktop.systemd1", "/org/freedesktop/systemd1",
		      "org.freedesktop.systemd1.Manager");

	if (r >= 0)
		r = add_all(&argv, "StartTransientUnit", "ssa(sv)a(sa(sv))", unit, "fail", ordered ? "5" : "4",
			    "Description", "s", NULL);
	if (r >= 0)
		r = nomad_strv_addf(&argv, "Container %s", m->name);
	if (r >= 0)
		r = add_all(&argv, "Slice", "s", "machine.slice", "CollectMode", "s", "inactive-or-failed", NULL);
	if (r >= 0 && ordered)
		r = add_all(&argv, "Before", "as", "1", agent, NULL);
	if (r >= 0)
		r = add_all(&argv, "PIDs", "au", "1", NULL);
	if (r >= 0)
		r = nomad_strv_addf(&argv, "%d", keeper);
	if (r >= 0)
		r = add_all(&argv, "0", NULL);
	if (r >= 0)
		return call(argv, "ask systemd for a scope", err);
	nomad_strv_free(argv);
	return nomad_error_set(err, ENOENT, "busctl cannot be called");
}

/* Systemd answers before it has done it. */
static int scope_make(const struct machine *m, struct nomad_error **err)
{
	int keeper = keeper_of(m->leader), r, waited;
	char unit[256];

	if (!keeper)
		return nomad_error_set(err, ESRCH, "the container has ended");
	/* A service holds more than this container; and a scope can be ours alone only if we make it. */
	if (!unit_of_process(m->leader, unit, sizeof(unit)) || strcmp(unit + strlen(unit) - 6, ".scope") != 0)
		return nomad_error_set(err, ENOENT, "its cgroup is in no scope");
	if (is_in_scope(keeper, unit))
		return 0;
	r = scope_start(m, keeper, unit, err);
	for (waited = 0; r >= 0 && !is_in_scope(keeper, unit); waited += POLL_MS) {
		if (waited >= SCOPE_MS || keeper_of(m->leader) != keeper)
			return nomad_error_set(err, ETIMEDOUT, "scope '%s' was not made", unit);
		nanosleep(&(struct timespec){ .tv_nsec = POLL_MS * 1000000l }, NULL);
	}
	return r;
}

/* The 16 bytes of the id as arguments. */
static int add_id(char ***argv, const char *uuid)
{
	char hex[3] = "";
	int n = 0, r = 0;

	for (; *uuid && n < 16 && r >= 0; uuid++) {
		if (!isxdigit((unsigned char)uuid[0]) || !isxdigit((unsigned char)uuid[1]))
			continue; /* a hyphen */
		memcpy(hex, uuid++, 2);
		r = nomad_strv_addf(argv, "%lu", strtoul(hex, NULL, 16));
		n++;
	}
	while (r >= 0 && n++ < 16)
		r = nomad_strv_add(argv, "0");
	return r;
}

static int announce(const struct machine *m, struct nomad_error **err)
{
	char **argv;
	int r = begin(&argv, "org.freedesktop.machine1", "/org/freedesktop/machine1",
		      "org.freedesktop.machine1.Manager");

	if (r >= 0)
		r = add_all(&argv, "RegisterMachineWithNetwork", "sayssusai", m->name, "16", NULL);
	if (r >= 0)
		r = add_id(&argv, m->uuid);
	if (r >= 0)
		r = add_all(&argv, "nomad-driver-nspawn", "container", NULL);
	if (r >= 0)
		r = nomad_strv_addf(&argv, "%d", m->leader);
	if (r >= 0)
		r = add_all(&argv, m->root, m->link ? "1" : "0", NULL);
	if (r >= 0 && m->link)
		r = nomad_strv_addf(&argv, "%u", m->link);
	if (r >= 0)
		return call(argv, "register with systemd-machined", err);
	nomad_strv_free(argv);
	return nomad_error_set(err, ENOENT, "busctl cannot be called");
}

static bool is_known(const struct machine *m)
{
	NOMAD_AUTO_FREE char *file = nomad_strdupf("/run/systemd/machines/%s", m->name);

	return file && !access(file, F_OK);
}

/* ---- The thread ---- */

static void registered(struct nspawn_data *data)
{
	pthread_mutex_lock(&data->lock);
	data->registering--;
	pthread_cond_broadcast(&data->registered);
	pthread_mutex_unlock(&data->lock);
}

static void *work(void *arg)
{
	struct nomad_error *err = NULL;
	struct machine *m = arg;
	struct nspawn_data *data = m->data;
	int r = scope_make(m, &err);

	if (r >= 0 && !is_known(m))
		r = announce(m, &err);
	if (r < 0)
		nomad_log_kv(r == -ENOENT || kill(m->leader, 0) < 0 ? NOMAD_LOG_DEBUG : NOMAD_LOG_WARN,
			     "machinectl will not show the container", "machine", m->name, "error",
			     nomad_error_message(err), NULL);
	nomad_error_free(err);
	machine_free(m);
	registered(data);
	return NULL;
}

void nspawn_machined_register(struct nomad_task *task, const char *root)
{
	struct nspawn_data *data = nomad_plugin_data(nomad_task_plugin(task));
	const struct nspawn_plugin_config *site = nomad_plugin_config(nomad_task_plugin(task));
	const char *net = nomad_task_get(task, "net");
	struct machine *m;
	char link[16] = "";
	pthread_attr_t attr;
	pthread_t thread;

	if (!data->host.machined || strcmp(site->machined, "no") == 0 || nomad_task_leader(task) <= 0)
		return;
	m = calloc(1, sizeof(*m));
	if (!m)
		return;
	if (net)
		(void)sscanf(net, "%15s", link);
	*m = (struct machine){
		.data = data,
		.name = strdup(nomad_task_slug(task)),
		.uuid = strdup(nomad_task_info(task)->alloc_id),
		.root = strdup(root && *root == '/' ? root : ""),
		.leader = nomad_task_leader(task),
		.link = if_nametoindex(link),
	};
	pthread_mutex_lock(&data->lock);
	data->registering++;
	pthread_mutex_unlock(&data->lock);
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	if (!m->name || !m->uuid || !m->root || pthread_create(&thread, &attr, work, m)) {
		machine_free(m);
		registered(data);
	}
	pthread_attr_destroy(&attr);
}

bool nspawn_machined_finish(struct nspawn_data *data)
{
	struct timespec until;
	bool done;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec++;
	pthread_mutex_lock(&data->lock);
	while (data->registering && !pthread_cond_timedwait(&data->registered, &data->lock, &until))
		;
	done = !data->registering;
	pthread_mutex_unlock(&data->lock);
	return done;
}
