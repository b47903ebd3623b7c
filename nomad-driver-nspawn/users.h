/* SPDX-License-Identifier: MPL-2.0
 *
 * users.h: which users of the host are those of a container. */
#ifndef NSPAWN_USERS_H
#define NSPAWN_USERS_H

#include <limits.h>

#include "config.h"

enum { NSPAWN_USERS = 65536 };

/* Users of the host; .count 0: none that the driver has to choose or to lock. */
struct nspawn_users {
	unsigned first, count;
	bool named; /* by the job */
};

/* What the job names; .first 0 and .count NSPAWN_USERS: the driver is to choose. */
struct nspawn_users nspawn_users_wanted(const struct nspawn_config *config);
/* Takes them for the task, recorded first. No other task has any of them, unless it is of the same job and names the
 * same. */
int nspawn_users_take(struct nomad_task *task, struct nspawn_users *users, struct nomad_error **err) NOMAD_MUST_CHECK;
/* Gives them back. */
void nspawn_users_release(struct nomad_task *task);
/* Once, at the start of the plugin: those of tasks that no longer exist. */
void nspawn_users_sweep(void);

/* ---- For the tests ---- */

/* Where the use of users is written down. */
struct nspawn_users_host {
	const char *leases; /* a file FIRST-LAST.SLUG for each task: its owner, and its job where it named them */
	const char *locks;  /* of systemd: a file FIRST, locked as long as it is used */
	const char *const *subids;
	const char *proc;
};

/* Writes the name of the lease to `ret`: of the first free range, beginning with the `start`-th. */
int nspawn_users_choose(const struct nspawn_users_host *host, uint64_t start, const char *slug,
			struct nspawn_users *users, char ret[NAME_MAX], struct nomad_error **err) NOMAD_MUST_CHECK;
/* Writes the name of the lease to `ret`, if nobody else has any user of a range that was named. */
int nspawn_users_check(const struct nspawn_users_host *host, const struct nspawn_users *users, const char *slug,
		       const char *job, char ret[NAME_MAX], struct nomad_error **err) NOMAD_MUST_CHECK;

#endif
