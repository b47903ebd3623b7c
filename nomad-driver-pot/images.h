/* SPDX-License-Identifier: MPL-2.0
 *
 * images.h: which images this driver fetched, and when they were last used. */
#ifndef POT_IMAGES_H
#define POT_IMAGES_H

#include "config.h"

/* What pot calls the image NAME @ TAG, malloc()ed; NULL without memory. */
char *pot_image_name(const char *name, const char *tag);

/* `dir` is the plugin's state directory.  Note that the image was imported
 * just now, or, if it was by this driver, that it is in use. */
void pot_image_imported(const char *dir, const char *image);
void pot_image_used(const char *dir, const char *image);

/* No image is removed between the two calls. */
void pot_images_hold(void);
void pot_images_release(void);

/* Removes what a cut import has left of `image`, which keeps every later import from working; not while images are
 * held. `remove` says whether there was something. */
bool pot_image_repair(const struct pot_config *site, const char *image,
		      bool (*remove)(const struct pot_config *site, const char *image));

/* Remove what has not been used for so long as the site wants; `remove` ends
 * with 0 if the image is gone.  Not at all while images are held. */
void pot_images_collect(const struct pot_config *site, const char *dir,
			int (*remove)(const struct pot_config *site, const char *image));

#endif
