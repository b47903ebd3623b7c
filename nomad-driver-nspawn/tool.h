/* SPDX-License-Identifier: MPL-2.0
 *
 * tool.h: run a program of the host and wait for it. */
#ifndef NSPAWN_TOOL_H
#define NSPAWN_TOOL_H

#include "nomad/plugin.h"

struct nspawn_tool {
	const char *input;		      /* for its stdin; NULL: /dev/null */
	unsigned timeout_ms;		      /* 0: 30 s; then it is killed */
	const char *what;		      /* begins the error; NULL: argv[0] */
	bool status_only;		      /* a status other than 0 is no error but returned */
	void (*started)(void *ud, pid_t pid); /* it runs, and leads its process group; or NULL */
	void (*tick)(void *ud);		      /* called each second while it runs; or NULL */
	void *ud;
};

/* Returns its exit status (0, unless status_only), or a negative errno.  `*ret_output` (may be NULL) is
 * what it wrote to stdout, up to 64 KiB; what it said last goes into the error. */
int nspawn_tool_run(const char *const *argv, const struct nspawn_tool *options, char **ret_output,
		    struct nomad_error **err);

#endif
