/* SPDX-License-Identifier: MPL-2.0
 *
 * Lists of machines: whatever arrives, in one piece or in many the entries are the same, and a list that jansson
 * takes has as many entries as jansson counts. */
#include <jansson.h>

#include "fuzz.h"
#include "nomad-driver-triton/entries.h"

struct sum {
	size_t count, hash;
};

static void add(void *ud, const char *text, size_t size)
{
	struct sum *sum = ud;

	sum->count++;
	for (size_t i = 0; text && i < size; i++)
		sum->hash = (sum->hash ^ (unsigned char)text[i]) * 16777619u;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sum a = { 0 }, b = { 0 };
	struct triton_entries whole = { .on_entry = add, .ud = &a }, cut = { .on_entry = add, .ud = &b };
	json_t *json = json_loadb((const char *)data, size, JSON_ALLOW_NUL, NULL), *item;
	size_t step = size ? data[0] % 7 + 1 : 1, i;
	bool objects = json_is_array(json);
	int r, s = 0;

	r = triton_entries_feed(&whole, (const char *)data, size);
	for (size_t at = 0; at < size; at += step)
		s = triton_entries_feed(&cut, (const char *)data + at, size - at < step ? size - at : step);
	if (r != s || a.count != b.count || a.hash != b.hash)
		abort();
	json_array_foreach(json, i, item) objects &= json_is_object(item);
	if (objects && (r < 0 || !triton_entries_complete(&whole) || a.count != json_array_size(json)))
		abort();
	json_decref(json);
	triton_entries_reset(&whole);
	triton_entries_reset(&cut);
	return 0;
}
