/* SPDX-License-Identifier: MPL-2.0 */
/* The port is shared with whatever was said on it before: it is drained and brought to a known state first, and again
 * whenever an answer does not come. */
#include "cloud.h"
#include "mdata.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <termios.h>
#include <unistd.h>

#include "gpt.h"
#include "userdata.h"
#include "util.h"

#define PORT "/dev/ttyS1"
#define GREETING_MS 2000
#define ANSWER_MS 45000
#define TURNS 8 /* frames that are not ours before we ask again */

static const char digits64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static void encode64(const char *from, char *to)
{
	size_t len = strlen(from), i;
	uint32_t v;

	for (i = 0; i < len; i += 3) {
		v = (uint32_t)(uint8_t)from[i] << 16;
		v |= i + 1 < len ? (uint32_t)(uint8_t)from[i + 1] << 8 : 0;
		v |= i + 2 < len ? (uint32_t)(uint8_t)from[i + 2] : 0;
		*to++ = digits64[v >> 18];
		*to++ = digits64[v >> 12 & 63];
		*to++ = i + 1 < len ? digits64[v >> 6 & 63] : '=';
		*to++ = i + 2 < len ? digits64[v & 63] : '=';
	}
	*to = '\0';
}

int mdata_format(uint32_t id, const char *command, const char *argument, char **ret)
{
	char body[512], encoded[400];

	if (strlen(argument) > 256)
		return -EINVAL;
	encode64(argument, encoded);
	snprintf(body, sizeof(body), "%08x %s %s", id, command, encoded);
	return asprintf(ret, "V2 %zu %08x %s\n", strlen(body), gpt_crc32(body, strlen(body)), body) < 0 ? -ENOMEM : 0;
}

/* The word at *p, which is `len` bytes from the end; moves on behind one blank. */
static size_t word(const char **p, const char *end)
{
	const char *from = *p, *blank = memchr(from, ' ', (size_t)(end - from));

	*p = blank ? blank + 1 : end;
	return (size_t)((blank ? blank : end) - from);
}

static int hex_word(const char *p, size_t n, uint32_t *ret)
{
	char text[9];

	if (n != 8 || strspn(p, "0123456789abcdef") < 8)
		return -EBADMSG;
	memcpy(text, p, 8);
	text[8] = '\0';
	*ret = (uint32_t)strtoul(text, NULL, 16);
	return 0;
}

int mdata_parse(const char *line, size_t len, uint32_t id, char **ret, size_t *ret_len)
{
	const char *end = line + len, *p = line, *from;
	uint32_t crc, got;
	char number[12] = "";
	size_t n;
	long size;

	if (word(&p, end) != 2 || memcmp(line, "V2", 2) != 0)
		return -EBADMSG;
	from = p;
	n = word(&p, end);
	if (n == 0 || n >= sizeof(number))
		return -EBADMSG;
	memcpy(number, from, n);
	if (util_parse_long(number, 1, MDATA_FRAME_MAX, &size) < 0)
		return -EBADMSG;
	from = p;
	if (hex_word(from, word(&p, end), &crc) < 0 || (long)(end - p) != size || gpt_crc32(p, (size_t)size) != crc)
		return -EBADMSG;
	from = p;
	if (hex_word(from, word(&p, end), &got) < 0 || got != id)
		return -EBADMSG;
	from = p;
	n = word(&p, end);
	if (n == 8 && memcmp(from, "NOTFOUND", 8) == 0)
		return -ENOENT;
	if (n != 7 || memcmp(from, "SUCCESS", 7) != 0)
		return -EBADMSG;
	return userdata_base64(p, (size_t)(end - p), ret, ret_len);
}

/* ---- The port --------------------------------------------------------------------- */

/* One line without its end into fresh memory; -ETIMEDOUT, -EFBIG, or another negative errno. */
static int read_line(int fd, size_t max, uint64_t end_ms, char **ret, size_t *ret_len)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	char *buf = malloc(max + 1), *end = NULL;
	size_t len = 0;
	uint64_t now;
	ssize_t n;
	int r = 0;

	while (buf && !end) {
		now = util_now_ms();
		if (now >= end_ms || poll(&p, 1, (int)(end_ms - now)) == 0)
			r = -ETIMEDOUT;
		else if (len == max)
			r = -EFBIG;
		if (r < 0)
			break;
		/* By the byte: what follows the line is the next one's. */
		n = read(fd, buf + len, 1);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			continue;
		if (n <= 0) {
			r = n < 0 ? -errno : -EIO;
			break;
		}
		end = buf[len] == '\n' ? buf + len : NULL;
		len++;
	}
	if (!buf || r < 0) {
		free(buf);
		return buf ? r : -ENOMEM;
	}
	*end = '\0';
	*ret = buf;
	*ret_len = len - 1;
	return 0;
}

static int say(int fd, const char *text)
{
	return nomad_write_all(fd, text, strlen(text));
}

/* Says a line and waits for another that begins with `want`. */
static int expect(int fd, const char *line, const char *want, unsigned int ms)
{
	uint64_t end_ms = util_now_ms() + ms;
	char *got;
	size_t len;
	int r = say(fd, line);

	while (r == 0) {
		r = read_line(fd, 4096, end_ms, &got, &len);
		if (r < 0)
			return r;
		r = strncmp(got, want, strlen(want)) == 0 ? 1 : 0;
		free(got);
	}
	return r;
}

static int reset(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	char noise[256];
	int r;

	while (poll(&p, 1, 50) > 0 && read(fd, noise, sizeof(noise)) > 0)
		;
	r = expect(fd, "\n", "invalid command", GREETING_MS);
	if (r < 0)
		return r;
	r = expect(fd, "NEGOTIATE V2\n", "V2_OK", GREETING_MS);
	return r < 0 ? r : 0;
}

int mdata_open(struct cloud_session *s)
{
	struct termios t;

	/* "files" names another port, for tests. */
	s->fd = open(s->files[0] ? s->files : PORT, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (s->fd < 0)
		return -errno;
	if (flock(s->fd, LOCK_EX | LOCK_NB) < 0)
		return -errno;
	if (tcgetattr(s->fd, &t) == 0) {
		cfmakeraw(&t);
		cfsetspeed(&t, B38400);
		tcsetattr(s->fd, TCSANOW, &t);
	}
	return 0;
}

int mdata_get(struct cloud_session *s, const char *key, size_t max, char **ret, size_t *ret_len)
{
	static uint32_t id;
	uint64_t end_ms = util_now_ms() + ANSWER_MS;
	char *line = NULL;
	size_t len;
	int r = 0, turn;

	if (end_ms > s->end_ms)
		end_ms = s->end_ms;
	if (id == 0) {
		util_random(&id, sizeof(id));
		r = reset(s->fd);
	}
	if (r == 0)
		r = mdata_format(++id, "GET", key, &line);
	if (r == 0)
		r = say(s->fd, line);
	free(line);
	for (turn = 0; r == 0 && turn < TURNS; turn++) {
		r = read_line(s->fd, MDATA_FRAME_MAX, end_ms, &line, &len);
		if (r < 0)
			break;
		r = mdata_parse(line, len, id, ret, ret_len);
		free(line);
		if (r == 0 && *ret_len > max) {
			free(*ret);
			*ret = NULL;
			r = -EFBIG;
		}
		if (r != -EBADMSG)
			break;
		r = 0; /* somebody else's, or damaged */
	}
	if (r < 0 && r != -ENOENT)
		id = 0;
	return turn == TURNS ? -EBADMSG : r;
}
