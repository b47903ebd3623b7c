/* SPDX-License-Identifier: MPL-2.0
 *
 * What the policy says of options whose meaning depends on the host: the
 * network, and the sources of copies and mounts. */
#include "judge.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "nomad/error.h"
#include "nomad/task.h"

int pot_source(const struct nomad_task *task, const char *option, const char *entry, char **ret_source,
	       const char **ret_destination, struct nomad_error **err)
{
	int length = (int)strcspn(entry, ":");
	NOMAD_AUTO_FREE char *source = *entry == '/' ? strndup(entry, (size_t)length)
						     : nomad_strdupf("%s/%.*s", nomad_task_dir(task), length, entry);
	NOMAD_AUTO_FREE char *real = source ? realpath(source, NULL) : NULL;
	int why = errno, r = 0;

	if (!source)
		return nomad_error_errno(err, ENOMEM, "option '%s'", option);
	/* A relative path that does not exist is the job's own affair. */
	if (real || *entry == '/')
		r = nomad_task_may(task, option, real ? real : source, err);
	if (r < 0)
		return r;
	if (!real)
		return nomad_error_errno(err, why, "option '%s': '%s'", option, source);
	*ret_source = NOMAD_TAKE_PTR(real);
	*ret_destination = entry + length + 1;
	return 0;
}

static int judge_sources(const struct nomad_task *task, const char *option, char **entries, struct nomad_error **err)
{
	int r = 0;

	for (; r == 0 && entries && *entries; entries++) {
		NOMAD_AUTO_FREE char *source = NULL;
		const char *destination;

		r = pot_source(task, option, *entries, &source, &destination, err);
	}
	return r;
}

int pot_judge(const struct nomad_task *task, struct nomad_error **err)
{
	const struct pot_task_config *config = nomad_task_config(task);
	const char *mode = config->network_mode;
	int r;

	if (!mode)
		mode = pot_has_own_network(config) ? "public-bridge" : "host";
	r = nomad_task_may(task, "network_mode", mode, err);
	if (r == 0)
		r = judge_sources(task, "copy", config->copy, err);
	if (r == 0)
		r = judge_sources(task, "mount", config->mount, err);
	if (r == 0)
		r = judge_sources(task, "mount_read_only", config->mount_read_only, err);
	return r;
}
