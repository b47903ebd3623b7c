/* SPDX-License-Identifier: MPL-2.0
 *
 * Caches: BASE/cache/NAMESPACE~NAME/ with root-DRIVER/ (store.c), mounts/
 * (the directories of RUN --mount=type=cache) and mounts.json (their sizes).
 *
 *	last use of a layer	the mtime of its ID.tar-split.gz; a parent is used with its child
 *	of a mount		the youngest time of its directory
 *	size of a layer		in the list, measured when it was added (merge.c)
 *	root-DRIVER/builds/TASK	locked by a running build; holds the time when it began
 *	BASE/cache/.lock		held while anything is added or removed */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "caches.h"
#include "host.h"

enum { STORES_MAX = 4096 };

/* ---- Builds that run ---- */

int build_cache_pin(const char *root, const char *task, struct nomad_error **err)
{
	NOMAD_AUTO_FREE char *dir = nomad_strdupf("%s/builds", root), *path = NULL;
	char text[32];
	int fd = -1, r = dir ? nomad_make_dirs(dir, 0700, err) : nomad_error_errno(err, ENOMEM, "use the cache");
	NOMAD_AUTO_FD int lock = r < 0 ? -1 : build_store_lock(root, LOCK_SH); /* who removes something has it alone */

	if (r < 0 || lock < 0) {
		if (r >= 0)
			nomad_error_errno(err, -lock, "lock the cache '%s'", root);
		return -1;
	}
	path = nomad_strdupf("%s/%s", dir, task);
	fd = path ? open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600) : -1;
	snprintf(text, sizeof(text), "%" PRId64, nomad_monotonic_ns());
	if (fd < 0 || flock(fd, LOCK_EX) < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text)) {
		nomad_error_errno(err, errno, "use the cache '%s'", root);
		if (fd >= 0)
			close(fd);
		fd = -1;
	}
	return fd;
}

static void find_builds(struct build_caches_one *one)
{
	NOMAD_AUTO_FREE char *dir = nomad_strdupf("%s/builds", one->root);
	DIR *d = dir ? opendir(dir) : NULL;
	struct dirent *entry;

	one->oldest = INT64_MAX;
	while (d && (entry = readdir(d))) {
		NOMAD_AUTO_FD int fd = -1;
		char text[32] = "";
		int64_t began;

		if (*entry->d_name == '.')
			continue;
		fd = openat(dirfd(d), entry->d_name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
		if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0) {
			(void)unlinkat(dirfd(d), entry->d_name, 0);
			continue;
		}
		one->builds++;
		began = fd >= 0 && read(fd, text, sizeof(text) - 1) > 0 ? strtoll(text, NULL, 10) : 0;
		if (began < one->oldest)
			one->oldest = began;
	}
	if (d)
		closedir(d);
}

/* ---- What there is ---- */

static int64_t newest_ns(const struct stat *st)
{
	const struct timespec *times[] = { &st->st_mtim, &st->st_atim };
	int64_t newest = 0;

	for (size_t i = 0; i < NOMAD_ARRAY_LEN(times); i++) {
		int64_t ns = times[i]->tv_sec * INT64_C(1000000000) + times[i]->tv_nsec;

		newest = ns > newest ? ns : newest;
	}
	return newest;
}

static int64_t used_ns(char *take_path, bool by_reading)
{
	NOMAD_AUTO_FREE char *path = take_path;
	struct stat st;

	if (!path || lstat(path, &st) < 0)
		return 0;
	return by_reading ? newest_ns(&st) : st.st_mtim.tv_sec * INT64_C(1000000000) + st.st_mtim.tv_nsec;
}

static bool add_unit(struct build_caches *c, struct build_caches_unit unit)
{
	struct build_caches_unit *grown =
		c->n_units % 256 ? c->units : reallocarray(c->units, c->n_units + 256, sizeof(*grown));

	if (!grown)
		return false;
	c->units = grown;
	grown[c->n_units++] = unit;
	c->listed += unit.size;
	return true;
}

