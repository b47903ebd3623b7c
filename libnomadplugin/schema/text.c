/* SPDX-License-Identifier: MPL-2.0
 *
 * What errors about configuration have in common: the place ("option
 * 'mount[1].source'"), the value as people may see it, and the guess at
 * what an unknown name was meant to be.
 *
 * Values are the user's: control characters and the invisible ones that turn
 * text around are escaped, so that no value can forge lines in a log, and
 * long ones are cut.  Values of secret options are never shown. */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "schema/inner.h"

enum { SHOWN_BYTES = 80, SUGGEST_MAX_NAME = 64 };

void nomad__path_text(const struct nomad__path *path, char text[NOMAD__PATH_MAX_TEXT])
{
	const struct nomad__path *parts[NOMAD__CONFIG_MAX_DEPTH + 2];
	size_t n = 0, used = 0;

	for (; path && n < NOMAD_ARRAY_LEN(parts); path = path->up)
		parts[n++] = path;
	text[0] = '\0';
	while (n-- > 0) {
		char shown[NOMAD__SHOWN_MAX_TEXT];
		int r;

		if (parts[n]->name) {
			nomad__show_string(parts[n]->name, parts[n]->length, false, shown);
			shown[strlen(shown) - 1] = '\0'; /* without its quotes */
			r = snprintf(text + used, NOMAD__PATH_MAX_TEXT - used, "%s%s", used ? "." : "", shown + 1);
		} else {
			r = snprintf(text + used, NOMAD__PATH_MAX_TEXT - used, "[%zu]", parts[n]->index);
		}
		if (r < 0 || (size_t)r >= NOMAD__PATH_MAX_TEXT - used)
			return;
		used += (size_t)r;
	}
}

/* Length of the UTF-8 sequence at s, 0 if it is invalid. */
static size_t utf8_next(const unsigned char *s, size_t size, uint32_t *ret_rune)
{
	static const struct {
		unsigned char mask, lead;
		uint32_t least;
	} forms[] = { { 0x80, 0x00, 0 }, { 0xe0, 0xc0, 0x80 }, { 0xf0, 0xe0, 0x800 }, { 0xf8, 0xf0, 0x10000 } };

	for (size_t n = 0; n < NOMAD_ARRAY_LEN(forms); n++) {
		uint32_t rune;

		if ((s[0] & forms[n].mask) != forms[n].lead)
			continue;
		if (n >= size)
			return 0;
		rune = s[0] & (unsigned char)~forms[n].mask;
		for (size_t i = 1; i <= n; i++) {
			if ((s[i] & 0xc0) != 0x80)
				return 0;
			rune = rune << 6 | (s[i] & 0x3f);
		}
		if (rune < forms[n].least || rune > 0x10ffff || (rune >= 0xd800 && rune <= 0xdfff))
			return 0;
		*ret_rune = rune;
		return n + 1;
	}
	return 0;
}

bool nomad__is_text(const char *s, size_t size)
{
	uint32_t rune = 0;

	for (size_t i = 0, n; i < size; i += n) {
		n = utf8_next((const unsigned char *)s + i, size - i, &rune);
		if (n == 0 || rune == 0)
			return false;
	}
	return true;
}

static bool rune_is_hidden(uint32_t rune)
{
	return rune < 0x20 || (rune >= 0x7f && rune < 0xa0) || (rune >= 0x200b && rune <= 0x200f) ||
	       (rune >= 0x2028 && rune <= 0x202e) || (rune >= 0x2060 && rune <= 0x2069) || rune == 0xfeff;
}

void nomad__show_string(const char *s, size_t size, bool secret, char text[NOMAD__SHOWN_MAX_TEXT])
{
	const unsigned char *bytes = (const unsigned char *)s;
	size_t used = 0;

	if (secret) {
		strcpy(text, "the value");
		return;
	}
	text[used++] = '\'';
	for (size_t i = 0, n; i < size; i += n) {
		uint32_t rune = 0;
		char part[16];
		int length;

		n = utf8_next(bytes + i, size - i, &rune);
		if (n == 0) {
			n = 1;
			length = snprintf(part, sizeof(part), "\\x%02x", bytes[i]);
		} else if (rune == '\n') {
			length = snprintf(part, sizeof(part), "\\n");
		} else if (rune == '\t') {
			length = snprintf(part, sizeof(part), "\\t");
		} else if (rune_is_hidden(rune)) {
			length = snprintf(part, sizeof(part), "\\u%04" PRIx32, rune);
		} else {
			memcpy(part, bytes + i, n);
			length = (int)n;
		}
		if (used + (size_t)length > 1 + SHOWN_BYTES) {
			memcpy(text + used, "...", 3);
			used += 3;
			break;
		}
		memcpy(text + used, part, (size_t)length);
		used += (size_t)length;
	}
	text[used++] = '\'';
	text[used] = '\0';
}

