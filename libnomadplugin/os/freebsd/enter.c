/* SPDX-License-Identifier: MPL-2.0
 *
 * os/enter.h: what another process lives in is a jail, and that has it all:
 * a root, a network of its own if any, and no way out for capabilities. */
#include "os/enter.h"

#include <errno.h>
#include <sys/param.h>
#include <sys/ioctl.h>
#include <sys/jail.h>
#include <sys/sysctl.h>
#include <sys/user.h>
#include <sys/ttycom.h>
#include <unistd.h>

int nomad__enter_open(const struct nomad__process *process, struct nomad__enter *ret)
{
	int name[] = { CTL_KERN, KERN_PROC, KERN_PROC_PID, process->pid };
	struct kinfo_proc p;
	size_t size = sizeof(p);

	*ret = (struct nomad__enter){ .pidfd = -1, .root = -1, .capabilities = ~0ull };
	if (sysctl(name, 4, &p, &size, NULL, 0) < 0)
		return errno == ENOENT ? -ESRCH : -errno;
	if (size != sizeof(p) || !nomad__process_lives(process))
		return -ESRCH;
	/* The number of the jail; 0 is the host. */
	ret->flags = p.ki_jid;
	return 0;
}

int nomad__enter_apply(const struct nomad__enter *enter)
{
	if (enter->flags > 0 && jail_attach(enter->flags) < 0)
		return -errno;
	return chdir("/") < 0 ? -errno : 0;
}

int nomad__enter_restrict_bounds(const struct nomad__enter *enter)
{
	(void)enter;
	return 0;
}

int nomad__enter_restrict(const struct nomad__enter *enter)
{
	(void)enter;
	return 0;
}

int nomad__fork_sibling(void)
{
	return -EOPNOTSUPP;
}

int nomad__enter_netns(int fd)
{
	(void)fd;
	return -EOPNOTSUPP;
}

int nomad__enter_netns_of(int pid)
{
	(void)pid;
	return 0;
}

int nomad__take_terminal(void)
{
	return ioctl(0, TIOCSCTTY, 0) < 0 ? -errno : 0;
}
