/* SPDX-License-Identifier: MPL-2.0
 *
 * limits.c: the cgroups of the task and our own.
 *
 * The plugin has decided all (supervisor/limits.h) and says it in the specification:
 * cg= is a cgroup of the task, set= a value to be written ("!PATH\tVALUE": the
 * start fails if it cannot be; "?PATH\tVALUE": never mind), supercg= one for
 * us, dev= a device that the task may use (cgroup v2; without any all), rlimit= and
 * oom_score_adj= are what the task's processes set for themselves.  So this
 * program needs no change when the policy does. */
#include "supervisor/program/super.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "os/cgroup.h"
#include "os/process.h"

static struct nomad__cgroup cgroups[NOMAD__MAX_CGROUPS];
static int n_cgroups;
static uint64_t oom_before, oom_reported;

static int allow_devices(void)
{
	struct nomad__device_rules rules = { .count = 0 };
	const char *s;
	size_t pos = 0;
	int r;

	while ((s = spec_next("dev", &pos))) {
		r = nomad__device_rule_add(&rules, s);
		if (r < 0)
			return fail(-r, "read the rule for devices", s);
	}
	if (!rules.count)
		return 0;
	for (int i = 0; i < n_cgroups; i++)
		if (cgroups[i].kind == '2' && cgroups[i].ours) {
			r = nomad__cgroup_allow_devices(&cgroups[i], &rules);
			return r < 0 ? fail(-r, "restrict the devices of the cgroup", cgroups[i].path) : 0;
		}
	return fail(EOPNOTSUPP, "restrict the devices of a task without a cgroup", NULL);
}

/* What is set by each process; the specification is gone when a command is run. */
static struct {
	struct {
		int resource;
		struct rlimit limit;
	} list[16];
	int count;
	int oom_score;
} own;

static int read_own(void)
{
	const char *s;
	size_t pos = 0;

	own.oom_score = (int)spec_num("oom_score_adj", 0);
	while ((s = spec_next("rlimit", &pos))) {
		const char *soft = strchr(s, ' '), *hard = soft ? strchr(soft + 1, ' ') : NULL;
		int64_t low, high;

		if (!hard || own.count == (int)(sizeof(own.list) / sizeof(own.list[0])))
			return fail(EPROTO, "read the limit", s);
		low = nomad__parse_num(soft + 1, -1);
		high = nomad__parse_num(hard + 1, -1);
		own.list[own.count].resource = (int)nomad__parse_num(s, -1);
		own.list[own.count++].limit = (struct rlimit){
			.rlim_cur = low < 0 ? RLIM_INFINITY : (rlim_t)low,
			.rlim_max = high < 0 ? RLIM_INFINITY : (rlim_t)high,
		};
	}
	return 0;
}

/* In a child, before it becomes somebody else. */
int limits_set_own(void)
{
	int r = nomad__oom_score(own.oom_score);

	if (r < 0 && own.oom_score)
		return r;
	for (int i = 0; i < own.count; i++)
		if (setrlimit(own.list[i].resource, &own.list[i].limit) < 0)
			return -errno;
	return 0;
}

static uint64_t oom_kills(void)
{
	uint64_t sum = 0;

	for (int i = 0; i < n_cgroups; i++)
		sum += nomad__cgroup_oom_kills(&cgroups[i]);
	return sum;
}

int limits_create(void)
{
	const char *s;
	char path[400];
	struct nomad__text t;
	size_t pos = 0;
	int r;

	while ((s = spec_next("cg", &pos))) {
		struct nomad__cgroup *cg = &cgroups[n_cgroups];

		r = n_cgroups < NOMAD__MAX_CGROUPS ? nomad__cgroup_parse(s, cg) : -E2BIG;
		if (r >= 0 && cg->ours)
			r = nomad__cgroup_create(cg);
		if (r < 0)
			return fail(-r, "create cgroup", s);
		n_cgroups++;
	}
	pos = 0;
	while ((s = spec_next("set", &pos))) {
		const char *tab = strchr(s, '\t');

		if (!tab || (size_t)(tab - s) > sizeof(path))
			return fail(EPROTO, "read the limit", s);
		nomad__text_init(&t, path, sizeof(path));
		nomad__text_add(&t, s + 1);
		path[tab - s - 1] = 0;
		r = nomad__cgroup_write(path, tab + 1);
		if (r < 0 && s[0] == '!')
			return fail(-r, "write the limit to", path);
	}
	r = allow_devices();
	if (r >= 0)
		r = read_own();
	oom_before = oom_reported = oom_kills();
	return r;
}

