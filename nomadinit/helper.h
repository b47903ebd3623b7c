/* SPDX-License-Identifier: MPL-2.0 */
/* Programs that PID 1 starts beside the agent and does not wait for: what they print goes to the log. */
#ifndef NOMADINIT_HELPER_H
#define NOMADINIT_HELPER_H

#include <stdbool.h>
#include <sys/types.h>

/* status is the exit status, 128 + signal, or -ETIMEDOUT if it ran too long and was killed. */
typedef void helper_fn(void *data, int status);

/* argv[0] "" stands for this program.  `done` (or NULL) is called once, only if 0 is returned. */
int helper_run(const char *const argv[], unsigned int timeout_ms, helper_fn *done, void *data);
/* A child ended: true if it was a helper. */
bool helper_reaped(pid_t pid, int status);

#endif
