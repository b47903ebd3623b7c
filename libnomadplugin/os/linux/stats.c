/* SPDX-License-Identifier: MPL-2.0
 *
 * os/stats.h.  The files of v1 and v2 share the slots: what is in them is
 * told apart by their first word or by being a plain number. */
#include "os/stats.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/fields.h"
#include "os/hierarchy.h"

enum slot { CPU_STAT, CPU_USAGE, CPU_SPLIT, MEMORY_USAGE, MEMORY_STAT, MEMORY_MAX, SWAP, KERNEL };

/* The first that is there is taken.  `ctl` "": v2. */
static const struct {
	enum slot slot;
	const char *ctl, *file;
} files[] = {
	{ CPU_USAGE, "cpuacct", "cpuacct.usage" },
	{ CPU_SPLIT, "cpuacct", "cpuacct.stat" },
	{ CPU_STAT, "cpu", "cpu.stat" },
	{ CPU_STAT, "", "cpu.stat" },
	{ MEMORY_USAGE, "memory", "memory.usage_in_bytes" },
	{ MEMORY_USAGE, "", "memory.current" },
	{ MEMORY_STAT, "memory", "memory.stat" },
	{ MEMORY_STAT, "", "memory.stat" },
	{ MEMORY_MAX, "memory", "memory.max_usage_in_bytes" },
	{ MEMORY_MAX, "", "memory.peak" },
	{ SWAP, "", "memory.swap.current" },
	{ KERNEL, "memory", "memory.kmem.usage_in_bytes" },
};

void nomad__stats_open(const struct nomad__cgroup *cgroups, int n, int fds[NOMAD__STATS_FDS])
{
	char path[512];

	for (int i = 0; i < NOMAD__STATS_FDS; i++)
		fds[i] = -1;
	for (size_t f = 0; f < sizeof(files) / sizeof(files[0]); f++)
		for (int i = 0; i < n && fds[files[f].slot] < 0; i++)
			if (*files[f].ctl ? nomad__list_has(cgroups[i].ctl, files[f].ctl) : !*cgroups[i].ctl) {
				snprintf(path, sizeof(path), "%s/%s", cgroups[i].path, files[f].file);
				fds[files[f].slot] = open(path, O_RDONLY | O_CLOEXEC);
			}
}

static bool read_slot(const int *fds, enum slot slot, char *buf, size_t size)
{
	ssize_t n = fds[slot] < 0 ? -1 : pread(fds[slot], buf, size - 1, 0);

	buf[n > 0 ? n : 0] = 0;
	return n > 0;
}

static bool number(const int *fds, enum slot slot, uint64_t *ret)
{
	char buf[32];

	if (!read_slot(fds, slot, buf, sizeof(buf)) || buf[0] < '0' || buf[0] > '9')
		return false;
	*ret = (uint64_t)nomad__parse_num(buf, 0);
	return true;
}

/* "key value" at the beginning of a line. */
static bool find(const char *text, const char *key, uint64_t *ret)
{
	size_t n = strlen(key);

	for (const char *line = text; line && *line; line = strchr(line, '\n'), line += line != NULL)
		if (strncmp(line, key, n) == 0 && line[n] == ' ') {
			*ret = (uint64_t)nomad__parse_num(line + n + 1, 0);
			return true;
		}
	return false;
}

static void read_cpu(const int *fds, struct nomad_stats *ret, struct nomad__counters *counters)
{
	const uint64_t tick = 1000000000ull / (uint64_t)sysconf(_SC_CLK_TCK);
	char buf[2048];
	uint64_t value, other;

	if (number(fds, CPU_USAGE, &counters->cpu_ns))
		counters->has_cpu = true;
	if (read_slot(fds, CPU_SPLIT, buf, sizeof(buf)) && find(buf, "user", &value) && find(buf, "system", &other)) {
		counters->user_ns = value * tick;
		counters->system_ns = other * tick;
		counters->has_split = true;
	}
	if (!read_slot(fds, CPU_STAT, buf, sizeof(buf)))
		return;
	if (!counters->has_cpu && find(buf, "usage_usec", &value)) {
		counters->cpu_ns = value * 1000;
		counters->has_cpu = true;
		counters->has_split = find(buf, "user_usec", &value) && find(buf, "system_usec", &other);
		counters->user_ns = value * 1000;
		counters->system_ns = other * 1000;
	}
	if (find(buf, "nr_throttled", &ret->throttled_periods)) {
		ret->measured |= NOMAD_STAT_THROTTLED;
		if (!find(buf, "throttled_time", &ret->throttled_ns) && find(buf, "throttled_usec", &value))
			ret->throttled_ns = value * 1000;
	}
}

void nomad__stats_read(const int fds[NOMAD__STATS_FDS], struct nomad_stats *ret, struct nomad__counters *counters)
{
	char buf[8192];
	uint64_t more;

	*counters = (struct nomad__counters){ 0 };
	read_cpu(fds, ret, counters);
	if (number(fds, MEMORY_USAGE, &ret->usage_bytes))
		ret->measured |= NOMAD_STAT_USAGE;
	if (number(fds, MEMORY_MAX, &ret->max_usage_bytes))
		ret->measured |= NOMAD_STAT_MAX_USAGE;
	if (number(fds, SWAP, &ret->swap_bytes))
		ret->measured |= NOMAD_STAT_SWAP;
	if (number(fds, KERNEL, &ret->kernel_usage_bytes))
		ret->measured |= NOMAD_STAT_KERNEL;
	if (!read_slot(fds, MEMORY_STAT, buf, sizeof(buf)))
		return;
	/* v1 counts the groups below in total_*, v2 always does. */
	if (find(buf, "total_rss", &ret->rss_bytes) || find(buf, "anon", &ret->rss_bytes))
		ret->measured |= NOMAD_STAT_RSS;
	if (find(buf, "total_cache", &ret->cache_bytes) || find(buf, "file", &ret->cache_bytes))
		ret->measured |= NOMAD_STAT_CACHE;
	if (find(buf, "total_swap", &ret->swap_bytes))
		ret->measured |= NOMAD_STAT_SWAP;
	if (find(buf, "kernel", &ret->kernel_usage_bytes)) {
		ret->measured |= NOMAD_STAT_KERNEL;
	} else if (find(buf, "slab", &ret->kernel_usage_bytes) && find(buf, "kernel_stack", &more)) {
		ret->kernel_usage_bytes += more;
		ret->measured |= NOMAD_STAT_KERNEL;
	}
}
