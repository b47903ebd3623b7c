/* SPDX-License-Identifier: MPL-2.0
 *
 * Stand-ins until exec and statistics are there. */
#include "supervisor/client.h"

#include <errno.h>

int nomad__supervisor_exec(struct nomad__supervisor *supervisor, const struct nomad_exec *exec, const int fds[3],
			   void (*exited)(void *ud, int r, int exit_code, int signal, const char *message), void *ud,
			   struct nomad__supervisor_exec **ret, struct nomad_error **err)
{
	(void)supervisor, (void)exec, (void)fds, (void)exited, (void)ud, (void)ret;
	return nomad_error_set(err, EOPNOTSUPP, "exec is not there yet");
}

void nomad__supervisor_exec_kill(struct nomad__supervisor_exec *exec, int signal)
{
	(void)exec, (void)signal;
}

void nomad__supervisor_exec_free(struct nomad__supervisor_exec *exec)
{
	(void)exec;
}

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
