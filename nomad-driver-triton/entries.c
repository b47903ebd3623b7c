/* SPDX-License-Identifier: MPL-2.0
 *
 * Machines of an answer, one by one, as the bytes arrive; see entries.h.
 *
 * One machine may carry megabytes of metadata, and an answer a thousand of
 * machines; an answer is never held as a whole.  This knows just enough of JSON
 * to find where entries, members and strings begin and end; whether an entry is
 * well formed is for the parser that reads it.  test/fuzz/triton_entries.c
 * tries it.
 */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "entries.h"

static void put(struct triton_entries *it, const char *data, size_t n)
{
	if (it->skipping || it->too_large)
		return;
	if (it->size + n > TRITON_ENTRY_MAX) {
		it->too_large = true;
		return;
	}
	if (it->size + n + 1 > it->room) {
		size_t room = (it->size + n + 1) * 2;
		char *bigger = realloc(it->text, room);

		if (!bigger) {
			it->no_memory = it->too_large = true;
			return;
		}
		it->text = bigger;
		it->room = room;
	}
	memcpy(it->text + it->size, data, n);
	it->size += n;
	it->text[it->size] = '\0';
}

/* A character of a string, whole, so that one is not cut in two. */
static void put_in_string(struct triton_entries *it, const char *data, size_t n)
{
	if (it->at_name && it->name_size + n <= sizeof(it->name)) {
		memcpy(it->name + it->name_size, data, n);
		it->name_size += n;
	}
	/* Bytes of UTF-8 come one by one: those that continue a character follow it. */
	if (it->string_size >= TRITON_ENTRY_STRING_MAX && ((unsigned char)*data & 0xc0) != 0x80)
		it->cut = true;
	it->string_size += n;
	if (!it->cut)
		put(it, data, n);
}

static void drop_high(struct triton_entries *it)
{
	if (*it->high)
		put_in_string(it, "\\ufffd", 6);
	*it->high = '\0';
}

static void escape_done(struct triton_entries *it, size_t n)
{
	const char *s = it->sequence;
	bool surrogate = n == 6 && tolower((unsigned char)s[2]) == 'd' && strchr("89abcdefABCDEF", s[3]);
	bool high = surrogate && strchr("89abAB", s[3]);

	it->escape = 0;
	if (surrogate && !high && *it->high) {
		put_in_string(it, it->high, 6);
		put_in_string(it, s, 6);
		*it->high = '\0';
		return;
	}
	drop_high(it);
	if (high)
		memcpy(it->high, s, 6);
	else if (surrogate || (n == 6 && memcmp(s, "\\u0000", 6) == 0))
		put_in_string(it, "\\ufffd", 6);
	else
		put_in_string(it, s, n);
}

static void string_byte(struct triton_entries *it, char c)
{
	if (it->escape) {
		it->sequence[it->escape++] = c;
		if (it->escape == 2 && c != 'u')
			escape_done(it, 2);
		else if (it->escape == 6)
			escape_done(it, 6);
		return;
	}
	if (c == '\\') {
		*it->sequence = c;
		it->escape = 1;
		return;
	}
	drop_high(it);
	if (c != '"') {
		put_in_string(it, (unsigned char)c < ' ' ? " " : &c, 1);
		return;
	}
	it->in_string = false;
	put(it, "\"", 1);
	if (it->at_name)
		it->is_metadata = it->name_size == 8 && memcmp(it->name, "metadata", 8) == 0;
	it->at_name = false;
}

static void entry_done(struct triton_entries *it)
{
	it->on_entry(it->ud, it->too_large ? NULL : it->text, it->size);
	it->size = 0;
	it->too_large = false;
	it->complete = !it->list;
}

/* A byte of an entry, outside of strings.  `members`: the depth at which its members are. */
static void entry_byte(struct triton_entries *it, char c, unsigned members)
{
	bool closes = c == '}' || c == ']';

	if (it->skipping && it->depth == members && (c == ',' || closes)) {
		it->skipping = false;
		put(it, "null", 4);
	}
	if (c == '"') {
		it->in_string = true;
		it->string_size = it->name_size = 0;
		it->cut = false;
	} else if (c == '{' || c == '[') {
		it->depth++;
	}
	put(it, &c, 1);
	if (c == ':' && it->is_metadata && it->depth == members) {
		it->skipping = true;
		it->is_metadata = false;
	} else if (it->depth == members && (c == '{' || c == ',')) {
		it->at_name = true;
	} else if (closes && --it->depth < members) {
		it->at_name = false;
		entry_done(it);
	}
}

static bool outer_byte(struct triton_entries *it, char c)
{
	if (strchr(" \t\r\n", c) && c)
		return true;
	if (it->complete)
		return false;
	if (!it->started && c == '[') {
		it->list = it->started = true;
		it->depth = 1;
		return true;
	}
	if (c == '{' && (it->list || !it->started)) {
		it->started = true;
		entry_byte(it, c, it->list + 1U);
		return true;
	}
	if (it->list && c == ']') {
		it->complete = true;
		return true;
	}
	return it->list && c == ',';
}

int triton_entries_feed(struct triton_entries *it, const char *data, size_t size)
{
	for (size_t i = 0; i < size && !it->bad; i++) {
		if (it->in_string)
			string_byte(it, data[i]);
		else if (it->depth > it->list)
			entry_byte(it, data[i], it->list + 1U);
		else
			it->bad = !outer_byte(it, data[i]);
	}
	return it->no_memory ? -ENOMEM : it->bad ? -EPROTO : 0;
}

bool triton_entries_complete(const struct triton_entries *it)
{
	return it->complete && !it->bad;
}

void triton_entries_reset(struct triton_entries *it)
{
	free(it->text);
	*it = (struct triton_entries){ .on_entry = it->on_entry, .ud = it->ud };
}
