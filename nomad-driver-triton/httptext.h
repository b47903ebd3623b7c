/* SPDX-License-Identifier: MPL-2.0
 *
 * httptext.h: words of requests and answers.  Threads: any. */
#ifndef TRITON_HTTPTEXT_H
#define TRITON_HTTPTEXT_H

#include <stddef.h>
#include <stdint.h>

/* "a b" -> "a%20b", malloc()ed. */
char *triton_url_escape(const char *text);
/* Retry-After: seconds, or a date.  -1 if neither. */
int64_t triton_parse_retry_after(const char *text, int64_t now_s);
/* One line of a server's text for a message: control characters to spaces, cut to 300 bytes. */
char *triton_one_line(const char *text, size_t size);

#endif
