/* SPDX-License-Identifier: MPL-2.0
 *
 * core/agent.h: whether an agent is there.  An agent keeps the streams
 * Fingerprint and TaskEvents open for as long as it lives; each of them is
 * counted from _comes() to _goes(). */
#ifndef NOMAD_CORE_AGENT_H
#define NOMAD_CORE_AGENT_H

#include "core/core.h"

void nomad__agent_comes(struct nomad_plugin *plugin);
void nomad__agent_goes(void *plugin); /* the type of an `extra_free`, see core/sub.h */

/* The agent is of that node: it starts or recovers a task with that node's id.  This is remembered for the next plugin
 * that an agent with the same command line starts: see <state_dir>/agents. */
void nomad__agent_is_of(struct nomad_plugin *plugin, const char *node);
/* Whether it is, as far as this is known. */
bool nomad__agent_is_node(struct nomad_plugin *plugin, const char *node);

/* How long an agent has been connected without a break; 0: none is. */
int64_t nomad__agent_there_ns(struct nomad_plugin *plugin);
/* When the agent before it disconnected (monotonic); 0: there was no agent before. */
int64_t nomad__agent_left_ns(struct nomad_plugin *plugin);

#endif
