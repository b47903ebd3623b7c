/* SPDX-License-Identifier: MPL-2.0
 *
 * debts.h: what is to be removed, noted before its removal begins, and tried
 * again until it is done. */
#ifndef TRITON_DEBTS_H
#define TRITON_DEBTS_H

#include "remains.h"

struct triton_debts;

/* `folder` is made if need be; one file a debt, so they outlive the process. */
int triton_debts_new(struct triton_site *site, const char *folder, const char *hold_folder, struct triton_debts **ret,
		     struct nomad_error **err);
/* The site's budget has to be closed before. */
void triton_debts_free(struct triton_debts *debts);
/* Before a removal: note it.  Nobody else tries until it is settled.  What an
 * earlier attempt had learned is added to `remains`; what is learned in the
 * midst of the removal is noted, too. */
int triton_debts_take(struct triton_debts *debts, struct triton_remains *remains, struct nomad_error **err);
/* After it: done, or to be tried again in the background. */
void triton_debts_settle(struct triton_debts *debts, const char *name, bool paid);
/* `name` is about to be made: what is noted under it was of an earlier attempt
 * that is cleared away by now.  Waits for a removal that is under way. */
void triton_debts_cancel(struct triton_debts *debts, const char *name);

#endif
