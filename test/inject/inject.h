/* SPDX-License-Identifier: MPL-2.0
 *
 * inject.h: let the n-th call that can fail, fail.
 *
 * The linker redirects the calls (--wrap, the list is in core.mk) to inject.c,
 * which counts them while it is armed, in all threads, and lets one return
 * what a full disk, a full table or a lack of memory would.  Only calls of
 * objects that are linked in are seen: ours, not the C library's own.
 *
 * The supervisor program gets the same, and its number by its environment; it
 * leaves a file where it is told to when its turn has come. */
#ifndef TEST_INJECT_H
#define TEST_INJECT_H

#include <stdbool.h>

enum inject_kind {
	INJECT_ERRORS, /* ENOMEM, EMFILE, ENOSPC, EAGAIN: as the call may have it */
	INJECT_EINTR,  /* what has to be invisible */
};

void inject_arm(enum inject_kind kind, int n);
/* True: its turn has come.  *ret_name tells which function it was. */
bool inject_disarm(const char **ret_name);

/* For the supervisors that are started from now on; 0: none fails. */
void inject_supervisor(enum inject_kind kind, int n, const char *fired_file);

#endif
