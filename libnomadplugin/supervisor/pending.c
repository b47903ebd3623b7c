/* SPDX-License-Identifier: MPL-2.0
 *
 * Stand-ins until statistics are there. */
#include "supervisor/client.h"

#include <errno.h>

int nomad__supervisor_stats(struct nomad__supervisor *supervisor, struct nomad__stats_cache *cache, struct nomad_stats *ret,
			    struct nomad_error **err)
{
	(void)supervisor, (void)cache, (void)ret;
	return nomad_error_set(err, EOPNOTSUPP, "statistics are not there yet");
}

void nomad__stats_cache_done(struct nomad__stats_cache *cache)
{
	(void)cache;
}
