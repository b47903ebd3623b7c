/* SPDX-License-Identifier: MPL-2.0
 *
 * os/stats.h: what a task uses, from the counters of its cgroups. */
#ifndef NOMAD_OS_STATS_H
#define NOMAD_OS_STATS_H

#include "nomad/driver.h"
#include "os/cgroup.h"

enum { NOMAD__STATS_FDS = 8 };

struct nomad__counters {
	bool has_cpu, has_split;
	uint64_t cpu_ns, user_ns, system_ns;
};

/* Open what there is of the files that nomad__stats_read() wants; -1 for the others. */
void nomad__stats_open(const struct nomad__cgroup *cgroups, int n, int fds[NOMAD__STATS_FDS]);
/* Fills memory and throttling with their bits in `measured`, and the CPU counters. */
void nomad__stats_read(const int fds[NOMAD__STATS_FDS], struct nomad_stats *ret, struct nomad__counters *ret_counters);

#endif
