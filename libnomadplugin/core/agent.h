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

/* How long one has been there without a break; 0: there is none. */
int64_t nomad__agent_there_ns(struct nomad_plugin *plugin);
/* When the last one before it left (monotonic); 0: there was none. */
int64_t nomad__agent_left_ns(struct nomad_plugin *plugin);

#endif
