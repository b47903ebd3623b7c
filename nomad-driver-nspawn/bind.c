/* SPDX-License-Identifier: MPL-2.0
 *
 * Paths of the host in the container that a job names. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "start.h"

struct nspawn_bind *nspawn_bind_at(const struct nspawn_start *s, const char *container)
{
	for (size_t i = 0; i < s->machine.n_binds; i++)
		if (strcmp(s->machine.binds[i].container, container) == 0)
			return &s->machine.binds[i];
	return NULL;
}

int nspawn_bind_judged(struct nspawn_start *s, const char *option, const char *source, const char *container,
		       bool read_only, struct nomad_error **err)
{
	NOMAD_AUTO_FREE char *real = realpath(source, NULL);
	struct stat st;
	int r;

	if (!real)
		return nomad_error_errno(err, errno, "bind '%s'", source);
	r = nomad_task_may(s->task, option, real, err);
	/* A device node can be used where it is bound. */
	if (r >= 0 && strcmp(option, "devices") != 0 && !lstat(real, &st) &&
	    (S_ISCHR(st.st_mode) || S_ISBLK(st.st_mode)))
		r = nomad_task_may(s->task, "devices", real, err);
	if (r >= 0)
		r = nspawn_machine_bind(&s->machine, real, container, read_only, err);
	if (r >= 0)
		nspawn_bind_at(s, container)->pinned = true;
	return r;
}
