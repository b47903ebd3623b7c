/* SPDX-License-Identifier: MPL-2.0
 *
 * The bound of the cache of images, see download.c for its files.  An image
 * counts with its own tree or disk, and each layer once.  When all are too
 * large, layers that no image has go first, then the images that were used
 * longest ago and are not used now, and with each the layers that nobody
 * else has. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "download.h"
#include "oci.h"
#include "tool.h"

struct entry {
	char *name;
	bool layer, gone, tried;
	int64_t mb;
	time_t used;
	char **layers; /* of an image */
};

struct cache {
	const char *dir;
	struct entry *list;
	size_t n;
	int64_t mb;
};

char *nspawn_download_config(const char *dir, const char *name)
{
	return nomad_strdupf("%s/.oci-%s", dir, name);
}

bool nspawn_cache_in_use(const char *dir, const char *name)
{
	NOMAD_AUTO_FREE char *path = nomad_strdupf("%s/.use-%s", dir, name);
	DIR *d = path ? opendir(path) : NULL;
	struct dirent *e;
	bool used = !path;

	while (d && !used && (e = readdir(d)))
		used = e->d_name[0] != '.';
	if (d)
		closedir(d);
	return used;
}

static int lock(const char *dir, int how)
{
	NOMAD_AUTO_FREE char *path = nomad_strdupf("%s/.lock.layers", dir);
	int fd = path ? open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600) : -1;

	if (fd >= 0 && flock(fd, how) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

int nspawn_cache_hold(const char *dir)
{
	return lock(dir, LOCK_SH);
}

static int64_t size_mb(const char *path)
{
	NOMAD_AUTO_FREE char *out = NULL;

	if (nspawn_tool_run((const char *const[]){ "du", "-sm", "--", path, NULL },
			    &(struct nspawn_tool){ .timeout_ms = 600000 }, &out, NULL) < 0)
		return 0;
	return atoll(out);
}

/* "debian.raw" -> "debian": what the other names are made of. */
static void strip_raw(char *name)
{
	size_t n = strlen(name);

	if (n > 4 && strcmp(name + n - 4, ".raw") == 0)
		name[n - 4] = 0;
}

/* The layers of an image; NULL if it is a tree or a disk. */
static char **layers_of(const char *dir, const char *base)
{
	NOMAD_AUTO_FREE char *config = nspawn_download_config(dir, base);
	struct nspawn_oci oci = { 0 };
	char **layers;

	if (!config || access(config, R_OK) < 0 || nspawn_oci_read(config, &oci, NULL) < 0) {
		nspawn_oci_done(&oci);
		return NULL;
	}
	layers = NOMAD_TAKE_PTR(oci.layers);
	nspawn_oci_done(&oci);
	return layers;
}

static void add(struct cache *c, const char *dir, const char *name, bool layer)
{
	NOMAD_AUTO_FREE char *path = nomad_strdupf("%s/%s", dir, name), *base = strdup(name), *use = NULL;
	struct entry *more = realloc(c->list, (c->n + 1) * sizeof(*more)), *e;
	struct stat st;

	c->list = more ? more : c->list;
	if (base)
		strip_raw(base);
	use = base ? nomad_strdupf("%s/.use-%s", dir, base) : NULL;
	if (!more || !path || !use || (stat(use, &st) < 0 && stat(path, &st) < 0))
		return;
	e = &c->list[c->n++];
	*e = (struct entry){ .name = strdup(name), .layer = layer, .mb = size_mb(path), .used = st.st_mtime };
	e->layers = layer ? NULL : layers_of(dir, base);
	c->mb += e->mb;
}

static void list(struct cache *c, const char *dir, bool layers)
{
	DIR *d = opendir(dir);
	struct dirent *e;

	while (d && (e = readdir(d)))
		if (e->d_name[0] != '.')
			add(c, dir, e->d_name, layers);
	if (d)
		closedir(d);
}

static bool is_needed(const struct cache *c, const char *layer)
{
	for (size_t i = 0; i < c->n; i++)
		for (char **l = c->list[i].gone ? NULL : c->list[i].layers; l && *l; l++)
			if (strcmp(*l, layer) == 0)
				return true;
	return false;
}

static void remove_tree(const char *path)
{
	struct nomad_error *err = NULL;

	if (nomad_remove_tree(path, &err) < 0)
		nomad_log(NOMAD_LOG_WARN, "cannot remove an image: %s", nomad_error_message(err));
	nomad_error_free(err);
}

/* One that nobody uses, and that nobody begins to use meanwhile. */
static bool image_remove(const struct cache *c, const char *entry)
{
	NOMAD_AUTO_FREE char *name = strdup(entry), *lock_path = NULL, *path = nomad_strdupf("%s/%s", c->dir, entry);
	NOMAD_AUTO_FREE char *oci = NULL;
	NOMAD_AUTO_FD int held = -1;

	if (!name || !path)
		return false;
	strip_raw(name);
	oci = nspawn_download_config(c->dir, name);
	lock_path = nomad_strdupf("%s/.lock-%s", c->dir, name);
	held = lock_path ? open(lock_path, O_RDWR | O_CREAT | O_CLOEXEC, 0600) : -1;
	if (held < 0 || !oci || flock(held, LOCK_EX | LOCK_NB) < 0 || nspawn_cache_in_use(c->dir, name))
		return false;
	remove_tree(path);
	remove_tree(oci);
	return true;
}

/* A layer was used as long as an image that has it. */
static void pass_time(struct cache *c, const struct entry *image)
{
	for (char **l = image->layers; l && *l; l++) {
		NOMAD_AUTO_FREE char *path = nomad_strdupf("%s/.layers/%s", c->dir, *l);
		struct timespec times[2] = { { .tv_sec = image->used }, { .tv_sec = image->used } };

		for (size_t i = 0; i < c->n; i++)
			if (c->list[i].layer && strcmp(c->list[i].name, *l) == 0 && c->list[i].used < image->used) {
				c->list[i].used = image->used;
				(void)!(path && utimensat(AT_FDCWD, path, times, 0));
			}
	}
}

static void drop(struct cache *c, struct entry *e)
{
	NOMAD_AUTO_FREE char *path = nomad_strdupf("%s/.layers/%s", c->dir, e->name);

	e->tried = true;
	e->gone = e->layer || image_remove(c, e->name);
	if (e->layer && path)
		remove_tree(path);
	if (e->gone)
		c->mb -= e->mb;
	if (e->gone && !e->layer)
		pass_time(c, e);
}

static struct entry *oldest(struct cache *c, bool layer)
{
	struct entry *found = NULL;

	for (size_t i = 0; i < c->n; i++) {
		struct entry *e = &c->list[i];

		if (e->name && !e->tried && e->layer == layer && (!found || e->used < found->used) &&
		    !(layer && is_needed(c, e->name)))
			found = e;
	}
	return found;
}

void nspawn_cache_collect(const char *dir, int64_t limit_mb)
{
	NOMAD_AUTO_FD int held = lock(dir, LOCK_EX | LOCK_NB);
	NOMAD_AUTO_FREE char *layers = nomad_strdupf("%s/.layers", dir);
	struct cache c = { .dir = dir };
	struct entry *e;

	if (held < 0 || !layers)
		return;
	list(&c, dir, false);
	list(&c, layers, true);
	while (c.mb > limit_mb) {
		e = oldest(&c, true);
		e = e ? e : oldest(&c, false);
		if (!e)
			break;
		drop(&c, e);
	}
	for (size_t i = 0; i < c.n; i++) {
		free(c.list[i].name);
		nomad_strv_free(c.list[i].layers);
	}
	free(c.list);
}
