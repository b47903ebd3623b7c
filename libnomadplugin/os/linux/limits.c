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
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "os/cgroup.h"

enum { MAX_HIERARCHIES = 20 };

struct hierarchy {
	char ctl[64];			/* "" for v2 */
	char mount[200];
	char controllers[256];		/* v2: " cpu memory " and so on */
};

static struct {
	struct hierarchy list[MAX_HIERARCHIES];
	int count;
} found;
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* Is each of the comma list `names` in the comma list `options`? */
static bool has_all(const char *options, const char *names)
{
	for (const char *p = names; *p;) {
		size_t n = strcspn(p, ",");
		bool hit = false;

		for (const char *q = options; *q && !hit;) {
			size_t m = strcspn(q, ",");

			hit = m == n && strncmp(p, q, n) == 0;
			q += m + (q[m] == ',');
		}
		if (!hit)
			return false;
		p += n + (p[n] == ',');
	}
	return true;
}

static bool find_mount(const char *ctl, char *ret, size_t size)
{
	FILE *f = fopen("/proc/self/mountinfo", "re");
	char *line = NULL, root[256], mount[256], type[64], options[512];
	size_t room = 0;
	bool hit = false;

	while (f && !hit && getline(&line, &room, f) > 0) {
		const char *tail = strstr(line, " - ");

		if (!tail || sscanf(line, "%*s %*s %*s %255s %255s", root, mount) != 2 ||
		    sscanf(tail + 3, "%63s %*s %511s", type, options) != 2 ||
		    (strcmp(root, "/") != 0 && strncmp(root, "/..", 3) != 0))
			continue;
		hit = *ctl ? strcmp(type, "cgroup") == 0 && has_all(options, ctl) : strcmp(type, "cgroup2") == 0;
		/* Read-only, or not ours to change. */
		hit = hit && strlen(mount) < size && access(mount, W_OK) == 0;
	}
	if (hit)
		strcpy(ret, mount);
	free(line);
	if (f)
		fclose(f);
	return hit;
}

static void look(void)
{
	FILE *f = fopen("/proc/self/cgroup", "re");
	char *line = NULL;
	size_t room = 0;

	while (f && getline(&line, &room, f) > 0 && found.count < MAX_HIERARCHIES) {
		struct hierarchy *h = &found.list[found.count];
		char *ctl = strchr(line, ':'), *end = ctl ? strchr(ctl + 1, ':') : NULL;

		if (!end || (size_t) (end - ctl) > sizeof(h->ctl))
			continue;
		*end = 0;
		strcpy(h->ctl, ctl + 1);
		if (!find_mount(h->ctl, h->mount, sizeof(h->mount)))
			continue;
		if (!h->ctl[0]) {
			NOMAD_AUTO_FREE char *path = nomad_strdupf("%s/cgroup.controllers", h->mount);
			FILE *c = path ? fopen(path, "re") : NULL;
			char word[64];
			size_t n = 0;

			while (c && fscanf(c, "%63s", word) == 1 && n + strlen(word) + 3 < sizeof(h->controllers))
				n += (size_t) sprintf(h->controllers + n, " %s ", word);
			if (c)
				fclose(c);
		}
		found.count++;
	}
	free(line);
	if (f)
		fclose(f);
}

