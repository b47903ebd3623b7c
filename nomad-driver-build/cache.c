/* SPDX-License-Identifier: MPL-2.0
 *
 * What of the caches stays.  What goes first is what was not used for the
 * longest time: a layer without a child, or a mount.
 *
 * A build sees the lists as they were when it began, so a layer can leave
 * them at any time.  Its files stay ("retired") while an older build runs,
 * and count: what is to be added waits for room, and is left out if there is
 * none. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "caches.h"
#include "host.h"

/* Where the files of retired layers cannot go yet, as much of the cache becomes room for later. */
enum { SLACK = 8 };

static void remove_path(char *take_path)
{
	NOMAD_AUTO_FREE char *path = take_path;

	if (path && unlink(path) < 0 && errno != ENOENT)
		(void)build_tree_remove(path);
}

static void remove_link(const struct build_store *store, const char *id)
{
	NOMAD_AUTO_FREE char *file = nomad_strdupf("%s/%s/%s/link", store->root, store->driver, id), *path = NULL;
	NOMAD_AUTO_FD int fd = file ? open(file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW) : -1;
	char name[64];
	ssize_t n = fd < 0 ? -1 : read(fd, name, sizeof(name) - 1);

	name[n > 0 ? n : 0] = 0;
	if (n > 0 && strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") == (size_t)n) {
		path = nomad_strdupf("%s/%s/l/%s", store->root, store->driver, name);
		if (path)
			(void)unlink(path);
	}
}

/* First what says that it is whole. */
static void remove_files(const struct build_store *store, const json_t *entry)
{
	const char *id = build_store_id(json_object_get(entry, "layer"));
	size_t i;
	json_t *image;

	if (id) {
		remove_path(build_store_split(store, id));
		if (strcmp(store->driver, "vfs") != 0)
			remove_link(store, id);
		remove_path(build_store_layer(store, id));
	}
	json_array_foreach(json_object_get(entry, "images"), i, image) if (build_store_id(image))
		remove_path(build_store_image(store, build_store_id(image)));
}

/* What no build that runs has seen. */
static void purge(struct build_caches *c, struct build_caches_one *one)
{
	for (size_t i = json_array_size(one->store.retired); i > 0; i--) {
		const json_t *entry = json_array_get(one->store.retired, i - 1);
		uint64_t size = build_caches_retired_size(entry);

		if (one->oldest <= json_integer_value(json_object_get(entry, "at")))
			continue;
		remove_files(&one->store, entry);
		(void)json_array_remove(one->store.retired, i - 1);
		c->retired -= size < c->retired ? size : c->retired;
		one->retired_size -= size < one->retired_size ? size : one->retired_size;
		one->changed = true;
	}
}

static void remove_entry(json_t *list, const json_t *entry)
{
	for (size_t i = json_array_size(list); i > 0; i--)
		if (json_array_get(list, i - 1) == entry)
			(void)json_array_remove(list, i - 1);
}

/* Its images, out of the list. */
static json_t *take_images(struct build_store *store, const char *layer)
{
	json_t *taken = json_array();

	for (size_t i = json_array_size(store->images); i > 0; i--) {
		json_t *image = json_array_get(store->images, i - 1);
		const char *of = json_string_value(json_object_get(image, "layer"));

		if (!of || strcmp(of, layer) != 0)
			continue;
		json_array_append(taken, image);
		(void)json_array_remove(store->images, i - 1);
	}
	return taken;
}

static void retire(struct build_caches *c, struct build_caches_unit *unit)
{
	struct build_caches_one *one = unit->one;
	json_t *entry = json_object(), *images;

	unit->gone = true;
	c->listed -= unit->size;
	if (unit->parent)
		unit->parent->children--;
	if (unit->mount) {
		remove_path(nomad_strdupf("%s/mounts/%s", one->dir, unit->mount));
		json_object_del(one->mounts, unit->mount);
		unit->mount = "";
		one->mounts_changed = true;
		json_decref(entry);
		return;
	}
	images = unit->layer ? take_images(&one->store, build_store_id(unit->layer)) : json_pack("[O]", unit->image);
	if (unit->layer)
		json_object_set(entry, "layer", unit->layer);
	json_object_set_new(entry, "images", images);
	json_object_set_new(entry, "at", json_integer(nomad_monotonic_ns()));
	json_array_append_new(one->store.retired, entry);
	remove_entry(unit->layer ? one->store.layers : one->store.images, unit->layer ? unit->layer : unit->image);
	one->changed = true;
	one->retired_size += unit->size;
	c->retired += unit->size;
	purge(c, one);
}

