/* SPDX-License-Identifier: MPL-2.0
 *
 * base/spawn.h: a command of a driver, run by the plugin itself: exec in a
 * remote task, which has no supervisor that could run it.  It ends with the
 * stream that it was opened for. */
#ifndef NOMAD_SPAWN_H
#define NOMAD_SPAWN_H

#include "base/loop.h"
#include "nomad/driver.h"
#include "nomad/error.h"

struct nomad__spawn;

/* As nomad__supervisor_exec(), but argv and env of `exec` are all that counts:
 * the command is the driver's own program, which makes a session and takes its
 * terminal by itself (no posix_spawn() does that everywhere).  fds[0..2] are
 * borrowed.  `exited` runs on the loop thread, once. */
int nomad__spawn(struct nomad__loop *loop, const struct nomad_exec *exec, const int fds[3],
		 void (*exited)(void *ud, int r, int exit_code, int signal, const char *message), void *ud,
		 struct nomad__spawn **ret, struct nomad_error **err);
/* Kills what still runs; no call of `exited` comes afterwards.  Loop thread,
 * or before the loop could have called.  NULL is fine. */
void nomad__spawn_free(struct nomad__spawn *spawn);

#endif
