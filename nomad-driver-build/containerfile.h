/* SPDX-License-Identifier: MPL-2.0
 *
 * containerfile.h: the little that the driver has to know of a Containerfile.  See containerfile.c. */
#ifndef BUILD_CONTAINERFILE_H
#define BUILD_CONTAINERFILE_H

#include "nomad/base.h"

/* Bind mounts of RUN, and what names of images are made of. */
struct build_binds {
	bool of_context;
	bool of_image;	  /* or stage, or further context */
	bool of_target;	  /* FROM or ARG uses TARGETOS or the like */
	bool of_anything; /* there is a mount that can lead an old engine to any directory that it sees */
};

/* Looks through a Containerfile, which it may change.  Finds too much rather than too little. */
struct build_binds build_binds_in(char *text);
/* The same for the text of a file; all if there is none, or the engine gives a file of this name to a preprocessor. */
struct build_binds build_binds_of(const char *path, const char *text);

/* Calls `each` for the text of each instruction, on one line; changes the text.  The lines of a heredoc come as
 * instructions of their own. */
void build_instructions(char *text, void (*each)(void *arg, char *instruction), void *arg);
/* malloc()ed; NULL if it cannot be read, or holds a zero. */
char *build_containerfile_read(const char *path);

/* names.c: the images that a Containerfile may have the engine pull. */
struct build_names {
	char **names; /* in full, such as docker.io/library/alpine:3 */
	bool unknown; /* there are more, whose names the engine alone can make out */
};
/* ARG has its value from `args`; names in `contexts` stand for other sources.  Changes the text.  0 or -ENOMEM. */
int build_names_in(char *text, const struct nomad_map *args, const struct nomad_map *contexts,
		   struct build_names *ret) NOMAD_MUST_CHECK;
void build_names_done(struct build_names *names);
/* The name with registry and repository; NULL if it is not one of a registry, or without memory (errno). */
char *build_name_in_full(const char *name);
/* The same as an engine's policy has it: with a tag or a digest, never both. */
char *build_name_in_policy(const char *name);

#endif
