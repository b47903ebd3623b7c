/* SPDX-License-Identifier: MPL-2.0 */
#ifndef NOMAD_CORE_RIVALS_H
#define NOMAD_CORE_RIVALS_H

#include "core/core.h"

/* Ends every other run of the allocation and task name of `task`, which is in
 * the table, and whose `busy` is held: known to the plugin or only on disk,
 * started or about to.  -ECANCELED: a newer run ends this one; the caller gives
 * up.  Any other error: one could not be ended; a later attempt may succeed. */
int nomad__rivals_end(struct nomad_task *task, struct nomad_error **err);

#endif
