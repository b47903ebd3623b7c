/* SPDX-License-Identifier: MPL-2.0
 *
 * usage.c: resource usage of a jail, without starting a process.
 *
 * The kernel's own books (racct) know it, but are closed unless loader.conf
 * opens them.  Then it is the sum over the processes that are in the jail now,
 * as kvm(3) sees them: memory that they share counts for each, and those that
 * have ended are gone with what they used, so of CPU time there is only the
 * scheduler's decaying mean. */
#include "../../os.h"

#include <sys/param.h>
#include <sys/jail.h>
#include <sys/rctl.h>
#include <sys/sysctl.h>
#include <sys/uio.h>
#include <sys/user.h>

#include <errno.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const bool pot_os_has_usage = true;

static struct iovec string_iov(const char *s)
{
	return (struct iovec){ .iov_base = (void *)(uintptr_t)s, .iov_len = strlen(s) + 1 };
}

/* All processes as the kernel has them, malloc()ed; they become more between the two questions. */
static int list_processes(char **ret, size_t *ret_size)
{
	int name[] = { CTL_KERN, KERN_PROC, KERN_PROC_PROC };

	for (int tries = 0; tries < 5; tries++) {
		size_t size;
		char *list;
		int r;

		if (sysctl(name, 3, NULL, &size, NULL, 0) < 0)
			return -errno;
		size += size / 4 + 65536;
		list = malloc(size);
		if (!list)
			return -ENOMEM;
		if (sysctl(name, 3, list, &size, NULL, 0) == 0) {
			*ret = list;
			*ret_size = size;
			return 0;
		}
		r = -errno;
		free(list);
		if (r != -ENOMEM)
			return r;
	}
	return -ENOMEM;
}

static int sum_of_processes(const char *jail, char *buffer, size_t size)
{
	struct iovec parameters[] = { string_iov("name"), string_iov(jail) };
	int jid = jail_get(parameters, 2, 0), r, n;
	uint64_t pages = 0, pcpu = 0;
	size_t list_size = 0;
	char *list = NULL;

	if (jid < 0)
		return errno == ENOENT ? -ESRCH : -errno;
	r = list_processes(&list, &list_size);
	if (r < 0)
		return r;
	for (size_t at = 0; at + sizeof(struct kinfo_proc) <= list_size;) {
		struct kinfo_proc p;

		memcpy(&p, list + at, sizeof(p));
		if (p.ki_structsize <= 0)
			break;
		at += (size_t)p.ki_structsize;
		if (p.ki_jid == jid) {
			pages += (uint64_t)p.ki_rssize;
			pcpu += p.ki_pctcpu;
		}
	}
	free(list);
	n = snprintf(buffer, size, "pcpu=%" PRIu64 ",memoryuse=%" PRIu64, pcpu * 100 / FSCALE,
		     pages * (uint64_t)getpagesize());
	return n < 0 || (size_t)n >= size ? -ENOSPC : 0;
}

int pot_os_jail_usage(const char *name, char *buffer, size_t size)
{
	char filter[300];
	int n = snprintf(filter, sizeof(filter), "jail:%s", name);

	if (n < 0 || (size_t)n >= sizeof(filter))
		return -ENAMETOOLONG;
	if (rctl_get_racct(filter, (size_t)n + 1, buffer, size) == 0)
		return 0;
	return errno == ENOSYS ? sum_of_processes(name, buffer, size) : -errno;
}
