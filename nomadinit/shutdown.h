/* SPDX-License-Identifier: MPL-2.0 */
/* How the machine goes down: agent, tasks, file systems, power. */
#ifndef NOMADINIT_SHUTDOWN_H
#define NOMADINIT_SHUTDOWN_H

#include <stdbool.h>

#include "config.h"

enum shutdown_how { SHUTDOWN_POWEROFF, SHUTDOWN_REBOOT };
enum shutdown_state { SHUTDOWN_NONE, SHUTDOWN_AGENT, SHUTDOWN_TERM, SHUTDOWN_KILL, SHUTDOWN_DONE, SHUTDOWN_STATE_MAX };
enum shutdown_event {
	SHUTDOWN_REQUEST, /* somebody wants it; a second time: hurry */
	SHUTDOWN_AGENT_GONE,
	SHUTDOWN_NO_CHILDREN,
	SHUTDOWN_TIMEOUT,
	SHUTDOWN_EVENT_MAX
};

enum shutdown_state shutdown_next(enum shutdown_state state, enum shutdown_event event);

void shutdown_init(const struct config *c, bool in_container);
/* Begin (or hurry); `why` is for the log. */
void shutdown_request(enum shutdown_how how, const char *why);
void shutdown_event(enum shutdown_event event);
bool shutdown_is_under_way(void);

#endif
