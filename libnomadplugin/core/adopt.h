/* SPDX-License-Identifier: MPL-2.0 */
#ifndef NOMAD_CORE_ADOPT_H
#define NOMAD_CORE_ADOPT_H

#include "core/task.h"

/* Directories are made of it. */
int nomad__task_check_name(const struct nomad_task *task, struct nomad_error **err);
int nomad__task_decode_config(struct nomad_task *task, const void *config, size_t size, unsigned flags,
			      struct nomad_error **err);
/* Takes over what runs (or ran); its journal is open and `busy` is held.  -ENOENT: the task is lost. */
int nomad__task_adopt(struct nomad_task *task, struct nomad_error **err);

#endif
