/* SPDX-License-Identifier: MPL-2.0
 *
 * Images: resolution as the Go driver does it (absolute, below the working
 * directory, else a name), only that a name is looked for where
 * systemd-machined would look, without asking it. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "image.h"

static const char *const machine_dirs[] = {
	"/var/lib/machines", "/usr/local/lib/machines", "/usr/lib/machines", "/var/lib/container", NULL,
};

void nspawn_image_done(struct nspawn_image *image)
{
	free(image->path);
	image->path = NULL;
}

/* 1 if found, 0 if not, or a negative errno. */
static int try(char *take_path, struct nspawn_image *ret, struct nomad_error **err)
{
	NOMAD_AUTO_FREE char *path = take_path;
	struct stat st;
	char *real;

	if (!path)
		return nomad_error_errno(err, ENOMEM, "find the image");
	if (stat(path, &st) < 0) {
		if (errno == ENOENT || errno == ENOTDIR)
			return 0;
		return nomad_error_errno(err, errno, "find image '%s'", path);
	}
	if (!S_ISDIR(st.st_mode) && !S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
		return nomad_error_set(err, EINVAL, "image '%s' is neither a directory nor a file nor a block device",
				       path);
	real = realpath(path, NULL);
	if (!real)
		return nomad_error_errno(err, errno, "find image '%s'", path);
	ret->path = real;
	ret->kind = S_ISDIR(st.st_mode) ? NSPAWN_DIRECTORY : NSPAWN_RAW;
	return 1;
}

/* A name without slashes in a directory of images: NAME or NAME.raw. */
static int try_name(const char *dir, const char *name, struct nspawn_image *ret, struct nomad_error **err)
{
	int r = try(nomad_strdupf("%s/%s", dir, name), ret, err);

	return r ? r : try(nomad_strdupf("%s/%s.raw", dir, name), ret, err);
}

int nspawn_image_find(const char *image, const char *cwd, const char *const *dirs, const char *images_dir,
		      struct nspawn_image *ret, struct nomad_error **err)
{
	NOMAD_AUTO_FREE char *here = cwd ? strdup(cwd) : getcwd(NULL, 0);
	struct nspawn_image found = { 0 };
	int r;

	if (*image == '/') {
		r = try(strdup(image), &found, err);
		if (!r)
			return nomad_error_set(err, ENOENT, "image '%s' does not exist", image);
		goto out;
	}
	r = here ? try(nomad_strdupf("%s/%s", here, image), &found, err) : 0;
	if (!r && !strchr(image, '/') && *image != '.') {
		if (images_dir)
			r = try_name(images_dir, image, &found, err);
		for (dirs = dirs ? dirs : machine_dirs; !r && *dirs; dirs++)
			r = try_name(*dirs, image, &found, err);
	}
	if (!r)
		return nomad_error_set(err, ENOENT,
				       "image '%s' does not exist: there is none in '%s', and no machine image of that "
				       "name; give an absolute path or image_download",
				       image, here ? here : "?");
out:
	if (r < 0)
		return r;
	*ret = found;
	return 0;
}

int nspawn_image_find_own(const char *inside, const char *const *names, const char *const *dirs,
			  struct nspawn_image *ret, struct nomad_error **err)
{
	for (; *names; names++, dirs++) {
		NOMAD_AUTO_FREE char *dir = NULL;
		size_t n = strlen(*names);
		int r;

		if (strncmp(inside, *names, n) != 0 || inside[n] != '/')
			continue;
		r = try(nomad_strdupf("%s%s", *dirs, inside + n), ret, err);
		if (r <= 0)
			return r;
		/* Links in it may lead anywhere. */
		dir = realpath(*dirs, NULL);
		if (dir && strncmp(ret->path, dir, strlen(dir)) == 0 && ret->path[strlen(dir)] == '/')
			return 1;
		nspawn_image_done(ret);
		return nomad_error_set(err, EACCES, "image '%s' leads out of the allocation", inside);
	}
	return 0;
}
