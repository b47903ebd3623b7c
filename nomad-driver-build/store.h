/* SPDX-License-Identifier: MPL-2.0
 *
 * store.h: the store of a cache.  See store.c. */
#ifndef BUILD_STORE_H
#define BUILD_STORE_H

#include <jansson.h>

#include "nomad/plugin.h"

/* The key of a layer's size on disk, in bytes, in the lists of a cache. */
#define BUILD_STORE_SIZE "nomad-size"

/* The lists of a store.  An entry of `retired` is { "layer": entry or not there, "images": [entries], "at": monotonic
 * ns }: no longer in the lists, but on the disk while a build that began before may use it. */
struct build_store {
	char *root;
	const char *driver; /* of the caller */
	json_t *layers, *images, *retired;
	int lock; /* or -1 */
};
/* Takes the lock LOCK_SH or LOCK_EX, or none with 0, and reads the lists.  Closed by the caller. */
int build_store_open(const char *root, const char *driver, int lock, struct build_store *ret,
		     struct nomad_error **err) NOMAD_MUST_CHECK;
/* The lock alone: a descriptor, or a negative errno. */
int build_store_lock(const char *root, int how) NOMAD_MUST_CHECK;
void build_store_close(struct build_store *store);
/* Writes the lists; engines that run find that they have changed. */
int build_store_save(const struct build_store *store) NOMAD_MUST_CHECK;
/* "ROOT/DRIVER-layers/ID.tar-split.gz", "ROOT/DRIVER/ID" and "ROOT/DRIVER-images/ID"; malloc()ed. */
char *build_store_split(const struct build_store *store, const char *id);
char *build_store_layer(const struct build_store *store, const char *id);
char *build_store_image(const struct build_store *store, const char *id);
/* Of an entry: its id if it is one, else NULL; borrowed. */
/* NULL and errno: no regular file of a sane size, or not JSON (EINVAL). */
json_t *build_json_load(int dirfd, const char *path, size_t flags);
const char *build_store_id(const json_t *entry);
json_t *build_store_find(const json_t *list, const char *id);

/* Makes what an engine needs to read a store that is still empty. */
int build_store_prepare(const char *root, const char *driver, struct nomad_error **err) NOMAD_MUST_CHECK;
/* Of the store `from`: checks the content of each layer that `to` does not have against its digest, and measures it.
 * One that is not what it says is dropped from the list. */
int build_store_check(const char *from, const char *to, const char *driver, uint64_t *ret_size,
		      struct nomad_error **err) NOMAD_MUST_CHECK;
/* Moves layers of at most `room` bytes, and images, from one store to another that does not have them, on the same
 * file system.  With `names`, it is for images that were pulled: their names count from now on, and one with ONBUILD is
 * left out, because what it has a build do stands in no Containerfile. */
int build_store_merge(const char *from, const char *to, const char *driver, bool names, uint64_t room,
		      struct nomad_error **err) NOMAD_MUST_CHECK;
/* Whether it has an image of this full name. */
bool build_store_has(const char *root, const char *driver, const char *name);
/* Makes a store at `at` whose lists are those of `root` as they are now; the rest are links to `link`, where the build
 * will find `root`. */
int build_store_view(const char *root, const char *driver, const char *at, const char *link,
		     struct nomad_error **err) NOMAD_MUST_CHECK;

/* layer.c: 64 digits and a zero.  0 or -EIO. */
int build_sha256(const void *data, size_t size, char ret[65]) NOMAD_MUST_CHECK;
/* Whether a layer's files are those of its digest "sha256:...".  0, -EBADMSG if not, or another errno. */
int build_layer_check(const struct build_store *store, const char *id, const char *digest) NOMAD_MUST_CHECK;

#endif
