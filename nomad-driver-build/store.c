/* SPDX-License-Identifier: MPL-2.0
 *
 * The store of a cache: layers and images, in the engine's own format (that
 * of containers/storage), which builds can only read.
 *
 *	DRIVER/ID/ and DRIVER/l/LINK	layers (overlay); DRIVER/dir/ID/ (vfs)
 *	DRIVER-layers/layers.json	and ID.tar-split.gz beside it
 *	DRIVER-images/images.json	and ID/ beside it
 *	retired.json			the driver's own: what waits to be removed
 *	merge.lock			the driver's own, held while the lists are read or changed
 *
 * A build does not see the lists change: it gets a copy (build_store_view). */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host.h"
#include "store.h"

enum { TOKEN_SIZE = 64, JSON_MAX = 64 << 20 };

/* ---- Files ---- */

static char *path_of(const struct build_store *store, const char *kind, const char *name)
{
	return nomad_strdupf("%s/%s%s%s%s", store->root, store->driver, kind, *name ? "/" : "", name);
}

char *build_store_split(const struct build_store *store, const char *id)
{
	NOMAD_AUTO_FREE char *name = nomad_strdupf("%s.tar-split.gz", id);

	return name ? path_of(store, "-layers", name) : NULL;
}

char *build_store_layer(const struct build_store *store, const char *id)
{
	return path_of(store, strcmp(store->driver, "vfs") ? "" : "/dir", id);
}

char *build_store_image(const struct build_store *store, const char *id)
{
	return path_of(store, "-images", id);
}

/* json_loadfd() calls read() for each byte. */
json_t *build_json_load(int dirfd, const char *path, size_t flags)
{
	int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	FILE *in = fd < 0 ? NULL : fdopen(fd, "r");
	json_t *json = NULL;
	struct stat st;

	if (!in) {
		int saved = errno;

		if (fd >= 0)
			close(fd);
		errno = saved;
		return NULL;
	}
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size <= JSON_MAX)
		json = json_loadf(in, flags, NULL);
	fclose(in);
	errno = EINVAL;
	return json;
}

/* An empty list if there is no such file. */
static json_t *load(char *take_path)
{
	NOMAD_AUTO_FREE char *path = take_path;
	json_t *list = path ? build_json_load(AT_FDCWD, path, JSON_REJECT_DUPLICATES) : NULL;

	if (json_is_array(list))
		return list;
	if (path && !list && errno == ENOENT)
		return json_array();
	json_decref(list);
	return NULL;
}

/* After a power cut there is the old list or the new one. */
static int save(char *take_path, const json_t *list)
{
	NOMAD_AUTO_FREE char *path = take_path, *partial = path ? nomad_strdupf("%s.new", path) : NULL;
	int fd = partial ? open(partial, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600) : -1;
	FILE *out = fd < 0 ? NULL : fdopen(fd, "w");
	int r = 0;

	if (!out) {
		r = partial ? -errno : -ENOMEM;
		if (fd >= 0)
			close(fd);
		return r;
	}
	if (json_dumpf(list, out, JSON_COMPACT) < 0 || fflush(out) || fsync(fd) < 0)
		r = -EIO;
	return fclose(out) || r < 0 || rename(partial, path) < 0 ? -EIO : 0;
}

/* The engine compares the words in a lock file with those that it saw last. */
static int touch_lock(char *take_path)
{
	NOMAD_AUTO_FREE char *path = take_path;
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	NOMAD_AUTO_FD int fd = path ? open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644) : -1;
	char token[TOKEN_SIZE];

	if (fd < 0 || fcntl(fd, F_SETLKW, &lock) < 0 || getrandom(token, sizeof(token), 0) != (ssize_t)sizeof(token) ||
	    pwrite(fd, token, sizeof(token), 0) != (ssize_t)sizeof(token))
		return -EIO;
	return 0;
}

int build_store_lock(const char *root, int how)
{
	NOMAD_AUTO_FREE char *path = nomad_strdupf("%s/merge.lock", root);
	int fd = path ? open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600) : -1;

	if (fd < 0 || flock(fd, how) == 0)
		return fd < 0 ? -errno : fd;
	close(fd);
	return -EIO;
}

/* An entry that is in the lists as well was being retired, or brought back, when the power failed. */
static void clean_retired(struct build_store *store)
{
	for (size_t i = json_array_size(store->retired); i > 0; i--) {
		const json_t *entry = json_array_get(store->retired, i - 1), *layer = json_object_get(entry, "layer");
		const json_t *image = json_array_get(json_object_get(entry, "images"), 0);
		const char *id = build_store_id(layer ? layer : image);

		if (!id || build_store_find(layer ? store->layers : store->images, id))
			(void)json_array_remove(store->retired, i - 1);
	}
}

int build_store_open(const char *root, const char *driver, int lock, struct build_store *ret, struct nomad_error **err)
{
	*ret = (struct build_store){ .root = strdup(root), .driver = driver, .lock = -1 };
	if (!ret->root)
		return nomad_error_errno(err, ENOMEM, "open the store '%s'", root);
	if (lock) {
		ret->lock = build_store_lock(root, lock);
		if (ret->lock < 0) {
			int r = nomad_error_errno(err, -ret->lock, "lock the cache '%s'", root);

			build_store_close(ret);
			return r;
		}
	}
	ret->layers = load(path_of(ret, "-layers", "layers.json"));
	ret->images = load(path_of(ret, "-images", "images.json"));
	ret->retired = load(nomad_strdupf("%s/retired.json", root));
	if (!ret->layers || !ret->images || !ret->retired) {
		build_store_close(ret);
		return nomad_error_set(err, EIO, "the lists of the store '%s' are damaged; remove the cache", root);
	}
	clean_retired(ret);
	return 0;
}

