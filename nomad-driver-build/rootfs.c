/* SPDX-License-Identifier: MPL-2.0
 *
 * The files of an image that was built, as one tree: its layers, mounted
 * read-only by the kernel's overlay, in the jail.  The engine's own way
 * ("build --output") is not used: buildah 1.28 leaves out what its layer
 * cache holds, and ends with 0.
 *
 * All that a Containerfile has started is gone by then. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine.h"
#include "host.h"
#include "step.h"
#include "store.h"

/* Links with short names: a kernel takes 4 KiB of options, and so about 100 layers with their names. */
#define LINKS "/build/layers"
enum { LAYERS_MAX = 500 };

static const unsigned long flags = MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC;

static int link_layer(const struct build_store *store, const char *id, unsigned n)
{
	NOMAD_AUTO_FREE char *layer = build_store_layer(store, id), *link = nomad_strdupf(LINKS "/%u", n);
	NOMAD_AUTO_FREE char *dir = layer ? nomad_strdupf("%s/diff", layer) : NULL;

	return !dir || !link ? -ENOMEM : symlink(dir, link) < 0 ? -errno : 0;
}

/* From the last layer to the first; its number. */
static int link_layers(const struct build_store *stores, const char *id)
{
	int n = 0, r = 0;

	while (id && *id && r >= 0) {
		const struct build_store *store = &stores[!build_store_find(stores[0].layers, id)];
		const json_t *layer = build_store_find(store->layers, id);

		if (!layer || n >= LAYERS_MAX)
			return -EIO;
		r = link_layer(store, id, (unsigned)n++);
		id = json_string_value(json_object_get(layer, "parent"));
	}
	return r < 0 ? r : n;
}

/* There have to be two at least: behind them are two empty ones. */
static int mount_layers(int n)
{
	enum { EACH = 4 };
	size_t size = sizeof("lowerdir=") + (size_t)n * EACH + sizeof("a:b");
	NOMAD_AUTO_FREE char *options = malloc(size);
	size_t used;

	if (!options)
		return -ENOMEM;
	used = (size_t)snprintf(options, size, "lowerdir=");
	for (int i = 0; i < n; i++)
		used += (size_t)snprintf(options + used, size - used, "%d:", i);
	snprintf(options + used, size - used, "a:b");
	if (chdir(LINKS) < 0 || mkdir("a", 0755) < 0 || mkdir("b", 0755) < 0 ||
	    mount("overlay", BUILD_ROOTFS, "overlay", flags, options) < 0)
		return -errno;
	return 0;
}

static int mount_vfs(const struct build_store *stores, const char *id)
{
	NOMAD_AUTO_FREE char *layer = build_store_layer(&stores[!build_store_find(stores[0].layers, id)], id);

	if (!layer)
		return -ENOMEM;
	if (mount(layer, BUILD_ROOTFS, NULL, MS_BIND, NULL) < 0 ||
	    mount(NULL, BUILD_ROOTFS, NULL, MS_REMOUNT | MS_BIND | flags, NULL) < 0)
		return -errno;
	return 0;
}

static int mount_image(const struct build_store *stores, const char *image)
{
	const json_t *entry = build_store_find(stores[0].images, image);
	const char *layer;
	int n;

	if (!entry)
		entry = build_store_find(stores[1].images, image);
	layer = json_string_value(json_object_get(entry, "layer"));
	if (!entry)
		return -ENOENT;
	if (strcmp(stores[0].driver, "vfs") == 0 && layer && *layer)
		return mount_vfs(stores, layer);
	n = link_layers(stores, layer);
	return n < 0 ? n : mount_layers(n);
}

static int is_name(const struct dirent *entry)
{
	return strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
}

/* An archive of "." would hold the time of this directory, which is that of the build. */
static int list_names(struct nomad_error **err)
{
	NOMAD_AUTO_FD int fd = open(BUILD_ROOTFS_NAMES, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	struct dirent **names = NULL;
	int n = fd < 0 ? -1 : scandir(BUILD_ROOTFS, &names, is_name, alphasort), r = 0;

	if (n < 0)
		return nomad_error_errno(err, errno, "read '%s'", BUILD_ROOTFS);
	for (int i = 0; i < n; i++) {
		r = r < 0 ? r : dprintf(fd, "%s%c", names[i]->d_name, 0);
		free(names[i]);
	}
	free(names);
	return r < 0 ? nomad_error_errno(err, errno, "write '%s'", BUILD_ROOTFS_NAMES) : 0;
}

int build_rootfs_mount(const struct build_plan *plan, const char *image, struct nomad_error **err)
{
	struct build_store stores[2] = { { .lock = -1 }, { .lock = -1 } };
	int r = build_store_open(BUILD_ROOT, plan->driver, 0, &stores[0], err);

	if (r >= 0)
		r = build_store_open(plan->cache ? BUILD_CACHE : "/nonexistent", plan->driver, 0, &stores[1], err);
	if (r >= 0 && (mkdir(BUILD_ROOTFS, 0755) < 0 || mkdir(LINKS, 0700) < 0))
		r = nomad_error_errno(err, errno, "make '%s'", BUILD_ROOTFS);
	if (r >= 0) {
		r = mount_image(stores, image);
		if (r < 0)
			nomad_error_errno(err, -r, "mount the layers of the image");
		else
			r = list_names(err);
	}
	(void)!chdir("/");
	build_store_close(&stores[0]);
	build_store_close(&stores[1]);
	return r;
}

void build_rootfs_unmount(void)
{
	(void)umount2(BUILD_ROOTFS, MNT_DETACH);
	(void)rmdir(BUILD_ROOTFS);
	(void)build_tree_remove(LINKS);
}
