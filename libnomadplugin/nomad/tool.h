/* SPDX-License-Identifier: MPL-2.0
 *
 * nomad/tool.h: runs short-lived programs of the host, and makes and removes
 * directories.  Use nomad_task_run() for a program that runs as long as its
 * task. */
#ifndef NOMAD_TOOL_H
#define NOMAD_TOOL_H

#include <sys/types.h>

#include "nomad/base.h"

NOMAD_BEGIN_DECLS

struct nomad_error;

struct nomad_tool {
	/* The program and its arguments, without a shell.  If argv[0] has no
	 * slash, it is looked up in `path`. */
	const char *const *argv;
	/* The search path for argv[0], and PATH of the program.  NULL: the usual
	 * six directories from /usr/local/sbin to /bin.  The program gets only
	 * PATH, HOME and LC_ALL=C.UTF-8. */
	const char *path;
	const char *cwd;			  /* NULL: "/" */
	const char *input;			  /* for its stdin; NULL: /dev/null */
	unsigned timeout_ms;			  /* then its process group is killed; 0: 30 s */
	const char *what;			  /* for the error; NULL: program and first argument */
	bool quiet;				  /* keeps its output, which may hold secrets, out of the error */
	bool any_status;			  /* accepts every exit status */
	int keep_fd;				  /* becomes its descriptor 3; 0: none */
	void (*started)(void *ud, pid_t pid);	  /* called once it runs; or NULL */
	void (*line)(void *ud, const char *line); /* called for each line of stdout and stderr; or NULL */
	const char *(*trim)(const char *line);	  /* returns the part of a line to report; NULL: all of it */
	void (*tick)(void *ud);			  /* called each second while it runs; or NULL */
	void *ud;

	/* Results, also on failure. */
	char *output; /* the first 64 KiB of stdout, ended by NUL; the caller frees it */
	int status;   /* exit code; 128 + n after signal n; -1 if it did not run to its end */
};

/* Runs the program and waits for its end.  Returns 0; -ENOENT if there is no
 * such program; -EIO if its exit status is not 0 (the error has the status and
 * the last lines of output); -ETIMEDOUT; or another negative errno.  Blocks.
 * Safe from any thread. */
int nomad_tool_run(struct nomad_tool *tool, struct nomad_error **err) NOMAD_MUST_CHECK;

/* Returns the absolute path of a program in the agent's PATH or the usual
 * directories, which the caller frees; NULL if it is not found. */
char *nomad_tool_find(const char *name);

/* Creates the directory `path` with `mode`, and its missing parents with 0755.
 * Succeeds if the directory exists.  Returns 0 or a negative errno. */
int nomad_make_dirs(const char *path, mode_t mode, struct nomad_error **err) NOMAD_MUST_CHECK;
/* Removes a file, or a directory with its contents.  Does not follow symlinks
 * and does not enter mount points: it leaves them and returns -EBUSY.  Succeeds
 * if `path` does not exist. */
int nomad_remove_tree(const char *path, struct nomad_error **err);

NOMAD_END_DECLS

#endif
