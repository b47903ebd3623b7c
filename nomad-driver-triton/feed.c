/* SPDX-License-Identifier: MPL-2.0
 *
 * The data centre's change feed: a WebSocket on which it tells which machine
 * has changed, so that the list of all has to be asked for less often.
 *
 *	idle (no tasks) -> connect -> 101 -> subscribe -> told of changes
 *	      ^		      \-> no feed here: again in ten minutes
 *	      \------------------- broken: list at once, again after a back-off
 *
 * It is an optimisation: a message only makes the poller look at its machine,
 * and nothing is believed that it did not see for itself.  A feed that says
 * nothing is asked by a ping whether it lives.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <openssl/evp.h>
#include <openssl/rand.h>

#include "nomad/log.h"

#include "feed.h"

enum {
	HEAD_MAX = 16384,
	SLICE_MS = 500, /* the end of the plugin is seen so soon */
	HEAD_MS = 30000,
	PING_MS = 45000,
	DEAF_MS = 30000,  /* after a ping */
	NONE_MS = 600000, /* until a data centre without a feed is asked again */
	FIRST_MS = 1000,
	MOST_MS = 300000,
};

struct triton_feed {
	struct triton_site *site;
	pthread_t thread;
};

/* One connection. */
struct line {
	struct triton_feed *feed;
	CURL *easy;
	curl_socket_t socket;
	unsigned char *data; /* what has arrived */
	size_t size, room;
	char *message; /* a message in pieces */
	size_t message_size;
};

/* ---- Frames ---- */

ssize_t triton_frame_parse(const unsigned char *data, size_t size, struct triton_frame *ret)
{
	size_t head = 2;
	uint64_t length;

	if (size < 2)
		return 0;
	/* No extension was agreed on, and a server does not mask. */
	if ((data[0] & 0x70) || (data[1] & 0x80))
		return -EPROTO;
	*ret = (struct triton_frame){ .last = data[0] & 0x80, .opcode = data[0] & 0x0f };
	length = data[1] & 0x7f;
	if (ret->opcode >= 8 && (length > 125 || !ret->last))
		return -EPROTO;
	if (length == 126 || length == 127) {
		size_t bytes = length == 126 ? 2 : 8;

		if (size < 2 + bytes)
			return 0;
		length = 0;
		for (size_t i = 0; i < bytes; i++)
			length = length << 8 | data[2 + i];
		head += bytes;
	}
	if (length > TRITON_FRAME_MAX)
		return -EPROTO;
	if (size - head < length)
		return 0;
	ret->data = data + head;
	ret->size = (size_t)length;
	return (ssize_t)(head + ret->size);
}

size_t triton_frame_make(unsigned opcode, const void *data, size_t size, uint32_t mask, unsigned char *ret)
{
	const unsigned char *bytes = data;
	unsigned char key[4] = { (unsigned char)(mask >> 24), (unsigned char)(mask >> 16), (unsigned char)(mask >> 8),
				 (unsigned char)mask };

	if (size > 125)
		size = 125;
	ret[0] = (unsigned char)(0x80 | opcode);
	ret[1] = (unsigned char)(0x80 | size);
	memcpy(ret + 2, key, 4);
	for (size_t i = 0; i < size; i++)
		ret[6 + i] = bytes[i] ^ key[i % 4];
	return size + 6;
}

char *triton_feed_machine(const char *text, size_t size)
{
	json_t *json = json_loadb(text, size, 0, NULL);
	const char *id = triton_json_text(json, "changedResourceId");
	char *copy = id && triton_is_uuid(id) ? strdup(id) : NULL;

	json_decref(json);
	return copy;
}

/* ---- One connection ---- */

static bool closing(const struct triton_feed *feed)
{
	return atomic_load(&feed->site->budget.closing);
}

static int send_all(struct line *line, const void *data, size_t size)
{
	int64_t deadline = triton_now_ms() + HEAD_MS;
	const char *at = data;

	while (size) {
		struct pollfd pfd = { .fd = line->socket, .events = POLLOUT };
		size_t n = 0;
		CURLcode code = curl_easy_send(line->easy, at, size, &n);

		if (code == CURLE_AGAIN) {
			if (closing(line->feed) || triton_now_ms() > deadline)
				return -ETIMEDOUT;
			(void)poll(&pfd, 1, SLICE_MS);
			continue;
		}
		if (code)
			return -EPIPE;
		at += n;
		size -= n;
	}
	return 0;
}

static int send_frame(struct line *line, unsigned opcode, const void *data, size_t size)
{
	unsigned char frame[125 + TRITON_FRAME_ROOM];
	uint32_t mask = 0;

	(void)RAND_bytes((unsigned char *)&mask, sizeof(mask));
	return send_all(line, frame, triton_frame_make(opcode, data, size, mask, frame));
}

