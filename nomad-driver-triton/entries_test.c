/* SPDX-License-Identifier: MPL-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "entries.h"

static char seen[4096];

static void on_entry(void *ud, const char *text, size_t size)
{
	json_t *json = text ? json_loadb(text, size, 0, NULL) : NULL;

	(void)ud;
	snprintf(seen + strlen(seen), sizeof(seen) - strlen(seen), "%s|", !text ? "large" : json ? text : "broken");
	json_decref(json);
}

/* The entries of `text`, which arrives in pieces of each size. */
static void expect(const char *text, int r, bool complete, const char *entries)
{
	for (size_t step = 1; step <= strlen(text); step++) {
		struct triton_entries it = { .on_entry = on_entry };
		int got = 0;

		*seen = '\0';
		for (size_t at = 0; at < strlen(text); at += step)
			got = triton_entries_feed(&it, text + at, strlen(text + at) < step ? strlen(text + at) : step);
		assert_int_equal(got, r);
		assert_int_equal(triton_entries_complete(&it), complete);
		assert_string_equal(seen, entries);
		triton_entries_reset(&it);
	}
}

static void test_lists(void **state)
{
	(void)state;
	expect("[]", 0, true, "");
	expect(" [ {\"a\": [1, {}]} ,\n{} ] ", 0, true, "{\"a\": [1, {}]}|{}|");
	expect("{\"a\":\"}]\\\"{\"}", 0, true, "{\"a\":\"}]\\\"{\"}|");
	expect("[{\"a\":1},{\"b\"", 0, false, "{\"a\":1}|");
	expect("[{\"a\":1}", 0, false, "{\"a\":1}|");
	expect("", 0, false, "");
}

static void test_other_answers(void **state)
{
	(void)state;
	expect("<html>", -EPROTO, false, "");
	expect("[1]", -EPROTO, false, "");
	expect("{}x", -EPROTO, false, "{}|");
}

static void test_one_broken_entry_is_one(void **state)
{
	(void)state;
	expect("[{\"a\":1},{\"a\" 1},{\"a\":2}]", 0, true, "{\"a\":1}|broken|{\"a\":2}|");
}

static void test_metadata_is_left_out(void **state)
{
	(void)state;
	expect("[{\"metadata\":{\"a\":[\"x,}\"]},\"b\":{\"metadata\":1}}]", 0, true,
	       "{\"metadata\":null,\"b\":{\"metadata\":1}}|");
	expect("{\"a\":\"metadata\",\"metadata\":\"x\"}", 0, true, "{\"a\":\"metadata\",\"metadata\":null}|");
}

static void test_characters(void **state)
{
	(void)state;
	expect("[{\"a\":\"x\\u0000y\",\"\\u0000\":1}]", 0, true, "{\"a\":\"x\\ufffdy\",\"\\ufffd\":1}|");
	expect("[{\"a\":\"\\ud83d\\ude00\"}]", 0, true, "{\"a\":\"\\ud83d\\ude00\"}|");
	expect("[{\"a\":\"\\ud83d\"}]", 0, true, "{\"a\":\"\\ufffd\"}|");
	expect("[{\"a\":\"\\ud83dx\\ude00\"}]", 0, true, "{\"a\":\"\\ufffdx\\ufffd\"}|");
	expect("[{\"a\":\"\\ud83d\\n\"}]", 0, true, "{\"a\":\"\\ufffd\\n\"}|");
	expect("[{\"a\":\"\x01\"}]", 0, true, "{\"a\":\" \"}|");
}

static void count_entry(void *ud, const char *text, size_t size)
{
	size_t *sizes = ud;

	sizes[0]++;
	sizes[text ? 1 : 2] += text ? size : 1;
}

/* 20 MB of metadata, a long string, and an entry of many members, one behind the other. */
static void test_huge(void **state)
{
	size_t sizes[3] = { 0 };
	struct triton_entries it = { .on_entry = count_entry, .ud = sizes };
	static char piece[100000];
	(void)state;

	memset(piece, 'x', sizeof(piece));
	assert_int_equal(triton_entries_feed(&it, "[{\"metadata\":{\"a\":\"", 19), 0);
	for (int i = 0; i < 200; i++)
		assert_int_equal(triton_entries_feed(&it, piece, sizeof(piece)), 0);
	assert_int_equal(triton_entries_feed(&it, "\"}},{\"a\":\"", 10), 0);
	assert_true(it.room < 1000);
	for (int i = 0; i < 200; i++)
		assert_int_equal(triton_entries_feed(&it, piece, sizeof(piece)), 0);
	assert_int_equal(triton_entries_feed(&it, "\"},{\"a\":[1", 10), 0);
	for (size_t i = 0; i < TRITON_ENTRY_MAX / 2 + 1; i++)
		assert_int_equal(triton_entries_feed(&it, ",1", 2), 0);
	assert_int_equal(triton_entries_feed(&it, "]},{}]", 6), 0);
	assert_true(triton_entries_complete(&it));
	assert_int_equal(sizes[0], 4);
	assert_int_equal(sizes[1],
			 strlen("{\"metadata\":null}") + TRITON_ENTRY_STRING_MAX + strlen("{\"a\":\"\"}") + 2);
	assert_int_equal(sizes[2], 1);
	triton_entries_reset(&it);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lists),
		cmocka_unit_test(test_other_answers),
		cmocka_unit_test(test_one_broken_entry_is_one),
		cmocka_unit_test(test_metadata_is_left_out),
		cmocka_unit_test(test_characters),
		cmocka_unit_test(test_huge),
	};

	return cmocka_run_group_tests_name("entries", tests, NULL, NULL);
}
