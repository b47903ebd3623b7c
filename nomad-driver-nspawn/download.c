/* SPDX-License-Identifier: MPL-2.0
 *
 * Downloads.  In the directory of images:
 *
 *	NAME, NAME.raw		an image, complete: it gets its name by rename()
 *	.new-NAME/		one in the making, removed by the next start of the plugin
 *	.lock-NAME		held while somebody makes it: the others wait, and then find it
 *	.oci-NAME		what a container image says of how to run it, and which layers it is made of
 *	.layers/DIGEST/tree	a layer (layers.c); then NAME is empty
 *	.lock.layers		held by all who make images, and by whoever removes layers (cache.c) alone
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

static int put_in_place(const char *made, const char *target, struct nomad_error **err)
{
	remove_tree(target); /* force */
	return rename(made, target) < 0 ? nomad_error_errno(err, errno, "rename '%s'", made) : 0;
}

static int make(struct nspawn_fetch *d, struct nomad_error **err)
{
	bool raw = strcmp(d->want->type, "raw") == 0;
	NOMAD_AUTO_FREE char *target = nomad_strdupf("%s/%s%s", d->dir, d->name, raw ? ".raw" : "");
	NOMAD_AUTO_FREE char *former = nomad_strdupf("%s/%s%s", d->dir, d->name, raw ? "" : ".raw");
	NOMAD_AUTO_FREE char *work = nomad_strdupf("%s/.new-%s", d->dir, d->name);
	NOMAD_AUTO_FREE char *file = work ? nomad_strdupf("%s/download", work) : NULL;
	NOMAD_AUTO_FREE char *oci = nspawn_download_config(d->dir, d->name);
	NOMAD_AUTO_FREE char *made = NULL, *made_config = NULL;
	NOMAD_AUTO_FD int held = -1;
	char bytes[32];
	int r;

	if (!target || !former || !file || !oci)
		return nomad_error_errno(err, ENOMEM, "download");
	d->work = work;
	d->file = file;
	remove_tree(work);
	if (mkdir(work, 0700) < 0)
		return nomad_error_errno(err, errno, "create '%s'", work);
	held = nspawn_cache_hold(d->dir);
	if (held < 0)
		return nomad_error_errno(err, errno, "lock the cache of images");
	nomad_task_event_kv(d->task, "Downloading image", "image", d->name, "url", d->want->url, NULL);
	r = strcmp(d->want->type, "docker") == 0 ? nspawn_fetch_container(d, &made, &made_config, err)
						 : nspawn_fetch(d, &made, err);
	if (r >= 0)
		remove_tree(oci);
	if (r >= 0 && made_config)
		r = put_in_place(made_config, oci, err);
	if (r >= 0)
		r = put_in_place(made, target, err);
	if (r >= 0)
		remove_tree(former);
	snprintf(bytes, sizeof(bytes), "%lld", (long long)d->bytes);
	if (r >= 0)
		nomad_task_event_kv(d->task, "Downloaded image", "image", d->name, "bytes", bytes, NULL);
	remove_tree(work);
	return r;
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

/* The lock file of an image says what the image was made of, or nothing if an operator put the image there. */
static char *source_of(const struct nspawn_download *want)
{
	return nomad_strdupf("%s\n%s\n%s\n%s\n", want->url, want->type, want->verify ? want->verify : "",
			     want->checksum ? want->checksum : "");
}

static int write_source(int lock, const char *source, struct nomad_error **err)
{
	const ssize_t size = (ssize_t)strlen(source);

	if (ftruncate(lock, 0) == 0 && pwrite(lock, source, (size_t)size, 0) == size)
		return 0;
	return nomad_error_errno(err, errno, "record where the image is from");
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

/* Downloads the image unless it is there. The caller holds its lock. */
static int obtain(struct nspawn_fetch *d, int lock, bool force, bool *ret_is_new, struct nomad_error **err)
{
	NOMAD_AUTO_FREE char *tree = nomad_strdupf("%s/%s", d->dir, d->name);
	NOMAD_AUTO_FREE char *disk = nomad_strdupf("%s/%s.raw", d->dir, d->name);
	NOMAD_AUTO_FREE char *source = source_of(d->want);
	char before[8192] = "";
	bool there, other, in_use;
	int r;

	if (!tree || !disk || !source)
		return nomad_error_errno(err, ENOMEM, "download image '%s'", d->name);
	there = !access(tree, F_OK) || !access(disk, F_OK);
	if (pread(lock, before, sizeof(before) - 1, 0) < 0)
		return nomad_error_errno(err, errno, "read where image '%s' is from", d->name);
	other = there && *before && strcmp(before, source) != 0;
	in_use = there && (force || other) && nspawn_cache_in_use(d->dir, d->name);
	*ret_is_new = !there;
	if (other && in_use) {
		(void)nomad_error_set(err, EBUSY,
				      "download image '%s': another task uses an image of this name with another "
				      "image_download; choose another name for the image",
				      d->name);
		return nomad_error_retryable(err);
	}
	if (in_use)
		nomad_task_event(d->task, "Image '%s' is in use by another task and is not downloaded again", d->name);
	if (in_use || (there && !force && !other))
		return 0;
	/* If the plugin dies now, the image that it leaves is from nowhere, and the next start replaces it. */
	r = write_source(lock, "unfinished\n", err);
	if (r >= 0)
		r = make(d, err);
	if (r >= 0)
		r = write_source(lock, source, err);
	else if (there)
		(void)write_source(lock, before, NULL);
	return r < 0 ? failed(d, r, err) : 0;
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
	NOMAD_AUTO_FREE char *lock_path = nomad_strdupf("%s/.lock-%s", dir, name);
	NOMAD_AUTO_FD int lock = -1;
	const int64_t timeout_s = nspawn_duration_s(config->image_pull_timeout);
	bool is_new = false;
	int r;

	if (!is_name(name))
		return nomad_error_set(err, EINVAL,
				       "image '%s': with image_download this is the name that the image gets: letters, "
				       "digits, dots, hyphens and underscores",
				       name);
	if (!lock_path)
		return nomad_error_errno(err, ENOMEM, "download image '%s'", name);
	if (mkdir(dir, 0700) < 0 && errno != EEXIST)
		return nomad_error_errno(err, errno, "create '%s'", dir);
	if (timeout_s)
		d.deadline_ns = nomad_monotonic_ns() + timeout_s * INT64_C(1000000000);
	lock = lock_image(task, lock_path, err);
	if (lock < 0)
		return lock;
	r = obtain(&d, lock, config->image_download->force || config->force_pull, &is_new, err);
	if (r < 0 && is_new)
		(void)unlink(lock_path);
	if (r >= 0)
		r = mark_used(task, dir, name, err);
	if (r >= 0 && is_new && site->image_cache_mb)
		nspawn_cache_collect(dir, site->image_cache_mb);
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
