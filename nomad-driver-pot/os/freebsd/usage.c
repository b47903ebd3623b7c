/* SPDX-License-Identifier: MPL-2.0
 *
 * usage.c: what a jail uses, from the kernel's own books (racct), without a process. */
#include "../../os.h"

#include <sys/types.h>
#include <sys/rctl.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

const bool pot_os_has_usage = true;

int pot_os_jail_usage(const char *name, char *buffer, size_t size)
{
	char filter[300];
	int n = snprintf(filter, sizeof(filter), "jail:%s", name);

	if (n < 0 || (size_t) n >= sizeof(filter))
		return -ENAMETOOLONG;
	if (rctl_get_racct(filter, (size_t) n + 1, buffer, size) < 0)
		return -errno;
	return 0;
}
