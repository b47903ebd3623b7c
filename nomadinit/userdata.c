/* SPDX-License-Identifier: MPL-2.0 */
/* A form is taken off after the other, at most MAX_LAYERS of them, until JSON or "#nomadinit" shows. */
#include "userdata.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <zlib.h>

#include "util.h"
#include "yaml.h"

#define MAX_LAYERS 4
#define MAX_PARTS 64
#define GZIP_ONLY (16 + MAX_WBITS)

static int digit_of(char c)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const char *p = c ? strchr(digits, c) : NULL;

	if (c == '-' || c == '_') /* as in URLs */
		return c == '-' ? 62 : 63;
	return p ? (int)(p - digits) : -1;
}

int userdata_base64(const char *text, size_t len, char **ret, size_t *ret_len)
{
	char *out = malloc(len / 4 * 3 + 4);
	unsigned int have = 0, bits = 0;
	size_t i, n = 0;
	int d;

	if (!out)
		return -ENOMEM;
	for (i = 0; i < len && text[i] != '='; i++) {
		if (isspace((unsigned char)text[i]))
			continue;
		d = digit_of(text[i]);
		if (d < 0)
			break;
		bits = (bits << 6 | (unsigned int)d) & 0xffffff;
		have += 6;
		if (have >= 8) {
			have -= 8;
			out[n++] = (char)(bits >> have);
		}
	}
	/* Nothing but padding and white space may follow. */
	while (i < len && (text[i] == '=' || isspace((unsigned char)text[i])))
		i++;
	if (i < len || have >= 6) {
		free(out);
		return -EBADMSG;
	}
	out[n] = '\0';
	*ret = out;
	*ret_len = n;
	return 0;
}

int userdata_gunzip(const char *data, size_t len, size_t max, char **ret, size_t *ret_len)
{
	z_stream z = { .next_in = (Bytef *)(uintptr_t)data, .avail_in = (uInt)len, .avail_out = (uInt)max };
	char *out = malloc(max + 1);
	int r;

	if (!out || inflateInit2(&z, GZIP_ONLY) != Z_OK) {
		free(out);
		return -ENOMEM;
	}
	z.next_out = (Bytef *)out;
	r = inflate(&z, Z_FINISH);
	inflateEnd(&z);
	if (r != Z_STREAM_END) {
		free(out);
		return r == Z_BUF_ERROR && z.avail_out == 0 ? -EFBIG : r == Z_MEM_ERROR ? -ENOMEM : -EBADMSG;
	}
	out[z.total_out] = '\0';
	*ret = out;
	*ret_len = z.total_out;
	return 0;
}

/* ---- MIME ------------------------------------------------------------------------- */

struct part {
	const char *body;
	size_t len;
	bool is_base64;
};

/* The line at p without its end; *next is where the following one begins. */
static size_t line_at(const char *p, const char *end, const char **next)
{
	const char *feed = memchr(p, '\n', (size_t)(end - p));
	size_t n = (size_t)((feed ? feed : end) - p);

	*next = feed ? feed + 1 : end;
	return n > 0 && p[n - 1] == '\r' ? n - 1 : n;
}

static bool starts(const char *p, size_t len, const char *with)
{
	return len >= strlen(with) && strncasecmp(p, with, strlen(with)) == 0;
}

/* Reads headers; returns where the body begins. */
static const char *skip_headers(const char *p, const char *end, char boundary[72], bool *ret_base64)
{
	const char *next, *b;
	size_t n, len;

	for (; p < end; p = next) {
		n = line_at(p, end, &next);
		if (n == 0)
			return next;
		if (starts(p, n, "Content-Transfer-Encoding:"))
			*ret_base64 = memmem(p, n, "base64", 6) != NULL;
		b = memmem(p, n, "boundary=", 9);
		if (!b || !boundary)
			continue;
		b += 9;
		b += *b == '"';
		for (len = 0; b + len < p + n && len < 70 && b[len] != '"' && b[len] != ';' && b[len] != ' '; len++)
			boundary[len] = b[len];
		boundary[len] = '\0';
	}
	return end;
}

static bool is_ours(const char *p, size_t len)
{
	return starts(p, len, "#nomadinit");
}

const char *userdata_body(const char *json)
{
	const char *feed = is_ours(json, strlen(json)) ? strchr(json, '\n') : NULL;

	return feed ? feed + 1 : json;
}

