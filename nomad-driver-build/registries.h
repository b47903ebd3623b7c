/* SPDX-License-Identifier: MPL-2.0
 *
 * registries.h: where the engine looks for images.  See registries.c. */
#ifndef BUILD_REGISTRIES_H
#define BUILD_REGISTRIES_H

/* Returns the driver's part of the configuration, a drop-in that is read after the node's `conf` and the files of
 * `conf`.d: the registries of `insecure`, and docker.io where the node names no registries to search.  malloc()ed;
 * NULL without memory. */
char *build_registries_drop_in(const char *conf, char *const *insecure);

/* Calls `each` with the path and the name of each file in `conf`.d that the engine reads; stops when it returns false.
 */
void build_registries_each(const char *conf, bool (*each)(void *arg, const char *path, const char *name), void *arg);

#endif