/* Layers of a version that did not note their sizes are measured once. */
static uint64_t size_of(struct build_caches_one *one, json_t *layer)
{
	const char *id = build_store_id(layer);
	json_t *size = json_object_get(layer, BUILD_STORE_SIZE);
	NOMAD_AUTO_FREE char *path = !size && id ? build_store_layer(&one->store, id) : NULL;

	if (size)
		return (uint64_t)json_integer_value(size);
	if (path) {
		json_object_set_new(layer, BUILD_STORE_SIZE, json_integer((json_int_t)build_tree_size(path)));
		one->changed = true;
	}
	return (uint64_t)json_integer_value(json_object_get(layer, BUILD_STORE_SIZE));
}

static bool add_layers(struct build_caches *c, struct build_caches_one *one)
{
	json_t *entry, *index = json_object();
	size_t first = c->n_units, i;
	bool good = index;

	json_array_foreach(one->store.layers, i, entry)
	{
		const char *id = build_store_id(entry);

		if (!good || !id)
			continue;
		json_object_set_new(index, id, json_integer((json_int_t)c->n_units + 1));
		good = add_unit(
			c, (struct build_caches_unit){ .one = one,
						       .layer = entry,
						       .size = size_of(one, entry),
						       .used = used_ns(build_store_split(&one->store, id), false) });
	}
	for (i = first; good && i < c->n_units; i++) {
		const char *parent = json_string_value(json_object_get(c->units[i].layer, "parent"));
		json_int_t at = parent ? json_integer_value(json_object_get(index, parent)) : 0;

		/* An index first: the array may still move. */
		c->units[i].parent = (struct build_caches_unit *)(uintptr_t)at;
	}
	json_decref(index);
	json_array_foreach(one->store.images, i, entry)
	{
		const char *id = build_store_id(entry), *layer = json_string_value(json_object_get(entry, "layer"));

		if (good && id && (!layer || !*layer))
			good = add_unit(c, (struct build_caches_unit){
						   .one = one,
						   .image = entry,
						   .size = BUILD_IMAGE_SIZE,
						   .used = used_ns(build_store_image(&one->store, id), false) });
	}
	return good;
}

static bool add_mounts(struct build_caches *c, struct build_caches_one *one)
{
	NOMAD_AUTO_FREE char *dir = nomad_strdupf("%s/mounts", one->dir);
	DIR *d = dir ? opendir(dir) : NULL;
	struct dirent *entry;
	bool good = true;

	while (d && good && (entry = readdir(d))) {
		json_t *size = json_object_get(one->mounts, entry->d_name);

		if (*entry->d_name == '.')
			continue;
		if (!size) {
			size = json_integer(0);
			json_object_set_new(one->mounts, entry->d_name, size);
		}
		good = add_unit(c,
				(struct build_caches_unit){
					.one = one,
					.mount = json_object_iter_key(json_object_iter_at(one->mounts, entry->d_name)),
					.size = (uint64_t)json_integer_value(size),
					.used = used_ns(nomad_strdupf("%s/%s", dir, entry->d_name), true) });
	}
	if (d)
		closedir(d);
	return good;
}

static json_t *load_mounts(const char *dir)
{
	NOMAD_AUTO_FREE char *path = nomad_strdupf("%s/mounts.json", dir);
	json_t *sizes = path ? json_load_file(path, 0, NULL) : NULL;

	if (json_is_object(sizes))
		return sizes;
	json_decref(sizes);
	return json_object();
}

uint64_t build_caches_retired_size(const json_t *entry)
{
	const json_t *layer = json_object_get(entry, "layer");

	return layer ? (uint64_t)json_integer_value(json_object_get(layer, BUILD_STORE_SIZE)) : BUILD_IMAGE_SIZE;
}

static void add_retired(struct build_caches *c, struct build_caches_one *one)
{
	size_t i;
	json_t *entry;

	json_array_foreach(one->store.retired, i, entry) one->retired_size += build_caches_retired_size(entry);
	c->retired += one->retired_size;
}

