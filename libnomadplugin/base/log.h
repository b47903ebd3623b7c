/* SPDX-License-Identifier: MPL-2.0
 *
 * base/log.h: how the log is set up. */
#ifndef NOMAD_CORE_LOG_H
#define NOMAD_CORE_LOG_H

#include "nomad/log.h"

enum nomad__log_form { NOMAD__LOG_TEXT, NOMAD__LOG_JSON };

/* Before any thread is started.  `module` is borrowed for ever.  JSON makes
 * stderr non-blocking. */
void nomad__log_setup(enum nomad__log_form form, const char *module, enum nomad_log_level level);
/* Lines by level and bytes that were written, and lines that were dropped, since the start. */
void nomad__log_counts(uint64_t ret_lines[NOMAD_LOG_LEVEL_MAX], uint64_t *ret_bytes, uint64_t *ret_lost);

#endif
