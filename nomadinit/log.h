/* SPDX-License-Identifier: MPL-2.0 */
/* Messages: to every console, and to a ring of two files on the state partition once there is one. */
#ifndef NOMADINIT_LOG_H
#define NOMADINIT_LOG_H

#include <stddef.h>

#include "util.h"

/* Find the consoles (again).  Before the first call, and where there is none, stderr is used. */
void log_open_consoles(void);
void log_info(const char *fmt, ...) NOMAD_PRINTF(1, 2);
/* Marked with "warning: " and "error: ". */
void log_warn(const char *fmt, ...) NOMAD_PRINTF(1, 2);
void log_error(const char *fmt, ...) NOMAD_PRINTF(1, 2);
/* A line that somebody else wrote, `who` says who. */
void log_line(const char *who, const char *line, size_t len);

/* Keep what is logged, also what was until now, in DIR/log and DIR/log.old, together at most max_bytes; with the time
 * of day, and `mark` as this boot's first line. */
int log_ring_open(const char *dir, size_t max_bytes, const char *mark);
/* A line for the ring alone. */
void log_to_ring(const char *who, const char *line, size_t len);
void log_ring_close(void);

/* Splits a stream of bytes into lines for log_line(); overlong lines are cut into pieces. */
struct log_splitter {
	char buf[1024];
	size_t len;
};
void log_split(struct log_splitter *s, const char *who, const char *data, size_t len);
void log_split_end(struct log_splitter *s, const char *who);

#endif
