/* SPDX-License-Identifier: MPL-2.0
 *
 * usage.h: from what racct says about a jail to the numbers that Nomad shows. */
#ifndef POT_USAGE_H
#define POT_USAGE_H

#include "nomad/driver.h"

struct pot_usage;

struct pot_usage *pot_usage_new(void);
void pot_usage_free(struct pot_usage *usage);

/* Turn `racct` ("cputime=12,memoryuse=4096,...") of the task `slug`, read at
 * `now_ms`, into *ret.  -EINVAL if nothing in it is known.  Any thread. */
int pot_usage_sample(struct pot_usage *usage, const char *slug, const char *racct, int64_t now_ms,
		     struct nomad_stats *ret, struct nomad_error **err);
/* The task is gone. */
void pot_usage_forget(struct pot_usage *usage, const char *slug);

#endif
