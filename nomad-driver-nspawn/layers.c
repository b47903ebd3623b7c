/* SPDX-License-Identifier: MPL-2.0
 *
 * Layers of container images.  Each is unpacked once, into .layers/NAME/tree
 * in the directory of images, and all images and tasks that have it share
 * it: the root of a container is an overlay of them (argv.c).  NAME is the
 * digest of the layer's blob and of all below it, as what a layer shows can
 * depend on those.  The blobs were verified by skopeo.
 *
 * GNU tar unpacks a layer into an empty directory, where no link of a lower
 * layer can lead it elsewhere.  Then
 *
 *	.wh.NAME		becomes the mark of overlayfs that NAME is gone
 *	.wh..wh..opq		becomes its mark that nothing below shows through
 *	a directory that the layer has not, only files in it	gets owner and mode from below
 *
 * An image for which that is not enough (a file behind a link of a lower
 * layer, a hard link to a file of one) is unpacked as one tree, by umoci. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "download.h"
#include "tool.h"

enum { LAYERS_MAX = 256, DEPTH_MAX = 256 };

static const char opaque[] = "trusted.overlay.opaque";

struct layers {
	struct nspawn_fetch *fetch;
	char *names[LAYERS_MAX]; /* the lowest first */
	int trees[LAYERS_MAX];
	bool fresh[LAYERS_MAX]; /* is in the directory of work */
	int n;
};

/* ---- What tar has left ---- */

/* A mode that no directory of a layer has, see tar_unpack(). */
static bool is_implied(const struct stat *st)
{
	return !(st->st_mode & 07777);
}

/* 0; 1 if another way is needed; or a negative errno. */
static int inherit(const struct layers *l, int dir, const char *path)
{
	struct open_how how = { .flags = O_PATH | O_CLOEXEC | O_NOFOLLOW,
				.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS };
	struct stat st = { .st_mode = 0755 };

	for (int i = l->n - 1; i >= 0; i--) {
		NOMAD_AUTO_FD int fd = (int)syscall(SYS_openat2, l->trees[i], path, &how, sizeof(how));

		if (fd < 0 && errno == ELOOP)
			return 1;
		if (fd < 0)
			continue;
		if (fstat(fd, &st) < 0)
			return -errno;
		if (!S_ISDIR(st.st_mode))
			return 1;
		break;
	}
	return fchown(dir, st.st_uid, st.st_gid) < 0 || fchmod(dir, st.st_mode & 07777) < 0 ? -errno : 0;
}

static int hide(int dir, const char *name)
{
	struct stat st;
	int r;

	if (!*name || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return -EINVAL;
	if (!fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW)) {
		NOMAD_AUTO_FD int fd = -1;

		/* The layer has another one instead. */
		if (!S_ISDIR(st.st_mode))
			return 0;
		fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		r = fd < 0 ? -1 : fsetxattr(fd, opaque, "y", 1, 0);
	} else {
		r = mknodat(dir, name, S_IFCHR | 0600, 0);
	}
	return r < 0 ? -errno : 0;
}

static int mark(int dir, const char *name)
{
	int r = 0;

	if (strcmp(name, ".wh..wh..opq") == 0)
		r = fsetxattr(dir, opaque, "y", 1, 0) < 0 ? -errno : 0;
	else if (strncmp(name, ".wh..wh.", 8) != 0) /* those were aufs' own */
		r = hide(dir, name + 4);
	return r < 0 ? r : unlinkat(dir, name, 0) < 0 && errno != EISDIR ? -errno : 0;
}

