/* SPDX-License-Identifier: MPL-2.0
 *
 * As much HTTP/1.1 as `curl --unix-socket` and scrapers speak: one request
 * a connection, GET or HEAD of /metrics.  Of the request only its first line
 * counts. */
#include "core/metrics.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool nomad__http_complete(const char *request, size_t size)
{
	return memmem(request, size, "\n\r\n", 3) || memmem(request, size, "\n\n", 2);
}

/* What follows `word` and a blank in [*p, end), or NULL. */
static const char *after(const char *p, const char *end, const char *word)
{
	size_t n = strlen(word);

	return (size_t)(end - p) > n && memcmp(p, word, n) == 0 && p[n] == ' ' ? p + n + 1 : NULL;
}

static const char *status_of(const char *line, const char *end, bool *ret_head)
{
	const char *target = after(line, end, "GET"), *blank;
	size_t n;

	if (!target)
		*ret_head = (target = after(line, end, "HEAD"));
	if (!target) /* a word and a blank: some other method */
		return (size_t)strspn(line, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") < (size_t)(end - line) && *line >= 'A' &&
				       *line <= 'Z' && line[strspn(line, "ABCDEFGHIJKLMNOPQRSTUVWXYZ")] == ' '
			       ? "405 Method Not Allowed"
			       : "400 Bad Request";
	blank = memchr(target, ' ', (size_t)(end - target));
	if (!blank || *target != '/' || end - blank < 9 || memcmp(blank + 1, "HTTP/1.", 7) != 0)
		return "400 Bad Request";
	n = (size_t)(blank - target);
	if (memchr(target, '?', n))
		n = (size_t)((const char *)memchr(target, '?', n) - target);
	return n == 8 && memcmp(target, "/metrics", 8) == 0 ? "200 OK" : "404 Not Found";
}

char *nomad__http_answer(struct nomad_plugin *plugin, const char *request, size_t size, bool full, size_t *ret_size)
{
	const char *end = memchr(request, '\n', size), *status = "431 Request Header Fields Too Large";
	struct nomad__openmetrics om = { 0 };
	NOMAD_AUTO_FREE char *line = end ? strndup(request, (size_t)(end - request)) : strdup("");
	char head[256], text[96];
	const char *body = text;
	size_t body_size, head_size;
	bool head_only = false;
	char *answer;

	if (!line)
		return NULL;
	line[strcspn(line, "\r")] = '\0';
	if (!full)
		status = status_of(line, line + strlen(line), &head_only);
	body_size = (size_t)snprintf(text, sizeof(text), "%s%s", status,
				     *status == '4' ? ": there is /metrics, to be got\n" : "\n");
	if (*status == '2') {
		if (nomad__metrics_text(plugin, &om) < 0) {
			nomad__openmetrics_done(&om);
			return NULL;
		}
		body = om.text;
		body_size = om.size;
	}
	head_size =
		(size_t)snprintf(head, sizeof(head),
				 "HTTP/1.1 %s\r\nContent-Type: %s; charset=utf-8\r\nContent-Length: %zu\r\n%s"
				 "Connection: close\r\n\r\n",
				 status, *status == '2' ? "application/openmetrics-text; version=1.0.0" : "text/plain",
				 body_size, strncmp(status, "405", 3) == 0 ? "Allow: GET, HEAD\r\n" : "");
	answer = malloc(head_size + body_size);
	if (answer) {
		memcpy(answer, head, head_size);
		memcpy(answer + head_size, body, body_size);
		*ret_size = head_size + (head_only ? 0 : body_size);
	}
	nomad__openmetrics_done(&om);
	return answer;
}
