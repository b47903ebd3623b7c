/* SPDX-License-Identifier: MPL-2.0
 *
 * os.h: what only the system itself can tell, one file each in os/SYSTEM/. */
#ifndef POT_OS_H
#define POT_OS_H

#include <stdbool.h>
#include <stddef.h>

/* Whether the kernel counts what jails use; without, the driver's stats() is the library's. */
extern const bool pot_os_has_usage;

/* "cputime=12,memoryuse=4096,...": what jail `name` uses, as far as it is
 * known.  0 or a negative errno: -ESRCH if there is no such jail, -ENOSYS if
 * this system has no jails. */
int pot_os_jail_usage(const char *name, char *buffer, size_t size);

#endif
