/* SPDX-License-Identifier: MPL-2.0
 *
 * supervisor/identity.h: the record `supervisor` in a task's directory: who
 * the supervisor, the task's process and its leader are.  The supervisor
 * writes it, the plugin reads it. */
#ifndef NOMAD_SUPERVISOR_IDENTITY_H
#define NOMAD_SUPERVISOR_IDENTITY_H

#include "os/process.h"

enum nomad__who { NOMAD__SUPERVISOR, NOMAD__MAIN, NOMAD__LEADER, NOMAD__WHO_MAX };

struct nomad__identity {
	struct nomad__process of[NOMAD__WHO_MAX];
	bool this_boot; /* else none of them counts */
};

/* Replaces the record by the calling process, a supervisor.  0 or -errno. */
int nomad__identity_write(int dirfd);
int nomad__identity_add(int dirfd, enum nomad__who who, const struct nomad__process *process);
int nomad__identity_read(int dirfd, struct nomad__identity *ret);

#endif
