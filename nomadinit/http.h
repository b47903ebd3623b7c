/* SPDX-License-Identifier: MPL-2.0 */
/* One HTTP/1.1 request to an address, for metadata services: no names, no proxy, no redirects, no TLS.
 *
 * The parser takes bytes as they come and is bounded: 16 KiB of header, a body of at most `max` bytes. */
#ifndef NOMADINIT_HTTP_H
#define NOMADINIT_HTTP_H

#include <stddef.h>
#include <stdint.h>

#include "netlink.h"

#define HTTP_HEADER_MAX 16384
#define HTTP_VALUE_MAX 128

struct http_answer {
	int status;
	char *body; /* ends with NUL, which is not counted; the caller frees it */
	size_t len;
	char value[HTTP_VALUE_MAX]; /* of the header that was asked for; "" if the answer has none */
};

struct http_parser {
	const char *want; /* name of a header, or NULL; borrowed */
	size_t max;	  /* bytes of body */
	struct http_answer answer;
	/* The rest is the parser's own. */
	int state;
	char line[512];
	size_t line_len, header_bytes, left;
	int is_chunked, has_length;
};

/* Takes bytes.  Returns 1 when the answer is complete, 0 if there must be more, -EBADMSG for what is not HTTP, -EFBIG
 * for a header or body above the limit, -ENOMEM. */
int http_feed(struct http_parser *p, const char *data, size_t len);
/* The connection ended.  Returns 1 if the answer is complete, else -EBADMSG. */
int http_end(struct http_parser *p);

struct http_request {
	struct net_address to;
	uint16_t port;
	int scope; /* interface index for a link-local IPv6 address, else 0 */
	const char *method, *host, *path;
	const char *headers; /* whole lines, each with \r\n, or NULL */
	const char *body;    /* or NULL */
	const char *want;    /* header of the answer to return, or NULL */
	size_t max;	     /* bytes of body that are accepted */
};

/* Sends a request and waits for the answer, at most timeout_ms for all of it.  Returns 0 with *ret filled in, whatever
 * the status is; -ETIMEDOUT; what http_feed() returns; or another negative errno. */
int http_ask(const struct http_request *q, unsigned int timeout_ms, struct http_answer *ret);

#endif