/* The part that begins with "#nomadinit", decoded where it must be. */
static int find_part(const char *p, size_t len, char **ret, size_t *ret_len, int *ret_count)
{
	const char *end = p + len, *next, *body = NULL;
	char boundary[72] = "", *plain;
	bool is_base64 = false, base64_ignored = false;
	size_t n, blen, plain_len;

	p = skip_headers(p, end, boundary, &base64_ignored);
	blen = strlen(boundary);
	for (*ret_count = 0; blen > 0 && p < end && *ret_count < MAX_PARTS; p = next) {
		n = line_at(p, end, &next);
		if (n < blen + 2 || p[0] != '-' || p[1] != '-' || memcmp(p + 2, boundary, blen) != 0)
			continue;
		if (body) {
			(*ret_count)++;
			plain = NULL;
			if (is_base64 && userdata_base64(body, (size_t)(p - body), &plain, &plain_len) < 0)
				plain = NULL;
			if (!is_base64) {
				plain_len = (size_t)(p - body);
				plain = strndup(body, plain_len);
			}
			if (plain && is_ours(plain, plain_len)) {
				*ret = plain;
				*ret_len = plain_len;
				return 0;
			}
			free(plain);
		}
		is_base64 = false;
		body = next = skip_headers(next, end, NULL, &is_base64);
	}
	return -ENOENT;
}

/* ---- One form after the other --------------------------------------------------- */

static void note(struct userdata *u, const char *fmt, ...) NOMAD_PRINTF(2, 3);
static void note(struct userdata *u, const char *fmt, ...)
{
	va_list ap;
	size_t i;

	va_start(ap, fmt);
	vsnprintf(u->note, sizeof(u->note), fmt, ap);
	va_end(ap);
	/* It is shown on a console. */
	for (i = 0; u->note[i]; i++)
		if (!isprint((unsigned char)u->note[i]))
			u->note[i] = '?';
}

static void take_foreign(const char *p, size_t len, struct userdata *u)
{
	json_t *y, *name;
	int line;

	if (starts(p, len, "#cloud-config")) {
		note(u, "a #cloud-config, which only cloud-init reads; of it only the host name is used");
		y = yaml_parse(p, len, &line);
		name = json_object_get(y, "fqdn");
		if (!json_is_string(name))
			name = json_object_get(y, "hostname");
		if (json_is_string(name) && util_is_hostname(json_string_value(name)))
			util_copy(u->hostname, sizeof(u->hostname), json_string_value(name));
		json_decref(y);
		return;
	}
	note(u,
	     "not used: it begins with \"%.*s\", and only init.json, or a part that begins with #nomadinit, is "
	     "understood",
	     (int)strcspn(p, "\r\n") < 24 ? (int)strcspn(p, "\r\n") : 24, p);
}

static bool is_known(const char *p, size_t len)
{
	size_t blanks = strspn(p, " \t\r\n");

	return blanks < len &&
	       (strchr("{#\x1f", p[blanks]) || starts(p, len, "Content-Type:") || starts(p, len, "MIME-Version:"));
}

/* Takes one form off.  True if *data was replaced by what is inside. */
static bool unwrap(char **data, size_t *len, struct userdata *u, const char **ret_how)
{
	size_t inside_len;
	char *inside = NULL;
	int r, count = 0;

	if (*len > 2 && memcmp(*data, "\x1f\x8b", 2) == 0) {
		r = userdata_gunzip(*data, *len, CONFIG_MAX_BYTES, &inside, len);
		if (r < 0)
			note(u, "not used: compressed by gzip, but %s",
			     r == -EFBIG ? "larger than 256 KiB inside" : "damaged");
		*ret_how = "gzip";
	} else if (starts(*data, *len, "Content-Type:") || starts(*data, *len, "MIME-Version:")) {
		r = find_part(*data, *len, &inside, len, &count);
		if (r < 0)
			note(u, "not used: none of the %d parts of the MIME message begins with #nomadinit", count);
		*ret_how = "a part of a MIME message";
	} else if (userdata_base64(*data, *len, &inside, &inside_len) == 0) {
		/* Many a short text happens to be base64. */
		if (!is_known(inside, inside_len)) {
			free(inside);
			return false;
		}
		*len = inside_len;
		*ret_how = "base64";
	}
	if (!inside)
		return false;
	free(*data);
	*data = inside;
	return true;
}

void userdata_find(const char *from, size_t len, struct userdata *ret)
{
	const char *how = "", *ours;
	size_t blanks;
	char *data = malloc(len + 1);
	int layer;

	memset(ret, 0, sizeof(*ret));
	if (!data) {
		note(ret, "not used: out of memory");
		return;
	}
	memcpy(data, from, len);
	data[len] = '\0';
	for (layer = 0; layer <= MAX_LAYERS; layer++) {
		blanks = strspn(data, " \t\r\n");
		ours = data + blanks;
		if (blanks >= len) {
			note(ret, "empty");
			break;
		}
		if (is_ours(ours, len - blanks)) {
			ret->json = strdup(starts(ours, len - blanks, USERDATA_SIGNED) ? ours : userdata_body(ours));
		} else if (*ours == '{') {
			ret->json = strdup(ours);
		}
		if (ret->json) {
			note(ret, "init.json%s%s", *how ? " in " : "", how);
			break;
		}
		if (!unwrap(&data, &len, ret, &how)) {
			if (!ret->note[0])
				take_foreign(ours, len - blanks, ret);
			break;
		}
	}
	if (!ret->json && !ret->note[0])
		note(ret, "not used: wrapped too often");
	free(data);
}
