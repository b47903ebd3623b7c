/* SPDX-License-Identifier: MPL-2.0
 *
 * verdict.h: whether one instance has ended, and how.  Threads: any. */
#ifndef TRITON_VERDICT_H
#define TRITON_VERDICT_H

#include "cloudapi.h"
#include "docker.h"

struct nomad_exit;

/* What a state means for a machine's task: 0 it goes on, 1 it has ended and
 * *ret says how.  `action` is the newest one of the audit, "" for none. */
int triton_machine_verdict(enum triton_state state, const char *action, bool expected, bool killed, bool ends_deleted,
			   struct nomad_exit *ret, const char **ret_message);

/* Has Docker seen the container end?  Then *ret says how; *ret_message, NULL
 * or constant, says what else there is to know.  An API that does not answer
 * has seen nothing. */
bool triton_container_ended(struct triton_docker *docker, const char *id, struct nomad_exit *ret,
			    const char **ret_message);

/* What CloudAPI says of it; TRITON_UNKNOWN and *err where it does not answer, or not legibly. */
enum triton_state triton_machine_state(struct triton_cloud *cloud, const char *id, struct nomad_error **err);
/* The newest finished action that succeeded: "stop", "reboot", ...; "" for none. */
int triton_cloud_last_action(const struct triton_cloud *cloud, const char *id, char ret[64], struct nomad_error **err);

#endif
