/* SPDX-License-Identifier: MPL-2.0
 *
 * core/task_journal.h: the journal of a task that the plugin knows. */
#ifndef NOMAD_CORE_TASK_JOURNAL_H
#define NOMAD_CORE_TASK_JOURNAL_H

#include "core/journal.h"
#include "core/task.h"

struct nomad__task_journal *nomad__task_journal_new(void);
void nomad__task_journal_free(struct nomad__task_journal *journal);

/* Opens the journal and claims it.  A start (`create`) does not go on without
 * the claim: there would be two instances.  A recovery does: what runs is Nomad's. */
int nomad__task_journal_open(struct nomad_task *task, bool create, struct nomad_error **err);
/* Uses one that is open already. */
void nomad__task_journal_adopt(struct nomad_task *task, struct nomad__journal *take_journal);
/* The claim ends with it. */
void nomad__task_journal_close(struct nomad_task *task);

/* What is recorded under `key`; NULL: nothing. */
const char *nomad__task_fact(struct nomad_task *task, const char *key);
/* It runs elsewhere, and outlives a boot of this host. */
bool nomad__task_is_remote(struct nomad_task *task);

/* What an operator, gc and destroy() have to know of a task nobody remembers. */
int nomad__task_record_identity(struct nomad_task *task, struct nomad_error **err);
int nomad__task_record_supervised(struct nomad_task *task, struct nomad_error **err);
int nomad__task_record_started(struct nomad_task *task, struct nomad_error **err);
/* Does not fail: a disk that is full must not keep the task alive. */
void nomad__task_record_destroying(struct nomad_task *task);
/* Without a journal, there is nothing to do. */
int nomad__task_record_network(struct nomad_task *task, const char *text);

#endif
