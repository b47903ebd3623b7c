/* SPDX-License-Identifier: MPL-2.0
 *
 * os/enter.h: enter what another process lives in (namespaces, a jail).  For
 * single-threaded processes; no allocation.
 *
 * Order: _open() while one still sees the host, _apply(), a fork if
 * `needs_fork` (a process does not change its own pid namespace), become the
 * user, _restrict(). */
#ifndef NOMAD_OS_ENTER_H
#define NOMAD_OS_ENTER_H

#include <stdbool.h>
#include <stdint.h>

#include "os/process.h"

struct nomad__enter {
	int pidfd, root;
	int flags; /* namespaces that are not ours already */
	bool needs_fork;
	bool other_users;      /* a user namespace: become its root at least */
	uint64_t capabilities; /* the bounding set; not known: all */
	bool no_new_privs;
};

int nomad__enter_open(const struct nomad__process *process, struct nomad__enter *ret);
int nomad__enter_apply(const struct nomad__enter *enter);
/* Drop what the other process cannot have either.  0 or -errno. */
int nomad__enter_restrict_bounds(const struct nomad__enter *enter); /* before the user is changed */
int nomad__enter_restrict(const struct nomad__enter *enter);	    /* after */
/* fork(); the child is our parent's child, not ours. */
int nomad__fork_sibling(void);

/* 0 or -errno; -EOPNOTSUPP where there is no such thing. */
int nomad__enter_netns(int fd);
/* The network namespace of the process, if it is not ours. */
int nomad__enter_netns_of(int pid);
/* Make the terminal on fd 0 the controlling one of our (new) session. */
int nomad__take_terminal(void);

#endif
