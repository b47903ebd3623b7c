/* SPDX-License-Identifier: MPL-2.0
 *
 * containerfile.h: the little that the driver has to know of a Containerfile.  See containerfile.c. */
#ifndef BUILD_CONTAINERFILE_H
#define BUILD_CONTAINERFILE_H

#include <stdbool.h>

/* Bind mounts of RUN, and what names of images are made of. */
struct build_binds {
	bool of_context;
	bool of_image;	/* or stage, or further context */
	bool of_target; /* FROM or ARG uses TARGETOS or the like */
};

/* Looks through a Containerfile, which it may change.  Finds too much rather than too little. */
struct build_binds build_binds_in(char *text);
/* The same for a file of the host; all if it cannot be read, or is one that the engine gives to a preprocessor. */
struct build_binds build_binds_of(const char *path);

#endif
