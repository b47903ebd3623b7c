/* SPDX-License-Identifier: MPL-2.0 */
/* Does the agent take part in its cluster, and does the node take work?
 *
 * Neither the agent's life nor its /v1/agent/health proves it (that says "ok" as soon as a server is known).  So the
 * node carries a mark of this boot in its meta data, and the servers are asked for the node: when they know the mark,
 * this agent has registered.
 *
 * A client that drains itself at shutdown stays ineligible for ever, by Nomad's design: whoever drained is to end it.
 * That was us, so we do, and only if nobody else has a say in it. */
#ifndef NOMADINIT_HEALTH_H
#define NOMADINIT_HEALTH_H

#include <jansson.h>
#include <stdbool.h>

#define HEALTH_META "nomadinit_boot"

/* Read the agent's configuration and put the mark of this boot into it, where it is a client.  *ret_can_ask: it takes
 * part in a cluster, so that it can be asked.  Returns the new text, or NULL. */
char *health_mark(const char *agent_json, bool *ret_can_ask);
/* Has the agent of this boot registered as this node? */
bool health_is_registered(const json_t *node, const char *boot_id);
/* Is the node ineligible, and only because it drained itself when it was shut down? */
bool health_is_own_drain(const json_t *node);

/* `nomadinit agent-check PROGRAM`: exit status 0 if the agent has registered, and the node takes work again. */
int health_main(int argc, char **argv);

#endif
