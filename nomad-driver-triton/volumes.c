/* SPDX-License-Identifier: MPL-2.0
 *
 * Volumes: found by their name, made where they are missing, deleted.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cloudapi.h"
#include "text.h"

int triton_volume_find(const struct triton_cloud *cloud, const char *name, char **ret_id, struct nomad_error **err)
{
	NOMAD_AUTO_FREE char *escaped = triton_url_escape(name);
	struct triton_answer answer;
	json_t *item;
	size_t i;
	int r;

	if (!escaped)
		return nomad_error_errno(err, ENOMEM, "look for the volume '%s'", name);
	r = triton_cloud_call(cloud, "GET", NULL, &answer, err, "/volumes?name=%s", escaped);
	if (r < 0)
		return nomad_error_wrap(err, "look for the volume '%s'", name);
	r = -ENOENT;
	json_array_foreach(answer.json, i, item)
	{
		const char *state = triton_json_text(item, "state"), *its = triton_json_text(item, "name");

		if (r == -ENOENT && its && strcmp(its, name) == 0 && state && strcmp(state, "deleting") != 0 &&
		    strcmp(state, "deleted") != 0)
			r = triton_take_id(item, ret_id, "a volume", err);
	}
	triton_answer_done(&answer);
	if (r == -ENOENT)
		nomad_error_set(err, ENOENT, "there is no volume '%s'; make it, or give its size", name);
	return r;
}

static int wait_for_volume(const struct triton_cloud *cloud, const char *name, const char *id, int64_t deadline_ms,
			   struct nomad_error **err)
{
	for (unsigned n = 1;; n++) {
		struct triton_answer answer;
		const char *state;
		int r = triton_cloud_call(cloud, "GET", NULL, &answer, err, "/volumes/%s", id);

		if (r < 0)
			return nomad_error_wrap(err, "wait for the volume '%s'", name);
		state = triton_json_text(answer.json, "state");
		r = state && strcmp(state, "ready") == 0 ? 1 : state && strcmp(state, "failed") == 0 ? -EIO : 0;
		triton_answer_done(&answer);
		if (r > 0)
			return 0;
		if (r < 0)
			return nomad_error_set(err, EIO, "make the volume '%s': the data centre failed to", name);
		if (triton_now_ms() > deadline_ms)
			return nomad_error_set(err, ETIMEDOUT,
					       "make the volume '%s': not ready within provision_timeout", name);
		if (triton_budget_sleep(triton_http_budget(cloud->http), triton_backoff_ms(n, 250, 2000)) < 0)
			return nomad_error_set(err, ESHUTDOWN,
					       "wait for the volume '%s': the plugin is being shut down", name);
	}
}

/* Names are unique: what was lost is looked for, and made again only if it does not show. */
static int make_volume(const struct triton_cloud *cloud, const struct triton_volume *volume, char **ret_id,
		       bool *ret_ours, struct nomad_error **err)
{
	json_t *body = json_pack("{s:s, s:s, s:I}", "name", volume->name, "type",
				 volume->type ? volume->type : "tritonnfs", "size", (json_int_t)volume->size);
	bool lost = false;
	int r;

	if (!body)
		return nomad_error_set(err, EINVAL, "make the volume '%s': its name is no UTF-8", volume->name);
	for (unsigned n = 1;; n++) {
		struct nomad_error *why = NULL;
		struct triton_answer answer;
		bool maybe;

		r = triton_cloud_call(cloud, "POST", body, &answer, &why, "/volumes");
		if (r >= 0)
			r = triton_take_id(answer.json, ret_id, "the new volume", &why);
		maybe = r < 0 && (answer.maybe_done || r == -EPROTO);
		triton_answer_done(&answer);
		if (r >= 0)
			break;
		/* Not ours if it was there before we could have made it. */
		if ((maybe || r == -EINVAL || r == -EEXIST) &&
		    triton_volume_find(cloud, volume->name, ret_id, NULL) >= 0) {
			lost |= maybe;
			nomad_error_free(why);
			*ret_ours = lost;
			json_decref(body);
			return 0;
		}
		lost |= maybe;
		if (!maybe || n == 4 ||
		    triton_budget_sleep(triton_http_budget(cloud->http), triton_backoff_ms(n, 500, 4000)) < 0) {
			triton_fail(r, why, err);
			break;
		}
		nomad_error_free(why);
	}
	json_decref(body);
	*ret_ours = r >= 0;
	return r;
}

int triton_volume_ensure(const struct triton_cloud *cloud, const struct triton_volume *volume, int64_t deadline_ms,
			 char **ret_made, struct nomad_error **err)
{
	NOMAD_AUTO_FREE char *id = NULL;
	struct nomad_error *why = NULL;
	bool made = false;
	int r = triton_volume_find(cloud, volume->name, &id, &why);

	if (r == -ENOENT && volume->size > 0) {
		nomad_error_free(why);
		why = NULL;
		r = make_volume(cloud, volume, &id, &made, &why);
	}
	if (r >= 0)
		r = wait_for_volume(cloud, volume->name, id, deadline_ms, &why);
	/* One that did not get ready is the caller's to remove all the same. */
	if (made && id)
		*ret_made = NOMAD_TAKE_PTR(id);
	return r < 0 ? triton_fail(r, why, err) : 0;
}

int triton_volume_delete(const struct triton_cloud *cloud, const char *id, struct nomad_error **err)
{
	for (unsigned n = 1;; n++) {
		struct nomad_error *why = NULL;
		int r = triton_cloud_call(cloud, "DELETE", NULL, NULL, &why, "/volumes/%s", id);

		if (r >= 0)
			return 0;
		/* -EINVAL: still in use by the instance that is just going. */
		if (r != -EINVAL || n > 8 ||
		    triton_budget_sleep(triton_http_budget(cloud->http), triton_backoff_ms(n, 500, 5000)) < 0)
			return triton_fail_unless_gone(r, why, err);
		nomad_error_free(why);
	}
}
