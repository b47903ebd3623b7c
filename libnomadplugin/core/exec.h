/* SPDX-License-Identifier: MPL-2.0
 *
 * core/exec.h: commands in a task. */
#ifndef NOMAD_EXEC_H
#define NOMAD_EXEC_H

#include "core/core.h"

enum nomad__exec_kind {
	NOMAD__EXEC_PIPES,
	NOMAD__EXEC_TTY,
	NOMAD__EXEC_MERGED, /* stderr goes where stdout goes */
};
int nomad__exec_open_as(struct nomad_plugin *plugin, const char *id, const char *const *argv,
			enum nomad__exec_kind kind, const struct nomad__exec_events *events, void *ud,
			struct nomad__exec_stream **ret, struct nomad_error **err);

/* ---- exec_prepare.c ---- */
struct nomad__exec_ends {
	int mine[3], theirs[3];
};
/* A pipe for each, or (merged) one for both outputs. */
int nomad__exec_ends_pipes(struct nomad__exec_ends *ends, bool merged);
int nomad__exec_ends_tty(struct nomad__exec_ends *ends);
void nomad__exec_ends_close(struct nomad__exec_ends *ends);
/* What to run, as the driver will have it. */
int nomad__exec_describe(struct nomad_task *task, const char *const *argv, bool tty, struct nomad_exec *exec,
			 struct nomad_error **err);
void nomad__exec_undescribe(struct nomad_exec *exec);

/* The task goes: end its execs; returns when none uses its supervisor any
 * more.  Not from the loop thread. */
void nomad__exec_end_all(struct nomad_task *task);

#endif
