/* SPDX-License-Identifier: MPL-2.0
 *
 * caches.h: the caches of a node while something is done to them.  See caches.c. */
#ifndef BUILD_CACHES_H
#define BUILD_CACHES_H

#include "cache.h"

/* What an image without a layer counts for. */
enum { BUILD_IMAGE_SIZE = 16 << 10 };

struct build_caches_one {
	char *dir, *name; /* BASE/cache/NAME */
	json_t *mounts;	  /* name: bytes */
	struct build_store store;
	char *root;
	bool changed, mounts_changed;
	int64_t oldest; /* when the oldest build began that runs; INT64_MAX: none */
	size_t builds;
	uint64_t retired_size;
};

/* What can go, one at a time. */
struct build_caches_unit {
	struct build_caches_one *one;
	json_t *layer, *image; /* or neither: a mount */
	const char *mount;
	uint64_t size;
	int64_t used; /* ns since 1970 */
	size_t children;
	struct build_caches_unit *parent;
	bool gone;
};

struct build_caches {
	struct build_caches_one *all;
	size_t count;
	struct build_caches_unit *units;
	size_t n_units;
	int lock;
	uint64_t listed, retired;
};

/* All of them, or with a name that one alone: locked until they are closed.  Without any if the lock fails. */
void build_caches_open(struct build_caches *c, const char *base, const char *name);
/* Writes what has changed. */
void build_caches_close(struct build_caches *c);
uint64_t build_caches_retired_size(const json_t *entry);

#endif
