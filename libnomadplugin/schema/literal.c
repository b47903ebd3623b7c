/* SPDX-License-Identifier: MPL-2.0
 *
 * The default of a row is an HCL literal, since Nomad evaluates it.  We
 * evaluate it too: the plugin block of a trial launch, `validate` and our
 * own stored configs come without Nomad.  So it becomes msgpack, and takes
 * the same way through the decoder as a value from a job.
 *
 *	value:  "text" | 12 | -0.5 | true | false | null | [value, ...]
 *		| { key = value, "key": value ... }
 *
 * No templates, operators, functions, here-documents or comments: a table is
 * ours, and what is not in this list is a mistake in it.  A list or an object
 * is written to a buffer of its own, as its count goes first. */
#include <errno.h>
#include <string.h>

#include "schema/inner.h"

struct reader {
	const char *at;
	unsigned depth;
	struct nomad_error **err;
};

static int read_value(struct reader *r, msgpack_packer *pk);

static int bad(struct reader *r, const char *why)
{
	char shown[NOMAD__SHOWN_MAX_TEXT];

	nomad__show_string(r->at, strlen(r->at), false, shown);
	return nomad_error_set(r->err, EINVAL, "%s at %s", why, shown);
}

static int no_memory(struct reader *r)
{
	return nomad_error_set(r->err, ENOMEM, "out of memory");
}

static void skip_blanks(struct reader *r, bool lines)
{
	while (*r->at == ' ' || *r->at == '\t' || (lines && (*r->at == '\n' || *r->at == '\r')))
		r->at++;
}

