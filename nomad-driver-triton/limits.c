/* SPDX-License-Identifier: MPL-2.0
 *
 * The provisioning limits of the account; see limits.h. */
#include <errno.h>
#include <string.h>

#include "limits.h"

int triton_limits_each(const struct triton_cloud *cloud, void (*take)(void *ud, const struct triton_limit *limit),
		       void *ud, struct nomad_error **err)
{
	struct nomad_error *why = NULL;
	struct triton_answer answer;
	json_t *item;
	size_t i;
	int r = triton_cloud_call(cloud, "GET", NULL, &answer, &why, "/limits");

	/* Older than 9.8. */
	if (r == -ENOENT) {
		nomad_error_free(why);
		return 0;
	}
	if (r < 0)
		return triton_fail(r, why, err);
	json_array_foreach(answer.json, i, item)
	{
		struct triton_limit limit = {
			.by = triton_json_text(item, "by"),
			.check = triton_json_text(item, "check"),
			.value = json_integer_value(json_object_get(item, "value")),
			.used = json_integer_value(json_object_get(item, "used")),
		};

		if (limit.check)
			limit.what = triton_json_text(item, limit.check);
		if (limit.by)
			take(ud, &limit);
	}
	triton_answer_done(&answer);
	return 0;
}
