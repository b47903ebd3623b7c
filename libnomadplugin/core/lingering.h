/* SPDX-License-Identifier: MPL-2.0 */
#ifndef NOMAD_CORE_LINGERING_H
#define NOMAD_CORE_LINGERING_H

#include "supervisor/client.h"

/* The task's end is no longer reported; lost log bytes still are, for as long as the supervisor waits for a reader. */
void nomad__lingering_add(struct nomad_task *task, struct nomad__supervisor *take_supervisor);
void nomad__lingering_closed(struct nomad_plugin *plugin, struct nomad__supervisor *supervisor);

#endif
