/* SPDX-License-Identifier: MPL-2.0
 *
 * What each process of a task uses.  It costs a few reads a process, so it is
 * measured every 5 s only (as Nomad's own executor does), and samples between
 * repeat it. */
#include <stdlib.h>
#include <string.h>

#include "os/process.h"
#include "supervisor/handle.h"

#define LOOK_NS INT64_C(5000000000)

enum { PIDS_MAX = 128, CHILDREN_MAX = 128, DEPTH_MAX = 32 };

struct nomad__pid_sample {
	int pid;
	struct nomad__process_usage usage;
};

struct look {
	struct nomad__pid_sample samples[PIDS_MAX];
	size_t n;
};

static void walk(struct look *look, int pid, int depth)
{
	int children[CHILDREN_MAX], n = nomad__process_children(pid, children, CHILDREN_MAX);

	for (int i = 0; i < n && look->n < PIDS_MAX; i++) {
		struct nomad__pid_sample *sample = &look->samples[look->n];

		sample->pid = children[i];
		if (nomad__process_usage(children[i], &sample->usage) < 0)
			continue;
		look->n++;
		if (depth < DEPTH_MAX)
			walk(look, children[i], depth + 1);
	}
}

static double percent(uint64_t now, uint64_t before, int64_t span_ns)
{
	return span_ns > 0 && now > before ? 100.0 * (double)(now - before) / (double)span_ns : 0;
}

static struct nomad_pid_stats stats_of(const struct nomad__stats_cache *cache, const struct nomad__pid_sample *now,
				       int64_t span_ns)
{
	struct nomad_pid_stats stats = { .pid = now->pid,
					 .rss_bytes = now->usage.rss_bytes,
					 .measured = NOMAD_STAT_CPU | NOMAD_STAT_CPU_SYSTEM | NOMAD_STAT_CPU_USER |
						     NOMAD_STAT_RSS };

	for (size_t i = 0; i < cache->n_pids; i++) {
		const struct nomad__process_usage *before = &cache->pids[i].usage;

		if (cache->pids[i].pid != now->pid)
			continue;
		stats.cpu_user_percent = percent(now->usage.user_ns, before->user_ns, span_ns);
		stats.cpu_system_percent = percent(now->usage.system_ns, before->system_ns, span_ns);
		stats.cpu_percent = stats.cpu_user_percent + stats.cpu_system_percent;
	}
	return stats;
}

static void look_again(struct nomad__stats_cache *cache, int supervisor, int64_t now_ns)
{
	struct look look = { .n = 0 };
	struct nomad__pid_sample *samples;
	struct nomad_pid_stats *stats;

	walk(&look, supervisor, 0);
	samples = malloc((look.n + 1) * sizeof(*samples));
	stats = malloc((look.n + 1) * sizeof(*stats));
	if (!samples || !stats) { /* the last look stays */
		free(samples);
		free(stats);
		return;
	}
	for (size_t i = 0; i < look.n; i++)
		stats[i] = stats_of(cache, &look.samples[i], now_ns - cache->pids_time_ns);
	memcpy(samples, look.samples, look.n * sizeof(*samples));
	free(cache->pids);
	free(cache->pid_stats);
	cache->pids = samples;
	cache->pid_stats = stats;
	cache->n_pids = look.n;
	cache->pids_time_ns = now_ns;
}

void nomad__stats_pids(struct nomad__stats_cache *cache, int supervisor, int64_t now_ns, struct nomad_stats *ret)
{
	if (!cache->pids || now_ns - cache->pids_time_ns >= LOOK_NS)
		look_again(cache, supervisor, now_ns);
	ret->pids = cache->pid_stats;
	ret->n_pids = cache->n_pids;
}
