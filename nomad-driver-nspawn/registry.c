/* SPDX-License-Identifier: MPL-2.0
 *
 * Container images: skopeo fetches them as they are (a layout of OCI would
 * lose what docker alone knows, such as health checks), layers.c unpacks them, or umoci
 * where that cannot.  umoci's config.json has one list of words for
 * entrypoint and command, so what the image itself says is added to it, as
 * "image"; without umoci we write one.
 *
 * Credentials reach skopeo in a file that only root can read, in the
 * directory of the work; no command line has them. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <jansson.h>

#include "download.h"

/* ---- Credentials ---- */

static char *base64(const char *text)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	size_t n = strlen(text), i, k;
	char *out = malloc((n + 2) / 3 * 4 + 1), *p = out;

	for (i = 0; out && i < n; i += 3) {
		unsigned long v = 0;

		for (k = 0; k < 3; k++)
			v = v << 8 | (i + k < n ? (unsigned char)text[i + k] : 0);
		for (k = 0; k < 4; k++)
			*p++ = i + k > n ? '=' : digits[v >> (18 - 6 * k) & 63];
	}
	if (out)
		*p = 0;
	return out;
}

char *nspawn_registry_of(const char *reference)
{
	size_t n;

	if (strncmp(reference, "docker://", 9) == 0)
		reference += 9;
	n = strcspn(reference, "/");
	if (!reference[n] ||
	    (!memchr(reference, '.', n) && !memchr(reference, ':', n) && strncmp(reference, "localhost/", 10) != 0))
		return strdup("docker.io");
	return strndup(reference, n);
}

/* The text of containers-auth.json(5). */
char *nspawn_auth_text(const struct nspawn_auth *auth, const char *reference)
{
	NOMAD_AUTO_FREE char *registry =
		auth->server_address ? strdup(auth->server_address) : nspawn_registry_of(reference);
	NOMAD_AUTO_FREE char *pair = nomad_strdupf("%s:%s", auth->username, auth->password ? auth->password : "");
	NOMAD_AUTO_FREE char *code = pair ? base64(pair) : NULL;
	json_t *json = registry && code ? json_pack("{s:{s:{s:s}}}", "auths", registry, "auth", code) : NULL;
	char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;

	json_decref(json);
	if (pair)
		explicit_bzero(pair, strlen(pair));
	if (code)
		explicit_bzero(code, strlen(code));
	return text;
}

static int write_auth(struct nspawn_fetch *d, const char *path, struct nomad_error **err)
{
	NOMAD_AUTO_FREE char *text = nspawn_auth_text(d->auth, d->want->url);
	int r = 0, fd;

	if (!text)
		return nomad_error_errno(err, ENOMEM, "write the credentials");
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0 || nomad_write_all(fd, text, strlen(text)) < 0)
		r = nomad_error_errno(err, errno, "write '%s'", path);
	if (fd >= 0)
		close(fd);
	explicit_bzero(text, strlen(text));
	return r;
}

/* ---- What the image says ---- */

static char *blob_path(const char *layout, const json_t *descriptor)
{
	const char *digest = json_string_value(json_object_get(descriptor, "digest"));
	const char *hex = digest ? strchr(digest, ':') : NULL;

	if (!hex || hex - digest > 16 || strspn(hex + 1, "0123456789abcdef") != strlen(hex + 1))
		return NULL;
	return nomad_strdupf("%s/%s", layout, hex + 1);
}

/* A JSON object of the layout by its digest. */
static json_t *blob(const char *layout, const json_t *descriptor)
{
	NOMAD_AUTO_FREE char *path = blob_path(layout, descriptor);

	return path ? json_load_file(path, 0, NULL) : NULL;
}

struct said {
	json_t *manifest, *image;
};

static void said_done(struct said *said)
{
	json_decref(said->manifest);
	json_decref(said->image);
}

static int said_read(const char *layout, struct said *ret, struct nomad_error **err)
{
	NOMAD_AUTO_FREE char *path = nomad_strdupf("%s/manifest.json", layout);

	ret->manifest = path ? json_load_file(path, 0, NULL) : NULL;
	ret->image = blob(layout, json_object_get(ret->manifest, "config"));
	return json_is_object(ret->image)
		       ? 0
		       : nomad_error_set(err, EBADMSG, "the configuration of the image cannot be read");
}