static bool is_word_start(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static size_t word_length(const char *s)
{
	size_t n = 0;

	if (!is_word_start(*s))
		return 0;
	while (is_word_start(s[n]) || (s[n] >= '0' && s[n] <= '9') || s[n] == '-')
		n++;
	return n;
}

static int put_rune(msgpack_sbuffer *out, uint32_t rune)
{
	char bytes[4];
	size_t n;

	if (rune < 0x80) {
		bytes[0] = (char)rune;
		n = 1;
	} else if (rune < 0x800) {
		bytes[0] = (char)(0xc0 | rune >> 6);
		n = 2;
	} else if (rune < 0x10000) {
		bytes[0] = (char)(0xe0 | rune >> 12);
		n = 3;
	} else {
		bytes[0] = (char)(0xf0 | rune >> 18);
		n = 4;
	}
	for (size_t i = 1; i < n; i++)
		bytes[i] = (char)(0x80 | (rune >> 6 * (n - 1 - i) & 0x3f));
	return msgpack_sbuffer_write(out, bytes, n);
}

static int read_escape(struct reader *r, msgpack_sbuffer *out)
{
	static const char letters[] = "nrt\"\\", means[] = "\n\r\t\"\\";
	const char *known;
	unsigned places;
	uint32_t rune = 0;

	known = *r->at ? strchr(letters, *r->at) : NULL;
	if (known) {
		r->at++;
		return msgpack_sbuffer_write(out, &means[known - letters], 1) ? no_memory(r) : 0;
	}
	places = *r->at == 'u' ? 4 : *r->at == 'U' ? 8 : 0;
	if (places == 0)
		return bad(r, "unknown escape");
	r->at++;
	for (unsigned i = 0; i < places; i++, r->at++) {
		static const char hex[] = "0123456789abcdef";
		const char *digit = *r->at ? strchr(hex, *r->at | 0x20) : NULL;

		if (!digit || rune > 0x10ffff)
			return bad(r, "bad code point");
		rune = rune << 4 | (uint32_t)(digit - hex);
	}
	if (rune == 0 || rune > 0x10ffff || (rune >= 0xd800 && rune <= 0xdfff))
		return bad(r, "bad code point");
	return put_rune(out, rune) ? no_memory(r) : 0;
}

/* After the opening quote, to behind the closing one. */
static int read_string(struct reader *r, msgpack_sbuffer *out)
{
	int rc;

	while (*r->at != '"') {
		if (*r->at == '\0' || *r->at == '\n')
			return bad(r, "unfinished string");
		if (*r->at == '\\') {
			r->at++;
			rc = read_escape(r, out);
			if (rc < 0)
				return rc;
			continue;
		}
		if ((r->at[0] == '$' || r->at[0] == '%') && r->at[1] == r->at[0] && r->at[2] == '{') {
			/* "$${" is a written-out "${" */
			if (msgpack_sbuffer_write(out, r->at + 1, 2))
				return no_memory(r);
			r->at += 3;
			continue;
		}
		if ((r->at[0] == '$' || r->at[0] == '%') && r->at[1] == '{')
			return bad(r, "a default cannot be a template");
		if (msgpack_sbuffer_write(out, r->at, 1))
			return no_memory(r);
		r->at++;
	}
	r->at++;
	return 0;
}

static int pack_text(struct reader *r, msgpack_packer *pk, const char *s, size_t size)
{
	if (!nomad__is_text(s, size))
		return bad(r, "not UTF-8 before");
	return msgpack_pack_str(pk, size) || (size && msgpack_pack_str_body(pk, s, size)) ? no_memory(r) : 0;
}

static int read_string_value(struct reader *r, msgpack_packer *pk)
{
	msgpack_sbuffer text;
	int rc;

	msgpack_sbuffer_init(&text);
	r->at++;
	rc = read_string(r, &text);
	if (rc == 0)
		rc = pack_text(r, pk, text.data, text.size);
	msgpack_sbuffer_destroy(&text);
	return rc;
}

static int read_number(struct reader *r, msgpack_packer *pk)
{
	struct nomad__number number;
	size_t n = strspn(r->at, "0123456789.eE+-");

	if (nomad__number_parse(r->at, n, &number) < 0)
		return bad(r, "bad number");
	r->at += n;
	return nomad__number_pack(pk, &number) ? no_memory(r) : 0;
}

static int read_word(struct reader *r, msgpack_packer *pk)
{
	size_t n = word_length(r->at);
	int rc;

	if (n == 4 && memcmp(r->at, "true", n) == 0)
		rc = msgpack_pack_true(pk);
	else if (n == 5 && memcmp(r->at, "false", n) == 0)
		rc = msgpack_pack_false(pk);
	else if (n == 4 && memcmp(r->at, "null", n) == 0)
		rc = msgpack_pack_nil(pk);
	else
		return bad(r, "not a literal");
	r->at += n;
	return rc ? no_memory(r) : 0;
}

static int read_key(struct reader *r, msgpack_packer *pk)
{
	size_t n;
	int rc;

	if (*r->at == '"') {
		rc = read_string_value(r, pk);
	} else {
		n = word_length(r->at);
		if (n == 0)
			return bad(r, "a key is expected");
		rc = pack_text(r, pk, r->at, n);
		r->at += n;
	}
	if (rc < 0)
		return rc;
	skip_blanks(r, false);
	if (*r->at != '=' && *r->at != ':')
		return bad(r, "'=' is expected");
	r->at++;
	skip_blanks(r, false);
	return 0;
}

/* After the bracket, to behind the closing one. */
static int read_members(struct reader *r, bool is_object, msgpack_packer *pk, size_t *ret_count)
{
	char end = is_object ? '}' : ']';
	size_t count = 0;
	int rc;

	for (;;) {
		bool separated;

		skip_blanks(r, true);
		if (*r->at == end)
			break;
		if (is_object) {
			rc = read_key(r, pk);
			if (rc < 0)
				return rc;
		}
		rc = read_value(r, pk);
		if (rc < 0)
			return rc;
		count++;
		skip_blanks(r, !is_object);
		separated = *r->at == ',' || (is_object && (*r->at == '\n' || *r->at == '\r'));
		if (separated)
			r->at++;
		else if (*r->at != end)
			return bad(r, is_object ? "',' or '}' is expected" : "',' or ']' is expected");
	}
	r->at++;
	*ret_count = count;
	return 0;
}

static int read_container(struct reader *r, msgpack_packer *pk)
{
	bool is_object = *r->at == '{';
	msgpack_sbuffer members;
	msgpack_packer inner;
	size_t count = 0;
	int rc;

	if (r->depth == NOMAD__CONFIG_MAX_DEPTH)
		return bad(r, "nested too deeply");
	r->depth++;
	r->at++;
	msgpack_sbuffer_init(&members);
	msgpack_packer_init(&inner, &members, msgpack_sbuffer_write);
	rc = read_members(r, is_object, &inner, &count);
	if (rc == 0) {
		rc = is_object ? msgpack_pack_map(pk, count) : msgpack_pack_array(pk, count);
		if (rc == 0 && members.size)
			rc = pk->callback(pk->data, members.data, members.size);
		if (rc)
			rc = no_memory(r);
	}
	msgpack_sbuffer_destroy(&members);
	r->depth--;
	return rc;
}

static int read_value(struct reader *r, msgpack_packer *pk)
{
	if (*r->at == '"')
		return read_string_value(r, pk);
	if (*r->at == '[' || *r->at == '{')
		return read_container(r, pk);
	if (*r->at == '-' || (*r->at >= '0' && *r->at <= '9'))
		return read_number(r, pk);
	return read_word(r, pk);
}

int nomad__literal_pack(msgpack_packer *pk, const char *text, struct nomad_error **err)
{
	struct reader r = { .at = text, .err = err };
	int rc;

	skip_blanks(&r, true);
	rc = read_value(&r, pk);
	if (rc < 0)
		return rc;
	skip_blanks(&r, true);
	return *r.at ? bad(&r, "there is more text after the value") : 0;
}