/* Wait for more: 1 some came, 0 none in this slice, negative: it is over. */
static int receive(struct line *line)
{
	struct pollfd pfd = { .fd = line->socket, .events = POLLIN };
	size_t n = 0;
	CURLcode code;

	if (line->size + 4096 > line->room) {
		size_t room = line->room + 16384;
		unsigned char *bigger = room > TRITON_FRAME_MAX + 65536 ? NULL : realloc(line->data, room);

		if (!bigger)
			return -EMSGSIZE;
		line->data = bigger;
		line->room = room;
	}
	/* TLS may hold bytes that poll() does not see. */
	code = curl_easy_recv(line->easy, line->data + line->size, line->room - line->size, &n);
	if (code == CURLE_AGAIN) {
		(void)poll(&pfd, 1, SLICE_MS);
		return 0;
	}
	if (code || !n)
		return -ECONNRESET;
	line->size += n;
	return 1;
}

static void drop(struct line *line, size_t n)
{
	line->size -= n;
	memmove(line->data, line->data + n, line->size);
}

static int accept_of(const char *key, char ret[64])
{
	NOMAD_AUTO_FREE char *both = nomad_strdupf("%s258EAFA5-E914-47DA-95CA-C5AB0DC85B11", key);
	unsigned char hash[EVP_MAX_MD_SIZE];
	unsigned n = 0;

	if (!both || !EVP_Digest(both, strlen(both), hash, &n, EVP_sha1(), NULL))
		return -ENOMEM;
	EVP_EncodeBlock((unsigned char *)ret, hash, (int)n);
	return 0;
}

/* The value of a header of a head that ends with an empty line is `value`. */
static bool head_says(const char *head, const char *name, const char *value)
{
	size_t n = strlen(name), v = strlen(value);

	for (const char *at = strstr(head, "\r\n"); at; at = strstr(at, "\r\n")) {
		at += 2;
		if (strncasecmp(at, name, n) != 0 || at[n] != ':')
			continue;
		at += n + 1;
		at += strspn(at, " \t");
		return strncmp(at, value, v) == 0 && at[v] == '\r';
	}
	return false;
}

/* The answer to the upgrade: 0, or negative; -ENOTSUP for a data centre that has no feed. */
static int read_head(struct line *line, const char *accept)
{
	int64_t deadline = triton_now_ms() + HEAD_MS;
	int status = 0;

	for (;;) {
		NOMAD_AUTO_FREE char *head = NULL;
		char *end;
		int r;

		if (closing(line->feed) || triton_now_ms() > deadline || line->size > HEAD_MAX)
			return -ETIMEDOUT;
		r = receive(line);
		if (r < 0)
			return r;
		head = nomad_strdupf("%.*s", (int)line->size, (const char *)line->data);
		end = head ? strstr(head, "\r\n\r\n") : NULL;
		if (!end)
			continue;
		if (sscanf(head, "HTTP/1.%*d %d", &status) != 1)
			return -EPROTO;
		if (status != 101)
			return status == 429 || status >= 500 ? -EAGAIN : -ENOTSUP;
		if (!head_says(head, "Sec-WebSocket-Accept", accept))
			return -EPROTO;
		drop(line, (size_t)(end + 4 - head));
		return 0;
	}
}

static int on_progress(void *ud, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
	(void)a;
	(void)b;
	(void)c;
	(void)d;
	return closing(ud);
}

static int open_line(struct line *line, const struct triton_cloud *cloud, struct nomad_error **err)
{
	static const char wanted[] = "{\"resource\":\"vm\",\"subResources\":[\"state\",\"destroyed\"]}";
	NOMAD_AUTO_FREE char *target = nomad_strdupf("/%s/changefeed", cloud->account), *extra = NULL, *head = NULL;
	unsigned char random[16];
	char key[32], accept[64];
	int r;

	(void)RAND_bytes(random, sizeof(random));
	EVP_EncodeBlock((unsigned char *)key, random, sizeof(random));
	extra = nomad_strdupf(
		"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n",
		key);
	line->easy = curl_easy_init();
	if (!target || !extra || !line->easy || accept_of(key, accept) < 0)
		return -ENOMEM;
	r = triton_http_prepare(cloud->http, line->easy, "/", err);
	if (r >= 0)
		r = triton_http_head(cloud->http, target, extra, &head, err);
	if (r < 0)
		return r;
	curl_easy_setopt(line->easy, CURLOPT_CONNECT_ONLY, 1L);
	curl_easy_setopt(line->easy, CURLOPT_XFERINFOFUNCTION, on_progress);
	curl_easy_setopt(line->easy, CURLOPT_XFERINFODATA, line->feed);
	curl_easy_setopt(line->easy, CURLOPT_NOPROGRESS, 0L);
	if (curl_easy_perform(line->easy) || curl_easy_getinfo(line->easy, CURLINFO_ACTIVESOCKET, &line->socket) ||
	    line->socket == CURL_SOCKET_BAD)
		return -ECONNREFUSED;
	r = send_all(line, head, strlen(head));
	if (r >= 0)
		r = read_head(line, accept);
	return r < 0 ? r : send_frame(line, 1, wanted, sizeof(wanted) - 1);
}

