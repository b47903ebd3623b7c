/* SPDX-License-Identifier: MPL-2.0
 *
 * images.c: which images this driver fetched, and when they were last used.
 *
 * pot keeps an image for ever, and the pots of tasks are clones of it.  The
 * driver may take it away again if it was the one who brought it: an image
 * that somebody imported by hand stays.  So for each import there is an empty
 * file, named as the image is, whose time is that of the last use:
 *
 *	prepare says "importing" --> file --> each prepare touches it
 *	a task is destroyed --> files older than image_gc_hours: pot destroy --> no file
 *
 * ZFS does not destroy what has clones, so an image in use stays, whatever
 * the file says.  Between pot's finding an image and its cloning it there is
 * no clone yet: that is what holding is for. */
#include "images.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static pthread_rwlock_t in_use = PTHREAD_RWLOCK_INITIALIZER;

char *pot_image_name(const char *name, const char *tag)
{
	char *image = nomad_strdupf("%s_%s", name, tag);

	for (char *p = image; p && *p; p++) {
		if (*p == '.')
			*p = '_';
	}
	return image;
}

static int open_dir(const char *dir, bool make)
{
	NOMAD_AUTO_FREE char *path = nomad_strdupf("%s/images", dir);

	if (!path)
		return -1;
	if (make)
		(void)mkdir(path, 0700);
	return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static bool is_image(const char *name)
{
	return *name && *name != '.' && *name != '-' && !strchr(name, '/');
}

static void touch(const char *dir, const char *image, bool make)
{
	NOMAD_AUTO_FD int parent = is_image(image) ? open_dir(dir, make) : -1;
	NOMAD_AUTO_FD int fd = -1;

	if (parent >= 0)
		fd = openat(parent, image, O_WRONLY | O_CLOEXEC | O_NOFOLLOW | (make ? O_CREAT : 0), 0600);
	if (fd >= 0)
		(void)futimens(fd, NULL);
}

void pot_image_imported(const char *dir, const char *image)
{
	touch(dir, image, true);
}

void pot_image_used(const char *dir, const char *image)
{
	touch(dir, image, false);
}

void pot_images_hold(void)
{
	pthread_rwlock_rdlock(&in_use);
}

void pot_images_release(void)
{
	pthread_rwlock_unlock(&in_use);
}

bool pot_image_repair(const struct pot_config *site, const char *image,
		      bool (*remove)(const struct pot_config *site, const char *image))
{
	bool removed;

	/* Another start may just import it. */
	if (pthread_rwlock_trywrlock(&in_use) != 0)
		return false;
	removed = remove(site, image);
	pthread_rwlock_unlock(&in_use);
	return removed;
}

void pot_images_collect(const struct pot_config *site, const char *dir,
			int (*remove)(const struct pot_config *site, const char *image))
{
	struct dirent *entry;
	DIR *stream;
	int fd;

	if (site->image_gc_hours <= 0 || pthread_rwlock_trywrlock(&in_use) != 0)
		return;
	fd = open_dir(dir, false);
	stream = fd >= 0 ? fdopendir(fd) : NULL;
	while (stream && (entry = readdir(stream))) {
		struct stat st;

		if (is_image(entry->d_name) && fstatat(fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		    time(NULL) - st.st_mtime >= site->image_gc_hours * 3600 && remove(site, entry->d_name) == 0)
			(void)unlinkat(fd, entry->d_name, 0);
	}
	if (stream)
		closedir(stream);
	else if (fd >= 0)
		close(fd);
	pthread_rwlock_unlock(&in_use);
}
