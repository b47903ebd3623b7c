/* SPDX-License-Identifier: MPL-2.0 */
/* The kernel's file systems, and taking everything down again. */
#ifndef NOMADINIT_MOUNTS_H
#define NOMADINIT_MOUNTS_H

#include <stdbool.h>
#include <stddef.h>

/* What the first stage needs: /dev, /proc, /sys. */
int mounts_early(void);
/* The rest: /run, /tmp, /dev/pts, /dev/shm, cgroup2, bpf.  Says what fails and goes on. */
void mounts_late(bool in_container);
/* Unmount what is below `below` ("" for all but the kernel's own), last mounted first; what stays busy is made
 * read-only.  Returns how many are left. */
int mounts_take_down(const char *below);
/* Undo the octal escapes of mountinfo in place. */
void mounts_unescape(char *path);
/* One line of mountinfo: its mount point and file system type, within the line, which is changed.  False if malformed.
 */
bool mounts_parse_line(char *line, char **ret_point, char **ret_type, char **ret_source);

#endif