static int take_message(struct line *line, const struct triton_frame *frame)
{
	NOMAD_AUTO_FREE char *machine = NULL;
	char *longer;

	if (line->message_size + frame->size > TRITON_FRAME_MAX)
		return -EMSGSIZE;
	longer = realloc(line->message, line->message_size + frame->size + 1);
	if (!longer)
		return -ENOMEM;
	line->message = longer;
	memcpy(longer + line->message_size, frame->data, frame->size);
	line->message_size += frame->size;
	if (!frame->last)
		return 0;
	machine = triton_feed_machine(line->message, line->message_size);
	line->message_size = 0;
	if (machine)
		triton_poller_changed(line->feed->site->poller, machine);
	return 0;
}

static int take_frame(struct line *line, const struct triton_frame *frame)
{
	switch (frame->opcode) {
	case 0:
	case 1:
	case 2:
		return take_message(line, frame);
	case 8:
		return -ESHUTDOWN;
	case 9:
		return send_frame(line, 10, frame->data, frame->size);
	case 10:
		return 0;
	default:
		return -EPROTO;
	}
}

/* Until it breaks, or there is nothing to watch any more. */
static void listen_to(struct line *line)
{
	int64_t heard_ms = triton_now_ms();
	bool asked = false;
	int r = 1;

	while (r >= 0 && !closing(line->feed)) {
		struct triton_frame frame;
		ssize_t n;

		while (r >= 0 && (n = triton_frame_parse(line->data, line->size, &frame)) != 0) {
			r = n < 0 ? (int)n : take_frame(line, &frame);
			if (r >= 0)
				drop(line, (size_t)n);
		}
		if (r < 0)
			break;
		r = receive(line);
		if (r > 0) {
			heard_ms = triton_now_ms();
			asked = false;
		} else if (r == 0) {
			int64_t silence = triton_now_ms() - heard_ms;

			if (!triton_poller_busy(line->feed->site->poller) && silence > PING_MS)
				return;
			if (silence > PING_MS + DEAF_MS)
				return;
			if (silence > PING_MS && !asked) {
				r = send_frame(line, 9, "", 0);
				asked = true;
			}
		}
	}
}

static int once(struct triton_feed *feed)
{
	struct triton_site *site = feed->site;
	NOMAD_AUTO_ERROR struct nomad_error *err = NULL;
	struct line line = { .feed = feed };
	struct triton_cloud cloud;
	int r = triton_site_cloud(site, &cloud, &err);

	if (r >= 0)
		r = triton_budget_take(&site->budget, triton_now_ms() + HEAD_MS);
	if (r >= 0)
		r = open_line(&line, &cloud, &err);
	if (r >= 0) {
		nomad_log(NOMAD_LOG_DEBUG, "the change feed tells of the instances");
		triton_poller_feed(site->poller, true);
		listen_to(&line);
		triton_poller_feed(site->poller, false);
	}
	curl_easy_cleanup(line.easy);
	free(line.data);
	free(line.message);
	return r;
}

static void *run(void *ud)
{
	struct triton_feed *feed = ud;
	unsigned failures = 0;
	int64_t wait = FIRST_MS;

	while (triton_budget_sleep(&feed->site->budget, wait) == 0) {
		int r;

		wait = FIRST_MS;
		if (!triton_poller_busy(feed->site->poller))
			continue;
		r = once(feed);
		failures = r < 0 ? failures + 1 : 0;
		if (r == -ENOTSUP)
			wait = triton_backoff_ms(1, NONE_MS, NONE_MS);
		else
			wait = triton_backoff_ms(failures + 1, FIRST_MS, MOST_MS);
	}
	return NULL;
}

int triton_feed_new(struct triton_site *site, struct triton_feed **ret, struct nomad_error **err)
{
	struct triton_feed *feed = calloc(1, sizeof(*feed));
	int r;

	if (!feed)
		return nomad_error_errno(err, ENOMEM, "prepare the change feed");
	feed->site = site;
	r = pthread_create(&feed->thread, NULL, run, feed);
	if (r) {
		free(feed);
		return nomad_error_errno(err, r, "prepare the change feed");
	}
	*ret = feed;
	return 0;
}

void triton_feed_free(struct triton_feed *feed)
{
	if (!feed)
		return;
	pthread_join(feed->thread, NULL);
	free(feed);
}
