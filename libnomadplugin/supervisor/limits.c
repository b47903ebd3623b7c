/* SPDX-License-Identifier: MPL-2.0
 *
 * limits.c: plans for cgroup v2, v1, both at once, and none.
 *
 *   v2 with controllers  limits on Nomad's scope of the task if it exists,
 *                        and ours below it; else ours alone
 *   v1                   Nomad's directories in freezer, cpu, memory and
 *                        cpuset where they exist, else ours; cpuacct, pids ours
 *   v2 in addition to v1 without controllers, but with cgroup.kill: ours;
 *   name=systemd         ours: systemd-nspawn makes sub-groups there
 *
 * devices              v1: ours, if they are restricted; v2: rules for a program that the supervisor attaches to ours
 *
 * Nomad's directory is the same for every run of a task, so all killing is done
 * in ours, which one run has for itself: cleaning up after an old run must
 * not end the new one.
 *
 * "Ours" is HIERARCHY/nomad-drivers/NAME, NAME being that of the task's
 * directory, so that it is found again without any record.  Supervisors are
 * in HIERARCHY/nomad-drivers/supervisors. */
#include "supervisor/limits.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "os/cgroup.h"

static bool is_dir(const char *path)
{
	struct stat st;

	return path && *path && stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

struct plan {
	const struct nomad__hierarchy *list;
	const struct nomad__supervise *what;
	const struct nomad_resources *res; /* never NULL */
	const char *cpus;		   /* NULL: any */
	struct nomad__keys *spec;
	const char *name;
	bool limits;			     /* are wanted */
	int64_t hard, soft;		     /* bytes; -1: no limit, 0: leave it alone */
	int64_t quota, period;		     /* of CPU time, microseconds; 0: none */
	bool can_kill;			     /* v2 is there */
	bool has_cpu, has_pids, has_devices; /* planned */
	bool used[NOMAD__MAX_HIERARCHIES];
	int r;
	struct nomad_error **err;
};

static bool is_below(const struct nomad__hierarchy *h, const char *path)
{
	size_t n = strlen(h->mount);

	return is_dir(path) && strncmp(path, h->mount, n) == 0 && path[n] == '/' && path[n + 1];
}

/* One more cgroup; `path` is taken. */
static char *add(struct plan *plan, const struct nomad__hierarchy *h, char owner, char kind, char *path)
{
	plan->used[h - plan->list] = true;
	if (!path)
		plan->spec->failed = true;
	else
		nomad__keys_addf(plan->spec, "cg", "%c%c:%s:%s:%s", owner, kind, h->ctl, h->mount,
				 path + strlen(h->mount));
	return path;
}

/* Below a directory of Nomad's, or in our own. */
static char *ours(struct plan *plan, const struct nomad__hierarchy *h, char kind, const char *nomads)
{
	return add(plan, h, 'o', kind,
		   is_below(h, nomads) ? nomad_strdupf("%s/%s", nomads, plan->name)
				       : nomad_strdupf("%s/nomad-drivers/%s", h->mount, plan->name));
}

/* Nomad's if it is there, else ours. */
static char *place(struct plan *plan, const struct nomad__hierarchy *h, const char *nomads)
{
	return is_below(h, nomads) ? add(plan, h, 'n', '1', strdup(nomads)) : ours(plan, h, '1', NULL);
}

/* Without a `path` memory ran out. */
static void set(struct plan *plan, char must, const char *path, const char *file, const char *value)
{
	if (path)
		nomad__keys_addf(plan->spec, "set", "%c%s/%s\t%s", must, path, file, value);
	else
		plan->spec->failed = true;
}

/* A negative value is written as `none`. */
static void set_num(struct plan *plan, char must, const char *path, const char *file, int64_t value, const char *none)
{
	char text[24];

	snprintf(text, sizeof(text), "%lld", (long long)value);
	set(plan, must, path, file, value < 0 ? none : text);
}

/* One by one: a controller that is missing must not take the others along. */
static void enable_controllers(struct plan *plan, const struct nomad__hierarchy *h)
{
	static const char *const controllers[] = { "+cpu", "+memory", "+pids", "+cpuset" };
	NOMAD_AUTO_FREE char *parent = nomad_strdupf("%s/nomad-drivers", h->mount);

	for (size_t i = 0; i < NOMAD_ARRAY_LEN(controllers); i++) {
		if (!nomad__list_has(h->controllers, controllers[i] + 1))
			continue;
		set(plan, '?', h->mount, "cgroup.subtree_control", controllers[i]);
		set(plan, '?', parent, "cgroup.subtree_control", controllers[i]);
	}
}

static void v2_memory(struct plan *plan, const char *path)
{
	if (plan->hard) {
		set_num(plan, '!', path, "memory.max", plan->hard, "max");
		/* What is beyond it goes to no swap either, as with v1. */
		set(plan, '?', path, "memory.swap.max", plan->hard > 0 ? "0" : "max");
	}
	if (plan->soft)
		set_num(plan, '?', path, "memory.low", plan->soft, "0");
}

/* `reset`: the directory may have the limits of an earlier run. */
static void v2_cpu(struct plan *plan, const char *path, bool reset)
{
	int64_t shares = plan->res->cpu_shares;
	char text[64] = "max";

	if (shares > 0) {
		shares = shares < 2 ? 2 : shares > 262144 ? 262144 : shares;
		/* The span of shares, 2 to 2^18, onto that of weights, 1 to 10^4. */
		set_num(plan, '?', path, "cpu.weight", 1 + (shares - 2) * 9999 / 262142, "");
	}
	if (!plan->quota && !reset)
		return;
	plan->has_cpu = true;
	if (plan->quota)
		snprintf(text, sizeof(text), "%lld %lld", (long long)plan->quota, (long long)plan->period);
	set(plan, plan->quota ? '!' : '?', path, "cpu.max", text);
}

/* Whether the start fails if it cannot be set. */
static char pids_mark(const struct plan *plan)
{
	return plan->what->command->pids_if_possible ? '?' : '!';
}

static void plan_v2(struct plan *plan, const struct nomad__hierarchy *h)
{
	const int64_t pids = plan->what->command->pids_max;
	bool limits = h->controllers[0] && plan->limits;
	const char *scope = limits && is_below(h, plan->res->cpuset_cgroup) ? plan->res->cpuset_cgroup : NULL;
	/* The first one is what the statistics are taken from. */
	NOMAD_AUTO_FREE char *theirs = scope ? add(plan, h, 'n', '2', strdup(scope)) : NULL;
	NOMAD_AUTO_FREE char *own = ours(plan, h, '2', scope);
	const char *path = scope ? theirs : own;

	plan->can_kill = true;
	if (!limits)
		return;
	if (!scope)
		enable_controllers(plan, h);
	if (nomad__list_has(h->controllers, "memory"))
		v2_memory(plan, path);
	if (nomad__list_has(h->controllers, "cpu"))
		v2_cpu(plan, path, scope);
	if (nomad__list_has(h->controllers, "pids") && (pids > 0 || scope)) {
		plan->has_pids = true;
		set_num(plan, pids > 0 ? pids_mark(plan) : '?', path, "pids.max", pids > 0 ? pids : -1, "max");
	}
	if (plan->cpus && nomad__list_has(h->controllers, "cpuset"))
		set(plan, '!', path, "cpuset.cpus", plan->cpus);
}

/* One device by its path on the host. */
static int add_device(struct plan *plan, const char *v1_path, const struct nomad_device *device)
{
	const char *access =
		device->cgroup_permissions && *device->cgroup_permissions ? device->cgroup_permissions : "rwm";
	char rule[64];
	int r = device->host_path ? nomad__device_number(device->host_path, rule, sizeof(rule) - 8) : -EINVAL;

	if (r == -ENODEV)
		return nomad_error_set(plan->err, ENODEV, "device '%s': not a device", device->host_path);
	if (r < 0)
		return nomad_error_errno(plan->err, -r, "inspect device '%s'",
					 device->host_path ? device->host_path : "");
	if (strspn(access, "rwm") != strlen(access) || strlen(access) > 3)
		return nomad_error_set(plan->err, EINVAL, "permissions '%s' of device '%s': not letters of rwm", access,
				       device->host_path);
	strcat(strcat(rule, " "), access);
	if (v1_path)
		set(plan, '!', v1_path, "devices.allow", rule);
	else
		nomad__keys_add(plan->spec, "dev", rule);
	return 0;
}

/* With v1 into `path`, else as rules for v2. */
static void plan_devices(struct plan *plan, const char *v1_path)
{
	/* mknod of all; null, zero, full, random, urandom, tty, ptmx, pts */
	static const char *const usual[] = { "c *:* m",	  "b *:* m",   "c 1:3 rwm", "c 1:5 rwm", "c 1:7 rwm",
					     "c 1:8 rwm", "c 1:9 rwm", "c 5:0 rwm", "c 5:2 rwm", "c 136:* rwm" };
	const struct nomad__supervise *what = plan->what;
	int r = 0;

	/* In v1 what the host itself may not use cannot be allowed. */
	for (size_t i = 0; i < NOMAD_ARRAY_LEN(usual); i++)
		if (v1_path)
			set(plan, '?', v1_path, "devices.allow", usual[i]);
		else
			nomad__keys_add(plan->spec, "dev", usual[i]);
	for (size_t i = 0; r >= 0 && i < what->n_devices; i++)
		r = add_device(plan, v1_path, &what->devices[i]);
	for (size_t i = 0; r >= 0 && i < what->command->n_devices; i++)
		r = add_device(plan, v1_path, &what->command->devices[i]);
	plan->has_devices = true;
	plan->r = r < 0 ? r : plan->r;
}

/* A new directory has neither processors nor memory, and cannot be entered before it has. */
static char *own_cpuset(struct plan *plan, const struct nomad__hierarchy *h, const char *cpus)
{
	static const char *const files[] = { "cpuset.cpus", "cpuset.mems" };
	NOMAD_AUTO_FREE char *parent = nomad_strdupf("%s/nomad-drivers", h->mount);
	char *path = ours(plan, h, '1', NULL);

	for (size_t i = 0; parent && path && i < NOMAD_ARRAY_LEN(files); i++) {
		NOMAD_AUTO_FREE char *file = nomad_strdupf("%s/%s", h->mount, files[i]);
		char all[256] = "";
		FILE *f = file ? fopen(file, "re") : NULL;

		if (f && !fgets(all, sizeof(all), f))
			all[0] = 0;
		if (f)
			fclose(f);
		all[strcspn(all, "\n")] = 0;
		set(plan, '?', parent, files[i], all);
		set(plan, '!', path, files[i], i == 0 ? cpus : all);
	}
	return path;
}

/* ---- v1: one function for each controller; the path, or NULL ---- */

static char *v1_ours(struct plan *plan, const struct nomad__hierarchy *h, const char *nomads)
{
	(void)nomads;
	return place(plan, h, NULL);
}

static char *v1_cpuset(struct plan *plan, const struct nomad__hierarchy *h, const char *nomads)
{
	const char *given = plan->res->cpuset_cgroup;

	(void)nomads;
	if (!is_below(h, given))
		return plan->cpus ? own_cpuset(plan, h, plan->cpus) : NULL;
	/* Nomad creates the directory of a task with cores; the driver must set its processors. */
	if (plan->cpus)
		set(plan, '!', given, "cpuset.cpus", plan->cpus);
	return place(plan, h, given);
}

static char *v1_freezer(struct plan *plan, const struct nomad__hierarchy *h, const char *nomads)
{
	if (!plan->can_kill)
		return ours(plan, h, 'f', plan->limits ? nomads : NULL);
	return plan->limits && is_below(h, nomads) ? place(plan, h, nomads) : NULL;
}

static char *v1_memory(struct plan *plan, const struct nomad__hierarchy *h, const char *nomads)
{
	char *path = place(plan, h, nomads);

	/* The order of limit and memsw would matter; memsw is left alone. */
	if (plan->hard)
		set_num(plan, '!', path, "memory.limit_in_bytes", plan->hard, "-1");
	if (plan->soft)
		set_num(plan, '?', path, "memory.soft_limit_in_bytes", plan->soft, "-1");
	if (plan->hard)
		set(plan, '?', path, "memory.swappiness", "0");
	return path;
}

static char *v1_cpu(struct plan *plan, const struct nomad__hierarchy *h, const char *nomads)
{
	char *path = place(plan, h, nomads);
	int64_t shares = plan->res->cpu_shares;

	if (shares > 0)
		set_num(plan, '?', path, "cpu.shares", shares < 2 ? 2 : shares, "");
	/* First none: a quota that is there may not fit another period. */
	if (plan->quota || is_below(h, nomads))
		set(plan, '?', path, "cpu.cfs_quota_us", "-1");
	if (plan->quota) {
		plan->has_cpu = true;
		set_num(plan, '!', path, "cpu.cfs_period_us", plan->period, "");
		set_num(plan, '!', path, "cpu.cfs_quota_us", plan->quota, "");
	}
	return path;
}

static char *v1_pids(struct plan *plan, const struct nomad__hierarchy *h, const char *nomads)
{
	int64_t pids = plan->what->command->pids_max;
	char *path = pids > 0 ? v1_ours(plan, h, nomads) : NULL;

	if (pids > 0) {
		plan->has_pids = true;
		set_num(plan, pids_mark(plan), path, "pids.max", pids, "max");
	}
	return path;
}

static char *v1_devices(struct plan *plan, const struct nomad__hierarchy *h, const char *nomads)
{
	char *path = plan->what->command->device_policy == NOMAD_DEVICES_LISTED ? v1_ours(plan, h, nomads) : NULL;

	if (path) {
		set(plan, '!', path, "devices.deny", "a");
		plan_devices(plan, path);
	}
	return path;
}

static void plan_v1(struct plan *plan, const struct nomad__hierarchy *h)
{
	/* The first that has a use for it; some are mounted together. */
	static const struct {
		const char *ctl;
		char *(*plan)(struct plan *plan, const struct nomad__hierarchy *h, const char *nomads);
		bool always; /* also for a task without limits */
	} controllers[] = {
		{ "cpuset", v1_cpuset },
		{ "freezer", v1_freezer, true },
		{ "name=systemd", v1_ours, true },
		{ "memory", v1_memory },
		{ "cpu", v1_cpu },
		{ "cpuacct", v1_ours },
		{ "pids", v1_pids },
		{ "devices", v1_devices },
	};
	const struct nomad__supervise *what = plan->what;
	NOMAD_AUTO_FREE char *nomads = nomad_strdupf("%s/nomad/%s.%s", h->mount, what->alloc_id ? what->alloc_id : "",
						     what->task_name ? what->task_name : "");

	for (size_t i = 0; i < NOMAD_ARRAY_LEN(controllers); i++)
		if (nomad__list_has(h->ctl, controllers[i].ctl) && (plan->limits || controllers[i].always)) {
			NOMAD_AUTO_FREE char *path = controllers[i].plan(plan, h, nomads);

			if (path)
				return;
		}
}

static void plan_memory(struct plan *plan)
{
	const struct nomad_resources *res = plan->res;
	const int64_t mb = 1 << 20;

	if (res->memory_mb <= 0)
		return;
	if (res->memory_max_mb > 0) {
		plan->hard = res->memory_max_mb * mb;
		plan->soft = res->memory_mb * mb;
	} else if (res->memory_max_mb < 0) {
		plan->hard = -1;
		plan->soft = res->memory_mb * mb;
	} else {
		plan->hard = res->memory_mb * mb;
		plan->soft = -1;
	}
}

static int plan_cpu(struct plan *plan)
{
	const struct nomad_command *command = plan->what->command;
	int64_t period = command->cpu_period_us ? command->cpu_period_us : 100000;

	if (!command->cpu_hard_limit || command->no_limits || plan->cpus)
		return 0;
	if (period < 1000 || period > 1000000)
		return nomad_error_set(plan->err, EINVAL,
				       "a CPU period of %lld microseconds is not between 1000 and 1000000",
				       (long long)period);
	if (!(plan->res->percent_ticks > 0))
		return nomad_error_set(plan->err, EINVAL,
				       "a hard limit of CPU time: Nomad did not send the task's part of the node");
	plan->period = period;
	plan->quota = (int64_t)(plan->res->percent_ticks * (double)sysconf(_SC_NPROCESSORS_ONLN) * (double)period);
	/* The kernel takes no less. */
	if (plan->quota < 1000)
		plan->quota = 1000;
	return 0;
}

/* What was asked for and cannot be. */
static int check(struct plan *plan)
{
	const struct nomad_command *command = plan->what->command;

	if (plan->r < 0 || command->no_limits)
		return plan->r;
	if (plan->quota && !plan->has_cpu)
		return nomad_error_set(plan->err, EOPNOTSUPP,
				       "a hard limit of CPU time cannot be applied: this host has no writable cpu "
				       "controller of cgroups; remove the limit, or mount the controller");
	if (command->pids_max > 0 && !plan->has_pids && !command->pids_if_possible)
		return nomad_error_set(plan->err, EOPNOTSUPP,
				       "a limit of %lld processes cannot be applied: this host has no writable pids "
				       "controller of cgroups; remove the limit, or mount the controller",
				       (long long)command->pids_max);
	if (command->device_policy == NOMAD_DEVICES_LISTED && !plan->has_devices)
		return nomad_error_set(plan->err, EOPNOTSUPP,
				       "devices cannot be restricted: this host has neither a writable cgroup v2 nor a "
				       "writable devices controller of v1; allow all devices, or mount one");
	return 0;
}

/* A jail's limits are set by its driver, with rctl. */
static int plan_none(const struct nomad_command *command, struct nomad_error **err)
{
	if (command->no_limits || (!command->cpu_hard_limit && (command->pids_max <= 0 || command->pids_if_possible) &&
				   command->device_policy == NOMAD_DEVICES_ANY))
		return 0;
	return nomad_error_set(
		err, EOPNOTSUPP,
		"limits of CPU time, processes and devices: on this system the driver must set them for the jail");
}

int nomad__limits_plan(const struct nomad__hierarchy *list, int count, const struct nomad__supervise *what,
		       struct nomad__keys *spec, struct nomad_error **err)
{
	static const struct nomad_resources unknown;
	const char *slash = strrchr(what->dir, '/');
	struct plan plan = {
		.list = list,
		.what = what,
		.res = what->resources ? what->resources : &unknown,
		.limits = !what->command->no_limits,
		.spec = spec,
		.name = slash ? slash + 1 : what->dir,
		.err = err,
	};
	int r;

	if (count < 0)
		return plan_none(what->command, err);
	if (!*plan.name || strlen(plan.name) > 100)
		return nomad_error_set(err, EINVAL, "name the cgroups: directory '%s': no valid name", what->dir);
	if (plan.res->cpuset_cpus && *plan.res->cpuset_cpus)
		plan.cpus = plan.res->cpuset_cpus;
	plan_memory(&plan);
	r = plan_cpu(&plan);
	if (r < 0)
		return r;
	for (int i = 0; i < count; i++)
		if (!list[i].ctl[0])
			plan_v2(&plan, &list[i]);
	for (int i = 0; i < count; i++)
		if (list[i].ctl[0])
			plan_v1(&plan, &list[i]);
	if (plan.can_kill && !plan.has_devices && plan.limits && what->command->device_policy == NOMAD_DEVICES_LISTED)
		plan_devices(&plan, NULL);
	r = check(&plan);
	if (r < 0)
		return r;
	/* Only where the task has its own: elsewhere it is where we are. */
	for (int i = 0; i < count; i++)
		if (plan.used[i] && !nomad__list_has(list[i].ctl, "cpuset"))
			nomad__keys_addf(spec, "supercg", "o%c:%s:%s:/nomad-drivers/supervisors",
					 list[i].ctl[0] ? '1' : '2', list[i].ctl, list[i].mount);
	return spec->failed ? nomad_error_errno(err, ENOMEM, "plan the cgroups") : 0;
}
