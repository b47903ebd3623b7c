/* SPDX-License-Identifier: MPL-2.0
 *
 * A jail has its own network or the host's; there is no namespace file to enter. */
#include "os/netns.h"

#include <errno.h>

int nomad__netns_enter(int fd)
{
	(void)fd;
	return -EOPNOTSUPP;
}

int nomad__netns_enter_of(int pid)
{
	(void)pid;
	return 0;
}
