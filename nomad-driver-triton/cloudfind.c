/* SPDX-License-Identifier: MPL-2.0
 *
 * From the names that people write to the ids that CloudAPI takes: packages,
 * images, networks.
 *
 * All of it happens before anything is created, so that a name that is not
 * there costs nothing.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cloudapi.h"
#include "text.h"

/* "name=a&version=b", escaped; malloc()ed. */
static char *query_of(const char *name, const char *version)
{
	NOMAD_AUTO_FREE char *n = triton_url_escape(triton_given(name) ? name : ""),
			     *v = triton_url_escape(triton_given(version) ? version : "");

	if (!n || !v)
		return NULL;
	return nomad_strdupf("%s%s%s%s%s", *n ? "name=" : "", n, *n && *v ? "&" : "", *v ? "version=" : "", v);
}

/* 1 if *ret_id is the uuid that was given; else 0, and *ret is a list of at least one. */
static int query(const struct triton_cloud *cloud, const char *what, const char *uuid, const char *name,
		 const char *version, char **ret_id, struct triton_answer *ret, struct nomad_error **err)
{
	NOMAD_AUTO_FREE char *text = query_of(name, version);
	int r;

	if (triton_given(uuid)) {
		*ret_id = strdup(uuid);
		return *ret_id ? 1 : nomad_error_errno(err, ENOMEM, "look for the %s", what);
	}
	if (!text)
		return nomad_error_errno(err, ENOMEM, "look for the %s", what);
	r = triton_cloud_call(cloud, "GET", NULL, ret, err, "/%ss?%s", what, text);
	if (r < 0)
		return nomad_error_wrap(err, "look for the %s '%s'", what, name);
	if (json_array_size(ret->json))
		return 0;
	triton_answer_done(ret);
	return nomad_error_set(err, ENOENT, "there is no active %s '%s'%s%s%s", what, name,
			       triton_given(version) ? " of version '" : "", triton_given(version) ? version : "",
			       triton_given(version) ? "'" : "");
}

int triton_find_package(const struct triton_cloud *cloud, const struct triton_package *package, char **ret_id,
			struct nomad_error **err)
{
	struct triton_answer answer;
	size_t n;
	int r = query(cloud, "package", package->uuid, package->name, package->version, ret_id, &answer, err);

	if (r)
		return r < 0 ? r : 0;
	n = json_array_size(answer.json);
	if (n > 1)
		r = nomad_error_set(err, EINVAL, "there are %zu packages '%s'; name a version, or the uuid", n,
				    package->name);
	else
		r = triton_take_id(json_array_get(answer.json, 0), ret_id, "the package", err);
	triton_answer_done(&answer);
	return r;
}

int triton_find_image(const struct triton_cloud *cloud, const struct triton_image *image, char **ret_id,
		      struct nomad_error **err)
{
	struct triton_answer answer;
	const json_t *newest = NULL;
	json_t *item;
	size_t n, i;
	int r = query(cloud, "image", image->uuid, image->name, image->version, ret_id, &answer, err);

	if (r)
		return r < 0 ? r : 0;
	n = json_array_size(answer.json);
	/* Dates in ISO 8601 are ordered as text. */
	json_array_foreach(answer.json, i, item)
	{
		const char *date = triton_json_text(item, "published_at"),
			   *best = triton_json_text(newest, "published_at");

		if (!newest || strcmp(date ? date : "", best ? best : "") > 0)
			newest = item;
	}
	if (n > 1 && !image->most_recent)
		r = nomad_error_set(err, EINVAL,
				    "there are %zu images '%s'; name a version or the uuid, or set most_recent", n,
				    image->name);
	else
		r = triton_take_id(newest, ret_id, "the image", err);
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
		names |= !triton_given(list[i].uuid);
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

		if (!triton_given(id))
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
