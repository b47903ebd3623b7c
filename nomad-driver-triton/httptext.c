/* SPDX-License-Identifier: MPL-2.0
 *
 * Words of requests and answers: escapes, Retry-After, a server's text within
 * one of our messages.  All of it comes from outside; test/fuzz/triton_http.c
 * feeds it.
 */
#include <ctype.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <curl/curl.h>

#include "httptext.h"

char *triton_url_escape(const char *text)
{
	static const char hex[] = "0123456789ABCDEF";
	char *out = malloc(strlen(text) * 3 + 1), *p = out;

	if (!out)
		return NULL;
	for (const unsigned char *c = (const unsigned char *)text; *c; c++) {
		if (isalnum(*c) || strchr("-._~", *c)) {
			*p++ = (char)*c;
		} else {
			*p++ = '%';
			*p++ = hex[*c >> 4];
			*p++ = hex[*c & 15];
		}
	}
	*p = '\0';
	return out;
}

int64_t triton_parse_retry_after(const char *text, int64_t now_s)
{
	time_t date;

	while (*text == ' ' || *text == '\t')
		text++;
	if (isdigit((unsigned char)*text)) {
		char *end;
		long long s = strtoll(text, &end, 10);

		while (*end == ' ' || *end == '\r' || *end == '\n')
			end++;
		return *end || s > 86400 ? -1 : s * 1000;
	}
	date = curl_getdate(text, NULL);
	if (date == (time_t)-1)
		return -1;
	return (int64_t)date <= now_s ? 0 : ((int64_t)date - now_s) * 1000;
}

char *triton_one_line(const char *text, size_t size)
{
	size_t n = size > 300 ? 300 : size;
	char *out = malloc(n + 1);
	size_t k = 0;

	if (!out)
		return NULL;
	/* Do not cut a character of UTF-8 in two. */
	while (n < size && n && ((unsigned char)text[n] & 0xc0) == 0x80)
		n--;
	for (size_t i = 0; i < n; i++) {
		bool blank = (unsigned char)text[i] <= ' ' || text[i] == 0x7f;

		if (blank && (!k || out[k - 1] == ' '))
			continue;
		out[k++] = blank ? ' ' : text[i];
	}
	while (k && out[k - 1] == ' ')
		k--;
	out[k] = '\0';
	return out;
}
