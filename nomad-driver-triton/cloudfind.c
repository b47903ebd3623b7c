/* SPDX-License-Identifier: MPL-2.0
 *
 * From the names that people write to the ids that CloudAPI takes: packages,
 * images, networks; and volumes, which are made where they are missing.
 *
 * All of it happens before anything is created, so that a name that is not
 * there costs nothing.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cloudapi.h"
#include "httptext.h"

static bool given(const char *text)
{
	return text && *text;
}

/* "name=a&version=b", escaped; malloc()ed. */
static char *query_of(const char *name, const char *version)
{
	NOMAD_AUTO_FREE char *n = triton_url_escape(given(name) ? name : ""),
			     *v = triton_url_escape(given(version) ? version : "");

	if (!n || !v)
		return NULL;
	return nomad_strdupf("%s%s%s%s%s", *n ? "name=" : "", n, *n && *v ? "&" : "", *v ? "version=" : "", v);
}

static int take_id(const json_t *json, char **ret, const char *what, struct nomad_error **err)
{
	const char *id = triton_json_text(json, "id");

	if (!id)
		return nomad_error_set(err, EPROTO, "look for %s: the answer has no id", what);
	*ret = strdup(id);
	return *ret ? 0 : nomad_error_errno(err, ENOMEM, "look for %s", what);
}

int triton_find_package(const struct triton_cloud *cloud, const struct triton_package *package, char **ret_id,
			struct nomad_error **err)
{
	NOMAD_AUTO_FREE char *query = NULL;
	struct triton_answer answer;
	size_t n;
	int r;

	if (given(package->uuid)) {
		*ret_id = strdup(package->uuid);
		return *ret_id ? 0 : nomad_error_errno(err, ENOMEM, "look for the package");
	}
	query = query_of(package->name, package->version);
	if (!query)
		return nomad_error_errno(err, ENOMEM, "look for the package");
	r = triton_cloud_call(cloud, "GET", NULL, &answer, err, "/packages?%s", query);
	if (r < 0)
		return nomad_error_wrap(err, "look for the package '%s'", package->name);
	n = json_array_size(answer.json);
	if (!n)
		r = nomad_error_set(err, ENOENT, "there is no active package '%s'%s%s%s", package->name,
				    given(package->version) ? " of version '" : "",
				    given(package->version) ? package->version : "",
				    given(package->version) ? "'" : "");
	else if (n > 1)
		r = nomad_error_set(err, EINVAL, "there are %zu packages '%s'; name a version, or the uuid", n,
				    package->name);
	else
		r = take_id(json_array_get(answer.json, 0), ret_id, "the package", err);
	triton_answer_done(&answer);
	return r;
}

int triton_find_image(const struct triton_cloud *cloud, const struct triton_image *image, char **ret_id,
		      struct nomad_error **err)
{
	NOMAD_AUTO_FREE char *query = NULL;
	struct triton_answer answer;
	const json_t *newest = NULL;
	json_t *item;
	size_t n, i;
	int r;

	if (given(image->uuid)) {
		*ret_id = strdup(image->uuid);
		return *ret_id ? 0 : nomad_error_errno(err, ENOMEM, "look for the image");
	}
	query = query_of(image->name, image->version);
	if (!query)
		return nomad_error_errno(err, ENOMEM, "look for the image");
	r = triton_cloud_call(cloud, "GET", NULL, &answer, err, "/images?%s", query);
	if (r < 0)
		return nomad_error_wrap(err, "look for the image '%s'", image->name);
	n = json_array_size(answer.json);
	/* Dates in ISO 8601 are ordered as text. */
	json_array_foreach(answer.json, i, item)
	{
		const char *date = triton_json_text(item, "published_at"),
			   *best = triton_json_text(newest, "published_at");

		if (!newest || strcmp(date ? date : "", best ? best : "") > 0)
			newest = item;
	}
	if (!n)
		r = nomad_error_set(err, ENOENT, "there is no active image '%s'%s%s%s", image->name,
				    given(image->version) ? " of version '" : "",
				    given(image->version) ? image->version : "", given(image->version) ? "'" : "");
	else if (n > 1 && !image->most_recent)
		r = nomad_error_set(err, EINVAL,
				    "there are %zu images '%s'; name a version or the uuid, or set most_recent", n,
				    image->name);
	else
		r = take_id(newest, ret_id, "the image", err);
	triton_answer_done(&answer);
	return r;
}