void build_store_close(struct build_store *store)
{
	json_decref(store->layers);
	json_decref(store->images);
	json_decref(store->retired);
	if (store->lock >= 0)
		close(store->lock);
	free(store->root);
	*store = (struct build_store){ .lock = -1 };
}

/* In this order, what an engine finds in a list is on the disk. */
int build_store_save(const struct build_store *store)
{
	if (save(nomad_strdupf("%s/retired.json", store->root), store->retired) < 0 ||
	    save(path_of(store, "-layers", "layers.json"), store->layers) < 0 ||
	    touch_lock(path_of(store, "-layers", "layers.lock")) < 0 ||
	    save(path_of(store, "-images", "images.json"), store->images) < 0 ||
	    touch_lock(path_of(store, "-images", "images.lock")) < 0)
		return -EIO;
	return 0;
}

static int make_dirs(char *take_path, struct nomad_error **err)
{
	NOMAD_AUTO_FREE char *path = take_path;

	return path ? nomad_make_dirs(path, 0700, err) : nomad_error_errno(err, ENOMEM, "prepare a cache");
}

int build_store_prepare(const char *root, const char *driver, struct nomad_error **err)
{
	const struct build_store at = { .root = (char *)(uintptr_t)root, .driver = driver };
	NOMAD_AUTO_FREE char *done = path_of(&at, "-images", "images.lock");
	struct build_store store;
	int r = make_dirs(path_of(&at, strcmp(driver, "vfs") ? "/l" : "/dir", ""), err);

	if (r >= 0)
		r = make_dirs(path_of(&at, "-layers", ""), err);
	if (r >= 0)
		r = make_dirs(path_of(&at, "-images", ""), err);
	if (r < 0 || (done && !access(done, F_OK)))
		return r;
	r = build_store_open(root, driver, LOCK_EX, &store, err);
	if (r < 0)
		return r;
	if (done && access(done, F_OK) && build_store_save(&store) < 0)
		r = nomad_error_errno(err, EIO, "prepare the cache '%s'", root);
	build_store_close(&store);
	return r;
}

/* ---- Entries ---- */

const char *build_store_id(const json_t *entry)
{
	const char *id = json_string_value(json_object_get(entry, "id"));

	return id && strlen(id) == 64 && strspn(id, "0123456789abcdef") == 64 ? id : NULL;
}

json_t *build_store_find(const json_t *list, const char *id)
{
	size_t i;
	json_t *entry;

	json_array_foreach(list, i, entry)
	{
		const char *other = build_store_id(entry);

		if (other && strcmp(other, id) == 0)
			return entry;
	}
	return NULL;
}

bool build_store_has(const char *root, const char *driver, const char *name)
{
	const struct build_store store = { .root = (char *)(uintptr_t)root, .driver = driver };
	json_t *images = load(path_of(&store, "-images", "images.json")), *image, *other;
	bool found = false;
	size_t i, j;

	json_array_foreach(images, i, image) json_array_foreach(json_object_get(image, "names"), j, other) found =
		found || strcmp(json_string_value(other) ? json_string_value(other) : "", name) == 0;
	json_decref(images);
	return found;
}

/* ---- What a build sees ---- */

/* The same path below `link`. */
static int link_one(const struct build_store *view, char *take_at, const char *link)
{
	NOMAD_AUTO_FREE char *at = take_at, *to = at ? nomad_strdupf("%s%s", link, at + strlen(view->root)) : NULL;

	return !to ? -ENOMEM : symlink(to, at) < 0 ? -errno : 0;
}

static int link_entries(const struct build_store *view, const json_t *list, const char *link,
			char *(*path)(const struct build_store *store, const char *id))
{
	int r = 0;
	size_t i;
	json_t *entry;

	json_array_foreach(list, i, entry)
	{
		const char *id = build_store_id(entry);

		if (id && r >= 0)
			r = link_one(view, path(view, id), link);
	}
	return r;
}

/* Layer by layer: an engine that finds the directory of one that is not in its list, because another build has added it
 * meanwhile, cannot make it. */
static int make_view(const struct build_store *store, const struct build_store *view, const char *link)
{
	int r = strcmp(view->driver, "vfs") ? link_one(view, path_of(view, "", "l"), link) : 0;

	if (r >= 0)
		r = link_entries(view, store->layers, link, build_store_layer);
	if (r >= 0)
		r = link_entries(view, store->layers, link, build_store_split);
	if (r >= 0)
		r = link_entries(view, store->images, link, build_store_image);
	return r < 0 ? r : build_store_save(view);
}

int build_store_view(const char *root, const char *driver, const char *at, const char *link, struct nomad_error **err)
{
	struct build_store store, view;
	int r = build_store_open(root, driver, LOCK_SH, &store, err);

	if (r < 0)
		return r;
	view = (struct build_store){ .root = (char *)(uintptr_t)at,
				     .driver = driver,
				     .layers = store.layers,
				     .images = store.images,
				     .retired = store.retired };
	r = make_dirs(path_of(&view, strcmp(driver, "vfs") ? "" : "/dir", ""), err);
	if (r >= 0)
		r = make_dirs(path_of(&view, "-layers", ""), err);
	if (r >= 0)
		r = make_dirs(path_of(&view, "-images", ""), err);
	if (r >= 0) {
		r = make_view(&store, &view, link);
		if (r < 0)
			nomad_error_errno(err, -r, "show the cache '%s' to the build", root);
	}
	build_store_close(&store);
	return r;
}
