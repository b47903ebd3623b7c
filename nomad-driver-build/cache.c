/* SPDX-License-Identifier: MPL-2.0
 *
 * Caches: BASE/cache/NAMESPACE~NAME/ with root-DRIVER/ (layers and images),
 * mounts/ and lock.  A build holds the lock, shared, as long as it lives (see
 * step.c); the lock's time of change is when the last one began. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host.h"

struct cache {
	char *path;
	uint64_t size;
	struct timespec used;
};

static int compare(const void *a, const void *b)
{
	const struct timespec *x = &((const struct cache *)a)->used, *y = &((const struct cache *)b)->used;

	if (x->tv_sec != y->tv_sec)
		return x->tv_sec < y->tv_sec ? -1 : 1;
	return (x->tv_nsec > y->tv_nsec) - (x->tv_nsec < y->tv_nsec);
}

static int open_lock(const char *cache)
{
	NOMAD_AUTO_FREE char *path = nomad_strdupf("%s/lock", cache);

	return path ? open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600) : -1;
}

static bool add(struct cache **caches, size_t *count, const char *dir, const char *name)
{
	struct cache *grown = reallocarray(*caches, *count + 1, sizeof(*grown)), *c;
	struct stat st;
	int lock;

	if (!grown)
		return false;
	*caches = grown;
	c = &grown[*count];
	*c = (struct cache){ .path = nomad_strdupf("%s/%s", dir, name) };
	if (!c->path)
		return false;
	++*count;
	c->size = build_tree_size(c->path);
	lock = open_lock(c->path);
	if (lock >= 0 && !fstat(lock, &st))
		c->used = st.st_mtim;
	if (lock >= 0)
		close(lock);
	return true;
}

/* True if nobody used it, and it is gone. */
static bool remove_unused(const struct cache *c)
{
	NOMAD_AUTO_FD int lock = open_lock(c->path);
	struct dirent *entry;
	DIR *d;

	if (lock < 0 || flock(lock, LOCK_EX | LOCK_NB) < 0)
		return false;
	/* Its directory and lock stay: a build may wait for the lock. */
	d = opendir(c->path);
	while (d && (entry = readdir(d))) {
		NOMAD_AUTO_FREE char *path = nomad_strdupf("%s/%s", c->path, entry->d_name);

		if (path && *entry->d_name != '.' && strcmp(entry->d_name, "lock") != 0)
			(void)build_tree_remove(path);
	}
	if (d)
		closedir(d);
	return true;
}

void build_cache_collect(const char *base, uint64_t max)
{
	NOMAD_AUTO_FREE char *dir = nomad_strdupf("%s/cache", base);
	struct cache *caches = NULL;
	size_t count = 0, i;
	struct dirent *entry;
	uint64_t total = 0;
	DIR *d = dir ? opendir(dir) : NULL;

	while (d && (entry = readdir(d)))
		if (*entry->d_name != '.' && !add(&caches, &count, dir, entry->d_name))
			break;
	if (d)
		closedir(d);
	for (i = 0; i < count; i++)
		total += caches[i].size;
	if (count)
		qsort(caches, count, sizeof(*caches), compare);
	for (i = 0; i < count && total > max; i++) {
		if (!remove_unused(&caches[i]))
			continue;
		nomad_log_kv(NOMAD_LOG_INFO, "removed a cache of builds", "path", caches[i].path, NULL);
		total -= caches[i].size;
	}
	for (i = 0; i < count; i++)
		free(caches[i].path);
	free(caches);
}
