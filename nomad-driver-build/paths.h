/* SPDX-License-Identifier: MPL-2.0
 *
 * paths.h: where the paths of a job lead.  See paths.c. */
#ifndef BUILD_PATHS_H
#define BUILD_PATHS_H

#include "nomad/plugin.h"

/* The directories of a task on the host.  In the jail they are /task, /local, /alloc and /secrets. */
struct build_dirs {
	const char *task, *local, *alloc, *secrets;
};

enum build_path_kind {
	BUILD_PATH_DIRECTORY,	  /* that exists */
	BUILD_PATH_FILE,	  /* that exists */
	BUILD_PATH_SECRET,	  /* a file in the secrets directory */
	BUILD_PATH_NEW_FILE,	  /* its directory exists; the file may */
	BUILD_PATH_NEW_DIRECTORY, /* the same for a directory */
};

/* Where `path` is in the jail, with symbolic links resolved, as they are now.  It cannot leave the directory that it
 * begins in.  `what` (the option) begins the error. */
int build_path_resolve(const struct build_dirs *dirs, const char *what, const char *path, enum build_path_kind kind,
		       char **ret_jail, struct nomad_error **err) NOMAD_MUST_CHECK;

/* A file in directory `context` of the jail (that build_path_resolve() gave), unless it begins with local/ or alloc/ or
 * a slash: then it is as above.  -ENOENT without an error if there is none and err is NULL. */
int build_path_in_context(const struct build_dirs *dirs, const char *what, const char *context, const char *path,
			  char **ret_jail, struct nomad_error **err) NOMAD_MUST_CHECK;

/* The path on the host of one in the jail; NULL without memory. */
char *build_path_on_host(const struct build_dirs *dirs, const char *jail);

#endif
