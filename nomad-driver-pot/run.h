/* SPDX-License-Identifier: MPL-2.0
 *
 * run.h: run a short command, in bounded time. */
#ifndef POT_RUN_H
#define POT_RUN_H

#include "nomad/base.h"

struct nomad_error;

struct pot_run {
	const char *const *argv;	/* argv[0] without a slash is looked up in `path` */
	const char *path;		/* PATH: with HOME all of the environment that it gets */
	const char *cwd;		/* NULL: "/" */
	unsigned timeout_ms;		/* then its process group is killed */
	bool quiet;			/* its words may hold secrets: keep them out of the error */
	/* A file that it keeps open, with its pid written into it, or 0: see hold.h. */
	int hold_fd;
	/* Each line that it writes to stdout or stderr, as it comes; optional. */
	void (*line)(void *ud, const char *line);
	void *ud;
	/* Results, also on failure. */
	char *output;			/* stdout, at most POT_RUN_OUTPUT_MAX bytes; malloc()ed, caller frees */
	int status;			/* exit code; 128 + n for a death by signal; -1 if it did not run */
};

#define POT_RUN_OUTPUT_MAX 65536

/* 0 if it ended with 0.  -EIO if not, -ETIMEDOUT, or what kept it from
 * running; the error then tells the command, the status and what it said. */
int pot_run(struct pot_run *run, struct nomad_error **err);

#endif
