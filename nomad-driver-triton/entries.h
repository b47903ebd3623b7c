/* SPDX-License-Identifier: MPL-2.0
 *
 * entries.h: machines of an answer, one by one, as the bytes arrive.  Threads: any. */
#ifndef TRITON_ENTRIES_H
#define TRITON_ENTRIES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Takes an answer of CloudAPI apart: a list of objects, or one object.  What is
 * huge or odd in one entry does no harm to the others:
 *
 *   - the member "metadata", which nobody here reads, is left out;
 *   - strings are cut to TRITON_ENTRY_STRING_MAX bytes;
 *   - \u0000, half a surrogate pair and control characters are replaced.
 *
 * Zeroed, with `on_entry` set, it is ready. */
struct triton_entries {
	/* The text of one entry, NUL-terminated; NULL: it is too large. */
	void (*on_entry)(void *ud, const char *text, size_t size);
	void *ud;
	/* Below: its own. */
	bool list, started, complete, bad;
	unsigned depth; /* of brackets, those of the list included */
	char *text;
	size_t size, room;
	bool in_string, at_name, is_metadata, skipping, cut, too_large;
	size_t string_size;
	char name[16]; /* of the member, as far as it fits */
	size_t name_size;
	unsigned escape; /* characters of an escape that are there */
	char sequence[6];
	char high[6]; /* the first half of a surrogate pair, or 0 */
	bool no_memory;
};

enum { TRITON_ENTRY_STRING_MAX = 16384, TRITON_ENTRY_MAX = 1 << 20 };

/* The next bytes.  -EPROTO once they are no list of objects, and no object; -ENOMEM. */
int triton_entries_feed(struct triton_entries *entries, const char *data, size_t size);
/* Has all of it arrived? */
bool triton_entries_complete(const struct triton_entries *entries);
/* Frees what it holds; it is ready for another answer. */
void triton_entries_reset(struct triton_entries *entries);

#endif
