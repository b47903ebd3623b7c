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

#endif
