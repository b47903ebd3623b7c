/* SPDX-License-Identifier: MPL-2.0
 *
 * The store of a cache: layers and images, in the engine's own format (that
 * of containers/storage), which builds can only read.  What a build adds goes
 * to a store of its own, and from there to the cache when the build is over:
 *
 *	DRIVER/ID/ and DRIVER/l/LINK	layers (overlay); DRIVER/dir/ID/ (vfs)
 *	DRIVER-layers/layers.json	and ID.tar-split.gz beside it
 *	DRIVER-images/images.json	and ID/ beside it
 *
 * An entry is moved as it is.  Directories come first, so that a file in
 * JSON never names what is not there.  Engines that run at this time find by
 * the lock files that the lists have changed. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host.h"
#include "store.h"

enum { TOKEN_SIZE = 64 };

struct merge {
	const char *from, *to, *driver;
	json_t *from_layers, *to_layers, *from_images, *to_images;
};

/* ---- Files ---- */

static char *path_of(const char *root, const char *driver, const char *kind, const char *name)
{
	return nomad_strdupf("%s/%s%s%s%s", root, driver, kind, *name ? "/" : "", name);
}

/* An empty list if there is no such file. */
static json_t *load(const char *root, const char *driver, const char *kind, const char *name)
{
	NOMAD_AUTO_FREE char *path = path_of(root, driver, kind, name);
	NOMAD_AUTO_FD int fd = path ? open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK) : -1;
	json_t *list;

	if (fd < 0)
		return path && errno == ENOENT ? json_array() : NULL;
	list = json_loadfd(fd, JSON_REJECT_DUPLICATES, NULL);
	if (json_is_array(list))
		return list;
	json_decref(list);
	return NULL;
}

static int save(const struct merge *m, const char *kind, const char *name, json_t *list)
{
	NOMAD_AUTO_FREE char *path = path_of(m->to, m->driver, kind, name), *partial = NULL;
	int r = -ENOMEM;

	partial = path ? nomad_strdupf("%s.new", path) : NULL;
	NOMAD_AUTO_FD int fd =
		partial ? open(partial, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600) : -1;

	/* After a power cut there is the old list or the new one. */
	if (fd >= 0)
		r = json_dumpfd(list, fd, JSON_COMPACT) < 0 || fsync(fd) < 0 || rename(partial, path) < 0 ? -EIO : 0;
	return r;
}

/* The engine compares the words in a lock file with those that it saw last. */
static int touch_lock(const struct merge *m, const char *kind, const char *name)
{
	NOMAD_AUTO_FREE char *path = path_of(m->to, m->driver, kind, name);
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	NOMAD_AUTO_FD int fd = path ? open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644) : -1;
	char token[TOKEN_SIZE];

	if (fd < 0 || fcntl(fd, F_SETLKW, &lock) < 0 || getrandom(token, sizeof(token), 0) != (ssize_t)sizeof(token) ||
	    pwrite(fd, token, sizeof(token), 0) != (ssize_t)sizeof(token))
		return -EIO;
	return 0;
}

/* One at a time changes a store.  A descriptor, or a negative errno. */
static int lock_store(const char *root)
{
	NOMAD_AUTO_FREE char *path = nomad_strdupf("%s/merge.lock", root);
	int fd = path ? open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600) : -1;

	if (fd < 0 || flock(fd, LOCK_EX) == 0)
		return fd < 0 ? -errno : fd;
	close(fd);
	return -EIO;
}

static int prepare_kind(const struct merge *m, const char *kind, const char *list, const char *lock,
			struct nomad_error **err)
{
	NOMAD_AUTO_FREE char *dir = path_of(m->to, m->driver, kind, ""), *path = path_of(m->to, m->driver, kind, lock);
	json_t *none;
	int r = dir && path ? nomad_make_dirs(dir, 0700, err) : nomad_error_errno(err, ENOMEM, "prepare a cache");

	if (r < 0 || !access(path, F_OK))
		return r;
	none = json_array();
	if (save(m, kind, list, none) < 0 || touch_lock(m, kind, lock) < 0)
		r = nomad_error_errno(err, EIO, "prepare the cache '%s'", m->to);
	json_decref(none);
	return r;
}

int build_store_prepare(const char *root, const char *driver, struct nomad_error **err)
{
	const struct merge m = { .to = root, .driver = driver };
	NOMAD_AUTO_FREE char *layers = path_of(root, driver, strcmp(driver, "vfs") ? "/l" : "/dir", "");
	NOMAD_AUTO_FD int lock = -1;
	int r = layers ? nomad_make_dirs(layers, 0700, err) : nomad_error_errno(err, ENOMEM, "prepare a cache");

	if (r < 0)
		return r;
	lock = lock_store(root);
	if (lock < 0)
		return nomad_error_errno(err, -lock, "lock the cache '%s'", root);
	r = prepare_kind(&m, "-layers", "layers.json", "layers.lock", err);
	return r < 0 ? r : prepare_kind(&m, "-images", "images.json", "images.lock", err);
}

/* ---- Entries ---- */

static const char *id_of(const json_t *entry)
{
	const char *id = json_string_value(json_object_get(entry, "id"));

	return id && strlen(id) == 64 && strspn(id, "0123456789abcdef") == 64 ? id : NULL;
}

static json_t *find(const json_t *list, const char *id)
{
	size_t i;
	json_t *entry;

	json_array_foreach(list, i, entry)
	{
		const char *other = id_of(entry);

		if (other && strcmp(other, id) == 0)
			return entry;
	}
	return NULL;
}