/* A mount is written to by all builds of its cache. */
static bool can_go(const struct build_caches *c, const struct build_caches_unit *unit)
{
	if (unit->gone || unit->children)
		return false;
	for (size_t i = 0; unit->mount && i < c->count; i++)
		if (c->all[i].builds && strcmp(c->all[i].name, unit->one->name) == 0)
			return false;
	return true;
}

static struct build_caches_unit *oldest(const struct build_caches *c)
{
	struct build_caches_unit *found = NULL;

	for (size_t i = 0; i < c->n_units; i++)
		if (can_go(c, &c->units[i]) && (!found || c->units[i].used < found->used))
			found = &c->units[i];
	return found;
}

static void make_room(struct build_caches *c, const struct build_cache_limits *limits, uint64_t need)
{
	int64_t now = nomad_wall_ns(), age = limits->max_age * INT64_C(1000000000);
	uint64_t keep = limits->max - limits->max / SLACK;
	struct build_caches_unit *unit;

	for (size_t i = 0; i < c->count; i++)
		purge(c, &c->all[i]);
	while (age && (unit = oldest(c)) && unit->used < now - age)
		retire(c, unit);
	/* A retired layer that has to stay makes no room now, but later. */
	while (c->listed + c->retired + need > limits->max && c->listed + need > (c->retired ? keep : limits->max) &&
	       (unit = oldest(c)))
		retire(c, unit);
}

void build_cache_collect(const char *base, const struct build_cache_limits *limits)
{
	struct build_caches c;

	build_caches_open(&c, base, NULL);
	make_room(&c, limits, 0);
	build_caches_close(&c);
}

int build_cache_add(const char *base, const struct build_cache_limits *limits, const char *from, const char *to,
		    const char *driver, bool names, bool *ret_fits, struct nomad_error **err)
{
	struct build_caches c;
	uint64_t need, room;
	int lock, r = build_store_check(from, to, driver, &need, err);

	*ret_fits = false;
	if (r < 0 || need > limits->max) /* what others have is not removed for nothing */
		return r;
	build_caches_open(&c, base, NULL);
	make_room(&c, limits, need);
	room = c.listed + c.retired < limits->max ? limits->max - c.listed - c.retired : 0;
	lock = c.lock; /* held until it is moved; the stores' own are not */
	c.lock = -1;
	build_caches_close(&c);
	*ret_fits = room >= need;
	r = build_store_merge(from, to, driver, names, room, err);
	if (lock >= 0)
		close(lock);
	return r;
}

/* ---- What was used ---- */

static bool is_of(const json_t *image, const char *word)
{
	const char *id = build_store_id(image);
	json_t *name;
	size_t i;

	json_array_foreach(json_object_get(image, "names"), i,
			   name) if (strcmp(json_string_value(name), word) == 0) return true;
	return id && strcmp(id, word) == 0;
}

static void touch(char *take_path)
{
	NOMAD_AUTO_FREE char *path = take_path;

	if (path)
		(void)utimensat(AT_FDCWD, path, NULL, AT_SYMLINK_NOFOLLOW);
}

static void use(const struct build_store *store, const json_t *image)
{
	const char *id = json_string_value(json_object_get(image, "layer"));
	const json_t *layer = id ? build_store_find(store->layers, id) : NULL;
	size_t n = json_array_size(store->layers) + 1;

	if (!layer && build_store_id(image))
		touch(build_store_image(store, build_store_id(image)));
	for (; layer && n; n--) { /* a list can be a ring */
		touch(build_store_split(store, build_store_id(layer)));
		id = json_string_value(json_object_get(layer, "parent"));
		layer = id ? build_store_find(store->layers, id) : NULL;
	}
}

