/* SPDX-License-Identifier: MPL-2.0
 *
 * usage.c: Linux has no jails.  The fake pot of the tests runs tasks in a cgroup, which the library reads. */
#include "../../os.h"

#include <errno.h>

const bool pot_os_has_usage = false;

int pot_os_jail_usage(const char *name, char *buffer, size_t size)
{
	(void)name;
	(void)buffer;
	(void)size;
	return -ENOSYS;
}