/* One store of a cache; its mounts come with the first. */
static bool add_store(struct build_caches *c, const char *base, const char *name, const char *root_name, bool first)
{
	struct build_caches_one *grown = reallocarray(c->all, c->count + 1, sizeof(*grown)), *one;

	if (!grown || c->count >= STORES_MAX)
		return false;
	c->all = grown;
	one = &grown[c->count];
	*one = (struct build_caches_one){ .dir = nomad_strdupf("%s/cache/%s", base, name), .name = strdup(name) };
	one->store.lock = -1;
	one->root = one->dir ? nomad_strdupf("%s/%s", one->dir, root_name) : NULL;
	c->count++;
	if (!one->root || !one->name)
		return false;
	if (first)
		one->mounts = load_mounts(one->dir);
	return build_store_open(one->root, strcmp(root_name, "root-vfs") ? "overlay" : "vfs", LOCK_EX, &one->store,
				NULL) >= 0;
}

static bool add_cache(struct build_caches *c, const char *base, const char *name)
{
	static const char *const roots[] = { "root-overlay", "root-vfs" };
	bool first = true, good = true;

	for (size_t i = 0; i < NOMAD_ARRAY_LEN(roots) && good; i++) {
		NOMAD_AUTO_FREE char *path = nomad_strdupf("%s/cache/%s/%s", base, name, roots[i]);
		struct stat st;

		if (!path || lstat(path, &st) < 0 || !S_ISDIR(st.st_mode))
			continue;
		good = add_store(c, base, name, roots[i], first);
		/* One whose lists are damaged neither counts nor goes by itself. */
		if (!good && c->count) {
			struct build_caches_one *one = &c->all[--c->count];

			nomad_log_kv(NOMAD_LOG_WARN, "a cache cannot be read", "path", one->root ? one->root : "",
				     NULL);
			free(one->dir);
			free(one->name);
			free(one->root);
			json_decref(one->mounts);
			good = true;
			continue;
		}
		first = false;
	}
	return good;
}

static void point_to_parents(struct build_caches *c)
{
	for (size_t i = 0; i < c->n_units; i++) {
		size_t at = (size_t)(uintptr_t)c->units[i].parent;

		c->units[i].parent = at && at <= c->n_units && at != i + 1 ? &c->units[at - 1] : NULL;
		if (c->units[i].parent)
			c->units[i].parent->children++;
	}
}

void build_caches_open(struct build_caches *c, const char *base, const char *name)
{
	NOMAD_AUTO_FREE char *dir = nomad_strdupf("%s/cache", base), *lock = nomad_strdupf("%s/cache/.lock", base);
	struct dirent **entries = NULL;
	int n;

	*c = (struct build_caches){ .lock = lock ? open(lock, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600) : -1 };
	if (!dir || c->lock < 0 || flock(c->lock, LOCK_EX) < 0)
		return;
	n = scandir(dir, &entries, NULL, alphasort);
	for (int i = 0; i < n; i++) {
		if (*entries[i]->d_name != '.' && (!name || strcmp(name, entries[i]->d_name) == 0))
			(void)add_cache(c, base, entries[i]->d_name);
		free(entries[i]);
	}
	free(entries);
	/* Only now: the array has moved while it grew. */
	for (size_t i = 0; i < c->count; i++) {
		find_builds(&c->all[i]);
		add_retired(c, &c->all[i]);
		if (!add_layers(c, &c->all[i]) || (c->all[i].mounts && !add_mounts(c, &c->all[i])))
			break;
	}
	point_to_parents(c);
}

void build_caches_close(struct build_caches *c)
{
	for (size_t i = 0; i < c->count; i++) {
		struct build_caches_one *one = &c->all[i];
		NOMAD_AUTO_FREE char *path = nomad_strdupf("%s/mounts.json", one->dir);

		if (one->changed && build_store_save(&one->store) < 0)
			nomad_log_kv(NOMAD_LOG_ERROR, "cannot write the lists of a cache", "path", one->root, NULL);
		if (one->mounts_changed && path)
			(void)json_dump_file(one->mounts, path, JSON_COMPACT);
		build_store_close(&one->store);
		json_decref(one->mounts);
		free(one->dir);
		free(one->name);
		free(one->root);
	}
	free(c->all);
	free(c->units);
	if (c->lock >= 0)
		close(c->lock);
	*c = (struct build_caches){ .lock = -1 };
}
