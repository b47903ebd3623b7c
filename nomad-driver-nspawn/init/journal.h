/* SPDX-License-Identifier: MPL-2.0 */
#ifndef NSPAWN_JOURNAL_H
#define NSPAWN_JOURNAL_H

/* Before the init of the image runs: from now on its journal goes to stdout, errors to stderr. */
void journal_start(void);

#endif
