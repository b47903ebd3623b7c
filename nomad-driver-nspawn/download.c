/* SPDX-License-Identifier: MPL-2.0
 *
 * Downloads.  In the directory of images:
 *
 *	NAME, NAME.raw		an image, complete: it gets its name by rename()
 *	.new-NAME/		one in the making, removed by the next start of the plugin
 *	.lock-NAME		held while somebody makes it: the others wait, and then find it
 *	.oci-NAME		what a container image says of how to run it
 *	.use-NAME/SLUG		a task that uses it, which keeps it from being removed
 *
 * How it is fetched is in fetch.c. */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "download.h"
#include "tool.h"

static const char name_characters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";

static void remove_tree(const char *path)
{
	struct nomad_error *err = NULL;

	if (nomad_remove_tree(path, &err) < 0)
		nomad_log(NOMAD_LOG_WARN, "cannot remove an image: %s", nomad_error_message(err));
	nomad_error_free(err);
}

char *nspawn_download_config(const char *dir, const char *name)
{
	return nomad_strdupf("%s/.oci-%s", dir, name);
}

static int put_in_place(const char *made, const char *target, struct nomad_error **err)
{
	remove_tree(target); /* force */
	return rename(made, target) < 0 ? nomad_error_errno(err, errno, "rename '%s'", made) : 0;
}

static int make(struct nspawn_fetch *d, struct nomad_error **err)
{
	bool raw = strcmp(d->want->type, "raw") == 0;
	NOMAD_AUTO_FREE char *target = nomad_strdupf("%s/%s%s", d->dir, d->name, raw ? ".raw" : "");
	NOMAD_AUTO_FREE char *work = nomad_strdupf("%s/.new-%s", d->dir, d->name);
	NOMAD_AUTO_FREE char *file = work ? nomad_strdupf("%s/download", work) : NULL;
	NOMAD_AUTO_FREE char *oci = nspawn_download_config(d->dir, d->name);
	NOMAD_AUTO_FREE char *made = NULL, *made_config = NULL;
	char bytes[32];
	int r;

	if (!target || !file || !oci)
		return nomad_error_errno(err, ENOMEM, "download");
	d->work = work;
	d->file = file;
	remove_tree(work);
	if (mkdir(work, 0700) < 0)
		return nomad_error_errno(err, errno, "create '%s'", work);
	nomad_task_event_kv(d->task, "Downloading image", "image", d->name, "url", d->want->url, NULL);
	r = strcmp(d->want->type, "docker") == 0 ? nspawn_fetch_container(d, &made, &made_config, err)
						 : nspawn_fetch(d, &made, err);
	if (r >= 0)
		remove_tree(oci);
	if (r >= 0 && made_config)
		r = put_in_place(made_config, oci, err);
	if (r >= 0)
		r = put_in_place(made, target, err);
	snprintf(bytes, sizeof(bytes), "%lld", (long long)d->bytes);
	if (r >= 0)
		nomad_task_event_kv(d->task, "Downloaded image", "image", d->name, "bytes", bytes, NULL);
	remove_tree(work);
	return r;
}

static bool in_use(const char *dir, const char *name)
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

/* ---- Cache ---- */

struct cached {
	char *name;
	int64_t mb;
	time_t used;
};

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

static int by_use(const void *a, const void *b)
{
	const struct cached *x = a, *y = b;

	return x->used < y->used ? -1 : x->used > y->used;
}

static struct cached *list_images(const char *dir, size_t *ret_n)
{
	struct cached *list = NULL, *more;
	DIR *d = opendir(dir);
	struct dirent *e;

	*ret_n = 0;
	while (d && (e = readdir(d))) {
		NOMAD_AUTO_FREE char *path = nomad_strdupf("%s/%s", dir, e->d_name), *base = strdup(e->d_name);
		NOMAD_AUTO_FREE char *use = NULL;
		struct stat st;

		if (e->d_name[0] == '.' || !path || !base)
			continue;
		strip_raw(base);
		use = nomad_strdupf("%s/.use-%s", dir, base);
		more = realloc(list, (*ret_n + 1) * sizeof(*list));
		if (!use || !more || (stat(use, &st) < 0 && stat(path, &st) < 0)) {
			list = more ? more : list;
			continue;
		}
		list = more;
		list[(*ret_n)++] = (struct cached){ strdup(e->d_name), size_mb(path), st.st_mtime };
	}
	if (d)
		closedir(d);
	return list;
}

