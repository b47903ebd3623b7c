/* SPDX-License-Identifier: MPL-2.0
 *
 * What a build adds goes to a store of its own, and from there to the cache
 * when the build is over.  An entry is moved as it is, except what could lead
 * elsewhere.  Directories come first, so that a list never names what is not
 * there. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host.h"
#include "store.h"

struct merge {
	struct build_store from, to;
	uint64_t room;
	bool names;
};

/* ---- Before ---- */

static uint64_t size_of(const struct build_store *store, const char *id)
{
	NOMAD_AUTO_FREE char *layer = build_store_layer(store, id), *split = build_store_split(store, id);
	struct stat st;
	uint64_t size = layer ? build_tree_size(layer) : 0;

	return size + (split && !lstat(split, &st) ? (uint64_t)st.st_blocks * 512 : 0);
}

static bool is_whole(const struct build_store *store, const json_t *layer)
{
	const char *id = build_store_id(layer), *digest = json_string_value(json_object_get(layer, "diff-digest"));
	int r = id && digest ? build_layer_check(store, id, digest) : -ENOENT;

	if (r == -EBADMSG)
		nomad_log_kv(NOMAD_LOG_WARN, "a layer is not what its digest says: it is not added to the cache", "id",
			     id, NULL);
	return r == 0;
}

int build_store_check(const char *from, const char *to, const char *driver, uint64_t *ret_size,
		      struct nomad_error **err)
{
	struct build_store a, b;
	int r = build_store_open(from, driver, 0, &a, err);

	*ret_size = 0;
	if (r < 0)
		return r;
	r = build_store_open(to, driver, LOCK_SH, &b, err);
	if (r < 0) {
		build_store_close(&a);
		return r;
	}
	close(b.lock); /* what is added meanwhile is measured for nothing */
	b.lock = -1;
	for (size_t i = json_array_size(a.layers); i > 0; i--) {
		json_t *layer = json_array_get(a.layers, i - 1);
		const char *id = build_store_id(layer);
		uint64_t size;

		if (id && build_store_find(b.layers, id))
			continue;
		if (!is_whole(&a, layer)) {
			(void)json_array_remove(a.layers, i - 1);
			continue;
		}
		size = size_of(&a, id);
		*ret_size += size;
		json_object_set_new(layer, BUILD_STORE_SIZE, json_integer((json_int_t)size));
	}
	if (build_store_save(&a) < 0)
		r = nomad_error_errno(err, EIO, "measure what is new in '%s'", from);
	build_store_close(&a);
	build_store_close(&b);
	return r;
}

/* ---- Moves ---- */

/* What is at the place of a new entry belongs to none: a merge was interrupted. */
static int move(char *take_from, char *take_to)
{
	NOMAD_AUTO_FREE char *from = take_from, *to = take_to;

	if (!from || !to)
		return -ENOMEM;
	(void)unlink(to);
	(void)build_tree_remove(to);
	return rename(from, to) < 0 ? -errno : 0;
}

