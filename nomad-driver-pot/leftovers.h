/* SPDX-License-Identifier: MPL-2.0
 *
 * leftovers.h: what a command of pot leaves behind when it is killed, and pot itself never removes. */
#ifndef POT_LEFTOVERS_H
#define POT_LEFTOVERS_H

#include "config.h"

/* Destroys the network interfaces of pot `name`, whose jail is gone.  Any thread; blocks. */
void pot_remove_interfaces(const struct pot_config *site, const char *name);
/* Unmounts what is mounted in pot `name`, unless its jail runs.  Any thread; blocks. */
void pot_remove_mounts(const struct pot_config *site, const char *name);

/* Looks for an interface in the output of ifconfig -a, which is given line by line. */
struct pot_interface {
	const char *description; /* wanted */
	char name[32];		 /* of the interface that the lines are about */
	bool found;
};
/* True, and `found` set, at the line that gives `name` the wanted description.  Later lines change nothing. */
bool pot_find_interface(struct pot_interface *interface, const char *line);
/* The mount point below `root`, a directory with a slash at its end, in a line of mount -p, malloc()ed; NULL: there is
 * none, or memory ran out.  ZFS's own mounts do not count: they go with their data sets. */
char *pot_mount_point_below(const char *line, const char *root);

#endif