int limits_fork(void)
{
	for (int i = 0; i < n_cgroups; i++)
		if (cgroups[i].kind == '2' && cgroups[i].ours)
			return nomad__cgroup_fork(cgroups[i].path);
	return nomad__cgroup_fork(NULL);
}

int limits_join(void)
{
	for (int i = 0; i < n_cgroups; i++) {
		int r = cgroups[i].kind == '2' ? 0 : nomad__cgroup_join(&cgroups[i]);

		if (r < 0)
			return r;
	}
	return 0;
}

int limits_fork_beside(int pid)
{
	char path[512];

	for (int i = 0; i < n_cgroups; i++)
		if (cgroups[i].kind == '2' && cgroups[i].ours)
			return nomad__cgroup_fork(
				nomad__cgroup_of(&cgroups[i], pid, path, sizeof(path)) >= 0 ? path : cgroups[i].path);
	return nomad__cgroup_fork(NULL);
}

int limits_join_beside(int pid)
{
	for (int i = 0; i < n_cgroups; i++) {
		struct nomad__cgroup cg = cgroups[i];
		char path[sizeof(cg.path)];
		int r;

		if (cg.kind == '2')
			continue;
		if (nomad__cgroup_of(&cg, pid, path, sizeof(path)) >= 0)
			memcpy(cg.path, path, sizeof(path));
		r = nomad__cgroup_join(&cg);
		if (r < 0)
			return r;
	}
	return 0;
}

/* An own cgroup keeps us out of the agent's: neither its limits nor the end
 * of its unit are ours.  Best effort: without the right to do so we stay. */
int limits_fork_supervisor(void)
{
	struct nomad__cgroup cg;
	const char *s;
	size_t pos = 0;
	int pid = -1;

	while (pid < 0 && (s = spec_next("supercg", &pos)))
		if (nomad__cgroup_parse(s, &cg) >= 0 && cg.kind == '2' && nomad__cgroup_create(&cg) >= 0)
			pid = nomad__cgroup_fork(cg.path);
	return pid >= 0 ? pid : nomad__cgroup_fork(NULL);
}

void limits_leave_agent(void)
{
	struct nomad__cgroup cg;
	const char *s;
	size_t pos = 0;

	while ((s = spec_next("supercg", &pos)))
		if (nomad__cgroup_parse(s, &cg) >= 0 && cg.kind != '2' && nomad__cgroup_create(&cg) >= 0)
			(void)nomad__cgroup_join(&cg);
}

/* cgroup.kill, where there is one, gets them all; else, or if that was not
 * the end of it, each hierarchy is gone through.  Only what is ours: a
 * directory of Nomad's may already hold the next run of the task. */
void limits_kill(bool thorough)
{
	for (int i = 0; i < n_cgroups; i++)
		if (cgroups[i].kind == '2' && cgroups[i].ours && nomad__cgroup_kill(&cgroups[i]) == 0 && !thorough)
			return;
	for (int i = 0; i < n_cgroups; i++)
		if (cgroups[i].kind != '2' && cgroups[i].ours)
			(void)nomad__cgroup_kill(&cgroups[i]);
}

bool limits_empty(void)
{
	for (int i = 0; i < n_cgroups; i++)
		if (cgroups[i].ours && !nomad__cgroup_is_empty(&cgroups[i]))
			return false;
	return true;
}

bool limits_oom_killed(void)
{
	return oom_kills() > oom_before;
}

void limits_oom_report(void)
{
	uint64_t n = oom_kills();

	if (n > oom_reported && clients_oom(n - oom_reported))
		oom_reported = n;
}
