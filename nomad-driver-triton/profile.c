/* SPDX-License-Identifier: MPL-2.0
 *
 * Profiles of node-triton; see profile.h. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "profile.h"
#include "text.h"

static int take(const json_t *json, const char *key, char **ret)
{
	return triton_keep(ret, json_string_value(json_object_get(json, key)));
}

int triton_profile_load(const char *name, struct triton_profile *ret, struct nomad_error **err)
{
	const char *home = getenv("HOME");
	NOMAD_AUTO_FREE char *path =
		*name == '/' ? strdup(name)
			     : nomad_strdupf("%s/.triton/profiles.d/%s.json", home ? home : "/root", name);
	struct triton_profile profile = { .insecure = -1 };
	json_error_t why;
	json_t *json = path ? json_load_file(path, 0, &why) : NULL, *insecure;
	int r;

	if (!path)
		return nomad_error_errno(err, ENOMEM, "read the profile '%s'", name);
	if (*name != '/' && strchr(name, '/')) {
		json_decref(json);
		return nomad_error_set(err, EINVAL, "read the profile '%s': give a name or an absolute path", name);
	}
	if (!json_is_object(json)) {
		r = nomad_error_set(err, ENOENT, "read the profile '%s': %s", path, json ? "not an object" : why.text);
		json_decref(json);
		return r;
	}
	r = take(json, "url", &profile.url);
	r |= take(json, "account", &profile.account);
	r |= take(json, "user", &profile.user);
	r |= take(json, "keyId", &profile.key_id);
	r |= take(json, "actAsAccount", &profile.act_as);
	insecure = json_object_get(json, "insecure");
	if (json_is_boolean(insecure))
		profile.insecure = json_is_true(insecure);
	json_decref(json);
	if (r < 0) {
		triton_profile_done(&profile);
		return nomad_error_errno(err, ENOMEM, "read the profile '%s'", name);
	}
	if (!profile.url || !profile.account || !profile.key_id) {
		triton_profile_done(&profile);
		return nomad_error_set(err, EINVAL, "read the profile '%s': url, account or keyId is missing", path);
	}
	*ret = profile;
	return 0;
}

void triton_profile_done(struct triton_profile *profile)
{
	free(profile->url);
	free(profile->account);
	free(profile->user);
	free(profile->key_id);
	free(profile->act_as);
	*profile = (struct triton_profile){ .insecure = -1 };
}
