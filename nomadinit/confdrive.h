/* SPDX-License-Identifier: MPL-2.0 */
/* Where the configuration comes from.  Later ones override:
 *   1. the image:            /etc/nomadinit/init.json (part of the verified root)
 *   2. the boot partition:   config/init.json
 *   3. a config drive:       init.json on a FAT or ISO volume labelled NOMADINIT, cidata or config-2
 *   4. the hypervisor:       fw_cfg file opt/nomadinit/init.json, SMBIOS strings of type 11
 *   5. the cloud:            user-data (metadata.h); its names and networks come between 1 and 2
 *   6. kernel arguments:     nomadinit.hostname=NAME, nomadinit.set.PATH.TO.KEY=VALUE
 * With nomadinit.sealed on the (signed) command line 2 to 5 count only with a signature by a key of the image, and no
 * other file of 2 and 3; the cloud's names and networks count all the same. */
#ifndef NOMADINIT_CONFDRIVE_H
#define NOMADINIT_CONFDRIVE_H

#include <stdbool.h>

#include "config.h"

#define CONFDRIVE_FILES "/run/nomadinit/config" /* copies of all files of 2 and 3, for certificates and the like */

/* Read all sources.  -EINVAL with error[] set if one is broken. */
int confdrive_load(struct config *ret, bool in_container, char error[CONFIG_ERROR_SIZE]);
/* JSON text of the kernel arguments, "{}" if there are none; caller frees.  NULL: out of memory. */
char *confdrive_from_cmdline(void);

#endif
