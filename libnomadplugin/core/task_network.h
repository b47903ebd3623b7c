/* SPDX-License-Identifier: MPL-2.0
 *
 * core/task_network.h: the address that a driver says a task has. */
#ifndef NOMAD_CORE_TASK_NETWORK_H
#define NOMAD_CORE_TASK_NETWORK_H

#include "core/task.h"

struct nomad__task_network *nomad__task_network_new(void);
void nomad__task_network_free(struct nomad__task_network *network);
/* Makes known again what nomad_task_set_network() had recorded.  0 or -ENOMEM. */
int nomad__task_network_restore(struct nomad_task *task);
/* Fills in the network of *ret.  0 or -ENOMEM; nomad__started_done() in any case. */
int nomad__task_network_copy(struct nomad_task *task, struct nomad__started *ret);

#endif
