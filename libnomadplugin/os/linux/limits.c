/* SPDX-License-Identifier: MPL-2.0
 *
 * os/limits.h for cgroup v2, v1, both at once, and none.
 *
 *   v2 with controllers  limits on Nomad's scope of the task if it exists,
 *                        and ours below it; else ours alone
 *   v1                   Nomad's directories in freezer, cpu, memory and
 *                        cpuset where they exist, else ours; cpuacct, pids ours
 *   v2 beside v1         without controllers, but with cgroup.kill: ours;
 *   name=systemd         ours: systemd-nspawn makes sub-groups there
 *
 * Nomad's directory is the same for every run of a task, so all killing is done
 * in ours, which one run has for itself: cleaning up after an old run must
 * not end the new one.
 *
 * "Ours" is HIERARCHY/nomad-drivers/NAME, NAME being that of the task's
 * directory, so that it is found again without any record.  Supervisors are
 * in HIERARCHY/nomad-drivers/supervisors. */
#include "os/limits.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "os/cgroup.h"
#include "os/linux/hierarchy.h"

static bool is_dir(const char *path)
{
	struct stat st;

	return path && *path && stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

struct plan {
	const struct nomad__hierarchy *list;
	const struct nomad__supervise *what;
	struct nomad__spec *spec;
	const char *name;
	int64_t hard, soft;		/* bytes; -1: no limit, 0: leave it alone */
	bool can_kill;			/* v2 is there */
	bool used[NOMAD__MAX_HIERARCHIES];
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
		nomad__spec_addf(plan->spec, "cg", "%c%c:%s:%s:%s", owner, kind, h->ctl, h->mount, path + strlen(h->mount));
	return path;
}

/* Below a directory of Nomad's, or in our own. */
static char *ours(struct plan *plan, const struct nomad__hierarchy *h, char kind, const char *nomads)
{
	return add(plan, h, 'o', kind, is_below(h, nomads) ? nomad_strdupf("%s/%s", nomads, plan->name) :
							      nomad_strdupf("%s/nomad-drivers/%s", h->mount, plan->name));
}

/* Nomad's if it is there, else ours. */
static char *place(struct plan *plan, const struct nomad__hierarchy *h, const char *nomads)
{
	return is_below(h, nomads) ? add(plan, h, 'n', '1', strdup(nomads)) : ours(plan, h, '1', NULL);
}

static void set(struct plan *plan, char must, const char *path, const char *file, const char *value)
{
	nomad__spec_addf(plan->spec, "set", "%c%s/%s\t%s", must, path, file, value);
}

static void set_num(struct plan *plan, char must, const char *path, const char *file, int64_t value, const char *none)
{
	char text[24];

	snprintf(text, sizeof(text), "%lld", (long long) value);
	set(plan, must, path, file, value < 0 ? none : text);
}

static void plan_v2(struct plan *plan, const struct nomad__hierarchy *h)
{
	const struct nomad__supervise *what = plan->what;
	const struct nomad_resources *res = what->resources;
	const char *cpus = res && res->cpuset_cpus && *res->cpuset_cpus ? res->cpuset_cpus : NULL;
	bool limits = h->controllers[0] && !what->command->no_limits;
	const char *scope = limits && res && is_below(h, res->cpuset_cgroup) ? res->cpuset_cgroup : NULL;
	/* The first one is what the statistics are taken from. */
	NOMAD_AUTO_FREE char *theirs = scope ? add(plan, h, 'n', '2', strdup(scope)) : NULL;
	NOMAD_AUTO_FREE char *own = ours(plan, h, '2', scope);
	NOMAD_AUTO_FREE char *parent = nomad_strdupf("%s/nomad-drivers", h->mount);
	const char *path = scope ? theirs : own;

	plan->can_kill = true;
	if (!limits || !path || !parent)
		return;
	if (!scope) {
		/* One by one: a controller that is missing must not take the others along. */
		static const char *const controllers[] = { "+cpu", "+memory", "+pids", "+cpuset" };

		for (size_t i = 0; i < NOMAD_ARRAY_LEN(controllers); i++) {
			if (!nomad__list_has(h->controllers, controllers[i] + 1))
				continue;
			set(plan, '?', h->mount, "cgroup.subtree_control", controllers[i]);
			set(plan, '?', parent, "cgroup.subtree_control", controllers[i]);
		}
	}
	if (plan->hard && nomad__list_has(h->controllers, "memory"))
		set_num(plan, '!', path, "memory.max", plan->hard, "max");
	if (plan->soft && nomad__list_has(h->controllers, "memory"))
		set_num(plan, '?', path, "memory.low", plan->soft > 0 ? plan->soft : 0, "0");
	if (res && res->cpu_shares > 0 && nomad__list_has(h->controllers, "cpu")) {
		int64_t shares = res->cpu_shares < 2 ? 2 : res->cpu_shares > 262144 ? 262144 : res->cpu_shares;

		/* The span of shares, 2 to 2^18, onto that of weights, 1 to 10^4. */
		set_num(plan, '?', path, "cpu.weight", 1 + (shares - 2) * 9999 / 262142, "");
	}
	if (what->command->pids_max > 0 && nomad__list_has(h->controllers, "pids"))
		set_num(plan, '!', path, "pids.max", what->command->pids_max, "max");
	if (cpus && nomad__list_has(h->controllers, "cpuset"))
		set(plan, '!', path, "cpuset.cpus", cpus);
}

static void plan_v1(struct plan *plan, const struct nomad__hierarchy *h)
{
	const struct nomad__supervise *what = plan->what;
	const struct nomad_resources *res = what->resources;
	bool limits = !what->command->no_limits;
	NOMAD_AUTO_FREE char *nomads = nomad_strdupf("%s/nomad/%s.%s", h->mount, what->alloc_id ? what->alloc_id : "",
						     what->task_name ? what->task_name : "");
	NOMAD_AUTO_FREE char *path = NULL;

	if (nomad__list_has(h->ctl, "cpuset")) {
		if (limits && res && is_below(h, res->cpuset_cgroup))
			path = place(plan, h, res->cpuset_cgroup);
	} else if (nomad__list_has(h->ctl, "freezer")) {
		if (!plan->can_kill)
			path = ours(plan, h, 'f', limits ? nomads : NULL);
		else if (limits && is_below(h, nomads))
			path = place(plan, h, nomads);
	} else if (nomad__list_has(h->ctl, "name=systemd")) {
		path = place(plan, h, NULL);
	} else if (!limits) {
		return;
	} else if (nomad__list_has(h->ctl, "memory")) {
		path = place(plan, h, nomads);
		if (!path)
			return;
		/* The order of limit and memsw would matter; memsw is left alone. */
		if (plan->hard)
			set_num(plan, '!', path, "memory.limit_in_bytes", plan->hard, "-1");
		if (plan->soft)
			set_num(plan, '?', path, "memory.soft_limit_in_bytes", plan->soft, "-1");
		if (plan->hard)
			set(plan, '?', path, "memory.swappiness", "0");
	} else if (nomad__list_has(h->ctl, "cpu")) {
		path = place(plan, h, nomads);
		if (path && res && res->cpu_shares > 0)
			set_num(plan, '?', path, "cpu.shares", res->cpu_shares < 2 ? 2 : res->cpu_shares, "");
	} else if (nomad__list_has(h->ctl, "cpuacct")) {
		path = place(plan, h, NULL);
	} else if (nomad__list_has(h->ctl, "pids") && what->command->pids_max > 0) {
		path = place(plan, h, NULL);
		if (path)
			set_num(plan, '!', path, "pids.max", what->command->pids_max, "max");
	}
}

static void plan_memory(struct plan *plan)
{
	const struct nomad_resources *res = plan->what->resources;
	const int64_t mb = 1 << 20;

	if (!res || res->memory_mb <= 0)
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

int nomad__limits_plan_for(const struct nomad__hierarchy *list, int count, const struct nomad__supervise *what,
			   struct nomad__spec *spec, struct nomad_error **err)
{
	const char *slash = strrchr(what->dir, '/');
	struct plan plan = { .list = list, .what = what, .spec = spec, .name = slash ? slash + 1 : what->dir };

	if (!*plan.name || strlen(plan.name) > 100)
		return nomad_error_set(err, EINVAL, "no name for cgroups in directory '%s'", what->dir);
	plan_memory(&plan);
	for (int i = 0; i < count; i++)
		if (!list[i].ctl[0])
			plan_v2(&plan, &list[i]);
	for (int i = 0; i < count; i++)
		if (list[i].ctl[0])
			plan_v1(&plan, &list[i]);
	/* Only where the task has its own: elsewhere it is where we are. */
	for (int i = 0; i < count; i++)
		if (plan.used[i] && !nomad__list_has(list[i].ctl, "cpuset"))
			nomad__spec_addf(spec, "supercg", "o%c:%s:%s:/nomad-drivers/supervisors", list[i].ctl[0] ? '1' : '2',
					 list[i].ctl, list[i].mount);
	return spec->failed ? nomad_error_errno(err, ENOMEM, "plan the cgroups") : 0;
}

int nomad__limits_plan(const struct nomad__supervise *what, struct nomad__spec *spec, struct nomad_error **err)
{
	const struct nomad__hierarchy *list;
	int count = nomad__hierarchies(&list);

	return nomad__limits_plan_for(list, count, what, spec, err);
}
