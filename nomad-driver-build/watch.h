/* SPDX-License-Identifier: MPL-2.0
 *
 * watch.h: the process of a build, from outside.  See watch.c. */
#ifndef BUILD_WATCH_H
#define BUILD_WATCH_H

#include <signal.h>

#include "nomad/base.h"

struct build_watch {
	int events;	      /* lines for task events go there */
	int dir;	      /* what the build stores */
	uint64_t storage_max; /* bytes, or 0 */
	int64_t deadline_ms;  /* monotonic, or 0 */
	uint64_t timeout_s;   /* for the message */
};
/* Hands signals of the mask on until the child has ended.  Its exit status as a shell gives it, or that of the limit:
 * 124 for the time, 125 for the storage. */
int build_watch(const struct build_watch *w, pid_t pid, const sigset_t *mask);

#endif
