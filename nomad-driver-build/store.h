/* SPDX-License-Identifier: MPL-2.0
 *
 * store.h: the store of a cache.  See store.c. */
#ifndef BUILD_STORE_H
#define BUILD_STORE_H

#include "nomad/plugin.h"

/* Makes what an engine needs to read a store that is still empty. */
int build_store_prepare(const char *root, const char *driver, struct nomad_error **err) NOMAD_MUST_CHECK;
/* Moves the layers and images of one store to another that does not have them, on the same file system.  With `names`,
 * it is for images that were pulled: their names count from now on, and one with ONBUILD is left out, because what it
 * has a build do stands in no Containerfile. */
int build_store_merge(const char *from, const char *to, const char *driver, bool names,
		      struct nomad_error **err) NOMAD_MUST_CHECK;
/* Whether it has an image of this full name. */
bool build_store_has(const char *root, const char *driver, const char *name);

#endif
