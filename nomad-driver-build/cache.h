/* SPDX-License-Identifier: MPL-2.0
 *
 * cache.h: what caches hold, and what of it stays.  See cache.c. */
#ifndef BUILD_CACHE_H
#define BUILD_CACHE_H

#include "store.h"

struct build_cache_limits {
	uint64_t max;	 /* bytes of all caches */
	int64_t max_age; /* seconds since the last use, or 0 */
};

/* While the descriptor is open, nothing is removed that the store ROOT has now.  -1 and `err` otherwise. */
int build_cache_pin(const char *root, const char *task, struct nomad_error **err) NOMAD_MUST_CHECK;
/* Adds to the store `to` what the build's store `from` has and, if all caches then take no more than the limit, what
 * for is removed that was not used for the longest time.  *ret_left is false if it would not fit. */
int build_cache_add(const char *base, const struct build_cache_limits *limits, const char *from, const char *to,
		    const char *driver, bool names, bool *ret_fits, struct nomad_error **err) NOMAD_MUST_CHECK;
/* These images and the layers of them have been used now.  Ids of images or their names; what is neither is nothing. */
void build_cache_use(const char *root, const char *driver, char *const *images);
/* Notes what the directories of RUN --mount=type=cache take: `mounts` is one of a cache. */
void build_cache_measure(const char *base, const char *mounts);
/* Removes what is beyond the limits. */
void build_cache_collect(const char *base, const struct build_cache_limits *limits);

/* What people see of a cache. */
struct build_cache_info {
	char *name; /* NAMESPACE~NAME */
	uint64_t layers_size, mounts_size, retired_size;
	size_t layers, images, mounts, builds; /* builds: those that run now */
	int64_t used;			       /* seconds since 1970, of the last use */
};
/* Calls `each` for every cache, in the order of their names; stops when it returns false. */
void build_cache_each(const char *base, bool (*each)(void *arg, const struct build_cache_info *info), void *arg);
/* Removes all of a cache that no build uses.  -ENOENT if there is no such cache, 1 if a build uses some of it. */
int build_cache_drop(const char *base, const char *name);
/* Checks each layer of a cache, and removes those that are not what their digest says.  Calls `bad` for each. */
int build_cache_verify(const char *base, const char *name, void (*bad)(void *arg, const char *id), void *arg,
		       size_t *ret_layers);

/* cache-command.c: "nomad-driver-build cache ..." */
int build_cache_command(struct nomad_plugin *plugin, int argc, char **argv);

#endif