/* Remove one that nobody uses, and that nobody begins to use meanwhile. */
static bool evict(const char *dir, const char *entry)
{
	NOMAD_AUTO_FREE char *name = strdup(entry), *lock_path = NULL, *path = nomad_strdupf("%s/%s", dir, entry);
	NOMAD_AUTO_FREE char *oci = NULL;
	NOMAD_AUTO_FD int lock = -1;

	if (!name || !path)
		return false;
	strip_raw(name);
	oci = nspawn_download_config(dir, name);
	lock_path = nomad_strdupf("%s/.lock-%s", dir, name);
	lock = lock_path ? open(lock_path, O_RDWR | O_CREAT | O_CLOEXEC, 0600) : -1;
	if (lock < 0 || !oci || flock(lock, LOCK_EX | LOCK_NB) < 0 || in_use(dir, name))
		return false;
	remove_tree(path);
	remove_tree(oci);
	return true;
}

/* Remove the images that were used longest ago and are not used now, until the rest is small enough. */
static void collect(const char *dir, int64_t limit_mb)
{
	size_t n, i;
	struct cached *list = list_images(dir, &n);
	int64_t total = 0;

	for (i = 0; i < n; i++)
		total += list[i].mb;
	if (n)
		qsort(list, n, sizeof(*list), by_use);
	for (i = 0; i < n; i++) {
		if (total > limit_mb && list[i].name && evict(dir, list[i].name))
			total -= list[i].mb;
		free(list[i].name);
	}
	free(list);
}

static int mark_used(struct nomad_task *task, const char *dir, const char *name, struct nomad_error **err)
{
	NOMAD_AUTO_FREE char *uses = nomad_strdupf("%s/.use-%s", dir, name);
	NOMAD_AUTO_FREE char *path = nomad_strdupf("%s/.use-%s/%s", dir, name, nomad_task_slug(task));
	int r, fd;

	if (!uses || !path)
		return nomad_error_errno(err, ENOMEM, "use image '%s'", name);
	r = nomad_task_put(task, "image", name, err);
	if (r < 0)
		return r;
	if (mkdir(uses, 0700) < 0 && errno != EEXIST)
		return nomad_error_errno(err, errno, "create '%s'", uses);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		return nomad_error_errno(err, errno, "create '%s'", path);
	close(fd);
	return 0;
}

enum { LOOK_US = 200000 };

/* Waits for another task's download. Whoever fails takes the file away, so what is locked has to be what lies there. */
static int lock_image(struct nomad_task *task, const char *path, struct nomad_error **err)
{
	struct stat ours, there;

	for (;;) {
		NOMAD_AUTO_FD int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

		while (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) < 0) {
			if (errno != EWOULDBLOCK && errno != EINTR)
				return nomad_error_errno(err, errno, "lock '%s'", path);
			if (nomad_task_is_cancelled(task))
				return nomad_error_set(err, ECANCELED, "wait for another download of the image");
			usleep(LOOK_US);
		}
		if (fd < 0 || fstat(fd, &ours) < 0)
			return nomad_error_errno(err, errno, "lock '%s'", path);
		if (stat(path, &there) == 0 && ours.st_ino == there.st_ino && ours.st_dev == there.st_dev)
			return NOMAD_TAKE_FD(fd);
	}
}

static bool is_name(const char *name)
{
	return *name && *name != '.' && strspn(name, name_characters) == strlen(name) && strlen(name) <= 200;
}

/* Nomad tries again, unless it would end as it did. */
static int failed(const struct nspawn_fetch *d, int r, struct nomad_error **err)
{
	(void)nomad_error_wrap(err, "image '%s' from '%s'", d->name, d->want->url);
	return nomad_error_code(err ? *err : NULL) == ENOENT || r == -EFBIG ? r : nomad_error_retryable(err);
}

