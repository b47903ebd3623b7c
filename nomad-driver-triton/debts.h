/* SPDX-License-Identifier: MPL-2.0
 *
 * debts.h: what could not be removed when it was time to, and is tried again. */
#ifndef TRITON_DEBTS_H
#define TRITON_DEBTS_H

#include "remains.h"

struct triton_debts;

/* `folder` is made if need be; one file a debt, so they outlive the process. */
int triton_debts_new(struct triton_site *site, const char *folder, struct triton_debts **ret, struct nomad_error **err);
/* The site's budget has to be closed before. */
void triton_debts_free(struct triton_debts *debts);
int triton_debts_add(struct triton_debts *debts, const struct triton_remains *remains, struct nomad_error **err);
/* It was removed after all. */
void triton_debts_paid(struct triton_debts *debts, const char *name);

#endif
