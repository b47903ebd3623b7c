/* SPDX-License-Identifier: MPL-2.0 */
/* What the kernel says, and what it said when it died, for the log on the state partition. */
#ifndef NOMADINIT_KMSG_H
#define NOMADINIT_KMSG_H

#include <stddef.h>

/* Copy the kernel's messages of this boot, and those to come, into the ring (notice and worse). */
void kmsg_follow(void);
/* A record of /dev/kmsg: its text and length, or NULL if it is not the kernel's or not important enough. */
const char *kmsg_parse(const char *record, size_t len, size_t *ret_len);
/* Move what the firmware kept of a crash (pstore) to the folder, which holds the latest few. */
void kmsg_keep_crashes(const char *folder);

#endif
