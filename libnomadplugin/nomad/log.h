/* SPDX-License-Identifier: MPL-2.0
 *
 * nomad/log.h: the log of the plugin, on stderr: a JSON line for each message
 * in the format of go-plugin (hclog), plain text on a terminal.
 *
 * A log call never blocks and never fails.  A line that does not fit into the
 * pipe is dropped; the next line that fits gives the number of dropped lines.
 * Safe from any thread.  Functions that return an error do not log it: the
 * library logs each failed call once. */
#ifndef NOMAD_LOG_H
#define NOMAD_LOG_H

#include "nomad/base.h"

NOMAD_BEGIN_DECLS

enum nomad_log_level {
	NOMAD_LOG_TRACE,
	NOMAD_LOG_DEBUG,
	NOMAD_LOG_INFO,
	NOMAD_LOG_WARN,
	NOMAD_LOG_ERROR,
	NOMAD_LOG_LEVEL_MAX,
};

/* Logs a message. */
void nomad_log(enum nomad_log_level level, const char *fmt, ...) NOMAD_PRINTF(2, 3);
/* Logs a message with keys and values: `const char *` pairs, ended by NULL.
 * A NULL value is written as "". */
void nomad_log_kv(enum nomad_log_level level, const char *message, ... /* key, value, ..., NULL */)
	__attribute__((sentinel));

NOMAD_END_DECLS

#endif
