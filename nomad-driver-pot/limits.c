/* SPDX-License-Identifier: MPL-2.0
 *
 * limits.c: limits that pot cannot set, as rules of rctl(8) for the jail.
 *
 * A rule may be there before its jail, and outlives it: pot_remove() takes them away. */
#include "limits.h"

#include <errno.h>
#include <inttypes.h>
#include <unistd.h>

#include "call.h"
#include "nomad/error.h"
#include "pot-cli.h"

static int add_rule(const struct pot_config *site, const char *name, const char *resource, const char *action,
		    const char *amount, struct nomad_error **err)
{
	int r = pot_call(site, pot_argv_rctl_add(name, resource, action, amount), NULL, err);

	return r < 0 ? nomad_error_wrap(err, "limit %s (requires kern.racct.enable=1 in /boot/loader.conf)", resource)
		     : 0;
}

/* The kernel logs which rule it was, and the supervised shell looks for that: see start_script in pot-cli.c. */
static int kill_above(const struct pot_config *site, const char *name, int64_t memory_mb, struct nomad_error **err)
{
	NOMAD_AUTO_FREE char *amount = nomad_strdupf("%" PRId64 "M", memory_mb);
	int r;

	if (!amount)
		return nomad_error_errno(err, ENOMEM, "limit the memory");
	r = add_rule(site, name, "memoryuse", "log", amount, err);
	return r < 0 ? r : add_rule(site, name, "memoryuse", "sigkill", amount, err);
}

static int limit_cpu(const struct pot_config *site, const struct nomad_resources *res, const char *name,
		     struct nomad_error **err)
{
	double percent = res->percent_ticks * (double)sysconf(_SC_NPROCESSORS_ONLN) * 100;
	NOMAD_AUTO_FREE char *amount = nomad_strdupf("%" PRId64, percent < 1 ? 1 : (int64_t)percent);

	if (!(percent > 0))
		return nomad_error_set(err, EINVAL,
				       "option 'cpu_hard_limit': Nomad did not send the task's part of the node");
	return amount ? add_rule(site, name, "pcpu", "deny", amount, err)
		      : nomad_error_errno(err, ENOMEM, "limit the CPU");
}

int pot_make_limits(const struct pot_config *site, struct nomad_task *task, const char *name, struct nomad_error **err)
{
	const struct pot_task_config *config = nomad_task_config(task);
	const struct nomad_resources *res = &nomad_task_info(task)->resources;
	int64_t memory_mb = res->memory_max_mb > res->memory_mb ? res->memory_max_mb : res->memory_mb;
	int r = 0;

	if (memory_mb > 0 && res->memory_max_mb >= 0)
		r = config->memory_kill
			    ? kill_above(site, name, memory_mb, err)
			    : pot_call(site, pot_argv_set_memory(site->pot_path, name, memory_mb), NULL, err);
	if (r == 0 && config->cpus > 0)
		r = pot_call(site, pot_argv_set_cpus(site->pot_path, name, config->cpus), NULL, err);
	if (r == 0 && config->cpu_hard_limit)
		r = limit_cpu(site, res, name, err);
	for (size_t i = 0; r == 0 && i < config->limits.count; i++) {
		const struct nomad_pair *limit = &config->limits.pairs[i];

		r = add_rule(site, name, limit->key, pot_limit_action(limit->key), limit->value, err);
	}
	return r;
}
