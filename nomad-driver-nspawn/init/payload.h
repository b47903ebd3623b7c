/* SPDX-License-Identifier: MPL-2.0
 *
 * init/payload.h: what a container runs, and PID 1 beside it. */
#ifndef NSPAWN_PAYLOAD_H
#define NSPAWN_PAYLOAD_H

#include <stddef.h>

struct spec {
	char *data; /* all below points into it */
	const char *user, *cwd;
	char **env; /* NULL-terminated, with room for ours */
	size_t n_env;
};

/* payload.c.  Reads the credential; whatever the task leaves out comes from systemd-nspawn. */
void spec_read(struct spec *spec);
void env_default(struct spec *spec, const char *name, const char *value);
/* Becomes the task's user and runs its command.  Returns the act that failed, with errno. */
const char *become(struct spec *spec, char **argv, const char **ret_object);

/* supervise.c.  Runs the command as PID 2 until it ends.  Returns the status for systemd-nspawn. */
int supervise(struct spec *spec, char **argv);
/* Tells systemd-nspawn that the payload runs, and waits until it has read that. */
void notify_ready(void);

#endif