static json_t *config_of(const struct said *said)
{
	json_t *says = json_object_get(said->image, "config");

	return json_is_object(says) ? json_deep_copy(says) : json_object();
}

/* ---- As layers ---- */

/* What nspawn_oci_read() reads, without umoci. */
static json_t *bundle_of(const struct said *said, char *const *layers)
{
	json_t *says = config_of(said), *names = json_array(), *env = json_array(), *item, *process;
	const char *cwd = json_string_value(json_object_get(says, "WorkingDir"));
	size_t i;

	for (; layers && *layers; layers++)
		(void)json_array_append_new(names, json_string(*layers));
	json_array_foreach(json_object_get(says, "Env"), i,
			   item) if (json_is_string(item) && strchr(json_string_value(item), '='))(void)
		json_array_append(env, item);
	process = json_pack("{s:o,s:s}", "env", env, "cwd", cwd && *cwd ? cwd : "/");
	return json_pack("{s:s,s:o,s:o,s:o}", "ociVersion", "1.0.2", "process", process, "image", says, "layers",
			 names);
}

static int list_blobs(const char *layout, const struct said *said, char ***ret_paths, char ***ret_digests)
{
	const json_t *item;
	size_t i;
	int r = 0;

	json_array_foreach(json_object_get(said->manifest, "layers"), i, item)
	{
		NOMAD_AUTO_FREE char *path = blob_path(layout, item);

		r = r < 0 ? r : !path ? -EBADMSG : nomad_strv_add(ret_paths, path);
		if (r >= 0)
			r = nomad_strv_add(ret_digests, json_string_value(json_object_get(item, "digest")));
	}
	return r;
}

/* 0; 1 if it has to be one tree; or a negative errno. */
static int unpack_layers(struct nspawn_fetch *d, const char *layout, char **ret, char **ret_config,
			 struct nomad_error **err)
{
	NOMAD_AUTO_STRV char **paths = calloc(1, sizeof(char *)), **digests = calloc(1, sizeof(char *));
	NOMAD_AUTO_STRV char **names = NULL;
	struct said said = { 0 };
	json_t *bundle = NULL;
	int r = paths && digests ? said_read(layout, &said, err) : nomad_error_errno(err, ENOMEM, "download");

	if (r >= 0 && list_blobs(layout, &said, &paths, &digests) < 0)
		r = nomad_error_set(err, EBADMSG, "the list of layers of the image cannot be read");
	if (r >= 0)
		r = nspawn_layers_unpack(d, paths, digests, &names, err);
	if (!r) {
		bundle = bundle_of(&said, names);
		*ret = nomad_strdupf("%s/image", d->work);
		*ret_config = nomad_strdupf("%s/config.json", d->work);
		if (!bundle || !*ret || !*ret_config || mkdir(*ret, 0755) < 0 ||
		    json_dump_file(bundle, *ret_config, JSON_COMPACT) < 0)
			r = nomad_error_errno(err, errno, "keep the configuration of the image");
	}
	json_decref(bundle);
	said_done(&said);
	return r;
}

/* ---- As one tree ---- */

/* Adds what the image of the layout says to the config.json of the bundle. */
static int add_image_config(const char *layout, const char *config, struct nomad_error **err)
{
	json_t *bundle = json_load_file(config, 0, NULL);
	struct said said = { 0 };
	int r = said_read(layout, &said, err);

	if (r >= 0 && (!json_is_object(bundle) || json_object_set_new(bundle, "image", config_of(&said)) < 0 ||
		       json_dump_file(bundle, config, JSON_COMPACT) < 0))
		r = nomad_error_set(err, EBADMSG, "the configuration of the image cannot be read");
	json_decref(bundle);
	said_done(&said);
	return r;
}

static int unpack_tree(struct nspawn_fetch *d, const char *layout, char **ret, char **ret_config,
		       struct nomad_error **err)
{
	NOMAD_AUTO_FREE char *umoci = NULL, *bundle = nomad_strdupf("%s/bundle", d->work);
	NOMAD_AUTO_FREE char *from = nomad_strdupf("dir:%s", layout), *skopeo = NULL;
	NOMAD_AUTO_FREE char *image = nomad_strdupf("%s/oci:image", d->work), *to = nomad_strdupf("oci:%s", image);
	int r = bundle && image && from && to ? nspawn_need("umoci", &umoci, err)
					      : nomad_error_errno(err, ENOMEM, "download");

