/* SPDX-License-Identifier: MPL-2.0
 *
 * See os/host.h: of its facts FreeBSD has the storage. */
#include "os/host.h"

#include <stdio.h>
#include <string.h>
#include <sys/param.h>
#include <sys/mount.h>

void nomad__host_look(const char *dir, struct nomad__host *ret)
{
	struct statfs fs;

	memset(ret, 0, sizeof(*ret));
	if (statfs(dir, &fs) == 0)
		snprintf(ret->storage, sizeof(ret->storage), "%s", fs.f_fstypename);
}