/* What is at the place of a new entry belongs to none: a merge was interrupted. */
static int move(const struct merge *m, const char *kind, const char *name)
{
	NOMAD_AUTO_FREE char *from = path_of(m->from, m->driver, kind, name),
			     *to = path_of(m->to, m->driver, kind, name);

	if (!from || !to)
		return -ENOMEM;
	(void)unlink(to);
	(void)build_tree_remove(to);
	return rename(from, to) < 0 ? -errno : 0;
}

/* The name by which others find the layer in a mount's options. */
static int move_link(const struct merge *m, const char *id)
{
	NOMAD_AUTO_FREE char *path = path_of(m->from, m->driver, "", id), *file = NULL;
	char name[64];
	ssize_t n;

	file = path ? nomad_strdupf("%s/link", path) : NULL;
	NOMAD_AUTO_FD int fd = file ? open(file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW) : -1;

	n = fd < 0 ? -1 : read(fd, name, sizeof(name) - 1);
	if (n <= 0)
		return -EIO;
	name[n] = 0;
	if (strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") != (size_t)n)
		return -EINVAL;
	return move(m, "/l", name);
}

static int move_layer(struct merge *m, json_t *layer)
{
	const char *id = id_of(layer), *parent = json_string_value(json_object_get(layer, "parent"));
	NOMAD_AUTO_FREE char *split = NULL;
	int r;

	if (!id || find(m->to_layers, id))
		return 0;
	if (parent && *parent && !find(m->to_layers, parent))
		return 0; /* of a kind that this file does not know: stays behind */
	split = nomad_strdupf("%s.tar-split.gz", id);
	if (!split)
		return -ENOMEM;
	r = strcmp(m->driver, "vfs") ? move_link(m, id) : 0;
	if (r == 0)
		r = move(m, strcmp(m->driver, "vfs") ? "" : "/dir", id);
	if (r == 0)
		r = move(m, "-layers", split);
	(void)json_object_del(layer, "names");
	return r < 0 || json_array_append(m->to_layers, layer) < 0 ? (r < 0 ? r : -ENOMEM) : 0;
}

/* Whether its configuration has instructions for the builds that begin with it, or is not found. */
static bool has_triggers(const struct merge *m, const char *id)
{
	NOMAD_AUTO_FREE char *path = path_of(m->from, m->driver, "-images", id);
	DIR *d = path ? opendir(path) : NULL;
	bool found = false, triggers = false;
	struct dirent *entry;

	while (d && (entry = readdir(d))) {
		int fd =
			*entry->d_name == '=' ? openat(dirfd(d), entry->d_name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW) : -1;
		json_t *json = fd < 0 ? NULL : json_loadfd(fd, 0, NULL), *config = json_object_get(json, "config");

		found = found || json_object_get(json, "rootfs");
		triggers = triggers || json_array_size(json_object_get(config, "OnBuild"));
		json_decref(json);
		if (fd >= 0)
			close(fd);
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

static int move_image(struct merge *m, json_t *image, bool names)
{
	const char *id = id_of(image), *layer = json_string_value(json_object_get(image, "layer"));
	json_t *given = names ? json_incref(json_object_get(image, "names")) : NULL, *there;
	int r = 0;

	if (!id || (layer && *layer && !find(m->to_layers, layer)) ||
	    (names && !find(m->to_images, id) && has_triggers(m, id))) {
		json_decref(given);
		return 0;
	}
	take_names(m->to_images, given);
	(void)json_object_del(image, "names");
	(void)json_object_del(image, "names-history");
	there = find(m->to_images, id);
	if (!there) {
		r = move(m, "-images", id);
		if (r == 0 && json_array_append(m->to_images, image) < 0)
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

static int merge_all(struct merge *m, bool names)
{
	size_t i;
	json_t *entry;
	int r = 0;

	json_array_foreach(m->from_layers, i, entry) if (r == 0) r = move_layer(m, entry);
	/* What has been moved is told in any case. */
	if (save(m, "-layers", "layers.json", m->to_layers) < 0 || touch_lock(m, "-layers", "layers.lock") < 0)
		return -EIO;
	json_array_foreach(m->from_images, i, entry) if (r == 0) r = move_image(m, entry, names);
	if (save(m, "-images", "images.json", m->to_images) < 0 || touch_lock(m, "-images", "images.lock") < 0)
		return -EIO;
	return r;
}

int build_store_merge(const char *from, const char *to, const char *driver, bool names, struct nomad_error **err)
{
	NOMAD_AUTO_FD int lock = lock_store(to);
	struct merge m = { .from = from, .to = to, .driver = driver };
	int r = -EIO;

	if (lock < 0)
		return nomad_error_errno(err, -lock, "lock the cache '%s'", to);
	m.from_layers = load(from, driver, "-layers", "layers.json");
	m.from_images = load(from, driver, "-images", "images.json");
	m.to_layers = load(to, driver, "-layers", "layers.json");
	m.to_images = load(to, driver, "-images", "images.json");
	if (m.from_layers && m.from_images && m.to_layers && m.to_images)
		r = merge_all(&m, names);
	json_decref(m.from_layers);
	json_decref(m.from_images);
	json_decref(m.to_layers);
	json_decref(m.to_images);
	return r < 0 ? nomad_error_errno(err, -r, "add to the cache '%s'", to) : 0;
}

bool build_store_has(const char *root, const char *driver, const char *name)
{
	json_t *images = load(root, driver, "-images", "images.json"), *image, *other;
	bool found = false;
	size_t i, j;

	json_array_foreach(images, i, image) json_array_foreach(json_object_get(image, "names"), j, other) found =
		found || strcmp(json_string_value(other) ? json_string_value(other) : "", name) == 0;
	json_decref(images);
	return found;
}
