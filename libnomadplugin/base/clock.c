/* SPDX-License-Identifier: MPL-2.0
 *
 * The clocks of nomad/base.h.  No allocation: the supervisor program and
 * nomadinit use this too. */
#include "nomad/base.h"

#include <time.h>

static int64_t read_clock(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (int64_t)t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

int64_t nomad_monotonic_ns(void)
{
	return read_clock(CLOCK_MONOTONIC);
}

int64_t nomad_wall_ns(void)
{
	return read_clock(CLOCK_REALTIME);
}
