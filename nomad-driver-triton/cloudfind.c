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

/* A parameter of a query; one without a value is left out. */
struct parameter {
	const char *name, *value;
};

/* "name=a&version=b", escaped; malloc()ed. */
static char *query_of(const struct parameter *parameters, size_t count)
{
	char *all = strdup("");

	for (size_t i = 0; all && i < count; i++) {
		NOMAD_AUTO_FREE char *value =
			triton_url_escape(triton_given(parameters[i].value) ? parameters[i].value : "");
		char *more = value && *value
				     ? nomad_strdupf("%s%s%s=%s", all, *all ? "&" : "", parameters[i].name, value)
				     : NULL;

		if (value && !*value)
			continue;
		free(all);
		all = more;
	}
	return all;
}

/* 1 if *ret_id is the uuid that was given; else 0, and *ret is a list of at least one.  The first two parameters are
 * name and version. */
static int query(const struct triton_cloud *cloud, const char *what, const char *uuid,
		 const struct parameter *parameters, size_t count, char **ret_id, struct triton_answer *ret,
		 struct nomad_error **err)
{
	const char *name = parameters[0].value, *version = parameters[1].value;
	NOMAD_AUTO_FREE char *text = query_of(parameters, count);
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
	const struct parameter parameters[] = { { "name", package->name }, { "version", package->version } };
	struct triton_answer answer;
	size_t n;
	int r = query(cloud, "package", package->uuid, parameters, NOMAD_ARRAY_LEN(parameters), ret_id, &answer, err);

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

/* What the server does not filter by.  A date alone is the beginning of one with a time. */
static bool image_matches(const struct triton_image *image, const json_t *json)
{
	const json_t *tags = json_object_get(json, "tags");
	const char *date = triton_json_text(json, "published_at");

	if (triton_given(image->published_after) && (!date || strcmp(date, image->published_after) < 0))
		return false;
	for (size_t i = 0; i < image->tags.count; i++) {
		const json_t *value = json_object_get(tags, image->tags.pairs[i].key);
		NOMAD_AUTO_FREE char *other =
			json_is_string(value) || !value ? NULL : json_dumps(value, JSON_ENCODE_ANY);
		const char *text = json_is_string(value) ? json_string_value(value) : other;

		if (!text || strcmp(text, image->tags.pairs[i].value) != 0)
			return false;
	}
	return true;
}

int triton_find_image(const struct triton_cloud *cloud, const struct triton_image *image, char **ret_id,
		      struct nomad_error **err)
{
	const struct parameter parameters[] = {
		{ "name", image->name },
		{ "version", image->version },
		{ "owner", image->owner },
		{ "os", image->os },
		{ "type", image->type },
		{ "state", image->state },
		{ "public", image->public < 0 ? NULL
			    : image->public   ? "true"
					      : "false" },
	};
	struct triton_answer answer;
	const json_t *newest = NULL;
	json_t *item;
	size_t n, i;
	int r = query(cloud, "image", image->uuid, parameters, NOMAD_ARRAY_LEN(parameters), ret_id, &answer, err);

	if (r)
		return r < 0 ? r : 0;
	for (i = json_array_size(answer.json); i > 0; i--)
		if (!image_matches(image, json_array_get(answer.json, i - 1)))
			json_array_remove(answer.json, i - 1);
	n = json_array_size(answer.json);
	if (!n) {
		triton_answer_done(&answer);
		return nomad_error_set(err, ENOENT, "no image '%s' has the tags and the date that the job asks for",
				       image->name);
	}
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
		else if (json_array_append_new(out, triton_given(list[i].ip) ? json_pack("{s:s, s:[s]}", "ipv4_uuid",
											 id, "ipv4_ips", list[i].ip)
									     : json_pack("{s:s}", "ipv4_uuid", id)) < 0)
			r = nomad_error_errno(err, ENOMEM, "look for networks");
	}
	triton_answer_done(&answer);
	if (r < 0)
		json_decref(out);
	else
		*ret = out;
	return r;
}