/* Takes the descriptor. */
static int settle(const struct layers *l, int dir, const char *path, int depth)
{
	DIR *d = fdopendir(dir);
	struct dirent *e;
	struct stat st;
	int r = d && depth < DEPTH_MAX && !fstat(dir, &st) ? 0 : -ELOOP;

	if (!d)
		close(dir);
	if (!r && *path && is_implied(&st))
		r = inherit(l, dir, path);
	while (!r && (e = readdir(d))) {
		NOMAD_AUTO_FREE char *below = NULL;
		int fd;

		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		if (strncmp(e->d_name, ".wh.", 4) == 0) {
			r = mark(dir, e->d_name);
			continue;
		}
		if (fstatat(dir, e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISDIR(st.st_mode))
			continue;
		below = nomad_strdupf("%s%s%s", path, *path ? "/" : "", e->d_name);
		fd = openat(dir, e->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		r = !below ? -ENOMEM : fd < 0 ? -errno : settle(l, fd, below, depth + 1);
	}
	if (d)
		closedir(d);
	return r;
}

/* ---- One layer ---- */

/* Directories that the archive does not name get a mode of 0 by the umask. */
static int tar_unpack(struct nspawn_fetch *d, const char *blob, const char *tree, struct nomad_error **err)
{
	NOMAD_AUTO_FREE char *tar = NULL;
	int r = nspawn_need("tar", &tar, err);

	return r < 0 ? r
		     : nspawn_fetch_tool(d, "tar",
					 (const char *const[]){
						 "/bin/sh", "-c", "umask 777; exec \"$@\"", "sh", tar, "--extract",
						 "--numeric-owner", "--same-permissions", "--delay-directory-restore",
						 "--xattrs", "--xattrs-include=*", "--xattrs-exclude=trusted.overlay.*",
						 "--directory", tree, "--file", blob, NULL },
					 false, err);
}

static char *tree_of(const struct layers *l, const char *name, bool fresh)
{
	return fresh ? nomad_strdupf("%s/layer-%s/tree", l->fetch->work, name) : nspawn_layer_path(l->fetch->dir, name);
}

/* "SHA256 of PARENT DIGEST", malloc()ed. */
static int name_of(const char *parent, const char *digest, char **ret, struct nomad_error **err)
{
	NOMAD_AUTO_FREE char *tool = NULL, *text = nomad_strdupf("%s %s\n", parent, digest);
	int r = text ? nspawn_need("sha256sum", &tool, err) : nomad_error_errno(err, ENOMEM, "name a layer");

	if (r >= 0)
		r = nspawn_tool_run((const char *const[]){ tool, NULL }, &(struct nspawn_tool){ .input = text }, ret,
				    err);
	if (r >= 0 && strlen(*ret) >= NSPAWN_LAYER_NAME)
		(*ret)[NSPAWN_LAYER_NAME] = 0;
	return r;
}

/* 0; 1 if another way is needed; or a negative errno. */
static int layer_make(struct layers *l, const char *blob, const char *name, struct nomad_error **err)
{
	NOMAD_AUTO_FREE char *top = nomad_strdupf("%s/layer-%s", l->fetch->work, name), *tree = tree_of(l, name, true);
	struct nomad_error *failed = NULL;
	int r, fd;

	if (!top || !tree)
		return nomad_error_errno(err, ENOMEM, "unpack a layer");
	if (mkdir(top, 0700) < 0 || mkdir(tree, 0755) < 0)
		return nomad_error_errno(err, errno, "create '%s'", tree);
	r = tar_unpack(l->fetch, blob, tree, &failed);
	if (r < 0) {
		const bool ended = l->fetch->too_large || nomad_task_is_cancelled(l->fetch->task) ||
				   nomad_error_code(failed) == ETIMEDOUT;

		if (ended && err)
			*err = NOMAD_TAKE_PTR(failed);
		nomad_error_free(failed);
		return ended ? r : 1;
	}
	fd = open(tree, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	r = fd < 0 ? -errno : settle(l, fd, "", 0);
	return r < 0 ? nomad_error_errno(err, -r, "unpack layer '%s'", name) : r;
}

static int add(struct layers *l, const char *blob, const char *digest, struct nomad_error **err)
{
	NOMAD_AUTO_FREE char *name = NULL, *tree = NULL, *there = NULL;
	int r = l->n < LAYERS_MAX ? 0 : nomad_error_set(err, E2BIG, "the image has more than %d layers", LAYERS_MAX);

	if (!r)
		r = name_of(l->n ? l->names[l->n - 1] : "", digest, &name, err);
	if (r < 0)
		return r;
	there = tree_of(l, name, false);
	if (!there)
		return nomad_error_errno(err, ENOMEM, "unpack a layer");
	l->fresh[l->n] = access(there, F_OK) < 0;
	r = l->fresh[l->n] ? layer_make(l, blob, name, err) : 0;
	if (r)
		return r;
	tree = tree_of(l, name, l->fresh[l->n]);
	l->trees[l->n] = tree ? open(tree, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC) : -1;
	if (l->trees[l->n] < 0)
		return nomad_error_errno(err, errno, "open '%s'", tree ? tree : name);
	l->names[l->n++] = NOMAD_TAKE_PTR(name);
	return 0;
}

/* ---- All ---- */

/* Two may have made the same one. */
static int put_in_place(struct layers *l, struct nomad_error **err)
{
	NOMAD_AUTO_FREE char *all = nomad_strdupf("%s/.layers", l->fetch->dir);

	if (!all)
		return nomad_error_errno(err, ENOMEM, "keep the layers");
	if (mkdir(all, 0700) < 0 && errno != EEXIST)
		return nomad_error_errno(err, errno, "create '%s'", all);
	for (int i = 0; i < l->n; i++) {
		NOMAD_AUTO_FREE char *from = nomad_strdupf("%s/layer-%s", l->fetch->work, l->names[i]);
		NOMAD_AUTO_FREE char *to = nomad_strdupf("%s/%s", all, l->names[i]);

		if (!from || !to)
			return nomad_error_errno(err, ENOMEM, "keep the layers");
		if (l->fresh[i] && rename(from, to) < 0 && errno != EEXIST && errno != ENOTEMPTY)
			return nomad_error_errno(err, errno, "rename '%s'", from);
	}
	return 0;
}

int nspawn_layers_unpack(struct nspawn_fetch *fetch, char *const *blobs, char *const *digests, char ***ret,
			 struct nomad_error **err)
{
	struct layers l = { .fetch = fetch };
	int r = 0, i;

	for (i = 0; blobs[i] && !r; i++)
		r = add(&l, blobs[i], digests[i], err);
	if (!r)
		r = put_in_place(&l, err);
	for (i = l.n - 1; i >= 0; i--) {
		close(l.trees[i]);
		if (!r && nomad_strv_add(ret, l.names[i]) < 0)
			r = nomad_error_errno(err, ENOMEM, "keep the layers");
		free(l.names[i]);
	}
	return r;
}

char *nspawn_layer_path(const char *images_dir, const char *name)
{
	return nomad_strdupf("%s/.layers/%s/tree", images_dir, name);
}
