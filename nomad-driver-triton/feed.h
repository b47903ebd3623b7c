/* SPDX-License-Identifier: MPL-2.0
 *
 * feed.h: the data centre's change feed, on its way to the poller. */
#ifndef TRITON_FEED_H
#define TRITON_FEED_H

#include "site.h"

struct triton_feed;

int triton_feed_new(struct triton_site *site, struct triton_feed **ret, struct nomad_error **err);
/* The site's budget has to be closed before. */
void triton_feed_free(struct triton_feed *feed);

/* ---- The framing of WebSockets (RFC 6455), as a client needs it ---- */

struct triton_frame {
	bool last;
	unsigned opcode;	   /* 0 continuation, 1 text, 2 binary, 8 close, 9 ping, 10 pong */
	const unsigned char *data; /* borrowed from the buffer */
	size_t size;
};

enum { TRITON_FRAME_MAX = 1 << 20, TRITON_FRAME_ROOM = 14 };

/* One frame at the beginning of `data`: its length in bytes, 0 if there is more
 * to come, -EPROTO if it is none that a server may send. */
ssize_t triton_frame_parse(const unsigned char *data, size_t size, struct triton_frame *ret);
/* A masked frame, at most 125 bytes of text: its length. */
size_t triton_frame_make(unsigned opcode, const void *data, size_t size, uint32_t mask, unsigned char *ret);
/* The machine that a message tells of, malloc()ed, or NULL. */
char *triton_feed_machine(const char *text, size_t size);

#endif