void build_cache_use(const char *root, const char *driver, char *const *images)
{
	struct build_store store;
	json_t *image;
	size_t i, j;

	if (!images || !images[0] || build_store_open(root, driver, LOCK_SH, &store, NULL) < 0)
		return;
	json_array_foreach(store.images, i, image) for (j = 0; images[j]; j++) if (is_of(image, images[j]))
		use(&store, image);
	build_store_close(&store);
}

void build_cache_measure(const char *base, const char *mounts)
{
	NOMAD_AUTO_FREE char *lock_path = nomad_strdupf("%s/cache/.lock", base),
			     *sizes = nomad_strdupf("%s.json", mounts);
	DIR *d = opendir(mounts);
	json_t *all = json_object();
	struct dirent *entry;
	int lock;

	while (d && all && (entry = readdir(d))) {
		NOMAD_AUTO_FREE char *path = nomad_strdupf("%s/%s", mounts, entry->d_name);

		if (*entry->d_name != '.' && path)
			json_object_set_new(all, entry->d_name, json_integer((json_int_t)build_tree_size(path)));
	}
	if (d)
		closedir(d);
	lock = lock_path ? open(lock_path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600) : -1;
	if (sizes && all && lock >= 0 && flock(lock, LOCK_EX) == 0)
		(void)json_dump_file(all, sizes, JSON_COMPACT);
	if (lock >= 0)
		close(lock);
	json_decref(all);
}

/* ---- What people ask ---- */

static struct build_cache_info info_of(const struct build_caches *c, const struct build_caches_one *one)
{
	struct build_cache_info info = { .name = one->name, .retired_size = one->retired_size, .builds = one->builds };

	info.images = json_array_size(one->store.images);
	for (size_t i = 0; i < c->n_units; i++) {
		const struct build_caches_unit *unit = &c->units[i];

		if (unit->one != one)
			continue;
		*(unit->mount ? &info.mounts_size : &info.layers_size) += unit->size;
		info.layers += unit->layer ? 1 : 0;
		info.mounts += unit->mount ? 1 : 0;
		if (unit->used / 1000000000 > info.used)
			info.used = unit->used / 1000000000;
	}
	return info;
}

void build_cache_each(const char *base, bool (*each)(void *arg, const struct build_cache_info *info), void *arg)
{
	struct build_caches c;

	build_caches_open(&c, base, NULL);
	for (size_t i = 0; i < c.count; i++) {
		struct build_cache_info info = info_of(&c, &c.all[i]);

		if (!each(arg, &info))
			break;
	}
	build_caches_close(&c);
}

int build_cache_drop(const char *base, const char *name)
{
	struct build_caches c;
	struct build_caches_unit *unit;
	int r;

	build_caches_open(&c, base, name);
	r = c.count ? 0 : -ENOENT;
	for (size_t i = 0; i < c.count; i++)
		purge(&c, &c.all[i]);
	while ((unit = oldest(&c)))
		retire(&c, unit);
	if (c.listed || c.retired)
		r = 1;
	build_caches_close(&c);
	return r;
}

/* With its children; a list can be a ring. */
static void drop_layer(struct build_caches *c, struct build_caches_unit *bad)
{
	if (bad->gone)
		return;
	bad->gone = true;
	for (size_t i = 0; i < c->n_units; i++)
		if (c->units[i].parent == bad)
			drop_layer(c, &c->units[i]);
	retire(c, bad);
}

int build_cache_verify(const char *base, const char *name, void (*bad)(void *arg, const char *id), void *arg,
		       size_t *ret_layers)
{
	struct build_caches c;
	int r;

	*ret_layers = 0;
	build_caches_open(&c, base, name);
	r = c.count ? 0 : -ENOENT;
	for (size_t i = 0; i < c.n_units; i++) {
		struct build_caches_unit *unit = &c.units[i];
		const char *id = build_store_id(unit->layer);
		const char *digest = json_string_value(json_object_get(unit->layer, "diff-digest"));

		if (unit->gone || !id)
			continue;
		++*ret_layers;
		if (digest && build_layer_check(&unit->one->store, id, digest) == 0)
			continue;
		bad(arg, id);
		drop_layer(&c, unit);
		r = 1;
	}
	build_caches_close(&c);
	return r;
}
