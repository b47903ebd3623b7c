/* SPDX-License-Identifier: MPL-2.0
 *
 * base/abi.h: structs that a driver fills, as long as the driver's compiler
 * made them.  A shorter one is from an older header: what it lacks is 0. */
#ifndef NOMAD_BASE_ABI_H
#define NOMAD_BASE_ABI_H

#include <string.h>

#include "nomad/plugin.h"

/* The sizes that hold in this process; those of this library until _set(). */
extern struct nomad_abi nomad__abi;

/* Checks and takes a driver's sizes.  -EINVAL: it was built for another version, or the sizes cannot be. */
int nomad__abi_set(const struct nomad_abi *abi, struct nomad_error **err) NOMAD_MUST_CHECK;

/* *to, of `full` bytes, becomes what the driver's `size` bytes say. */
static inline void nomad__abi_copy(void *to, size_t full, const void *from, size_t size)
{
	memset(to, 0, full);
	memcpy(to, from, size < full ? size : full);
}

#endif
