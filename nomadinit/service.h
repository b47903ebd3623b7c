/* SPDX-License-Identifier: MPL-2.0 */
/* The agent: started, watched, restarted with back-off, stopped. */
#ifndef NOMADINIT_SERVICE_H
#define NOMADINIT_SERVICE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "config.h"

struct service_hooks {
	void (*started)(void *data);
	void (*settled)(void *data); /* it ran for healthy_seconds */
	void (*gone)(void *data);    /* it ended after service_stop() */
	void *data;
};

/* The next wait before a restart, from the last one (0 at first) and how long it ran. */
uint64_t service_backoff(uint64_t last_ms, uint64_t ran_ms, uint64_t min_ms, uint64_t max_ms, uint64_t healthy_ms);

/* Start, and go on starting it.  The configuration is borrowed for ever. */
void service_start(const struct config *c, const struct service_hooks *hooks);
/* A child ended: true if it was the agent. */
bool service_reaped(pid_t pid, int status);
/* No more restarts; SIGTERM to the agent, on which it drains if so configured, or SIGINT, on which it does not.
 * True: hooks.gone is called when it has ended.  False: it does not run. */
bool service_stop(int sig);
void service_signal(int sig);
void service_explain(int status, char *buf, size_t size);

#endif
