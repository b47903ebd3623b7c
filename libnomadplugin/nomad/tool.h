/* SPDX-License-Identifier: MPL-2.0
 *
 * nomad/tool.h: programs of the host that are over soon (what runs as long
 * as a task does belongs to nomad_task_run()), and directories. */
#ifndef NOMAD_TOOL_H
#define NOMAD_TOOL_H

#include <sys/types.h>

#include "nomad/base.h"

NOMAD_BEGIN_DECLS

struct nomad_error;

struct nomad_tool {
	/* The program and its arguments, never through a shell; argv[0] without
	 * a slash is looked up in `path`. */
	const char *const *argv;
	/* Directories to look in, and the PATH that the program gets.  NULL:
	 * the usual six from /usr/local/sbin to /bin.  With PATH it gets HOME and
	 * LC_ALL=C.UTF-8, and nothing else. */
	const char *path;
	const char *cwd;			  /* NULL: "/" */
	const char *input;			  /* for its stdin; NULL: /dev/null */
	unsigned timeout_ms;			  /* then its process group is ended; 0: 30 s */
	const char *what;			  /* for the error; NULL: program and first argument */
	bool quiet;				  /* its words may hold secrets: keep them out of the error */
	bool any_status;			  /* a status other than 0 is no error */
	int keep_fd;				  /* becomes its descriptor 3; 0: none */
	void (*started)(void *ud, pid_t pid);	  /* it runs; or NULL */
	void (*line)(void *ud, const char *line); /* each line of stdout and stderr as it comes; or NULL */
	const char *(*trim)(const char *line);	  /* the part of a line that is worth telling; NULL: all of it */
	void (*tick)(void *ud);			  /* each second while it runs; or NULL */
	void *ud;

	/* Results, also on failure. */
	char *output; /* the first 64 KiB of stdout, closed by NUL; malloc()ed, the caller frees */
	int status;   /* exit code; 128 + n for a death by signal; -1 if it did not run to its end */
};

/* Run it and wait.  0; -ENOENT if there is no such program, -EIO if it ended
 * with another status than 0 (the error tells which, and what it said last),
 * -ETIMEDOUT, or what else kept it from running.  Any thread; blocks. */
int nomad_tool_run(struct nomad_tool *tool, struct nomad_error **err) NOMAD_MUST_CHECK;

/* The absolute path of a program in the agent's PATH or the usual
 * directories, malloc()ed; NULL if there is none. */
char *nomad_tool_find(const char *name);

/* Make `path` and what is missing above it, the last part with `mode`, the
 * others with 0755.  One that exists is fine. */
int nomad_make_dirs(const char *path, mode_t mode, struct nomad_error **err) NOMAD_MUST_CHECK;
/* Remove a file or a directory with all that is in it.  Follows no symlink and
 * enters no mount point: one that is in it stays, with -EBUSY.  Not there is fine. */
int nomad_remove_tree(const char *path, struct nomad_error **err);

NOMAD_END_DECLS

#endif