int nspawn_download(struct nomad_task *task, const char *dir, const struct nspawn_config *config,
		    const struct nspawn_plugin_config *site, struct nomad_error **err)
{
	const char *name = config->image;
	struct nspawn_fetch d = { .task = task,
				  .want = config->image_download,
				  .auth = config->auth,
				  .name = name,
				  .dir = dir,
				  .idle_s = site->download_idle_s,
				  .max_bytes = site->download_max_mb << 20,
				  .told = time(NULL) };
	NOMAD_AUTO_FREE char *tree = nomad_strdupf("%s/%s", dir, name), *disk = nomad_strdupf("%s/%s.raw", dir, name);
	NOMAD_AUTO_FREE char *lock_path = nomad_strdupf("%s/.lock-%s", dir, name);
	NOMAD_AUTO_FD int lock = -1;
	const bool force = config->image_download->force || config->force_pull;
	const int64_t timeout_s = nspawn_duration_s(config->image_pull_timeout);
	bool there;
	int r;

	if (!is_name(name))
		return nomad_error_set(err, EINVAL,
				       "image '%s': with image_download this is the name that the image gets: letters, "
				       "digits, dots, hyphens and underscores",
				       name);
	if (!tree || !disk || !lock_path)
		return nomad_error_errno(err, ENOMEM, "download image '%s'", name);
	if (mkdir(dir, 0700) < 0 && errno != EEXIST)
		return nomad_error_errno(err, errno, "create '%s'", dir);
	if (timeout_s)
		d.deadline_ns = nomad_monotonic_ns() + timeout_s * INT64_C(1000000000);
	lock = lock_image(task, lock_path, err);
	if (lock < 0)
		return lock;
	there = !access(tree, F_OK) || !access(disk, F_OK);
	if (there && force && in_use(dir, name)) {
		nomad_task_event(task, "Image '%s' is in use by another task and is not downloaded anew", name);
	} else if (!there || force) {
		r = make(&d, err);
		if (r < 0 && !there)
			(void)unlink(lock_path);
		if (r < 0)
			return failed(&d, r, err);
	}
	r = mark_used(task, dir, name, err);
	if (r >= 0 && !there && site->image_cache_mb)
		collect(dir, site->image_cache_mb);
	return r;
}

void nspawn_download_release(struct nomad_task *task, const char *dir)
{
	const char *name = nomad_task_get(task, "image");
	NOMAD_AUTO_FREE char *path = name ? nomad_strdupf("%s/.use-%s/%s", dir, name, nomad_task_slug(task)) : NULL;
	NOMAD_AUTO_FREE char *uses = name ? nomad_strdupf("%s/.use-%s", dir, name) : NULL;

	if (!path || !uses)
		return;
	if (!unlink(path))
		(void)utimensat(AT_FDCWD, uses, NULL, 0);
	nomad_task_forget(task, "image");
}

/* Uses by tasks that ran before this machine was started. */
static void sweep_uses(const char *uses)
{
	struct timespec up;
	struct dirent *e;
	struct stat st;
	DIR *d = opendir(uses);

	clock_gettime(CLOCK_BOOTTIME, &up);
	while (d && (e = readdir(d)))
		if (e->d_name[0] != '.' && !fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) &&
		    st.st_mtime < nomad_wall_ns() / 1000000000 - up.tv_sec - 1)
			(void)unlinkat(dirfd(d), e->d_name, 0);
	if (d)
		closedir(d);
}

void nspawn_download_sweep(const char *dir)
{
	DIR *d = opendir(dir);
	struct dirent *e;

	while (d && (e = readdir(d))) {
		NOMAD_AUTO_FREE char *path = nomad_strdupf("%s/%s", dir, e->d_name);
		NOMAD_AUTO_FREE char *lock_path = NULL;
		NOMAD_AUTO_FD int lock = -1;

		if (path && strncmp(e->d_name, ".use-", 5) == 0)
			sweep_uses(path);
		if (!path || strncmp(e->d_name, ".new-", 5) != 0)
			continue;
		lock_path = nomad_strdupf("%s/.lock-%s", dir, e->d_name + 5);
		lock = lock_path ? open(lock_path, O_RDWR | O_CREAT | O_CLOEXEC, 0600) : -1;
		if (lock >= 0 && !flock(lock, LOCK_EX | LOCK_NB))
			remove_tree(path);
	}
	if (d)
		closedir(d);
}
