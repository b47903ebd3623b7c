/* SPDX-License-Identifier: MPL-2.0 */
/* Kernel arguments that are ours: nomadinit.NAME=VALUE or nomadinit.NAME. */
#ifndef NOMADINIT_CMDLINE_H
#define NOMADINIT_CMDLINE_H

#include <stdbool.h>
#include <stddef.h>

/* Read /proc/cmdline, or $NOMADINIT_CMDLINE in a container.  Returns 0 or a negative errno; then there are no
 * arguments. */
int cmdline_load(void);
void cmdline_set(const char *text);
/* Find an argument; the last one counts.  NULL if absent, "" if it has no value.  `name` without "nomadinit.". */
const char *cmdline_get(const char *name);
/* Go through the arguments named nomadinit.PREFIX*: NULL ends.  *ret_key is the rest of the name. */
const char *cmdline_next(const char *prefix, size_t *at, const char **ret_key);
/* "1", "yes", "true", "on" or no value at all. */
bool cmdline_is_on(const char *name);

#endif