	if (r >= 0)
		r = nspawn_need("skopeo", &skopeo, err);
	if (r >= 0)
		r = nspawn_fetch_tool(d, "skopeo",
				      (const char *const[]){ skopeo, "copy", "--quiet", "--", from, to, NULL }, false,
				      err);
	if (r >= 0)
		r = nspawn_fetch_tool(d, "umoci",
				      (const char *const[]){ umoci, "unpack", "--image", image, bundle, NULL }, false,
				      err);
	if (r < 0)
		return r;
	*ret = nomad_strdupf("%s/rootfs", bundle);
	*ret_config = nomad_strdupf("%s/config.json", bundle);
	if (!*ret || !*ret_config)
		return nomad_error_errno(err, ENOMEM, "download");
	return add_image_config(layout, *ret_config, err);
}

/* ---- Fetch ---- */

static int copy_argv(struct nspawn_fetch *d, const char *skopeo, char ***ret, struct nomad_error **err)
{
	NOMAD_AUTO_FREE char *auth = nomad_strdupf("%s/auth.json", d->work);
	const bool local = strncmp(d->want->url, "oci:", 4) == 0; /* a layout on this host, as builds leave it */
	char **argv = calloc(1, sizeof(char *));
	int r = argv && auth ? 0 : -ENOMEM;

	if (r >= 0)
		r = nomad_strv_add(&argv, skopeo);
	if (r >= 0)
		r = nomad_strv_add(&argv, "copy");
	if (r >= 0)
		r = nomad_strv_add(&argv, "--quiet");
	if (r >= 0 && d->auth && d->auth->username) {
		r = write_auth(d, auth, err);
		if (r >= 0)
			r = nomad_strv_addf(&argv, "--src-authfile=%s", auth);
	}
	if (r >= 0 && d->auth && !d->auth->tls_verify)
		r = nomad_strv_add(&argv, "--src-tls-verify=false");
	if (r >= 0)
		r = nomad_strv_add(&argv, "--");
	if (r >= 0)
		r = nomad_strv_addf(&argv, "%s%s", local || strstr(d->want->url, "://") ? "" : "docker://",
				    d->want->url);
	if (r >= 0)
		r = nomad_strv_addf(&argv, "dir:%s/layout", d->work);
	if (r < 0) {
		nomad_strv_free(argv);
		return err && *err ? r : nomad_error_errno(err, ENOMEM, "download");
	}
	*ret = argv;
	return 0;
}

/* Into the layout in the directory of work. */
static int pull(struct nspawn_fetch *d, struct nomad_error **err)
{
	NOMAD_AUTO_FREE char *skopeo = NULL, *auth = nomad_strdupf("%s/auth.json", d->work);
	NOMAD_AUTO_STRV char **argv = NULL;
	struct nomad_error *failed = NULL;
	int r = auth ? nspawn_need("skopeo", &skopeo, err) : nomad_error_errno(err, ENOMEM, "download");

	if (r >= 0)
		r = copy_argv(d, skopeo, &argv, err);
	if (r < 0)
		return r;
	d->file = NULL;
	r = nspawn_fetch_tool(d, "skopeo", (const char *const *)argv, true, &failed);
	(void)unlink(auth);
	d->bytes = nspawn_tree_bytes(d->work);
	if (r < 0 && d->stalled)
		r = nomad_error_set(err, ETIMEDOUT, "no byte has come for %lld s (download_idle_s)",
				    (long long)d->idle_s);
	else if (r < 0 && err)
		*err = NOMAD_TAKE_PTR(failed);
	nomad_error_free(failed);
	return r;
}

int nspawn_fetch_container(struct nspawn_fetch *d, char **ret, char **ret_config, struct nomad_error **err)
{
	NOMAD_AUTO_FREE char *layout = nomad_strdupf("%s/layout", d->work);
	int r = layout ? pull(d, err) : nomad_error_errno(err, ENOMEM, "download");

	if (r >= 0)
		r = unpack_layers(d, layout, ret, ret_config, err);
	if (r == 1)
		r = unpack_tree(d, layout, ret, ret_config, err);
	return r < 0 ? nomad_error_wrap(err, "download") : 0;
}
