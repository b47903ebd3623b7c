/* SPDX-License-Identifier: MPL-2.0 */
#include "http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "util.h"

#define CONNECT_MS 3000 /* an address where nobody is must not take the time of the next one */

enum { STATUS_LINE, HEADERS, BODY_COUNTED, BODY_TO_END, CHUNK_SIZE, CHUNK_DATA, CHUNK_END, TRAILERS, COMPLETE };

static int add_body(struct http_parser *p, const char *data, size_t len)
{
	char *larger;

	if (len > p->max - p->answer.len)
		return -EFBIG;
	larger = realloc(p->answer.body, p->answer.len + len + 1);
	if (!larger)
		return -ENOMEM;
	memcpy(larger + p->answer.len, data, len);
	p->answer.body = larger;
	p->answer.len += len;
	larger[p->answer.len] = '\0';
	return 0;
}

static int take_status(struct http_parser *p)
{
	const char *l = p->line;
	long status;
	char code[4];

	if (strncmp(l, "HTTP/1.", 7) != 0 || (l[7] != '0' && l[7] != '1') || l[8] != ' ')
		return -EBADMSG;
	util_copy(code, sizeof(code), l + 9);
	if (util_parse_long(code, 100, 599, &status) < 0 || (l[12] && l[12] != ' '))
		return -EBADMSG;
	p->answer.status = (int)status;
	p->state = HEADERS;
	return 0;
}

/* The value of a header if it is the one named. */
static const char *value_of(const char *line, const char *name)
{
	size_t n = strlen(name);

	if (strncasecmp(line, name, n) != 0 || line[n] != ':')
		return NULL;
	return line + n + 1 + strspn(line + n + 1, " \t");
}

static int take_header(struct http_parser *p)
{
	const char *v;
	long len;

	if (p->want && (v = value_of(p->line, p->want)))
		util_copy(p->answer.value, sizeof(p->answer.value), v);
	if ((v = value_of(p->line, "Content-Length"))) {
		if (util_parse_long(v, 0, 1L << 40, &len) < 0 || (p->has_length && (size_t)len != p->left))
			return -EBADMSG;
		p->has_length = true;
		p->left = (size_t)len;
	} else if ((v = value_of(p->line, "Transfer-Encoding"))) {
		if (strcasecmp(v, "chunked") != 0)
			return -EBADMSG;
		p->is_chunked = true;
	}
	return 0;
}

static int end_headers(struct http_parser *p)
{
	if (p->answer.status < 200) { /* 100 Continue: the answer proper follows */
		p->state = STATUS_LINE;
		p->has_length = p->is_chunked = false;
		return 0;
	}
	if (p->is_chunked && p->has_length)
		return -EBADMSG;
	if (p->has_length && p->left > p->max)
		return -EFBIG;
	if (p->answer.status == 204 || p->answer.status == 304 || (p->has_length && p->left == 0))
		p->state = COMPLETE;
	else
		p->state = p->is_chunked ? CHUNK_SIZE : p->has_length ? BODY_COUNTED : BODY_TO_END;
	return add_body(p, "", 0);
}

static int take_chunk_size(struct http_parser *p)
{
	size_t n = strspn(p->line, "0123456789abcdefABCDEF");

	if (n == 0 || n > 8 || (p->line[n] && p->line[n] != ';' && p->line[n] != ' '))
		return -EBADMSG;
	p->left = strtoul(p->line, NULL, 16);
	if (p->left > p->max - p->answer.len)
		return -EFBIG;
	p->state = p->left ? CHUNK_DATA : TRAILERS;
	return 0;
}

static int take_line(struct http_parser *p)
{
	switch (p->state) {
	case STATUS_LINE:
		return take_status(p);
	case HEADERS:
		return p->line[0] ? take_header(p) : end_headers(p);
	case CHUNK_SIZE:
		return take_chunk_size(p);
	case CHUNK_END:
		p->state = CHUNK_SIZE;
		return p->line[0] ? -EBADMSG : 0;
	default:
		if (!p->line[0])
			p->state = COMPLETE;
		return 0;
	}
}

/* Takes the rest of a line; returns how many bytes, or a negative errno.  What does not fit is cut. */
static ssize_t feed_line(struct http_parser *p, const char *data, size_t len)
{
	const char *end = memchr(data, '\n', len);
	size_t n = end ? (size_t)(end - data) + 1 : len, keep = end ? n - 1 : n, room;
	int r;

	p->header_bytes += n;
	if (p->header_bytes > HTTP_HEADER_MAX && p->state != CHUNK_SIZE && p->state != CHUNK_END)
		return -EFBIG;
	if (memchr(data, '\0', keep))
		return -EBADMSG;
	room = sizeof(p->line) - 1 - p->line_len;
	keep = keep < room ? keep : room;
	memcpy(p->line + p->line_len, data, keep);
	p->line_len += keep;
	if (!end)
		return (ssize_t)n;
	if (p->line_len > 0 && p->line[p->line_len - 1] == '\r')
		p->line_len--;
	p->line[p->line_len] = '\0';
	p->line_len = 0;
	r = take_line(p);
	return r < 0 ? r : (ssize_t)n;
}