/* The name by which others find the layer in a mount's options: made anew, and never that of another layer. */
static int make_link(const struct merge *m, const char *id)
{
	NOMAD_AUTO_FREE char *layer = build_store_layer(&m->from, id), *file = NULL, *link = NULL, *want = NULL;
	char name[64], there[128];
	ssize_t n;

	file = layer ? nomad_strdupf("%s/link", layer) : NULL;
	NOMAD_AUTO_FD int fd = file ? open(file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW) : -1;

	n = fd < 0 ? -1 : read(fd, name, sizeof(name) - 1);
	if (n <= 0)
		return -EIO;
	name[n] = 0;
	if (strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") != (size_t)n)
		return -EINVAL;
	link = nomad_strdupf("%s/%s/l/%s", m->to.root, m->to.driver, name);
	want = nomad_strdupf("../%s/diff", id);
	if (!link || !want)
		return -ENOMEM;
	if (!symlink(want, link))
		return 0;
	n = readlink(link, there, sizeof(there) - 1);
	if (errno == EEXIST && n > 0) {
		there[n] = 0;
		if (strcmp(there, want) == 0)
			return 0;
	}
	return -EEXIST;
}

/* What waits to be removed is back in the lists, if it is whole. */
static bool bring_back(struct merge *m, const char *id)
{
	size_t i;
	json_t *entry;

	json_array_foreach(m->to.retired, i, entry)
	{
		json_t *layer = json_object_get(entry, "layer"), *images = json_object_get(entry, "images");
		const char *other = build_store_id(layer ? layer : json_array_get(images, 0));
		NOMAD_AUTO_FREE char *path = NULL;

		if (!other || strcmp(other, id) != 0)
			continue;
		path = layer ? build_store_split(&m->to, id) : build_store_image(&m->to, id);
		if (path && !access(path, F_OK) && (!layer || json_array_append(m->to.layers, layer) >= 0) &&
		    json_array_extend(m->to.images, images) >= 0) {
			(void)json_array_remove(m->to.retired, i);
			return true;
		}
		(void)json_array_remove(m->to.retired, i);
		return false;
	}
	return false;
}

static int move_layer(struct merge *m, json_t *layer)
{
	const char *id = build_store_id(layer), *parent = json_string_value(json_object_get(layer, "parent"));
	uint64_t size = (uint64_t)json_integer_value(json_object_get(layer, BUILD_STORE_SIZE));
	int r;

	if (!id || build_store_find(m->to.layers, id))
		return 0;
	if (parent && *parent && !build_store_find(m->to.layers, parent))
		return 0; /* of a kind that this file does not know, or beyond the limit: stays behind */
	if (bring_back(m, id))
		return 0;
	if (size > m->room)
		return 0;
	m->room -= size;
	r = strcmp(m->to.driver, "vfs") ? make_link(m, id) : 0;
	if (r == 0)
		r = move(build_store_layer(&m->from, id), build_store_layer(&m->to, id));
	if (r == 0)
		r = move(build_store_split(&m->from, id), build_store_split(&m->to, id));
	(void)json_object_del(layer, "names");
	return r < 0 || json_array_append(m->to.layers, layer) < 0 ? (r < 0 ? r : -ENOMEM) : 0;
}

/* Whether its configuration has instructions for the builds that begin with it, or is not found. */
static bool has_triggers(const struct merge *m, const char *id)
{
	NOMAD_AUTO_FREE char *path = build_store_image(&m->from, id);
	DIR *d = path ? opendir(path) : NULL;
	bool found = false, triggers = false;
	struct dirent *entry;

	while (d && (entry = readdir(d))) {
		json_t *json = *entry->d_name == '=' ? build_json_load(dirfd(d), entry->d_name, 0) : NULL;
		json_t *config = json_object_get(json, "config");

		found = found || json_object_get(json, "rootfs");
		triggers = triggers || json_array_size(json_object_get(config, "OnBuild"));
		json_decref(json);
	}
	if (d)
		closedir(d);
	return !found || triggers;
}

/* A name is that of one image. */
static void take_names(json_t *images, json_t *names)
{
	size_t i, j, k;
	json_t *image, *name, *other;

	json_array_foreach(names, i, name) json_array_foreach(images, j, image)
	{
		json_t *old = json_object_get(image, "names");

		for (k = json_array_size(old); k > 0; k--) {
			other = json_array_get(old, k - 1);
			if (json_equal(other, name))
				(void)json_array_remove(old, k - 1);
		}
	}
}

static int move_image(struct merge *m, json_t *image)
{
	const char *id = build_store_id(image), *layer = json_string_value(json_object_get(image, "layer"));
	json_t *given = m->names ? json_incref(json_object_get(image, "names")) : NULL, *there;
	int r = 0;

	if (!id || (layer && *layer && !build_store_find(m->to.layers, layer)) ||
	    (m->names && !build_store_find(m->to.images, id) && has_triggers(m, id))) {
		json_decref(given);
		return 0;
	}
	take_names(m->to.images, given);
	(void)json_object_del(image, "names");
	(void)json_object_del(image, "names-history");
	if (!layer || !*layer)
		(void)bring_back(m, id);
	there = build_store_find(m->to.images, id);
	if (!there) {
		r = move(build_store_image(&m->from, id), build_store_image(&m->to, id));
		if (r == 0 && json_array_append(m->to.images, image) < 0)
			r = -ENOMEM;
		there = image;
	}
	if (r == 0 && given && json_array_size(given) &&
	    (json_object_get(there, "names") ? json_array_extend(json_object_get(there, "names"), given)
					     : json_object_set(there, "names", given)) < 0)
		r = -ENOMEM;
	json_decref(given);
	return r;
}

static int merge_all(struct merge *m)
{
	size_t i;
	json_t *entry;
	int r = 0;

	json_array_foreach(m->from.layers, i, entry) if (r == 0) r = move_layer(m, entry);
	json_array_foreach(m->from.images, i, entry) if (r == 0) r = move_image(m, entry);
	/* What has been moved is told in any case. */
	return build_store_save(&m->to) < 0 ? -EIO : r;
}

int build_store_merge(const char *from, const char *to, const char *driver, bool names, uint64_t room,
		      struct nomad_error **err)
{
	struct merge m = { .room = room, .names = names };
	int r = build_store_open(from, driver, 0, &m.from, err);

	if (r < 0)
		return r;
	r = build_store_open(to, driver, LOCK_EX, &m.to, err);
	if (r >= 0) {
		r = merge_all(&m);
		if (r < 0)
			nomad_error_errno(err, -r, "add to the cache '%s'", to);
		build_store_close(&m.to);
	}
	build_store_close(&m.from);
	return r;
}
