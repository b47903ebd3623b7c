/* SPDX-License-Identifier: MPL-2.0
 *
 * lease.h: what all plugins of this host share and no two tasks may have at
 * the same time: addresses, links, zones, ranges of users. */
#ifndef NSPAWN_LEASE_H
#define NSPAWN_LEASE_H

#include <limits.h>

#include "nomad/plugin.h"

enum { NSPAWN_SHARED_MAX = 96 };

/* Creates /run/nomad-nspawn/GROUP, writes its path to `ret`, and waits for its lock.  Returns a descriptor that holds
 * the lock until it is closed, or a negative errno. */
int nspawn_shared_lock(const char *group, char ret[NSPAWN_SHARED_MAX], struct nomad_error **err) NOMAD_MUST_CHECK;
/* The lock of `dir`, for the function above and the tests. */
int nspawn_lock(const char *dir, struct nomad_error **err) NOMAD_MUST_CHECK;

/* A lease is a file DIR/NAME that holds its owner: the path of the task's directory, which exists as long as the task
 * has a record.  The caller holds the lock.  Returns 1 if taken, 0 if it is another's. */
int nspawn_lease_take(const char *dir, const char *name, const char *owner, struct nomad_error **err) NOMAD_MUST_CHECK;
/* Writes the owner to `ret`, or "" if nobody has it. Returns what follows a newline in the file, or "". */
const char *nspawn_lease_owner(const char *dir, const char *name, char ret[PATH_MAX]);
/* Gives it back, if it is still that of `owner`. */
void nspawn_lease_release(const char *dir, const char *name, const char *owner);
void nspawn_lease_release_all(const char *dir, const char *owner);
/* Frees what belongs to a task that no longer exists, of whatever plugin.  Returns true if no lease is left. */
bool nspawn_lease_sweep(const char *dir);

#endif
