/* SPDX-License-Identifier: MPL-2.0
 *
 * stats.c: samples of what a task uses.  The files stay open from sample to
 * sample and one sample is a handful of pread(); no fork, no thread and no
 * word with the supervisor. */
#include "os/stats.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "supervisor/handle.h"
#include "supervisor/records.h"

_Static_assert(sizeof(((struct nomad__stats_cache *)0)->fds) == NOMAD__STATS_FDS * sizeof(int), "one slot each");

/* Without cgroups: the process and what descends from it. */
static void sum_tree(int pid, int depth, struct nomad__process_usage *sum)
{
	struct nomad__process_usage one;
	int children[256], n;

	if (nomad__process_usage(pid, &one) < 0)
		return;
	sum->user_ns += one.user_ns;
	sum->system_ns += one.system_ns;
	sum->rss_bytes += one.rss_bytes;
	n = depth < 32 ? nomad__process_children(pid, children, 256) : 0;
	for (int i = 0; i < n; i++)
		sum_tree(children[i], depth + 1, sum);
}

static void add_processes(int pid, struct nomad_stats *ret, struct nomad__counters *counters)
{
	struct nomad__process_usage sum = { 0 };

	sum_tree(pid, 0, &sum);
	if (!counters->has_cpu) {
		*counters = (struct nomad__counters){
			.has_cpu = true,
			.has_split = true,
			.cpu_ns = sum.user_ns + sum.system_ns,
			.user_ns = sum.user_ns,
			.system_ns = sum.system_ns,
		};
	}
	if (!(ret->measured & NOMAD_STAT_RSS)) {
		ret->rss_bytes = ret->usage_bytes = sum.rss_bytes;
		ret->measured |= NOMAD_STAT_RSS | NOMAD_STAT_USAGE;
	}
}

static double percent(uint64_t now, uint64_t before, int64_t span_ns)
{
	/* Less than before: a process of the sum has ended. */
	return span_ns > 0 && now > before ? 100.0 * (double)(now - before) / (double)span_ns : 0;
}

int nomad__supervisor_stats(struct nomad__supervisor *s, struct nomad__stats_cache *cache, struct nomad_stats *ret,
			    struct nomad_error **err)
{
	struct nomad__cgroup cgroups[NOMAD__MAX_CGROUPS];
	struct nomad__counters counters;
	struct nomad_stats stats = { 0 };
	int64_t now = nomad_monotonic_ns();
	int64_t span = cache->last_time_ns ? now - cache->last_time_ns : 0;
	int main_pid;
	bool over;
	int n;

	pthread_mutex_lock(&s->lock);
	main_pid = s->main_pid;
	over = s->over;
	pthread_mutex_unlock(&s->lock);
	if (over)
		return nomad_error_set(err, ESRCH, "the task has ended");
	if (!cache->open) {
		n = nomad__cgroups_read(s->dirfd, cgroups);
		if (n < 0)
			return nomad_error_errno(err, -n, "read the list of cgroups in directory '%s'", s->dir);
		nomad__stats_open(cgroups, n, cache->fds);
		cache->open = true;
	}
	nomad__stats_read(cache->fds, &stats, &counters);
	if (main_pid && (!counters.has_cpu || !(stats.measured & NOMAD_STAT_RSS)))
		add_processes(main_pid, &stats, &counters);
	if (counters.has_cpu) {
		stats.cpu_percent = percent(counters.cpu_ns, cache->last_cpu_ns, span);
		stats.measured |= NOMAD_STAT_CPU;
		cache->last_cpu_ns = counters.cpu_ns;
	}
	if (counters.has_split) {
		stats.cpu_user_percent = percent(counters.user_ns, cache->last_user_ns, span);
		stats.cpu_system_percent = percent(counters.system_ns, cache->last_system_ns, span);
		stats.measured |= NOMAD_STAT_CPU_USER | NOMAD_STAT_CPU_SYSTEM;
		cache->last_user_ns = counters.user_ns;
		cache->last_system_ns = counters.system_ns;
	}
	if (stats.usage_bytes > cache->max_bytes)
		cache->max_bytes = stats.usage_bytes;
	if (!(stats.measured & NOMAD_STAT_MAX_USAGE) && (stats.measured & NOMAD_STAT_USAGE)) {
		stats.max_usage_bytes = cache->max_bytes;
		stats.measured |= NOMAD_STAT_MAX_USAGE;
	}
	cache->last_time_ns = now;
	nomad__stats_pids(cache, s->pid, now, &stats);
	*ret = stats;
	return 0;
}

void nomad__stats_cache_done(struct nomad__stats_cache *cache)
{
	for (int i = 0; cache->open && i < NOMAD__STATS_FDS; i++)
		if (cache->fds[i] >= 0)
			close(cache->fds[i]);
	free(cache->pids);
	free(cache->pid_stats);
	memset(cache, 0, sizeof(*cache));
}