static bool is_dir(const char *path)
{
	struct stat st;

	return path && *path && stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

struct plan {
	const struct nomad__supervise *what;
	struct nomad__spec *spec;
	const char *name;
	int64_t hard, soft;		/* bytes; -1: no limit, 0: leave it alone */
	bool can_kill;			/* v2 is there */
	bool used[MAX_HIERARCHIES];
};

static bool is_below(const struct hierarchy *h, const char *path)
{
	size_t n = strlen(h->mount);

	return is_dir(path) && strncmp(path, h->mount, n) == 0 && path[n] == '/' && path[n + 1];
}

/* One more cgroup; `path` is taken. */
static char *add(struct plan *plan, const struct hierarchy *h, char owner, char kind, char *path)
{
	plan->used[h - found.list] = true;
	if (!path)
		plan->spec->failed = true;
	else
		nomad__spec_addf(plan->spec, "cg", "%c%c:%s:%s:%s", owner, kind, h->ctl, h->mount, path + strlen(h->mount));
	return path;
}

/* Below a directory of Nomad's, or in our own. */
static char *ours(struct plan *plan, const struct hierarchy *h, char kind, const char *nomads)
{
	return add(plan, h, 'o', kind, is_below(h, nomads) ? nomad_strdupf("%s/%s", nomads, plan->name) :
							      nomad_strdupf("%s/nomad-drivers/%s", h->mount, plan->name));
}

/* Nomad's if it is there, else ours. */
static char *place(struct plan *plan, const struct hierarchy *h, const char *nomads)
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

/* Beside v1, v2 has only what v1 left it. */
static bool v2_has(const struct hierarchy *h, const char *controller)
{
	char word[80];

	snprintf(word, sizeof(word), " %s ", controller);
	return strstr(h->controllers, word);
}

static void plan_v2(struct plan *plan, const struct hierarchy *h)
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
			if (!v2_has(h, controllers[i] + 1))
				continue;
			set(plan, '?', h->mount, "cgroup.subtree_control", controllers[i]);
			set(plan, '?', parent, "cgroup.subtree_control", controllers[i]);
		}
	}
	if (plan->hard && v2_has(h, "memory"))
		set_num(plan, '!', path, "memory.max", plan->hard, "max");
	if (plan->soft && v2_has(h, "memory"))
		set_num(plan, '?', path, "memory.low", plan->soft > 0 ? plan->soft : 0, "0");
	if (res && res->cpu_shares > 0 && v2_has(h, "cpu")) {
		int64_t shares = res->cpu_shares < 2 ? 2 : res->cpu_shares > 262144 ? 262144 : res->cpu_shares;

		/* The span of shares, 2 to 2^18, onto that of weights, 1 to 10^4. */
		set_num(plan, '?', path, "cpu.weight", 1 + (shares - 2) * 9999 / 262142, "");
	}
	if (what->command->pids_max > 0 && v2_has(h, "pids"))
		set_num(plan, '!', path, "pids.max", what->command->pids_max, "max");
	if (cpus && v2_has(h, "cpuset"))
		set(plan, '!', path, "cpuset.cpus", cpus);
}

static void plan_v1(struct plan *plan, const struct hierarchy *h)
{
	const struct nomad__supervise *what = plan->what;
	const struct nomad_resources *res = what->resources;
	bool limits = !what->command->no_limits;
	NOMAD_AUTO_FREE char *nomads = nomad_strdupf("%s/nomad/%s.%s", h->mount, what->alloc_id ? what->alloc_id : "",
						     what->task_name ? what->task_name : "");
	NOMAD_AUTO_FREE char *path = NULL;

	if (has_all(h->ctl, "cpuset")) {
		if (limits && res && is_below(h, res->cpuset_cgroup))
			path = place(plan, h, res->cpuset_cgroup);
	} else if (has_all(h->ctl, "freezer")) {
		if (!plan->can_kill)
			path = ours(plan, h, 'f', limits ? nomads : NULL);
		else if (limits && is_below(h, nomads))
			path = place(plan, h, nomads);
	} else if (has_all(h->ctl, "name=systemd")) {
		path = place(plan, h, NULL);
	} else if (!limits) {
		return;
	} else if (has_all(h->ctl, "memory")) {
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
	} else if (has_all(h->ctl, "cpu")) {
		path = place(plan, h, nomads);
		if (path && res && res->cpu_shares > 0)
			set_num(plan, '?', path, "cpu.shares", res->cpu_shares < 2 ? 2 : res->cpu_shares, "");
	} else if (has_all(h->ctl, "cpuacct")) {
		path = place(plan, h, NULL);
	} else if (has_all(h->ctl, "pids") && what->command->pids_max > 0) {
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

int nomad__limits_plan(const struct nomad__supervise *what, struct nomad__spec *spec, struct nomad_error **err)
{
	const char *slash = strrchr(what->dir, '/');
	struct plan plan = { .what = what, .spec = spec, .name = slash ? slash + 1 : what->dir };

	pthread_once(&once, look);
	if (!*plan.name || strlen(plan.name) > 100)
		return nomad_error_set(err, EINVAL, "no name for cgroups in directory '%s'", what->dir);
	plan_memory(&plan);
	for (int i = 0; i < found.count; i++)
		if (!found.list[i].ctl[0])
			plan_v2(&plan, &found.list[i]);
	for (int i = 0; i < found.count; i++)
		if (found.list[i].ctl[0])
			plan_v1(&plan, &found.list[i]);
	/* Only where the task has its own: elsewhere it is where we are. */
	for (int i = 0; i < found.count; i++)
		if (plan.used[i] && !has_all(found.list[i].ctl, "cpuset"))
			nomad__spec_addf(spec, "supercg", "o%c:%s:%s:/nomad-drivers/supervisors",
					 found.list[i].ctl[0] ? '1' : '2', found.list[i].ctl, found.list[i].mount);
	return spec->failed ? nomad_error_errno(err, ENOMEM, "plan the cgroups") : 0;
}