static const char *network_named(const json_t *all, const char *name, size_t *ret_count)
{
	const char *id = NULL;
	json_t *item;
	size_t i;

	*ret_count = 0;
	json_array_foreach(all, i, item)
	{
		const char *its = triton_json_text(item, "name");

		if (its && strcmp(its, name) == 0) {
			id = triton_json_text(item, "id");
			++*ret_count;
		}
	}
	return id;
}

int triton_find_networks(const struct triton_cloud *cloud, const struct nomad_block_list *networks, json_t **ret,
			 struct nomad_error **err)
{
	const struct triton_network *list = networks->items;
	struct triton_answer answer = { 0 };
	json_t *out = json_array();
	bool names = false;
	int r = 0;

	for (size_t i = 0; i < networks->count; i++)
		names |= !given(list[i].uuid);
	if (!out)
		return nomad_error_errno(err, ENOMEM, "look for networks");
	if (names) {
		r = triton_cloud_call(cloud, "GET", NULL, &answer, err, "/networks");
		if (r < 0)
			(void)nomad_error_wrap(err, "look for networks");
	}
	for (size_t i = 0; r >= 0 && i < networks->count; i++) {
		const char *id = list[i].uuid;
		size_t count = 1;

		if (!given(id))
			id = network_named(answer.json, list[i].name, &count);
		if (!id || !count)
			r = nomad_error_set(err, ENOENT, "there is no network '%s'", list[i].name);
		else if (count > 1)
			r = nomad_error_set(err, EINVAL, "there are %zu networks '%s'; give the uuid", count,
					    list[i].name);
		else if (json_array_append_new(out, json_pack("{s:s}", "ipv4_uuid", id)) < 0)
			r = nomad_error_errno(err, ENOMEM, "look for networks");
	}
	triton_answer_done(&answer);
	if (r < 0)
		json_decref(out);
	else
		*ret = out;
	return r;
}

/* ---- Volumes ---- */

int triton_volume_find(const struct triton_cloud *cloud, const char *name, char **ret_id, struct nomad_error **err)
{
	NOMAD_AUTO_FREE char *query = query_of(name, NULL);
	struct triton_answer answer;
	json_t *item;
	size_t i;
	int r;

	if (!query)
		return nomad_error_errno(err, ENOMEM, "look for the volume '%s'", name);
	r = triton_cloud_call(cloud, "GET", NULL, &answer, err, "/volumes?%s", query);
	if (r < 0)
		return nomad_error_wrap(err, "look for the volume '%s'", name);
	r = -ENOENT;
	json_array_foreach(answer.json, i, item)
	{
		const char *state = triton_json_text(item, "state"), *its = triton_json_text(item, "name");

		if (r == -ENOENT && its && strcmp(its, name) == 0 && state && strcmp(state, "deleting") != 0 &&
		    strcmp(state, "deleted") != 0)
			r = take_id(item, ret_id, "a volume", err);
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
			r = take_id(answer.json, ret_id, "the new volume", &why);
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
			if (err)
				*err = why;
			else
				nomad_error_free(why);
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
	if (r < 0) {
		if (err)
			*err = why;
		else
			nomad_error_free(why);
	}
	return r;
}

int triton_volume_delete(const struct triton_cloud *cloud, const char *id, struct nomad_error **err)
{
	struct nomad_error *why = NULL;
	int r;

	for (unsigned n = 1;; n++) {
		r = triton_cloud_call(cloud, "DELETE", NULL, NULL, &why, "/volumes/%s", id);
		if (r >= 0)
			return 0;
		if (r == -ENOENT || r == -ESTALE) {
			nomad_error_free(why);
			return 0;
		}
		/* Still in use by the instance that is just going. */
		if (r != -EINVAL || n > 8 ||
		    triton_budget_sleep(triton_http_budget(cloud->http), triton_backoff_ms(n, 500, 5000)) < 0)
			break;
		nomad_error_free(why);
		why = NULL;
	}
	if (err)
		*err = why;
	else
		nomad_error_free(why);
	return r;
}
