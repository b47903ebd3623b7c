/* SPDX-License-Identifier: MPL-2.0
 *
 * text.h: texts of options, requests and answers.  Threads: any. */
#ifndef TRITON_TEXT_H
#define TRITON_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* An option that is absent and one that is "" mean the same. */
static inline bool triton_given(const char *text)
{
	return text && *text;
}
/* Copies a text that is given into *ret; leaves *ret alone for one that is not.  -ENOMEM. */
int triton_keep(char **ret, const char *text);
/* "8080": 1 to 65535, or -1. */
int triton_parse_port(const char *text);
/* A name that may stand in a path and in a header as it is. */
bool triton_is_login(const char *text);
bool triton_is_uuid(const char *text);

/* The value of the first of TRITON_<name> and SDC_<name> that is set and not
 * empty; NULL for none. */
const char *triton_getenv(const char *name);
/* A boolean word of the environment: 1 true yes on / 0 false no off; -1 for
 * NULL, "" and anything else. */
int triton_parse_bool(const char *text);
/* "a,b", malloc()ed; NULL if there are none or out of memory. */
char *triton_join(char *const *list);

/* "a b" -> "a%20b", malloc()ed. */
char *triton_url_escape(const char *text);
/* Retry-After: seconds, or a date.  -1 if neither. */
int64_t triton_parse_retry_after(const char *text, int64_t now_s);
/* One line of a server's text for a message: control characters to spaces, cut to 300 bytes. */
char *triton_one_line(const char *text, size_t size);

#endif
