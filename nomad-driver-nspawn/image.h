/* SPDX-License-Identifier: MPL-2.0
 *
 * image.h: from the image option to what is there. */
#ifndef NSPAWN_IMAGE_H
#define NSPAWN_IMAGE_H

#include "argv.h"

struct nspawn_image {
	char *path; /* absolute */
	enum nspawn_image_kind kind;
};

/* Find `image`: an absolute path, one below `cwd` (NULL: that of the process), or a name in one of `dirs`
 * (NULL: `images_dir` of the driver first, then those of systemd-machined).
 * -ENOENT, and an error that says where it was looked for, if it is nowhere. */
int nspawn_image_find(const char *image, const char *cwd, const char *const *dirs, const char *images_dir,
		      struct nspawn_image *ret, struct nomad_error **err) NOMAD_MUST_CHECK;
/* An image that the task itself has made, by an artifact or a template: `inside` is its path in the container, or
 * below the directory of the task. Sets `ret` and returns 1 if it is in one of the directories that begin with
 * `names` there and are `dirs` on the host; returns 0 if it names another place, or nothing is there. */
int nspawn_image_find_own(const char *inside, const char *const *names, const char *const *dirs,
			  struct nspawn_image *ret, struct nomad_error **err) NOMAD_MUST_CHECK;
void nspawn_image_done(struct nspawn_image *image);

#endif
