/* SPDX-License-Identifier: MPL-2.0
 *
 * base/tree.h: directories, made and removed. */
#ifndef NOMAD_TREE_H
#define NOMAD_TREE_H

#include <sys/types.h>

/* Make `path` and its missing parents, the last part with `mode` and
 * the others with 0755.  0 or -errno; one that exists is fine. */
int nomad__make_dirs(const char *path, mode_t mode);

/* Remove a tree.  Follows no symlink and enters no mount point: one that is
 * in it is left, with -EBUSY.  Goes on after an error and returns the last.
 * A tree that is not there is fine. */
int nomad__remove_tree(const char *path);

#endif
