/* SPDX-License-Identifier: MPL-2.0
 *
 * fwrules.h: the language of firewall rules, and its canonical form. */
#ifndef TRITON_FWRULES_H
#define TRITON_FWRULES_H

#include "nomad/base.h"
#include "nomad/error.h"

/* The form that the server answers in: keywords upper, protocol lower, tags in
 * quotes, targets and ports sorted without duplicates, parentheses around
 * several only.  Two rules are equal if their canonical forms are. */
int triton_fwrule_canonical(const char *text, char **ret, struct nomad_error **err);

/* For option tables: NULL if `text` is a rule, else what is expected. */
const char *triton_fwrule_check(const char *text);

/* 16 hexadecimal digits that stand for the canonical form `canonical`. */
enum { TRITON_FWRULE_HASH_SIZE = 17 };
int triton_fwrule_hash(const char *canonical, char ret[TRITON_FWRULE_HASH_SIZE]);

/* Is the rule of the kind that the Docker API makes for the published ports of
 * one container, and for this one: FROM any TO vm `uuid` ALLOW ...? */
bool triton_fwrule_is_published(const char *text, const char *uuid);

#endif