static ssize_t feed_body(struct http_parser *p, const char *data, size_t len)
{
	size_t n = p->state == BODY_TO_END || len < p->left ? len : p->left;
	int r = add_body(p, data, n);

	if (r < 0)
		return r;
	if (p->state == BODY_TO_END)
		return (ssize_t)n;
	p->left -= n;
	if (p->left == 0)
		p->state = p->state == CHUNK_DATA ? CHUNK_END : COMPLETE;
	return (ssize_t)n;
}

int http_feed(struct http_parser *p, const char *data, size_t len)
{
	bool is_body;
	ssize_t n;

	while (len > 0 && p->state != COMPLETE) {
		is_body = p->state == BODY_COUNTED || p->state == BODY_TO_END || p->state == CHUNK_DATA;
		n = is_body ? feed_body(p, data, len) : feed_line(p, data, len);
		if (n < 0)
			return (int)n;
		data += n;
		len -= (size_t)n;
	}
	return p->state == COMPLETE;
}

int http_end(struct http_parser *p)
{
	return p->state == COMPLETE || p->state == BODY_TO_END ? 1 : -EBADMSG;
}

/* ---- The connection --------------------------------------------------------------- */

static int wait_for(int fd, short events, uint64_t end_ms)
{
	struct pollfd p = { .fd = fd, .events = events };
	uint64_t now = util_now_ms();
	int r;

	if (now >= end_ms)
		return -ETIMEDOUT;
	r = poll(&p, 1, (int)(end_ms - now));
	if (r < 0)
		return errno == EINTR ? 0 : -errno;
	return r == 0 ? -ETIMEDOUT : 0;
}

static int open_connection(const struct http_request *q, uint64_t end_ms)
{
	struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_port = htons(q->port) };
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_port = htons(q->port) };
	int fd = socket(q->to.family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), r, failed = 0;
	socklen_t size = sizeof(failed);

	if (fd < 0)
		return -errno;
	memcpy(&v4.sin_addr, q->to.bytes, 4);
	memcpy(&v6.sin6_addr, q->to.bytes, 16);
	v6.sin6_scope_id = (uint32_t)q->scope;
	r = q->to.family == AF_INET ? connect(fd, (struct sockaddr *)&v4, sizeof(v4))
				    : connect(fd, (struct sockaddr *)&v6, sizeof(v6));
	r = r < 0 ? -errno : 0;
	if (r == -EINPROGRESS) {
		uint64_t soon_ms = util_now_ms() + CONNECT_MS;

		r = wait_for(fd, POLLOUT, soon_ms < end_ms ? soon_ms : end_ms);
		if (r == 0)
			r = getsockopt(fd, SOL_SOCKET, SO_ERROR, &failed, &size) < 0 ? -errno : -failed;
	}
	if (r < 0) {
		close(fd);
		return r;
	}
	return fd;
}

static int send_all(int fd, const char *data, size_t len, uint64_t end_ms)
{
	ssize_t n;
	int r;

	while (len > 0) {
		n = send(fd, data, len, MSG_NOSIGNAL);
		if (n > 0) {
			data += n;
			len -= (size_t)n;
		} else if (n < 0 && errno == EAGAIN) {
			r = wait_for(fd, POLLOUT, end_ms);
			if (r < 0)
				return r;
		} else if (n < 0 && errno != EINTR) {
			return -errno;
		}
	}
	return 0;
}

static int receive(int fd, struct http_parser *p, uint64_t end_ms)
{
	char buf[4096];
	ssize_t n;
	int r;

	for (;;) {
		r = wait_for(fd, POLLIN, end_ms);
		if (r < 0)
			return r;
		n = recv(fd, buf, sizeof(buf), 0);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			continue;
		if (n < 0)
			return -errno;
		r = n == 0 ? http_end(p) : http_feed(p, buf, (size_t)n);
		if (r != 0)
			return r < 0 ? r : 0;
	}
}

int http_ask(const struct http_request *q, unsigned int timeout_ms, struct http_answer *ret)
{
	uint64_t end_ms = util_now_ms() + timeout_ms;
	struct http_parser p = { .want = q->want, .max = q->max };
	char *text = NULL;
	int fd, r;

	memset(ret, 0, sizeof(*ret));
	r = asprintf(&text, "%s %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\nAccept: */*\r\n%s", q->method, q->path,
		     q->host, q->headers ? q->headers : "");
	if (r < 0)
		return -ENOMEM;
	fd = open_connection(q, end_ms);
	if (fd < 0) {
		free(text);
		return fd;
	}
	r = send_all(fd, text, strlen(text), end_ms);
	free(text);
	if (r == 0 && (q->body || strcmp(q->method, "GET") != 0)) {
		char length[64];
		int n = snprintf(length, sizeof(length), "Content-Length: %zu\r\n", q->body ? strlen(q->body) : 0);

		r = send_all(fd, length, (size_t)n, end_ms);
	}
	if (r == 0)
		r = send_all(fd, "\r\n", 2, end_ms);
	if (r == 0 && q->body)
		r = send_all(fd, q->body, strlen(q->body), end_ms);
	if (r == 0)
		r = receive(fd, &p, end_ms);
	close(fd);
	if (r < 0)
		free(p.answer.body);
	else
		*ret = p.answer;
	return r;
}
