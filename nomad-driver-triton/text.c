/* SPDX-License-Identifier: MPL-2.0
 *
 * Texts of options, requests and answers: escapes, Retry-After, a server's text
 * within one of our messages.  What a server sends is not to be trusted;
 * test/fuzz/triton_http.c tries it.
 */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include <curl/curl.h>

#include "nomad/base.h"

#include "text.h"

int triton_keep(char **ret, const char *text)
{
	if (!triton_given(text))
		return 0;
	*ret = strdup(text);
	return *ret ? 0 : -ENOMEM;
}

bool triton_is_login(const char *text)
{
	for (const unsigned char *c = (const unsigned char *)text; *c; c++)
		if (*c <= ' ' || *c >= 0x7f || strchr("/?#\"\\%", *c))
			return false;
	return true;
}

bool triton_is_uuid(const char *text)
{
	if (!text || strlen(text) != 36)
		return false;
	for (int i = 0; i < 36; i++) {
		if (i == 8 || i == 13 || i == 18 || i == 23) {
			if (text[i] != '-')
				return false;
		} else if (!strchr("0123456789abcdef", text[i])) {
			return false;
		}
	}
	return true;
}

int triton_parse_port(const char *text)
{
	char *end;
	long n;

	if (!text || !isdigit((unsigned char)*text) || strlen(text) > 5)
		return -1;
	n = strtol(text, &end, 10);
	return *end || n < 1 || n > 65535 ? -1 : (int)n;
}

int triton_parse_bool(const char *text)
{
	static const char *const yes[] = { "1", "true", "yes", "on" }, *const no[] = { "0", "false", "no", "off" };

	for (size_t i = 0; text && i < NOMAD_ARRAY_LEN(yes); i++) {
		if (strcasecmp(text, yes[i]) == 0)
			return 1;
		if (strcasecmp(text, no[i]) == 0)
			return 0;
	}
	return -1;
}

const char *triton_getenv(const char *name)
{
	static const char *const prefixes[] = { "TRITON_", "SDC_" };
	char key[64];

	for (size_t i = 0; i < NOMAD_ARRAY_LEN(prefixes); i++) {
		const char *value;

		if (strlen(prefixes[i]) + strlen(name) >= sizeof(key))
			continue;
		strcpy(key, prefixes[i]);
		strcat(key, name);
		value = getenv(key);
		if (value && *value)
			return value;
	}
	return NULL;
}

char *triton_join(char *const *list)
{
	char *all = NULL;

	for (size_t i = 0; list && list[i]; i++) {
		char *more = nomad_strdupf("%s%s%s", all ? all : "", all ? "," : "", list[i]);

		free(all);
		if (!more)
			return NULL;
		all = more;
	}
	return all;
}

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
		/* U+0080 to U+009F are control characters as well, of two bytes. */
		bool pair = (unsigned char)text[i] == 0xc2 && i + 1 < n && (unsigned char)text[i + 1] < 0xa0,
		     blank = pair || (unsigned char)text[i] <= ' ' || text[i] == 0x7f;

		i += pair;
		if (blank && (!k || out[k - 1] == ' '))
			continue;
		out[k++] = blank ? ' ' : text[i];
	}
	while (k && out[k - 1] == ' ')
		k--;
	out[k] = '\0';
	return out;
}
