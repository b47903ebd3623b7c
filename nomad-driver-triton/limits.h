/* SPDX-License-Identifier: MPL-2.0
 *
 * limits.h: the provisioning limits of the account. */
#ifndef TRITON_LIMITS_H
#define TRITON_LIMITS_H

#include "cloudapi.h"

/* GET /:account/limits (CloudAPI 9.8): `by` is "ram" (MiB), "quota" (GiB) or "machines"; `check` and `what` say which
 * images it is for, "os" or "image" and a name; NULL: all. */
struct triton_limit {
	const char *by, *check, *what;
	int64_t value, used;
};

/* Calls `take` for each limit.  A data centre without limits has none.  0, or negative with *err. */
int triton_limits_each(const struct triton_cloud *cloud, void (*take)(void *ud, const struct triton_limit *limit),
		       void *ud, struct nomad_error **err);

#endif
