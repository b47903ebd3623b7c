/* SPDX-License-Identifier: MPL-2.0 */
/* How providers are reached: HTTP with their headers, or the files of a drive. */
#include "cloud.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "http.h"
#include "util.h"

#define TRY_MS 15000 /* for one request */

int cloud_fail(struct cloud_session *s, int error, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(s->error, sizeof(s->error), fmt, ap);
	va_end(ap);
	return error;
}

unsigned int cloud_time_left(const struct cloud_session *s, unsigned int max)
{
	uint64_t now = util_now_ms();

	if (now >= s->end_ms)
		return 0;
	return s->end_ms - now < max ? (unsigned int)(s->end_ms - now) : max;
}

static const char *why(int error)
{
	switch (error) {
	case -EFBIG:
		return "the answer is too large";
	case -EBADMSG:
		return "the answer is not HTTP, or was cut";
	case -EACCES:
		return "the answer lacks the header that proves the service";
	default:
		return strerror(-error);
	}
}

static int ask_address(struct cloud_session *s, struct http_request *q, char **ret, size_t *ret_len)
{
	const struct cloud_provider *p = s->provider;
	struct http_answer a;
	unsigned int ms = cloud_time_left(s, TRY_MS);
	int r = ms ? http_ask(q, ms, &a) : -ETIMEDOUT;

	if (r == 0 && p->answer && q->want && strcmp(a.value, p->value) != 0) {
		free(a.body);
		r = -EACCES;
	}
	if (r < 0)
		return cloud_fail(s, r, "%s %s: %s", q->method, q->path, why(r));
	*ret = a.body;
	*ret_len = a.len;
	return a.status;
}

int cloud_http(struct cloud_session *s, const char *method, const char *path, const char *more, const char *body,
	       size_t max, char **ret, size_t *ret_len)
{
	const struct cloud_provider *p = s->provider;
	char host[64], headers[1400];
	struct http_request q = { .port = 80,
				  .method = method,
				  .host = host,
				  .path = path,
				  .headers = headers,
				  .body = body,
				  .want = p->answer,
				  .max = max };
	int r = -EHOSTUNREACH;
	size_t i;

	snprintf(headers, sizeof(headers), "%s%s%s%s%s%s", p->header ? p->header : "", more ? more : "",
		 s->token[0] ? p->token.name : "", s->token[0] ? ": " : "", s->token, s->token[0] ? "\r\n" : "");
	if (s->has_address) {
		q.to = s->at;
		q.port = s->port;
		snprintf(host, sizeof(host), "%s", p->addresses[0]);
		return ask_address(s, &q, ret, ret_len);
	}
	for (i = 0; i < NOMAD_ARRAY_LEN(p->addresses) && p->addresses[i]; i++) {
		if (net_address_parse(p->addresses[i], &q.to) < 0)
			continue;
		snprintf(host, sizeof(host), strchr(p->addresses[i], ':') ? "[%s]" : "%s", p->addresses[i]);
		r = ask_address(s, &q, ret, ret_len);
		/* Who answers, even wrongly, is the one to ask. */
		if (r >= 0 || r == -EFBIG || r == -EBADMSG || r == -EACCES)
			break;
	}
	return r;
}

/* Files are root's: all are read to memory before there is anybody to mislead. */
int cloud_open_files(struct cloud_session *s)
{
	const struct cloud_get *g = s->provider->gets;
	char full[512];
	size_t i;

	for (i = 0; i < NOMAD_ARRAY_LEN(s->kept) && g[i].path; i++) {
		snprintf(full, sizeof(full), "%s/%s", s->files, g[i].path);
		s->kept[i].error = util_read_alloc(full, CLOUD_USERDATA_MAX, &s->kept[i].text, &s->kept[i].len);
	}
	return 0;
}

int cloud_get_file(struct cloud_session *s, const char *path, size_t max, char **ret, size_t *ret_len)
{
	const struct cloud_get *g = s->provider->gets;
	size_t i;

	for (i = 0; i < NOMAD_ARRAY_LEN(s->kept) && g[i].path; i++) {
		if (strcmp(g[i].path, path) != 0)
			continue;
		if (s->kept[i].error < 0)
			return s->kept[i].error;
		if (s->kept[i].len > max)
			return -EFBIG;
		*ret = malloc(s->kept[i].len + 1);
		if (!*ret)
			return -ENOMEM;
		memcpy(*ret, s->kept[i].text, s->kept[i].len + 1);
		*ret_len = s->kept[i].len;
		return 0;
	}
	return -ENOENT;
}