void nomad__show(const msgpack_object *value, bool secret, char text[NOMAD__SHOWN_MAX_TEXT])
{
	char number[NOMAD__NUMBER_MAX_TEXT];

	if (secret) {
		strcpy(text, "the value");
		return;
	}
	switch (value->type) {
	case MSGPACK_OBJECT_NIL:
		strcpy(text, "null");
		break;
	case MSGPACK_OBJECT_BOOLEAN:
		strcpy(text, value->via.boolean ? "'true'" : "'false'");
		break;
	case MSGPACK_OBJECT_POSITIVE_INTEGER:
		snprintf(text, NOMAD__SHOWN_MAX_TEXT, "'%" PRIu64 "'", value->via.u64);
		break;
	case MSGPACK_OBJECT_NEGATIVE_INTEGER:
		snprintf(text, NOMAD__SHOWN_MAX_TEXT, "'%" PRId64 "'", value->via.i64);
		break;
	case MSGPACK_OBJECT_FLOAT32:
	case MSGPACK_OBJECT_FLOAT64: {
		struct nomad__number n;

		nomad__number_from_double(value->via.f64, &n);
		nomad__number_text(&n, number);
		nomad__show_string(number, strlen(number), false, text);
		break;
	}
	case MSGPACK_OBJECT_STR:
		nomad__show_string(nomad__bytes(&value->via.str), value->via.str.size, false, text);
		break;
	case MSGPACK_OBJECT_ARRAY:
		strcpy(text, "a list");
		break;
	case MSGPACK_OBJECT_MAP:
		strcpy(text, "a block");
		break;
	case MSGPACK_OBJECT_BIN:
		strcpy(text, "binary data");
		break;
	case MSGPACK_OBJECT_EXT:
	default:
		strcpy(text, "an unknown value");
		break;
	}
}

/* Beyond enough edits for a typing error the exact distance is of no use. */
static size_t edit_distance(const char *a, size_t na, const char *b, size_t nb)
{
	size_t rows[3][SUGGEST_MAX_NAME + 1];
	size_t *before = rows[0], *last = rows[1], *now = rows[2];

	for (size_t j = 0; j <= nb; j++)
		last[j] = j;
	memcpy(before, last, sizeof(rows[0]));
	for (size_t i = 1; i <= na; i++) {
		size_t *oldest = before;

		now[0] = i;
		for (size_t j = 1; j <= nb; j++) {
			size_t cost = last[j - 1] + (a[i - 1] != b[j - 1]);

			if (last[j] + 1 < cost)
				cost = last[j] + 1;
			if (now[j - 1] + 1 < cost)
				cost = now[j - 1] + 1;
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && before[j - 2] + 1 < cost)
				cost = before[j - 2] + 1;
			now[j] = cost;
		}
		before = last;
		last = now;
		now = oldest;
	}
	return last[nb];
}

static const char *suggest(const struct nomad_schema *schema, const char *name, size_t size)
{
	const char *best = NULL;
	size_t limit = size / 3 + 1;

	if (size == 0 || size > SUGGEST_MAX_NAME)
		return NULL;
	for (size_t i = 0; i < schema->count; i++) {
		const char *candidate = schema->options[i].name;
		size_t length = strlen(candidate), distance;

		if (schema->options[i].deprecated || length > SUGGEST_MAX_NAME)
			continue;
		distance = edit_distance(name, size, candidate, length);
		if (distance < limit && distance < length) {
			limit = distance;
			best = candidate;
		}
	}
	return best;
}

const struct nomad_option *nomad__option_find(const struct nomad_schema *schema, const char *name, size_t size)
{
	for (size_t i = 0; i < schema->count; i++)
		if (strlen(schema->options[i].name) == size && memcmp(schema->options[i].name, name, size) == 0)
			return &schema->options[i];
	return NULL;
}

bool nomad__option_is_alias(const struct nomad_schema *schema, const struct nomad_option *option)
{
	for (size_t i = 0; i < schema->count; i++)
		if (&schema->options[i] != option && schema->options[i].offset == option->offset)
			return true;
	return false;
}

int nomad__fault(struct nomad_error **err, const char *what, const struct nomad__path *path, const char *fmt, ...)
{
	char where[NOMAD__PATH_MAX_TEXT], message[2048];
	va_list args;

	va_start(args, fmt);
	vsnprintf(message, sizeof(message), fmt, args);
	va_end(args);
	if (!path)
		return nomad_error_set(err, EINVAL, "%s: %s", what, message);
	nomad__path_text(path, where);
	return nomad_error_set(err, EINVAL, "%s: option '%s': %s", what, where, message);
}

int nomad__fault_missing(struct nomad_error **err, const char *what, const struct nomad__path *path)
{
	char where[NOMAD__PATH_MAX_TEXT];

	nomad__path_text(path, where);
	return nomad_error_set(err, EINVAL, "%s: option '%s' is missing", what, where);
}

int nomad__fault_unknown(struct nomad_error **err, const char *what, const struct nomad__path *up,
			 const struct nomad_schema *schema, const char *name, size_t size)
{
	struct nomad__path path = { .up = up, .name = name, .length = size };
	const char *guess = suggest(schema, name, size);
	char where[NOMAD__PATH_MAX_TEXT];

	nomad__path_text(&path, where);
	if (guess)
		return nomad_error_set(err, EINVAL, "%s: unknown option '%s' (did you mean '%s'?)", what, where, guess);
	return nomad_error_set(err, EINVAL, "%s: unknown option '%s'", what, where);
}

int nomad__fault_memory(struct nomad_error **err, const char *what)
{
	return nomad_error_set(err, ENOMEM, "%s: out of memory", what);
}
